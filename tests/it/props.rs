//! Nothing of a file that was replaced is in the image; very large directories are clean.

use crate::common::tarball::{Header, archive, file};
use crate::tools::{have, run};
use std::path::{Path, PathBuf};

/// Builds `tar` with `args`; the image.
fn build(folder: &Path, tar: &[u8], args: &[&str]) -> PathBuf {
    let (from, to) = (folder.join("in.tar"), folder.join("out.img"));
    std::fs::write(&from, tar).unwrap();
    let paths = [from.to_str().unwrap(), "-o", to.to_str().unwrap()];
    let fixed = [
        "build", "--boot", "none", "--scheme", "none", "--force", "--quiet",
    ];
    let all = [&fixed[..], args, &paths].concat();
    let out = run(env!("CARGO_BIN_EXE_diskwright"), &all);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    to
}

fn e2fsck(image: &Path) {
    let out = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert_eq!(
        out.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&out.stdout)
    );
}

#[test]
fn no_byte_of_a_file_that_was_replaced_is_in_the_image() {
    let secret = |n: u8| format!("SECRET-{n}-of-a-file-that-is-gone").repeat(9000);
    let old = |name: &str, n| file(name, secret(n).as_bytes());
    let link = |name: &str, to: &str| Header::new(name, b'1', 0).link(to).block();
    let kept = "KEPT-through-its-other-name".repeat(500);
    let tar = archive(&[
        old("again", 1),
        file("again", b"short"),
        old("a-folder", 2),
        Header::new("a-folder/", b'5', 0).block(),
        old("a-link", 3),
        Header::new("a-link", b'2', 0).link("again").block(),
        old("both", 4),
        link("both-2", "both"),
        file("both", b"new"),
        file("both-2", b"new too"),
        old("over", 5),
        link("over", "again"),
        old("lost+found", 6),
        file("stays", kept.as_bytes()),
        link("stays-2", "stays"),
        file("stays", b"replaced"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["--free", "0"][..],
        &["--size", "64M"],
        &["--free", "0", "--max-grow", "1G"],
    ] {
        let image = build(folder.path(), &tar, args);
        let bytes = std::fs::read(&image).unwrap();
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
        assert!(!holds(b"SECRET-"), "{args:?}");
        assert!(holds(b"KEPT-through"), "{args:?}");
        if have("e2fsck") {
            e2fsck(&image);
        }
    }
}

/// Names of 98 bytes fit a tar header; 20,000 of them make an htree of two levels.
#[test]
fn a_directory_of_many_files_and_one_of_many_folders_are_clean() {
    if std::env::var_os("DISKWRIGHT_TEST_FULL").is_none() {
        eprintln!("SKIP: a quarter of a million entries, with DISKWRIGHT_TEST_FULL");
        return;
    }
    if !have("e2fsck") {
        return;
    }
    let files = (0..200_000).map(|n| Header::new(&format!("files/{n:090}"), b'0', 0).block());
    // One more than an inode can count: nlink is 1 then.
    let folders = (0..65_001).map(|n| Header::new(&format!("folders/{n}"), b'5', 0).block());
    let tar = archive(&files.chain(folders).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    e2fsck(&build(folder.path(), &tar, &["--free", "0"]));
}
