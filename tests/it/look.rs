//! `ls`, `tree`, `cat`, `stat` and `du` on images that others made, against GNU ls, du, debugfs and mtools.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::common::desk::Desk;
use super::common::run;
use super::tools::{self, have};

/// A folder of everything that GNU ls shows without root's help.
pub fn tree(desk: &Desk) {
    let tree = desk.path("tree");
    fs::create_dir_all(tree.join("etc/deep/er")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(
        tree.join("etc/passwd"),
        "root:x:0:0::/:\nlisa:x:1000:1000::/:\n",
    )
    .unwrap();
    fs::write(tree.join("etc/group"), "root:x:0:\nadm:x:4:lisa\n").unwrap();
    fs::write(tree.join("etc/fstab"), "proc /proc proc\n").unwrap();
    fs::write(tree.join(".hidden"), "h").unwrap();
    fs::write(tree.join("large"), vec![b'x'; 123_456]).unwrap();
    fs::hard_link(tree.join("large"), tree.join("etc/deep/hard")).unwrap();
    symlink("etc/fstab", tree.join("link")).unwrap();
    symlink("/etc/deep", tree.join("absolute")).unwrap();
    symlink("../../../../etc/passwd", tree.join("etc/deep/up")).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    for (n, mode) in [0o4755, 0o2644, 0o1777, 0o4644, 0o7000]
        .into_iter()
        .enumerate()
    {
        let path = tree.join(format!("mode-{n}"));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let holes = fs::File::create(tree.join("holes")).unwrap();
    holes.write_all_at(b"x", 1_000_000).unwrap();
    run(
        desk.folder(),
        "find",
        &[
            "tree",
            "-exec",
            "touch",
            "-hd",
            "2021-03-04 05:06:07Z",
            "{}",
            "+",
        ],
    );
}

/// What a run printed that must succeed.
#[track_caller]
fn said(desk: &Desk, args: &[&str]) -> String {
    let ran = desk.run(args);
    assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    assert_eq!(ran.stderr, "", "{args:?}");
    ran.stdout
}

pub fn mke2fs(desk: &Desk, image: &str, flags: &[&str]) {
    let args = [&["-q", "-F", "-d", "tree"], flags, &[image, "16M"]].concat();
    run(desk.folder(), "mke2fs", &args);
}

/// A disk whose partitions are these files, by sfdisk.
pub fn disk(desk: &Desk, label: &str, parts: &[(&str, &str)]) {
    let (mut script, mut at) = (format!("label: {label}\n"), 2048);
    let mut bytes = Vec::new();
    for (kind, file) in parts {
        let part = fs::read(desk.path(file)).unwrap();
        let sectors = part.len() / 512;
        script += &format!("start={at}, size={sectors}, type={kind}\n");
        bytes.resize(at * 512, 0);
        bytes.extend(part);
        at += sectors.next_multiple_of(2048);
    }
    bytes.resize(at * 512 + (1 << 20), 0);
    desk.write("disk.img", &bytes);
    desk.write("table", script.as_bytes());
    run(
        desk.folder(),
        "sh",
        &["-c", "/sbin/sfdisk -q disk.img < table"],
    );
}

#[test]
fn a_long_listing_is_that_of_gnu_ls() {
    if !have("mke2fs") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    let gnu = "cd tree && TZ=UTC LC_ALL=C ls -lnAR --time-style=long-iso . | sed 's/^\\./ROOT/'";
    let gnu = String::from_utf8(run(desk.folder(), "sh", &["-c", gnu]).stdout).unwrap();
    // What a directory takes is the filesystem's affair: its size and the sums are left out.
    let listing = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|l| !l.starts_with("total ") && !l.contains("lost+found"));
        let line = |l: &str| {
            let words: Vec<&str> = l.split_whitespace().collect();
            match words[..] {
                [mode, links, uid, gid, _, ..] if mode.starts_with('d') => {
                    let rest = words[5..].join(" ");
                    let root = if rest.ends_with(" .") { "0" } else { links };
                    format!("{mode} {root} {uid} {gid} {rest}")
                }
                _ => words.join(" "),
            }
        };
        lines.map(line).filter(|l| !l.is_empty()).collect()
    };
    for shape in [
        &["-t", "ext4"][..],
        &["-t", "ext2", "-b", "1024", "-I", "128"],
        &["-t", "ext4", "-b", "1024", "-O", "inline_data"],
        &["-t", "ext3", "-O", "^dir_index"],
    ] {
        mke2fs(&desk, "fs.img", shape);
        let ours = said(&desk, &["ls", "-naR", "fs.img"]);
        let ours = ours.replacen("/:", "ROOT:", 1).replace("\n/", "\nROOT/");
        assert_eq!(listing(&ours), listing(&gnu), "{shape:?}");
    }
    // Aligned as GNU ls aligns.
    let ours = said(&desk, &["ls", "-n", "fs.img:/etc/"]);
    let gnu = run(
        desk.folder(),
        "sh",
        &[
            "-c",
            "TZ=UTC ls -ln --time-style=long-iso tree/etc | sed 's/4096/1024/'",
        ],
    );
    let wide = |text: &str| {
        text.lines()
            .skip(1)
            .filter(|l| !l.starts_with('d'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let gnu = String::from_utf8(gnu.stdout).unwrap();
    let squeeze = |lines: Vec<String>| {
        lines
            .iter()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(squeeze(wide(&ours)), squeeze(wide(&gnu)));
    assert_eq!(
        ours.lines()
            .map(|l| l.rfind(" 2021"))
            .skip(1)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        1
    );
}

#[test]
fn links_lead_inside_the_image_and_owners_bear_its_names() {
    if !have("mke2fs") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    mke2fs(&desk, "fs.img", &["-t", "ext4"]);
    run(
        desk.folder(),
        "debugfs",
        &["-w", "-R", "set_inode_field link uid 1000", "fs.img"],
    );
    run(
        desk.folder(),
        "debugfs",
        &["-w", "-R", "set_inode_field link gid 4", "fs.img"],
    );
    let passwd = fs::read_to_string(desk.path("tree/etc/passwd")).unwrap();
    for path in [
        "/etc/passwd",
        "/absolute/up",
        "//etc/./deep/../passwd",
        "/absolute/er/../../passwd",
    ] {
        assert_eq!(
            said(&desk, &["cat", &format!("fs.img:{path}")]),
            passwd,
            "{path}"
        );
    }
    assert_eq!(said(&desk, &["ls", "fs.img:/absolute"]), "er\nhard\nup\n");
    let link = said(&desk, &["ls", "-l", "fs.img:/link"]);
    assert_eq!(
        link,
        "lrwxrwxrwx 1 lisa adm 9 2021-03-04 05:06 /link -> etc/fstab\n"
    );
    for (path, code, why) in [
        ("/gone", 3, "no such file"),
        ("/loop", 3, "too many"),
        ("/large/x", 3, "not a directory"),
        ("/etc", 3, "not a regular file"),
    ] {
        let ran = desk.run(&["cat", &format!("fs.img:{path}")]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(why) && ran.stdout.is_empty(), "{ran:?}");
    }
    let tree = said(&desk, &["tree", "fs.img:/etc"]);
    expect_test::expect![[r"
        fs.img:/etc
        ├── deep
        │   ├── er
        │   ├── hard
        │   └── up -> ../../../../etc/passwd
        ├── fstab
        ├── group
        └── passwd

        2 directories, 5 files
    "]]
    .assert_eq(&tree);
}

#[test]
fn stat_says_what_debugfs_says_and_du_what_du_says() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    mke2fs(&desk, "fs.img", &["-t", "ext4", "-b", "4096"]);
    let stat = said(&desk, &["stat", "--json", "fs.img:/large"]);
    let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
    let theirs = tools::stdout(
        "debugfs",
        &["-R", "stat large", desk.path("fs.img").to_str().unwrap()],
    );
    let first = stat["blocks"][0]["disk"].as_u64().unwrap() / 4096;
    assert!(
        theirs.contains(&format!("(0-30):{first}-{}", first + 30)),
        "{theirs}\n{stat:#}"
    );
    assert!(theirs.contains(&format!("Inode: {}", stat["id"])));
    assert_eq!(stat["links"], 2);
    assert_eq!(stat["mtime"], "1614834367.000000000");
    // Without directories, whose size is the filesystem's affair.
    let sum = said(&desk, &["du", "-a", "fs.img"]);
    let large = sum.lines().find(|l| l.ends_with("/hard")).unwrap();
    assert_eq!(large, "124\t/etc/deep/hard");
    assert!(
        !sum.contains("/large\n") || sum.contains("0\t/large\n"),
        "one file counts once: {sum}"
    );
    assert!(sum.lines().last().unwrap().ends_with("\t/"), "{sum}");
    let gnu = tools::stdout(
        "du",
        &[
            "-sk",
            "--apparent-size",
            desk.path("tree/etc/deep/hard").to_str().unwrap(),
        ],
    );
    let ours = said(&desk, &["du", "-s", "--apparent-size", "fs.img:/large"]);
    assert_eq!(ours.split('\t').next(), gnu.split('\t').next());
}

/// Every sum of `du` is that of the blocks that debugfs counts, a file of several names under its first.
#[test]
fn every_sum_of_du_is_that_of_the_inodes_blocks() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    for n in 0..200 {
        fs::write(
            desk.path("tree/etc")
                .join(format!("a name of some length {n}")),
            "",
        )
        .unwrap();
    }
    for shape in [
        &["-t", "ext4"][..],
        &["-t", "ext2", "-b", "1024"],
        &["-t", "ext4", "-O", "bigalloc", "-C", "16384"],
    ] {
        mke2fs(&desk, "fs.img", shape);
        let sums = said(&desk, &["du", "-a", "--json", "fs.img"]);
        let sums: serde_json::Value = serde_json::from_str(&sums).unwrap();
        let sums: BTreeMap<&str, u64> = sums
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (s["path"].as_str().unwrap(), s["bytes"].as_u64().unwrap()))
            .collect();
        let requests: String = sums
            .keys()
            .map(|path| format!("stat \"{path}\"\n"))
            .collect();
        desk.write("requests", requests.as_bytes());
        let told = run(desk.folder(), "debugfs", &["-f", "requests", "fs.img"]);
        let told = String::from_utf8(told.stdout).unwrap();
        let numbers = |field: &str| -> Vec<u64> {
            let all = told.split(field).skip(1);
            let number = |rest: &str| rest.split_whitespace().next().unwrap().parse().unwrap();
            all.map(number).collect()
        };
        let (inodes, blocks) = (numbers("Inode: "), numbers("Blockcount: "));
        assert_eq!(
            (inodes.len(), blocks.len()),
            (sums.len(), sums.len()),
            "{told}"
        );
        // In the order of the walk: names, not paths.
        let mut files: Vec<(Vec<&str>, u64, u64)> = Vec::new();
        for ((path, inode), blocks) in sums.keys().zip(inodes).zip(blocks) {
            let names = path.split('/').filter(|name| !name.is_empty());
            files.push((names.collect(), inode, 512 * blocks));
        }
        files.sort();
        let mut seen = BTreeSet::new();
        for file in &mut files {
            if !seen.insert(file.1) {
                file.2 = 0;
            }
        }
        assert_eq!(seen.len() + 1, files.len(), "one file has two names");
        for (names, ..) in &files {
            let below = files.iter().filter(|(path, ..)| path.starts_with(names));
            let sum: u64 = below.map(|(_, _, bytes)| bytes).sum();
            let path = format!("/{}", names.join("/"));
            assert_eq!(sums[path.as_str()], sum, "{shape:?}: {path}");
        }
    }
}

#[test]
fn partitions_of_foreign_disks_are_read_and_fat_as_mtools_reads_it() {
    if !have("mkfs.vfat") || !have("mcopy") || !have("sfdisk") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    mke2fs(&desk, "fs.img", &["-t", "ext4"]);
    let long = "A long Name, mit Umläuten 日本.txt";
    for (bits, mib) in [("12", 1), ("16", 16), ("32", 40)] {
        let fat = fs::File::create(desk.path("fat.img")).unwrap();
        fat.set_len(mib << 20).unwrap();
        run(
            desk.folder(),
            "/sbin/mkfs.vfat",
            &["-F", bits, "-s", "1", "-n", "ESP", "fat.img"],
        );
        desk.write(long, &vec![b'z'; 70_000]);
        desk.write("small", b"lower case");
        let mtools = |args: &[&str]| {
            let line = [&["MTOOLS_SKIP_CHECK=1", "LC_ALL=C.UTF-8", "TZ=UTC"], args].concat();
            run(desk.folder(), "env", &line)
        };
        mtools(&["mmd", "-i", "fat.img", "::EFI", "::EFI/many"]);
        mtools(&["mcopy", "-m", "-i", "fat.img", long, "small", "::EFI/"]);
        for n in 0..70 {
            desk.write(&format!("name number {n}"), b"x");
        }
        let names: Vec<String> = (0..70).map(|n| format!("name number {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        mtools(&[&["mcopy", "-i", "fat.img"], &names[..], &["::EFI/many/"]].concat());
        // The first is gone: its place is taken by nothing.
        mtools(&["mdel", "-i", "fat.img", "::EFI/many/name number 3"]);
        disk(&desk, "gpt", &[("U", "fat.img"), ("L", "fs.img")]);
        for (prefix, whole) in [("disk.img:p1", false), ("fat.img", true)] {
            let ours = said(&desk, &["ls", &format!("{prefix}:/EFI")]);
            assert_eq!(ours, format!("{long}\nmany\nsmall\n"), "FAT{bits}");
            let many = said(&desk, &["ls", &format!("{prefix}:/EFI/many")]);
            assert_eq!(many.lines().count(), 69);
            let ours = said(&desk, &["cat", &format!("{prefix}:/efi/{long}")]);
            assert_eq!(ours, "z".repeat(70_000));
            assert_eq!(
                said(&desk, &["cat", &format!("{prefix}:/EFI/SMALL")]),
                "lower case"
            );
            let info = said(&desk, &["ls", "-lR", &format!("{prefix}:/")]);
            assert!(info.contains("drwxr-xr-x 1 "), "{whole} {info}");
        }
        // The root filesystem is the ext4.
        assert_eq!(
            said(&desk, &["cat", "disk.img:/etc/fstab"]),
            "proc /proc proc\n"
        );
        assert_eq!(
            said(&desk, &["cat", "disk.img:p2:/etc/fstab"]),
            "proc /proc proc\n"
        );
    }
    disk(&desk, "dos", &[("c", "fat.img"), ("83", "fs.img")]);
    assert_eq!(said(&desk, &["ls", "disk.img:p1"]), "EFI\n");
    if have("qemu-img") {
        let args = ["convert", "-O", "qcow2", "disk.img", "disk.qcow2"];
        run(desk.folder(), "qemu-img", &args);
        let link = said(&desk, &["cat", "disk.qcow2:/link"]);
        assert_eq!(link, "proc /proc proc\n");
        assert_eq!(
            said(&desk, &["diff", "--json", "disk.img", "disk.qcow2"]).len(),
            said(&desk, &["diff", "--json", "disk.img", "disk.img"]).len()
        );
    }
    assert_eq!(said(&desk, &["cat", "disk.img:/link"]), "proc /proc proc\n");
}

#[test]
fn an_image_of_genimage_is_read() {
    if !have("genimage") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    desk.write(
        "genimage.cfg",
        b"image root.ext4 { ext4 { use-mke2fs = true } size = 16M }\n\
          image boot.vfat { vfat { files = { \"table\" } } size = 8M }\n\
          image sd.img { hdimage { partition-table-type = gpt }\n\
          partition boot { partition-type-uuid = U image = \"boot.vfat\" }\n\
          partition root { partition-type-uuid = L image = \"root.ext4\" } }\n",
    );
    fs::create_dir(desk.path("inputs")).unwrap();
    desk.write("inputs/table", b"of contents");
    let folders = [
        "--rootpath",
        "tree",
        "--tmppath",
        "tmp",
        "--inputpath",
        "inputs",
        "--outputpath",
        "images",
    ];
    run(
        desk.folder(),
        "genimage",
        &[&["--config", "genimage.cfg"], &folders[..]].concat(),
    );
    assert_eq!(
        said(&desk, &["cat", "images/sd.img:/etc/fstab"]),
        "proc /proc proc\n"
    );
    assert_eq!(
        said(&desk, &["cat", "images/sd.img:p1:/table"]),
        "of contents"
    );
    assert!(said(&desk, &["ls", "-lR", "images/sd.img"]).contains("mode-3"));
}

#[test]
fn what_is_no_filesystem_is_told_and_damage_is_read_past() {
    if !have("mke2fs") {
        return;
    }
    let desk = Desk::new();
    tree(&desk);
    desk.write("empty.img", &vec![0; 1 << 20]);
    desk.write("nothing.img", b"");
    desk.write("tiny.img", &[1; 100]);
    for image in ["empty.img", "nothing.img", "tiny.img", "gone.img"] {
        for verb in ["ls", "tree", "du", "stat", "cat"] {
            let ran = desk.run(&[verb, image]);
            assert_eq!(ran.code, Some(3), "{verb} {image}: {ran:?}");
            assert!(ran.stderr.starts_with("error: cannot look into"), "{ran:?}");
        }
    }
    mke2fs(&desk, "fs.img", &["-t", "ext4", "-b", "1024"]);
    let whole = fs::read(desk.path("fs.img")).unwrap();
    // Half of the image is missing, or every byte of a stretch.
    desk.write("cut.img", &whole[..whole.len() / 2]);
    let ran = desk.run(&["ls", "-lR", "cut.img"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("fstab") && ran.stderr.contains("s_blocks_count"),
        "{ran:?}"
    );
    let mut state = 7_u64;
    for round in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..40 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(state >> 33).unwrap() % 2_000_000;
            bytes[at] = state.to_le_bytes()[3];
        }
        desk.write("damaged.img", &bytes);
        let verb = [&["ls", "-lR"][..], &["tree"], &["du", "-a"]][round % 3];
        let ran = desk.run(&[verb, &["damaged.img"]].concat());
        assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
}

#[test]
fn what_was_meant_is_told() {
    let desk = Desk::new();
    tree(&desk);
    mke2fs(&desk, "disk.img", &[]);
    desk.write("image.toml", b"size = 2G\n");
    let told = |line: &str, code: i32, words: &str| {
        let ran = desk.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, Some(code), "{line}: {ran:?}");
        assert!(ran.stderr.contains(words), "{line}: {ran:?}");
        assert_eq!(ran.stdout, "", "{line}");
    };
    let say = |target: &str| format!("help: for a file in the image say {target}\n");
    told("ls disk.img/etc", 2, &say("disk.img:/etc"));
    told("cat disk.img:etc/fstab", 2, &say("disk.img:/etc/fstab"));
    told("ls disk.img:", 2, &say("disk.img:/"));
    told("tree disk.img:p1:etc", 2, &say("disk.img:p1:/etc"));
    let near = "no such file or directory in the image; did you mean /etc/passwd?\n";
    told("cat disk.img:/etc/paswd", 3, near);
    told(
        "du disk.img:/etc/deep/../paswd/x",
        3,
        "did you mean /etc/deep/../passwd?",
    );
    let file = "/etc/passwd in the image is a regular file, not a directory\n";
    told("tree disk.img:/etc/passwd", 3, file);
    told("tree disk.img:/zzz", 3, "/zzz: there is no such file");
    told(
        "convert disk.img d.vdi",
        2,
        ".vdi is not a format that is written: raw, ",
    );
    told(
        "build disk.img -o d.iso",
        2,
        "help: say --format raw for a raw image of that name\n",
    );
    told(
        "plan image.toml",
        2,
        "is it a spec file? say --spec image.toml",
    );
    told(
        "plan --spec image.toml",
        2,
        "help: quote the value: size = \"2G\"\n",
    );
    let tar = desk.run(&["extract", "disk.img:/etc", "-o", "folder"]);
    assert!(
        tar.stderr
            .contains("folder: a tar; for a folder say -o folder/\n"),
        "{tar:?}"
    );
    assert_eq!(
        said(&desk, &["ls", "-1", "disk.img:/etc"]),
        "deep\nfstab\ngroup\npasswd\n"
    );
    assert!(said(&desk, &["ls", "-lh", "disk.img"]).contains(" 120.6KiB 2021-03-04"));
    assert!(said(&desk, &["du", "-sh", "disk.img"]).contains("KiB\t/\n"));
    assert!(said(&desk, &["ls", "--help"]).contains("--human-readable"));
}
