//! What the reader makes of our own filesystems, and of damaged ones.

use super::{Kind, Reader, Run};
use crate::entry::DataRun;
use crate::ext4::{Builder, Format, Meta};
use crate::extent::Layout;
use crate::read_at::ReadAt;
use crate::units::{count, index};
use std::sync::Arc;

fn sample() -> Vec<u8> {
    let mut fs = Builder::new(Format::default()).unwrap();
    fs.file("/etc/hostname", Meta::new(0o644), "demo\n")
        .unwrap();
    fs.file("/big", Meta::new(0o600), vec![7; 50_000]).unwrap();
    fs.symlink("/link", Meta::new(0o777), "etc/hostname")
        .unwrap();
    let fs = fs.finish().unwrap();
    let mut image = Vec::new();
    fs.write_to(&mut image).unwrap();
    image
}

/// Everything that the reader gives, as far as it can be had.
fn all(reader: &Reader) -> usize {
    let mut seen = 0;
    for inode in reader.inodes().flatten().take(10_000) {
        seen += reader.xattrs(&inode).map_or(0, |list| list.len());
        seen += reader.mapping(&inode).map_or(0, |m| m.runs.len());
        seen += reader.target(&inode).map_or(0, |t| t.len());
        seen += reader.entries(&inode).map_or(0, |e| e.iter().len());
        if let Ok(content) = reader.content(&inode) {
            let mut buf = [0; 5000];
            for run in content.data().iter().take(1000) {
                seen += content.read_at(run.offset, &mut buf).unwrap_or(0);
            }
        }
    }
    seen
}

#[test]
fn names_bytes_and_blocks_of_our_own_filesystem_are_read() {
    let reader = Reader::open(Arc::new(sample())).unwrap();
    let root = reader.entries(&reader.inode(2).unwrap()).unwrap();
    assert_eq!(root.parent(), Some(2));
    let mut names: Vec<&[u8]> = root.iter().map(|e| e.name).collect();
    names.sort_unstable();
    assert_eq!(names, [&b"big"[..], b"etc", b"link", b"lost+found"]);
    let inode = |name: &[u8]| reader.inode(root.find(name).unwrap().ino).unwrap();
    assert_eq!(reader.target(&inode(b"link")).unwrap(), b"etc/hostname");
    let big = inode(b"big");
    assert_eq!((big.kind(), big.size()), (Kind::File, 50_000));
    let content = reader.content(&big).unwrap();
    let whole = DataRun {
        offset: 0,
        len: 50_000,
    };
    assert_eq!(content.data(), [whole]);
    let mut buf = vec![0; 60_000];
    assert_eq!(content.read_at(10, &mut buf).unwrap(), 49_990);
    assert!(buf[..49_990].iter().all(|b| *b == 7));
    assert_eq!(content.read_at(50_000, &mut buf).unwrap(), 0);
    let mapping = reader.mapping(&big).unwrap();
    let [
        Run {
            physical, len: 13, ..
        },
    ] = mapping.runs[..]
    else {
        panic!("{mapping:?}");
    };
    let mut block = vec![0; 4096];
    let fs = sample();
    fs.read_exact_at(physical * 4096, &mut block).unwrap();
    assert_eq!(block, vec![7; 4096]);
    assert_eq!(reader.warnings(), []);
}

#[test]
fn no_damage_makes_it_panic_or_run_on() {
    let image = sample();
    // Where something lies: the superblock, tables, directories. splitmix64 picks the bytes.
    let used: Vec<usize> = (0..image.len()).filter(|n| image[*n] != 0).collect();
    let mut state = 1_u64;
    let mut next = |end: usize| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        index((z ^ (z >> 27)) % count(end))
    };
    let mut opened = 0;
    for _ in 0..150 {
        let mut damaged = image.clone();
        for _ in 0..30 {
            let at = used[next(used.len())];
            damaged[at] = crate::units::lo8(count(next(256)));
        }
        if let Ok(reader) = Reader::open(Arc::new(damaged)) {
            opened += 1;
            all(&reader);
            assert!(reader.warnings().len() <= 1000);
        }
    }
    assert!(opened > 0);
}

#[test]
fn an_image_that_is_cut_off_is_read_as_far_as_it_goes() {
    let mut image = sample();
    image.truncate(image.len() - 4096);
    let reader = Reader::open(Arc::new(image)).unwrap();
    assert!(reader.warnings()[0].message.contains("s_blocks_count"));
    assert!(reader.entries(&reader.inode(2).unwrap()).unwrap().len() > 3);
}
