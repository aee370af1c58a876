//! Up to each limit of ext4 an image is right; past it an error names the file.

use crate::common::desk::Desk;
use crate::common::member::Member;
use crate::common::tarball::{Header, archive};
use expect_test::expect;

const FLAGS: [&str; 4] = ["--boot", "none", "--scheme", "none"];

/// A desk with the image of these members, which e2fsck and `verify` find clean; what was told.
fn built(members: &[Vec<u8>]) -> (Desk, String) {
    let desk = Desk::new();
    desk.write("in.tar", &archive(members));
    let ran = desk.builds("in.tar", &FLAGS);
    desk.fsck();
    let verified = desk.run(&["verify", "out/disk.img"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let warnings = ran.stderr.lines().filter(|l| l.starts_with("warning: "));
    let warnings = warnings.map(|l| format!("{l}\n")).collect();
    (desk, warnings)
}

fn refused(members: &[Vec<u8>], expected: expect_test::Expect) {
    let desk = Desk::new();
    desk.write("in.tar", &archive(members));
    let args = [
        &["build", "in.tar", "-o", "out/disk.img", "--quiet"],
        &FLAGS[..],
    ]
    .concat();
    desk.refused(&args, 3, expected);
}

fn stat(desk: &Desk, path: &str) -> Option<String> {
    if !crate::tools::have("debugfs") {
        return None;
    }
    let image = desk.path("out/disk.img");
    let args = ["-R", &format!("stat {path}"), image.to_str().unwrap()];
    Some(crate::tools::stdout("debugfs", &args))
}

fn links(names: u32) -> Vec<Vec<u8>> {
    let mut all = vec![Member::file("first", "x").bytes()];
    let more = (1..names).map(|n| {
        Header::new(&format!("l/{n}"), b'1', 0)
            .link("first")
            .block()
    });
    all.extend(more);
    all
}

#[test]
fn a_file_has_65000_links_and_no_more() {
    let (desk, _) = built(&links(65_000));
    if let Some(said) = stat(&desk, "/first") {
        assert!(said.contains("Links: 65000 "), "{said}");
    }
    refused(
        &links(65_001),
        expect![[r#"
        error: l/65000: 'first' has 65,000 hard links already, the most that ext4 can count
    "#]],
    );
}

#[test]
fn a_directory_of_70000_directories_counts_one_link() {
    let folder = |n: u32| {
        Header::new(&format!("d/{n}/"), b'5', 0)
            .with(100, b"0000755\0")
            .block()
    };
    let (desk, _) = built(&(0..70_000).map(folder).collect::<Vec<_>>());
    if let Some(said) = stat(&desk, "/d") {
        assert!(said.contains("Links: 1 "), "{said}");
    }
    let (desk, _) = built(&(0..64_998).map(folder).collect::<Vec<_>>());
    if let Some(said) = stat(&desk, "/d") {
        assert!(said.contains("Links: 65000 "), "{said}");
    }
}

/// A file with data at both ends.
fn sparse(size: u64) -> Vec<u8> {
    Member::file("GNUSparseFile.0/s", [b'x'; 20])
        .record("GNU.sparse.major", "0")
        .record("GNU.sparse.minor", "1")
        .record("GNU.sparse.name", "sparse")
        .record("GNU.sparse.size", size.to_string())
        .record("GNU.sparse.numblocks", "2")
        .record("GNU.sparse.map", format!("0,10,{},10", size - 10))
        .bytes()
}

/// Blocks of a file are numbered with 32 bits, and the last number stands for none.
#[test]
fn a_sparse_file_ends_one_block_below_16_tib() {
    let most = (1_u64 << 44) - 4096;
    let (desk, _) = built(&[sparse(most)]);
    if let Some(said) = stat(&desk, "/sparse") {
        assert!(said.contains(&format!("Size: {most}\n")), "{said}");
        assert!(said.contains("Blockcount: 16\n"), "holes are data: {said}");
    }
    refused(
        &[sparse(most + 1)],
        expect![[r#"
            error: sparse
              because: a file of 17592186040321 bytes; ext4 with blocks of 4096 bytes holds files of up to 16 TiB less a block
        "#]],
    );
}

#[test]
fn a_block_of_attributes_serves_1024_files() {
    let mut all = Vec::new();
    for n in 0..2500 {
        let file = Member::file(format!("f/{n}"), "").xattr("user.a", [b'v'; 500]);
        // Sets that differ in order make the same block.
        all.push(match n % 2 {
            0 => file.xattr("user.b", "w").bytes(),
            _ => Member::file(format!("f/{n}"), "")
                .xattr("user.b", "w")
                .xattr("user.a", [b'v'; 500])
                .bytes(),
        });
    }
    let (desk, _) = built(&all);
    let Some(_) = stat(&desk, "/f") else { return };
    let acl = |n: u32| {
        let said = stat(&desk, &format!("/f/{n}")).unwrap();
        let at = said.find("File ACL: ").unwrap();
        said[at + 10..].lines().next().unwrap().trim().to_owned()
    };
    let mut blocks: Vec<String> = (0..2500).step_by(61).map(acl).collect();
    blocks.sort();
    blocks.dedup();
    assert_eq!(blocks.len(), 3, "{blocks:?}");
}

#[test]
fn attributes_fill_inode_and_block_to_the_last_byte_and_no_further() {
    let file = |len: usize| {
        // In order, `a` would take the inode and leave no room for `c`, which alone fills it.
        let file = Member::file("f", "").xattr("user.a", [1; 20]);
        let file = file.xattr("user.b", vec![2; len]);
        file.xattr("user.c", [3; 68]).bytes()
    };
    let most = 4096 - 32 - 4 - 40 - 20;
    built(&[file(most)]);
    refused(
        &[file(most + 1)],
        expect![[r#"
        error: f
          because: its extended attributes need 4152 bytes; ext4 holds 88 of them in the inode and 4060 in a block (more needs the feature ea_inode, which GRUB refuses to read): leave some of them out of the archive
    "#]],
    );
}

#[test]
fn attributes_that_linux_keeps_nowhere_are_counted() {
    let apple = |n: u32| {
        let file = Member::file(format!("f{n}"), "").xattr("com.apple.quarantine", n.to_string());
        file.xattr("user.kept", "1").bytes()
    };
    let mut all: Vec<_> = (0..3).map(apple).collect();
    all.push(
        Member::file("nfs", "")
            .xattr("system.nfs4_acl", "x")
            .bytes(),
    );
    all.push(
        Member::file("btrfs", "")
            .xattr("btrfs.compression", "zstd")
            .bytes(),
    );
    all.push(
        Member::file("ace", "")
            .record("SCHILY.acl.ace", "owner@:r:allow")
            .bytes(),
    );
    all.push(Member::symlink("link", "x").xattr("user.x", "1").bytes());
    all.push(
        Member::special("pipe", b'6', (0, 0))
            .xattr("user.x", "1")
            .bytes(),
    );
    let capability = [&[1, 0, 0, 3][..], &[0; 16], &1000_u32.to_le_bytes()].concat();
    all.push(
        Member::file("ping", "")
            .xattr("security.capability", capability)
            .bytes(),
    );
    let (_desk, told) = built(&all);
    expect![[r#"
        warning: ace: the extended attribute 'SCHILY.acl.ace' is of no namespace that ext4 stores; left out
        warning: btrfs: the extended attribute 'btrfs.compression' is of no namespace that ext4 stores; left out
        warning: f0 and 2 more files: the extended attribute 'com.apple.quarantine' is of no namespace that ext4 stores; left out
        warning: link: the extended attribute 'user.x' stands on a symbolic link, where Linux keeps none such; left out
        warning: nfs: the extended attribute 'system.nfs4_acl' is of no namespace that ext4 stores; left out
        warning: ping: its capabilities belong to a user namespace whose root is uid 1000; they are kept, and give it nothing outside
        warning: pipe: the extended attribute 'user.x' stands on a device or fifo, where Linux keeps none such; left out
    "#]].assert_eq(&told);
}

#[test]
fn times_that_ext4_cannot_hold_and_times_to_come_are_told() {
    let file = |name: &str, time: &str| Member::file(name, "").mtime(time).bytes();
    let desk = Desk::new();
    let bytes = archive(&[
        file("a", "-99999999999"),
        file("b", "99999999999"),
        file("c", "5"),
    ]);
    desk.write("in.tar", &bytes);
    let args = [&["build", "in.tar", "-o", "out/disk.img"], &FLAGS[..]].concat();
    let ran = desk.run(&args);
    assert!(
        ran.stderr
            .contains("warning: 2 entries have times that ext4 cannot hold"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(" days from now"), "{ran:?}");
    desk.write("in.tar", &archive(&[file("c", "5")]));
    let ran = desk.run(&[&args[..], &["--force"]].concat());
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
}
