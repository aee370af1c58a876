//! What e2fsprogs makes is without findings.

use super::TOOLS;
use super::fixtures::{Image, data_at, inode_at, rich, tools};
use crate::ext4::check::check;
use crate::observe::Silent;

#[test]
fn what_mke2fs_makes_is_clean_at_any_size() {
    if !tools(&TOOLS) {
        return;
    }
    for size in ["4M", "9M", "64M", "200M", "513M", "1300M", "10G"] {
        let image = Image::new(size, &[], |_| {});
        let (summary, findings) = image.check();
        assert_eq!(findings, [], "{size}");
        assert!(summary.complete, "{size}");
        assert_eq!(summary.directories, 2, "{size}");
    }
}

#[test]
fn other_block_and_inode_sizes_are_clean() {
    if !tools(&TOOLS) {
        return;
    }
    let cases: [&[&str]; 6] = [
        &["-b", "1024"],
        &["-b", "2048"],
        &["-I", "512"],
        &["-O", "^64bit"],
        &["-O", "^resize_inode,^has_journal,^flex_bg"],
        &["-O", "^metadata_csum"],
    ];
    for args in cases {
        let (_, findings) = Image::new("100M", args, |_| {}).check();
        assert_eq!(findings, [], "{args:?}");
    }
}

#[test]
fn a_filesystem_with_one_of_everything_is_clean() {
    if !tools(&TOOLS) {
        return;
    }
    let image = rich(9000);
    let (summary, findings) = image.check();
    assert_eq!(findings, []);
    assert!(summary.complete);
    assert_eq!(summary.files, 10_003);
    assert_eq!((summary.symlinks, summary.specials), (2, 3));
    let bytes = image.bytes();
    let levels = |path| bytes[data_at(&bytes, image.ino(path)) + 30];
    assert_eq!((levels("one"), levels("two")), (0, 1), "htree levels");
    let depth = |path| bytes[inode_at(&bytes, image.ino(path)) + 0x28 + 6];
    assert_eq!(
        (depth("large"), depth("deep/holes")),
        (0, 2),
        "extent depth"
    );
    assert_ne!(
        bytes[inode_at(&bytes, image.ino("large")) + 0x68],
        0,
        "xattr block"
    );
}

#[test]
fn what_is_no_ext4_is_an_error_and_no_finding() {
    let error = |bytes: Vec<u8>| check(&bytes, &Silent).unwrap_err().to_string();
    assert!(error(vec![]).contains("too few"));
    assert!(error(vec![0; 4096]).contains("s_magic"));
}
