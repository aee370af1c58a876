//! Who judges our images, what each proves and what it cannot.
//!
//! | oracle | proves | cannot |
//! |---|---|---|
//! | `e2fsck -fn` | every structure is one that ext4's own checker takes: checksums, bitmaps, counts, links, htrees, extents, journal | say what the content should be; it takes many a layout that the kernel would not |
//! | `e2fsck -b` | a backup superblock and its descriptors lead to the same filesystem | tell a stale field from a fresh one |
//! | `dumpe2fs`, `tune2fs -l` | the superblock's fields mean what we think | see what no field names |
//! | `debugfs` (`fidelity`) | names, inodes, data, xattrs | hold a lookup by htree: it reads directories block by block |
//! | `mke2fs` (`ext4_geometry`) | the layout is the usual one | fitted images, which it cannot make |
//! | `sfdisk` | the partition table | whether a BIOS boots it |
//! | `blkid`, `file` | what other programs take the disk for | more than a few fields |
//! | `diskwright verify` | what our checker sees, without e2fsprogs | be trusted alone: we wrote it too |
//! | the kernel, GRUB, SeaBIOS (`boot*`, `grub*`) | that it runs | every shape: a boot takes half a minute |

use crate::common::member::Member;
use crate::common::{features, image};
use crate::tools;
use diskwright::ext4::Geometry;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Builds the suite, one image after the other.
fn suite(mut judge: impl FnMut(&str, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    for (name, members, shapes) in trees() {
        let tar = image::write_tar(folder.path(), "tree.tar", &members);
        for flags in shapes {
            one(folder.path(), &tar, name, flags, &mut judge);
        }
    }
    if let Some(tar) = crate::common::rootfs::debian() {
        for flags in [&[][..], &["--size", "3G"]] {
            one(folder.path(), &tar, "debian", flags, &mut judge);
        }
    }
}

fn one(folder: &Path, tar: &Path, name: &str, flags: &[&str], judge: &mut impl FnMut(&str, &Path)) {
    let disk = folder.join("disk.img");
    // e2fsck asks to correct a superblock from the future, which a file of the features is.
    image::build_at(tar, &disk, flags, "1700000001");
    judge(&format!("{name} {flags:?}"), &disk);
    std::fs::remove_file(disk).unwrap();
}

type Tree = (
    &'static str,
    Vec<Vec<u8>>,
    &'static [&'static [&'static str]],
);

fn trees() -> Vec<Tree> {
    const FIT: &[&str] = &["--boot", "none"];
    const BARE: &[&str] = &["--boot", "none", "--scheme", "none", "--free", "0"];
    const SIZED: &[&str] = &["--boot", "none", "--size", "1G"];
    const SMALL_GROUPS: &[&str] = &[
        "--boot", "none", "--scheme", "none", "--size", "600M", "--inodes", "1234567",
    ];
    let root = Member::folder("./").bytes();
    let flat = (0..3000).map(|n| Member::file(format!("flat/entry-{n}"), format!("{n}")).bytes());
    let deep = "d/".repeat(900) + "end";
    let deep = Member::file(deep, "the end").bytes();
    vec![
        (
            "empty",
            vec![root],
            &[FIT, BARE, SIZED, &["--boot", "none", "--size", "9M"]],
        ),
        (
            "features",
            features::members(),
            &[FIT, BARE, SIZED, SMALL_GROUPS],
        ),
        ("flat", flat.collect(), &[FIT, BARE, SIZED]),
        ("deep", vec![deep], &[FIT, SIZED]),
        (
            "large",
            vec![Member::file("large", vec![1; 300 << 20]).bytes()],
            &[FIT, BARE, SIZED],
        ),
    ]
}

/// e2fsck's verdict: clean, and not a word between its five passes and its figures.
#[track_caller]
fn assert_clean(what: &str, args: &[&str]) {
    let out = tools::run("e2fsck", args);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{what}: e2fsck {args:?}: {said}");
    let lines: Vec<&str> = said.lines().collect();
    let silent = lines.len() == 6
        && (1..=5).all(|n| lines[n - 1].starts_with(&format!("Pass {n}: ")))
        && lines[5].contains(" files (");
    assert!(silent, "{what}: e2fsck {args:?}: {said}");
}

/// From a backup, e2fsck forgets which groups' bitmaps were never written, and counts those groups anew, as
/// it does after mke2fs; all else it must take as it is.
#[track_caller]
fn assert_backup_leads_to_files(what: &str, args: &[&str]) {
    let out = tools::run("e2fsck", args);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        matches!(out.status.code(), Some(0 | 4)),
        "{what}: e2fsck {args:?}: {said}"
    );
    let silent = said
        .lines()
        .zip(1..=5)
        .all(|(l, n)| l.starts_with(&format!("Pass {n}: ")));
    assert!(silent, "{what}: e2fsck {args:?}: {said}");
    let counting = [
        "bitmap differences:",
        "count wrong",
        "Padding at end of inode bitmap",
        "does not match checksum.",
        "IGNORED.",
        "Fix? no",
        "WARNING: Filesystem still has errors",
        " files (",
    ];
    let other = |l: &&str| !l.is_empty() && !counting.iter().any(|c| l.contains(c));
    let other: Vec<&str> = said.lines().skip(5).filter(other).collect();
    assert!(other.is_empty(), "{what}: e2fsck {args:?}: {other:?}");
}

/// Its superblock and descriptors overwritten, a filesystem is whole again from a backup.
#[track_caller]
fn assert_repairs(what: &str, disk: &Path, copy: &Path, backup: &str) {
    use std::os::unix::fs::FileExt;
    let (from, to) = (disk.to_str().unwrap(), copy.to_str().unwrap());
    tools::stdout("cp", &["--sparse=always", "--reflink=auto", from, to]);
    let offset = image::offset_of(disk);
    let device = image::device(copy, offset);
    let file = std::fs::OpenOptions::new().write(true).open(copy).unwrap();
    file.write_all_at(&[0xA5; 8192], offset).unwrap();
    let out = tools::run("e2fsck", &["-fy", "-b", backup, "-B", "4096", &device]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{what}: {said}");
    assert_clean(what, &["-fn", &device]);
    std::fs::remove_file(copy).unwrap();
}

fn info(disk: &Path) -> Value {
    let mut command = image::diskwright();
    let output = command.args(["info", "--json"]).arg(disk).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn filesystem(info: &Value) -> &Value {
    match &info["filesystem"] {
        Value::Null => &info["partitions"][0]["filesystem"],
        found => found,
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn e2fsck_has_nothing_to_fix_from_any_superblock() {
    if !tools::have("e2fsck") {
        return;
    }
    let mut backups = 0;
    suite(|what, disk| {
        let device = image::device(disk, image::offset_of(disk));
        assert_clean(what, &["-fn", &device]);
        let info = info(disk);
        let fs = filesystem(&info);
        let (blocks, group) = (number(fs, "blocks"), number(fs, "blocks_per_group"));
        let copy = disk.with_extension("copy");
        for nr in (1..blocks.div_ceil(group)).filter(|&nr| Geometry::has_super(nr)) {
            let at = (nr * group).to_string();
            let backup = ["-b", &at, "-B", "4096", &device];
            assert_backup_leads_to_files(what, &[&["-fn"], &backup[..]].concat());
            if nr == 1 {
                assert_repairs(what, disk, &copy, &at);
            }
            backups += 1;
        }
    });
    assert!(backups > 20, "the suite has backups: {backups}");
}

#[test]
fn our_own_checker_agrees() {
    suite(|what, disk| {
        let output = image::diskwright()
            .arg("verify")
            .arg(disk)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{what}: {said}");
    });
}

/// `name: value` of `dumpe2fs -h` and `tune2fs -l`.
fn fields(text: &str) -> std::collections::BTreeMap<String, String> {
    text.lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
        .collect()
}

#[test]
fn other_tools_read_what_info_says() {
    let wanted = ["tune2fs", "debugfs", "sfdisk", "blkid", "file"];
    if !wanted.iter().all(|tool| tools::have(tool)) {
        return;
    }
    suite(|what, disk| {
        let info = info(disk);
        let offset = image::offset_of(disk);
        superblock_agrees(what, &image::device(disk, offset), filesystem(&info));
        let path = disk.to_str().unwrap();
        let said = tools::stdout("file", &["-b", path]);
        if offset == 0 {
            let uuid = filesystem(&info)["uuid"].as_str().unwrap();
            // file knows ext3 and ext4 by their journal, which is left out below 8 MiB.
            let journal = number(filesystem(&info), "blocks") >= 2048;
            for part in [
                if journal {
                    "ext4 filesystem data"
                } else {
                    "ext2 filesystem data"
                },
                uuid,
                "volume name \"root\"",
                "(extents) (64bit)",
            ] {
                assert!(said.contains(part), "{what}: file says {said}");
            }
            assert!(info["partitions"].as_array().unwrap().is_empty(), "{what}");
        } else {
            table_agrees(what, path, &info, &said);
        }
        blkid_agrees(what, path, offset, &info);
    });
}

fn superblock_agrees(what: &str, device: &str, fs: &Value) {
    let by_debugfs = tools::stdout("debugfs", &["-R", "show_super_stats -h", device]);
    let by_tune2fs = tools::stdout("tune2fs", &["-l", device]);
    for text in [by_debugfs, by_tune2fs] {
        let said = fields(&text);
        for (theirs, ours) in [
            ("Block count", "blocks"),
            ("Free blocks", "blocks_free"),
            ("Reserved block count", "blocks_reserved"),
            ("Inode count", "inodes"),
            ("Free inodes", "inodes_free"),
            ("Block size", "block_size"),
            ("Blocks per group", "blocks_per_group"),
            ("Inodes per group", "inodes_per_group"),
            ("Reserved GDT blocks", "reserved_gdt_blocks"),
        ] {
            let found = said.get(theirs).map_or("0", String::as_str);
            assert_eq!(found, number(fs, ours).to_string(), "{what}: {theirs}");
        }
        assert_eq!(
            said["Filesystem UUID"],
            fs["uuid"].as_str().unwrap(),
            "{what}"
        );
        assert_eq!(
            said["Filesystem volume name"],
            fs["label"].as_str().unwrap(),
            "{what}"
        );
        assert_eq!(
            said["Filesystem state"] == "clean",
            fs["clean"].as_bool().unwrap(),
            "{what}"
        );
        let mut features: Vec<&str> = said["Filesystem features"].split(' ').collect();
        let journal = features.contains(&"has_journal");
        assert_eq!(journal, number(fs, "blocks") >= 2048, "{what}");
        features.retain(|f| *f != "has_journal");
        assert_eq!(
            features.join(" "),
            "ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file \
             huge_file dir_nlink extra_isize metadata_csum",
            "{what}"
        );
    }
}

fn table_agrees(what: &str, path: &str, info: &Value, file_says: &str) {
    let json = tools::stdout("sfdisk", &["--json", path]);
    let said: Value = serde_json::from_str(&json).unwrap();
    let (table, ours) = (&said["partitiontable"], &info["partitions"]);
    assert_eq!(table["label"], "dos", "{what}");
    let id = format!("0x{}", info["disk_signature"].as_str().unwrap());
    assert_eq!(table["id"], id.as_str(), "{what}");
    assert_eq!(table["sectorsize"], 512, "{what}");
    let theirs = table["partitions"].as_array().unwrap();
    assert_eq!(
        (theirs.len(), ours.as_array().unwrap().len()),
        (1, 1),
        "{what}"
    );
    for (key, our_key) in [
        ("start", "start"),
        ("size", "sectors"),
        ("type", "kind"),
        ("bootable", "active"),
    ] {
        assert_eq!(theirs[0][key], ours[0][our_key], "{what}: {key}");
    }
    let (start, sectors) = (number(&ours[0], "start"), number(&ours[0], "sectors"));
    assert!((start + sectors) * 512 <= number(info, "size"), "{what}");
    // The words of a dump are sfdisk's own; sfdisk takes them back.
    let dump = tools::stdout("sfdisk", &["-d", path]);
    let line = format!("start={start:>12}, size={sectors:>12}, type=83, bootable");
    assert!(dump.contains(&line), "{what}: {dump}");
    // With GRUB's code in it, file shows no more than this of a boot sector.
    let start = format!("startsector {start}, {sectors} sectors");
    let known = info["grub"].as_bool().unwrap() || file_says.contains(&start);
    assert!(
        known && file_says.contains("DOS/MBR boot sector"),
        "{what}: file says {file_says}"
    );
}

fn blkid_agrees(what: &str, path: &str, offset: u64, info: &Value) {
    let probe = |at: u64| {
        let at = at.to_string();
        fields_of_export(&tools::stdout(
            "blkid",
            &["-p", "-o", "export", "-O", &at, path],
        ))
    };
    let fs = filesystem(info);
    let said = probe(offset);
    assert_eq!(said["TYPE"], "ext4", "{what}");
    assert_eq!(said["UUID"], fs["uuid"].as_str().unwrap(), "{what}");
    assert_eq!(said["LABEL"], fs["label"].as_str().unwrap(), "{what}");
    assert_eq!(said["BLOCK_SIZE"], "4096", "{what}");
    if offset > 0 {
        let said = probe(0);
        assert_eq!(said["PTTYPE"], "dos", "{what}");
        assert_eq!(
            said["PTUUID"],
            info["disk_signature"].as_str().unwrap(),
            "{what}"
        );
    }
}

fn fields_of_export(text: &str) -> std::collections::BTreeMap<String, String> {
    text.lines()
        .filter_map(|l| l.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// The names that this file's table gives are those of the tests.
#[test]
fn the_table_names_modules_that_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let text = std::fs::read_to_string(tests.join("oracle.rs")).unwrap();
    let rows = text
        .lines()
        .filter(|l| l.starts_with("//! | ") && l.contains("(`"));
    let names: Vec<&str> = rows
        .flat_map(|l| {
            l.split("(`")
                .nth(1)
                .unwrap()
                .split("`)")
                .next()
                .unwrap()
                .split("`, `")
        })
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let stem = name.trim_end_matches('*');
        let exists: PathBuf = tests.join(format!("{stem}.rs"));
        assert!(exists.exists(), "{name}");
    }
}
