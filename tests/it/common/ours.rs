//! A filesystem through our own reader.

use super::manifest::{CONTENT_MAX, Manifest, Record, hex, join, join_path};
use diskwright::ext4::read::{Inode, Kind, Reader};
use sha2::{Digest, Sha256};

/// Every file, its content too.
pub fn read(reader: &Reader) -> Manifest {
    let root = reader.inode(2).unwrap();
    let mut list = vec![(Vec::new(), 2, record(reader, &root))];
    let mut folders = vec![(Vec::new(), root)];
    while let Some((parent, folder)) = folders.pop() {
        for entry in reader.entries(&folder).unwrap().iter() {
            if parent.is_empty() && entry.name == b"lost+found" {
                continue;
            }
            let path = join_path(&parent, entry.name);
            let inode = reader.inode(entry.ino).unwrap();
            assert!(entry.kind.is_none_or(|kind| kind == inode.kind()));
            list.push((path.clone(), entry.ino, record(reader, &inode)));
            if inode.kind() == Kind::Directory {
                folders.push((path, inode));
            }
        }
    }
    join(list)
}

fn record(reader: &Reader, inode: &Inode) -> Record {
    let kind = match inode.kind() {
        Kind::File => 'f',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::Unknown => '?',
    };
    let mut record = Record {
        kind,
        mode: inode.permissions().into(),
        uid: inode.uid(),
        gid: inode.gid(),
        links: inode.links().into(),
        times: [inode.mtime(), inode.atime(), inode.ctime()],
        device: inode.device().unwrap_or_default(),
        xattrs: reader.xattrs(inode).unwrap().into_iter().collect(),
        ..Record::default()
    };
    record.take_acls();
    match kind {
        'l' => record.target = reader.target(inode).unwrap(),
        'f' => {
            record.size = inode.size();
            if inode.size() <= CONTENT_MAX {
                record.sha256 = digest(reader, inode);
            }
        }
        _ => {}
    }
    record
}

/// Read in pieces of an odd length, so that they begin and end anywhere.
fn digest(reader: &Reader, inode: &Inode) -> String {
    let content = reader.content(inode).unwrap();
    let (mut hasher, mut buf, mut at) = (Sha256::new(), vec![0; 99_991], 0);
    loop {
        let n = content.read_at(at, &mut buf).unwrap();
        if n == 0 {
            return hex(&hasher.finalize());
        }
        hasher.update(&buf[..n]);
        at += n as u64;
    }
}
