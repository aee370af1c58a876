//! Flags that cannot work: refused before the archive is read where that can be known, with the number
//! that would work where there is one.

use crate::common::desk::Desk;
use crate::common::tarball::{archive, file};
use expect_test::{Expect, expect};

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("a.tar", &archive(&[file("a", b"data")]));
    desk
}

#[track_caller]
fn refused(flags: &[&str], code: i32, expected: Expect) {
    let args = [&["build", "a.tar", "-o", "out/disk.img"], flags].concat();
    desk().refused(&args, code, expected);
}

#[test]
fn sizes_that_no_disk_has_are_refused() {
    let none = ["--boot", "none"];
    let size = |size: &'static str| [&none[..], &["--size", size]].concat();
    refused(
        &size("1000000"),
        3,
        expect![[r#"
            error: a disk of 1000000 bytes is not a whole number of 512-byte sectors; 1000448 bytes are
        "#]],
    );
    refused(
        &size("1M"),
        3,
        expect![[r#"
            error: a disk of 1048576 bytes is too small: its root filesystem begins at byte 1048576; say `--size 1277952` or more, or `--size fit`
              because: 0 bytes are too small for an ext4 filesystem: its own tables would fill it; 229376 bytes are enough
        "#]],
    );
    refused(
        &size("1100K"),
        3,
        expect![[r#"
            error: a disk of 1126400 bytes is too small: its root filesystem begins at byte 1048576; say `--size 1277952` or more, or `--size fit`
              because: 77824 bytes are too small for an ext4 filesystem: its own tables would fill it; 229376 bytes are enough
        "#]],
    );
    refused(
        &size("2049G"),
        3,
        expect![[r#"
        error: the disk has 4297064448 sectors of 512 bytes, but an MBR ends at 2 TiB (4294967295 sectors): choose a smaller --size
    "#]],
    );
    refused(
        &size("16T"),
        3,
        expect![[r#"
        error: the disk has 34359738368 sectors of 512 bytes, but an MBR ends at 2 TiB (4294967295 sectors): choose a smaller --size
    "#]],
    );
    refused(
        &size("0"),
        2,
        expect![[r#"
        error: invalid value '0' for '--size <SIZE|fit>': a disk has at least one sector

        For more information, try '--help'.
    "#]],
    );
    refused(
        &size("17 parsecs"),
        2,
        expect![[r#"
        error: invalid value '17 parsecs' for '--size <SIZE|fit>': unknown unit "parsecs": K, M, G, T (or KiB …) and kB, MB, GB, TB

        For more information, try '--help'.
    "#]],
    );
    let bare = ["--scheme", "none", "--size"];
    refused(
        &[&bare[..], &["16T"]].concat(),
        3,
        expect![[r#"
            error: a filesystem of 17592186044416 bytes: ext4 with blocks of 4096 bytes ends at 16 TiB here; choose a smaller size
        "#]],
    );
    refused(
        &[&bare[..], &["16E"]].concat(),
        2,
        expect![[r#"
        error: invalid value '16E' for '--size <SIZE|fit>': unknown unit "E": K, M, G, T (or KiB …) and kB, MB, GB, TB

        For more information, try '--help'.
    "#]],
    );
    refused(
        &[&bare[..], &["4096"]].concat(),
        3,
        expect![[r#"
            error: a disk of 4096 bytes is too small: its root filesystem begins at byte 0; say `--size 229376` or more, or `--size fit`
              because: 4096 bytes are too small for an ext4 filesystem: its own tables would fill it; 229376 bytes are enough
        "#]],
    );
}

/// Sizes that the errors name.
fn named(text: &str) -> Vec<u64> {
    let parts = text.split("--size ").skip(1);
    let digits = parts.map(|part| part.split(|c: char| !c.is_ascii_digit()).next().unwrap());
    digits.filter_map(|n| n.parse().ok()).collect()
}

#[test]
fn a_size_too_small_is_told_with_one_that_is_enough_and_a_mib_less_is_not() {
    let inodes = ["--inodes", "100000"];
    let journal = ["--journal-size", "64M"];
    for (size, flags) in [
        ("100K", &["--scheme", "none"][..]),
        ("4096", &["--scheme", "none", "--block-size", "1024"]),
        ("30M", &[&["--scheme", "none"][..], &inodes].concat()),
        ("512", &["--scheme", "mbr"]),
        ("30M", &[&["--scheme", "mbr"][..], &inodes].concat()),
        ("20K", &["--scheme", "gpt"]),
        ("2M", &["--scheme", "gpt"]),
        (
            "2M",
            &[&["--scheme", "gpt"][..], &inodes, &journal].concat(),
        ),
        ("100M", &["--boot", "hybrid"]),
    ] {
        let run = |size: &str| {
            let desk = desk();
            let boot: &[&str] = if flags.contains(&"--boot") {
                &[]
            } else {
                &["--boot", "none"]
            };
            let args = ["build", "a.tar", "-o", "out/disk.img", "--size", size];
            desk.run(&[&args[..], boot, flags].concat())
        };
        let told = run(size);
        assert_eq!(told.code, Some(3), "{told:?}");
        let [enough] = named(&told.stderr)[..] else {
            panic!("{size} {flags:?}: {}", told.stderr);
        };
        let too_small = |size: u64| {
            let ran = run(&size.to_string());
            ran.stderr.contains("is too small").then_some(ran.stderr)
        };
        assert_eq!(too_small(enough), None, "{size} {flags:?}");
        if let Some(less) = enough.checked_sub(1 << 20).filter(|n| *n > 0) {
            assert!(too_small(less).is_some(), "{size} {flags:?}: {less} do too");
        }
    }
}

#[test]
fn growth_that_descriptors_do_not_reach_is_told() {
    let desk = desk();
    let warned = |flags: &[&str]| {
        let fixed = ["--boot", "none", "--quiet"];
        desk.builds("a.tar", &[&fixed[..], flags].concat()).stderr
    };
    let reach = ["--block-size", "1024", "--max-grow"];
    assert_eq!(warned(&[&reach[..], &["32G"]].concat()), "");
    expect![[r#"
        warning: `--max-grow 1099511627776`: the descriptors that can be reserved reach 34493956096 bytes; past them Linux grows the filesystem too, online, by meta_bg
    "#]].assert_eq(&warned(&[&reach[..], &["1T"]].concat()));
    expect![[r#"
        warning: `--max-grow 1099511627776`: the descriptors that can be reserved reach 34493956096 bytes; past them Linux grows the filesystem too, online, by meta_bg
    "#]].assert_eq(&warned(&[&reach[..], &["1T", "--size", "64M"]].concat()));
    expect![[r#"
        warning: `--max-grow 4398046511104`: the descriptors that can be reserved reach 2070174236672 bytes; past them Linux grows the filesystem too, online, by meta_bg
    "#]].assert_eq(&warned(&["--max-grow", "4T", "--journal-size", "4M"]));
}

#[test]
fn a_rootfs_without_a_name_is_refused() {
    let desk = desk();
    for name in ["", "oci:", "docker-archive::tag"] {
        let ran = desk.run(&["build", "a.tar", name, "-o", "out/disk.img"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let told = format!("error: a ROOTFS names no file: '{name}'\n");
        assert!(ran.stderr.starts_with(&told), "{ran:?}");
    }
}

#[test]
fn names_that_would_break_a_file_are_refused() {
    refused(
        &["--label", "seventeen bytes!!"],
        2,
        expect![[r#"
        error: invalid value 'seventeen bytes!!' for '--label <LABEL>': 17 bytes long; ext4 has room for 16

        For more information, try '--help'.
    "#]],
    );
    refused(
        &["--label", "neunzehn \u{e4}\u{f6}\u{fc}\u{df} 15"],
        2,
        expect![[r#"
            error: invalid value 'neunzehn äöüß 15' for '--label <LABEL>': 20 bytes long; ext4 has room for 16

            For more information, try '--help'.
        "#]],
    );
    refused(
        &["--label", "a\nb"],
        2,
        expect![[r#"
        error: invalid value 'a
        b' for '--label <LABEL>': control characters are not allowed

        For more information, try '--help'.
    "#]],
    );
    refused(
        &["--hostname", "a b"],
        2,
        expect![[r#"
            error: invalid value 'a b' for '--hostname <NAME>': a host name has 1 to 64 letters, digits, `-` and `.`, and begins with no `-`

            For more information, try '--help'.
        "#]],
    );
    refused(
        &["--hostname", ""],
        2,
        expect![[r#"
            error: invalid value '' for '--hostname <NAME>': a host name has 1 to 64 letters, digits, `-` and `.`, and begins with no `-`

            For more information, try '--help'.
        "#]],
    );
    refused(
        &["--hostname=-x"],
        2,
        expect![[r#"
            error: invalid value '-x' for '--hostname <NAME>': a host name has 1 to 64 letters, digits, `-` and `.`, and begins with no `-`

            For more information, try '--help'.
        "#]],
    );
    refused(
        &["--cmdline", "quiet\nroot"],
        2,
        expect![[r#"
        error: invalid value 'quiet
        root' for '--cmdline <TEXT>': control characters are not allowed

        For more information, try '--help'.
    "#]],
    );
    refused(
        &["--cmdline", "root=/dev/sda"],
        2,
        expect![[r#"
        error: invalid value 'root=/dev/sda' for '--cmdline <TEXT>': root= is ours to write: see --root-by

        For more information, try '--help'.
    "#]],
    );
    refused(
        &["--uuid", "12345"],
        2,
        expect![[r#"
        error: invalid value '12345' for '--uuid <UUID>': invalid length: found 5

        For more information, try '--help'.
    "#]],
    );
    refused(
        &["--boot", "bios", "--scheme", "none"],
        2,
        expect![[r#"
            error: --boot bios needs a partition table: GRUB lies in front of the first partition
            help: leave out --scheme none, or say --boot none
        "#]],
    );
    refused(
        &["--root-by", "partuuid", "--scheme", "none"],
        2,
        expect![[r#"
            error: --root-by partuuid needs a partition: --scheme mbr or gpt
        "#]],
    );
    refused(
        &["--inodes", "5000000000"],
        2,
        expect![[r#"
        error: invalid value '5000000000' for '--inodes <N>': 5000000000 is not in 16..=4294967295

        For more information, try '--help'.
    "#]],
    );
}

/// The number of missing bytes that the message names.
fn missing(desk: &Desk, size: u64) -> Option<u64> {
    let size = size.to_string();
    let args = [
        "build",
        "a.tar",
        "-o",
        "out/disk.img",
        "--boot",
        "none",
        "--force",
        "--size",
        &size,
    ];
    let ran = desk.run(&args);
    if ran.code == Some(0) {
        desk.fsck();
        return None;
    }
    assert_eq!((ran.code, desk.out().len()), (Some(3), 0), "{ran:?}");
    let (before, _) = ran.stderr.split_once(" bytes are missing").unwrap();
    Some(before.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_disk_that_is_too_small_is_refused_with_the_bytes_that_are_missing() {
    let desk = desk();
    desk.write(
        "a.tar",
        &archive(&[file("big", &vec![1; 20 << 20]), file("b", b"x")]),
    );
    desk.refused(
        &[
            "build",
            "a.tar",
            "-o",
            "out/disk.img",
            "--boot",
            "none",
            "--size",
            "8M",
        ],
        3,
        expect![[r#"
            error: the tree does not fit a filesystem of 7340032 bytes; one of 27021312 holds it: 21082112 for files and directories, 4194304 for the journal and 1744896 for tables; 19681280 bytes are missing: say a `--size` larger by as much, or `--size fit`
        "#]],
    );
}

#[test]
fn the_missing_bytes_added_make_the_archive_fit() {
    let desk = desk();
    let many = (0..900).map(|i| file(&format!("d{}/{i}", i % 7), &[3; 5000]));
    let members: Vec<_> = many.chain([file("big", &vec![1; 20 << 20])]).collect();
    desk.write("a.tar", &archive(&members));
    for size in [2 << 20, 5 << 20, 24 << 20, 25 << 20, 29 << 20] {
        let more = missing(&desk, size).unwrap();
        assert_eq!(missing(&desk, size + more), None, "{size} + {more}");
        std::fs::remove_file(desk.path("out/disk.img")).unwrap();
    }
}

#[test]
fn data_beyond_the_end_of_the_disk_is_written_nowhere() {
    let desk = desk();
    desk.write("a.tar", &archive(&[file("big", &vec![1; 200 << 20])]));
    // A limit on the size of files, SIGXFSZ ignored: a write past it would say EFBIG.
    let shell = "trap '' XFSZ; ulimit -f 16384; exec \"$@\"";
    let args = [
        "build",
        "a.tar",
        "-o",
        "out/disk.img",
        "--boot",
        "none",
        "--size",
        "8M",
    ];
    let output = desk
        .prefixed(&["sh", "-c", shell, "sh"], &args)
        .output()
        .unwrap();
    let told = crate::common::desk::ran(&output);
    assert!(told.stderr.contains(" bytes are missing"), "{told:?}");
    assert_eq!((told.code, desk.out().len()), (Some(3), 0));
}
