//! Archives that no image can be made of: exit code 3, a message that says what, where and what to do, and
//! nothing left behind. The reader's messages in full are in `archive_bad`.

use crate::common::desk::Desk;
use crate::common::tarball::{Header, archive, file, pax};
use crate::tools::have;
use expect_test::{Expect, expect};
use std::process::{Command, Stdio};

const BUILD: [&str; 6] = ["build", "a.tar", "-o", "out/disk.img", "--boot", "none"];

#[track_caller]
fn refused(bytes: &[u8], expected: Expect) {
    let desk = Desk::new();
    desk.write("a.tar", bytes);
    desk.refused(&BUILD, 3, expected);
}

fn link(name: &str, typeflag: u8, target: &str) -> Vec<u8> {
    Header::new(name, typeflag, 0).link(target).block()
}

fn folder(name: &str) -> Vec<u8> {
    Header::new(name, b'5', 0).with(100, b"0000755\0").block()
}

#[test]
fn an_empty_archive_is_refused_from_a_file_and_from_a_pipe() {
    refused(
        b"",
        expect![[r#"
        error: a.tar is empty (0 bytes): the command that should have written it has failed, or wrote elsewhere
    "#]],
    );
    let desk = Desk::new();
    let args = ["build", "-", "-o", "out/disk.img"];
    desk.refused(&args, 3, expect![[r#"
        error: stdin is empty (0 bytes): the command that should have written it has failed, or wrote elsewhere
    "#]]);
}

#[test]
fn an_archive_cut_short_is_refused() {
    let whole = archive(&[file("a", b"data"), file("dir/b", &[7; 2000])]);
    refused(
        &whole[..300],
        expect![[r#"
        error: a.tar: header at byte 0: the archive ends inside a header: 512 bytes expected, 300 found; it is cut short, or was changed while it was read; copy or make it again
    "#]],
    );
    refused(
        &whole[..1024 + 512 + 1999],
        expect![[r#"
        error: a.tar: entry 'dir/b' (header at byte 1024): the entry claims 2000 bytes of data, but only 1999 bytes of the archive are left: it is cut short (disk full? interrupted copy?) or the size is damaged; make it again
    "#]],
    );
    let desk = Desk::new();
    desk.write("a.tar", &whole[..1024 + 512 + 1999]);
    let ran = desk.run_with_stdin("a.tar", &["build", "-", "-o", "out/disk.img"]);
    desk.told(&ran, 3, expect![[r#"
        error: stdin: entry 'dir/b' (header at byte 1024): the entry claims 2000 bytes of data, but only 1999 bytes of the archive are left: it is cut short (disk full? interrupted copy?) or the size is damaged; make it again
    "#]]);
}

#[test]
fn a_missing_end_marker_alone_is_a_warning() {
    let whole = archive(&[file("a", b"data"), file("dir/b", &[7; 2000])]);
    let desk = Desk::new();
    desk.write("a.tar", &whole[..whole.len() - 1024]);
    let ran = desk.builds("a.tar", &["--boot", "none", "--quiet"]);
    expect![[r#"
        warning: a.tar: no end-of-archive marker at byte 3584: the archive may be cut short between two entries; read as complete
    "#]].assert_eq(&ran.stderr);
    desk.fsck();
}

/// The archive compressed by someone else's program.
fn compressed(desk: &Desk, program: &str) -> Option<Vec<u8>> {
    if !have(program) {
        return None;
    }
    // Noise of a linear congruential generator, so that the compressed file has a middle.
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    desk.write(
        "plain",
        &archive(&[file("noise", &noise), file("b", b"more")]),
    );
    let input = std::fs::File::open(desk.path("plain")).unwrap();
    let mut command = Command::new(program);
    let output = command.arg("-c").stdin(input).stderr(Stdio::inherit());
    let output = output.output().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

#[test]
fn a_compressed_archive_cut_short_is_refused() {
    for (program, expected) in [
        (
            "gzip",
            expect![[r#"
            error: a.tar: the gzip data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
            error: a.tar: the gzip data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
        "#]],
        ),
        (
            "zstd",
            expect![[r#"
            error: a.tar: the zstd data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
            error: a.tar: the zstd data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
        "#]],
        ),
        (
            "xz",
            expect![[r#"
            error: a.tar: the xz data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
            error: a.tar: the xz data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
        "#]],
        ),
        (
            "bzip2",
            expect![[r#"
            error: a.tar: the bzip2 data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
            error: a.tar: the bzip2 data ends too early, at byte LENGTH of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
        "#]],
        ),
    ] {
        let desk = Desk::new();
        let Some(bytes) = compressed(&desk, program) else {
            continue;
        };
        let mut seen = String::new();
        // In the middle, and short of a single byte: the trailer alone is missing.
        for len in [bytes.len() / 2, bytes.len() - 1] {
            desk.write("a.tar", &bytes[..len]);
            let ran = desk.run(&BUILD);
            assert_eq!(
                (ran.code, desk.out().len()),
                (Some(3), 0),
                "{program} {len}: {ran:?}"
            );
            // Where it was cut depends on the program's version.
            seen += &ran.stderr.replace(&len.to_string(), "LENGTH");
        }
        expected.assert_eq(&seen);
    }
}

#[test]
fn a_wrong_crc_is_refused() {
    let desk = Desk::new();
    let Some(mut bytes) = compressed(&desk, "gzip") else {
        return;
    };
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;
    desk.write("a.tar", &bytes);
    let ran = desk.run(&BUILD);
    assert_eq!((ran.code, desk.out().len()), (Some(3), 0), "{ran:?}");
    let told = ran.stderr.replace(&bytes.len().to_string(), "LENGTH");
    expect![[r#"
        error: a.tar: damaged gzip data near byte 300303 of the file: deflate decompression error: incorrect data check; copy or make the archive again
    "#]].assert_eq(&told);
}

#[test]
fn damaged_headers_are_refused() {
    let mut bytes = archive(&[file("a", b"data"), file("b", b"")]);
    bytes[1024 + 3] ^= 0xff;
    refused(
        &bytes,
        expect![[r#"
        error: a.tar: header at byte 1024 (after entry 'a'): the header's checksum is wrong: it says 006077, its bytes add up to 006476; the archive is damaged here, or the size of what precedes is; make it again
    "#]],
    );
    refused(
        &archive(&[Header::new("huge", b'0', 1 << 30).block()]),
        expect![[r#"
            error: a.tar: entry 'huge' (header at byte 0): the entry claims 1073741824 bytes of data, but only 1024 bytes of the archive are left: it is cut short (disk full? interrupted copy?) or the size is damaged; make it again
        "#]],
    );
}

#[test]
fn paths_that_no_tree_can_hold_are_refused() {
    let long = "n".repeat(256);
    refused(
        &archive(&[
            pax(b'x', &[("path", format!("dir/{long}").as_bytes())]),
            file("x", b""),
        ]),
        expect![[r#"
            error: dir/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: a name of 256 bytes; ext4 holds names of up to 255 bytes: give it a shorter one
        "#]],
    );
    refused(
        &archive(&[file("a/../../etc/passwd", b"x")]),
        expect![[r#"
        error: a/../../etc/passwd: the path has a component '..', which could leave the root; make the archive anew with names relative to its root
    "#]],
    );
    refused(
        &archive(&[file("..", b"x")]),
        expect![[r#"
        error: ..: the path has a component '..', which could leave the root; make the archive anew with names relative to its root
    "#]],
    );
    refused(
        &archive(&[file("./", b""), link("x", b'1', "../y")]),
        expect![[r#"
            error: ../y: the path has a component '..', which could leave the root; make the archive anew with names relative to its root
        "#]],
    );
}

#[test]
fn links_that_lead_nowhere_are_refused() {
    refused(
        &archive(&[file("a", b""), link("b", b'1', "c\x1b[2J")]),
        expect![[r#"
            error: b: a hard link to 'c\u{1b}[2J', which no earlier entry of the archive made; was the archive filtered?
        "#]],
    );
    refused(
        &archive(&[folder("a"), link("b", b'1', "a")]),
        expect![[r#"
        error: b: a hard link to the directory 'a'; Linux has no such links
    "#]],
    );
    refused(
        &archive(&[
            link("a", b'2', "b"),
            link("b", b'2', "a"),
            file("a/f", b"x"),
        ]),
        expect![[r#"
            error: a/f: its parent directories lead through more than 40 symbolic links: 'a' is part of a loop
        "#]],
    );
    let long = "t".repeat(4096);
    refused(
        &archive(&[
            pax(b'x', &[("linkpath", long.as_bytes())]),
            link("x", b'2', "y"),
        ]),
        expect![[r#"
            error: x: a symbolic link target of 4096 bytes; ext4 holds 1 to 4095 bytes
        "#]],
    );
}

#[test]
fn what_an_inode_cannot_hold_is_refused() {
    let device = Header::new("dev", b'3', 0)
        .with(329, b"0010000\0")
        .with(337, b"0000001\0");
    refused(
        &archive(&[device.block()]),
        expect![[r#"
        error: dev: device number 4096:1; Linux has majors up to 4095 and minors up to 1048575
    "#]],
    );
    let value = [b'v'; 5000];
    refused(
        &archive(&[
            pax(b'x', &[("SCHILY.xattr.user.a", &value)]),
            file("f", b""),
        ]),
        expect![[r#"
            error: f
              because: its extended attributes need 5020 bytes; ext4 holds 88 of them in the inode and 4060 in a block (more needs the feature ea_inode, which GRUB refuses to read): leave some of them out of the archive
        "#]],
    );
    let mut members = vec![file("f", b"")];
    members.extend((0..65_000).map(|i| link(&format!("l{i}"), b'1', "f")));
    refused(
        &archive(&members),
        expect![[r#"
            error: l64999: 'f' has 65,000 hard links already, the most that ext4 can count
        "#]],
    );
}

#[test]
fn more_files_than_inodes_are_refused_with_the_number_that_is_enough() {
    let members: Vec<_> = (0..3000).map(|i| file(&format!("f{i}"), b"")).collect();
    let desk = Desk::new();
    desk.write("a.tar", &archive(&members));
    let flags = |inodes| [&BUILD[..], &["--size", "20M", "--inodes", inodes]].concat();
    desk.refused(
        &flags("1000"),
        3,
        expect![[r#"
        error: the tree needs 3011 inodes, the filesystem has 1008; say `--inodes 3011` or more
    "#]],
    );
    assert_eq!(desk.run(&flags("3011")).code, Some(0));
    desk.fsck();
}

#[test]
fn an_archive_that_is_missing_or_holds_the_output_is_refused() {
    let desk = Desk::new();
    desk.refused(
        &["build", "no.tar", "-o", "out/disk.img"],
        3,
        expect![[r#"
        error: cannot open the archive no.tar
          because: No such file or directory (os error 2)
    "#]],
    );
    desk.refused(
        &["build", "out", "-o", "out/disk.img"],
        3,
        expect![[r#"
            error: out/disk.img lies in the folder that the image is made of; give it a place elsewhere
        "#]],
    );
}

#[test]
fn a_path_that_is_file_and_folder_and_absolute_names_are_handled_as_gnu_tar_does() {
    let desk = Desk::new();
    let members = [
        file("/abs/one", b"1"),
        folder("empty"),
        file("empty", b"was a folder"),
        folder("full"),
        file("full/inside", b"x"),
        file("full", b"left out"),
        file("plain", b"x"),
        folder("plain"),
        file("plain/inside", b"y"),
        file("stays", b"x"),
        file("stays/inside", b"left out"),
    ];
    desk.write("a.tar", &archive(&members));
    let ran = desk.builds("a.tar", &["--boot", "none", "--quiet"]);
    expect![[r#"
        warning: empty: the archive has it as a directory and as something else; the later entry holds
        warning: full: left out: a directory with files in it stands there already (GNU tar keeps the directory too)
        warning: plain: the archive has it as a directory and as something else; the later entry holds
        warning: stays/inside: left out: one of its parents is no directory (GNU tar refuses it too)
        warning: 1 entry has an absolute name; the leading '/' is left out
    "#]].assert_eq(&ran.stderr);
    desk.fsck();
    let Some(found) = desk.debugfs("ls -p /") else {
        return;
    };
    // Inode, mode, owner, group, name, size (none for folders), one line each.
    let kinds: Vec<String> = found
        .lines()
        .filter_map(|l| l.split('/').nth(5).zip(l.split('/').nth(2)))
        .filter(|(name, _)| !name.starts_with('.') && *name != "lost+found")
        .map(|(name, mode)| format!("{name} {}", &mode[..2]))
        .collect();
    assert_eq!(
        kinds,
        ["abs 04", "empty 10", "full 04", "plain 04", "stays 10"]
    );
}

#[test]
fn warnings_are_counted_and_no_escape_sequence_reaches_the_terminal() {
    let desk = Desk::new();
    let mut members = vec![file("f", b"")];
    members.extend((0..50).map(|i| file(&format!("f/\x1b[31m\u{202e}\n{i}"), b"")));
    desk.write("a.tar", &archive(&members));
    let ran = desk.builds("a.tar", &["--boot", "none", "--quiet"]);
    assert!(
        !ran.stderr.contains(['\x1b', '\u{202e}']),
        "{:?}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 21);
    let first_and_last: Vec<_> = [ran.stderr.lines().next(), ran.stderr.lines().last()]
        .into_iter()
        .flatten()
        .collect();
    expect![[r#"
        warning: f/\u{1b}[31m\u{202e}\n0: left out: one of its parents is no directory (GNU tar refuses it too)
        warning: and 30 more warnings like these"#]].assert_eq(&first_and_last.join("\n"));
}
