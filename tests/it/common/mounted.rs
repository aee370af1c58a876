//! A filesystem read through `fuse2fs`: libext2fs behind the system calls that programs use.

use super::manifest::{CONTENT_MAX, Manifest, Record, hex, join, join_path};
use crate::tools;
use diskwright::units::Timestamp;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mount that ends with it.
struct Mount {
    at: PathBuf,
    server: Child,
}

impl Drop for Mount {
    fn drop(&mut self) {
        for tool in ["fusermount", "fusermount3", "umount"] {
            let unmount: &[&str] = if tool == "umount" { &[] } else { &["-u"] };
            let args = [unmount, &[self.at.to_str().unwrap()]].concat();
            let done = Command::new(tool).args(args).stderr(Stdio::null()).status();
            if done.is_ok_and(|s| s.success()) {
                break;
            }
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Everything under a mount of the bare filesystem `image`; `None` where FUSE does not work.
pub fn read(image: &Path, folder: &Path) -> Option<Manifest> {
    if !tools::have("fuse2fs") {
        return None;
    }
    let fuse = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    if let Err(e) = fuse {
        tools::skip(&format!("/dev/fuse: {e}"));
        return None;
    }
    let at = folder.join("mounted");
    std::fs::create_dir(&at).unwrap();
    let before = std::fs::metadata(&at).unwrap().dev();
    let server = Command::new("fuse2fs")
        .args(["-f", "-o", "ro,fakeroot"])
        .args([image, &at])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mount = Mount { at, server };
    for _ in 0..100 {
        if std::fs::metadata(&mount.at).is_ok_and(|m| m.dev() != before) {
            let mut list = Vec::new();
            walk(&mount.at, &[], &mut list);
            return Some(join(list));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    tools::skip("fuse2fs mounts nothing here");
    None
}

fn walk(root: &Path, path: &[u8], list: &mut Vec<(Vec<u8>, u64, Record)>) {
    let full = root.join(OsStr::from_bytes(path));
    let meta = std::fs::symlink_metadata(&full).unwrap();
    let record = record(&full, &meta);
    let folder = record.kind == 'd';
    list.push((path.to_vec(), meta.ino(), record));
    if !folder {
        return;
    }
    for entry in std::fs::read_dir(&full).unwrap() {
        let name = entry.unwrap().file_name().into_vec();
        if !(path.is_empty() && name == b"lost+found") {
            walk(root, &join_path(path, &name), list);
        }
    }
}

fn record(full: &Path, meta: &std::fs::Metadata) -> Record {
    let time = |sec, nsec: i64| Timestamp {
        sec,
        nsec: nsec.try_into().unwrap(),
    };
    let kind = match meta.mode() >> 12 {
        0o10 => 'f',
        0o4 => 'd',
        0o12 => 'l',
        0o2 => 'c',
        0o6 => 'b',
        0o1 => 'p',
        other => panic!("a file of type {other:o}"),
    };
    let mut record = Record {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        links: meta.nlink().try_into().unwrap(),
        times: [
            time(meta.mtime(), meta.mtime_nsec()),
            time(meta.atime(), meta.atime_nsec()),
            time(meta.ctime(), meta.ctime_nsec()),
        ],
        ..Record::default()
    };
    match kind {
        'f' => {
            record.size = meta.len();
            if meta.len() <= CONTENT_MAX {
                record.sha256 = hex(&Sha256::digest(std::fs::read(full).unwrap()));
            }
        }
        'l' => {
            record.target = std::fs::read_link(full)
                .unwrap()
                .into_os_string()
                .into_vec();
        }
        'c' | 'b' => {
            let rdev = meta.rdev();
            record.device = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
        }
        _ => {}
    }
    let mut names = vec![0_u8; 65_536];
    let len = rustix::fs::llistxattr(full, &mut names[..]).unwrap();
    for name in names[..len].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0_u8; 65_536];
        let len = rustix::fs::lgetxattr(full, name, &mut value[..]).unwrap();
        value.truncate(len);
        record.xattrs.insert(name.to_vec(), value);
    }
    record.take_acls();
    record
}
