//! Archives made by others' tools: every entry comes back as the file it was made of.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::common::{Seen, read_path, read_pipe, run};
use crate::tools::have;
use diskwright::archive::EntryKind;

/// What a format can express; the tree holds no more than that.
#[derive(Clone, Copy)]
struct Format {
    name: &'static str,
    long_names: bool,
    nanoseconds: bool,
    before_1970: bool,
}

const FORMATS: [Format; 5] = [
    Format {
        name: "v7",
        long_names: false,
        nanoseconds: false,
        before_1970: false,
    },
    Format {
        name: "ustar",
        long_names: false,
        nanoseconds: false,
        before_1970: false,
    },
    Format {
        name: "oldgnu",
        long_names: true,
        nanoseconds: false,
        before_1970: true,
    },
    Format {
        name: "gnu",
        long_names: true,
        nanoseconds: false,
        before_1970: true,
    },
    Format {
        name: "posix",
        long_names: true,
        nanoseconds: true,
        before_1970: true,
    },
];

fn write(path: &Path, data: &[u8], mtime: SystemTime) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(data).unwrap();
    file.set_modified(mtime).unwrap();
}

/// A file of holes: a run of 4 KiB every 64 KiB, `count` of them, and a hole at the end.
fn sparse(path: &Path, count: u64) {
    let mut file = File::create(path).unwrap();
    for i in 0..count {
        file.seek(SeekFrom::Start(i * 65536)).unwrap();
        file.write_all(&[u8::try_from(i % 255 + 1).unwrap(); 4096])
            .unwrap();
    }
    file.set_len(count * 65536 + 100_001).unwrap();
}

fn tree(root: &Path, format: Format) {
    let at = |sec: u64, nsec| SystemTime::UNIX_EPOCH + Duration::new(sec, nsec);
    write(
        &root.join("etc/passwd"),
        b"root:x:0:0\n",
        at(1_700_000_000, 123_456_789),
    );
    write(&root.join("etc/empty"), b"", at(1, 0));
    write(&root.join("etc/block"), &[7; 512], at(0, 999_999_999));
    write(
        &root.join("etc/big"),
        &b"0123456789abcdef".repeat(200_000),
        at(4_000_000_000, 1),
    );
    write(
        &root.join(OsStr::from_bytes(b"etc/latin\xe9")),
        b"x",
        at(5, 0),
    );
    write(&root.join("etc/new\nline"), b"y", at(6, 0));
    fs::hard_link(root.join("etc/passwd"), root.join("etc/zz-link")).unwrap();
    symlink("../etc/passwd", root.join("etc/symlink")).unwrap();
    fs::set_permissions(root.join("etc/empty"), PermissionsExt::from_mode(0o6755)).unwrap();
    fs::create_dir(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    if format.name != "v7" {
        run(root, "mkfifo", &["-m", "0620", "tmp/fifo"]);
    }
    if format.name == "ustar" {
        // Longer than the name field: split at a slash, the front goes to the prefix.
        let folder = root.join("p".repeat(90)).join("m".repeat(60));
        write(&folder.join("n".repeat(99)), b"prefix", at(7, 0));
    }
    if format.long_names {
        let long = root.join("d".repeat(200)).join("e".repeat(200));
        write(&long.join("f".repeat(255)), b"long", at(8, 5));
        symlink("t".repeat(1000), root.join("long-target")).unwrap();
    }
    if format.before_1970 {
        write(
            &root.join("old"),
            b"o",
            SystemTime::UNIX_EPOCH - Duration::new(80, 250_000_000),
        );
    }
}

/// Compares every entry with the file in the folder; both ways.
fn compare(root: &Path, seen: &[Seen], nanoseconds: bool) {
    let mut links = 0;
    for Seen { entry, data } in seen {
        let name = OsStr::from_bytes(&entry.path);
        let meta = fs::symlink_metadata(root.join(name)).unwrap();
        let kind = meta.file_type();
        match &entry.kind {
            EntryKind::File { size, .. } => {
                assert!(kind.is_file() && *size == meta.len(), "{name:?}");
                assert!(fs::read(root.join(name)).unwrap() == *data, "{name:?}");
            }
            EntryKind::HardLink { target } => {
                links += 1;
                let other = fs::metadata(root.join(OsStr::from_bytes(target))).unwrap();
                assert_eq!(
                    (other.ino(), other.dev()),
                    (meta.ino(), meta.dev()),
                    "{name:?}"
                );
                continue;
            }
            EntryKind::Symlink { target } => {
                let real = fs::read_link(root.join(name)).unwrap();
                assert_eq!(real.as_os_str().as_bytes(), target);
            }
            EntryKind::Directory => assert!(kind.is_dir()),
            EntryKind::Fifo => assert!(!kind.is_file() && !kind.is_dir()),
            device => panic!("{device:?}"),
        }
        assert_eq!(u32::from(entry.mode), meta.mode() & 0o7777, "{name:?}");
        assert_eq!((entry.uid, entry.gid), (meta.uid(), meta.gid()));
        assert_eq!(entry.mtime.sec, meta.mtime(), "{name:?}");
        if nanoseconds {
            assert_eq!(i64::from(entry.mtime.nsec), meta.mtime_nsec(), "{name:?}");
        }
    }
    assert_eq!(links, 1);
    let listed = run(root, "find", &[".", "-mindepth", "1", "-printf", "x"])
        .stdout
        .len();
    assert_eq!(seen.len(), listed + 1);
}

#[test]
fn gnu_tar_in_all_its_formats() {
    if !have("tar") || !have("find") {
        return;
    }
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        tree(&root, format);
        let flag = format!("--format={}", format.name);
        run(
            folder.path(),
            "tar",
            &["-C", "root", "--sort=name", &flag, "-cf", "a.tar", "."],
        );
        let tar = folder.path().join("a.tar");
        let seen = read_path(&tar).clean();
        compare(&root, &seen, format.nanoseconds);
        assert_eq!(
            read_pipe(fs::read(&tar).unwrap()).clean(),
            seen,
            "{}",
            format.name
        );
    }
}

#[test]
fn gnu_tar_sparse_in_all_its_versions() {
    if !have("tar") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    sparse(&root.join("few"), 3);
    // More than the 4 runs of a header and the 21 of an extension block.
    sparse(&root.join("many"), 60);
    File::create(root.join("all-hole"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    fs::write(root.join("dense"), [1; 9000]).unwrap();
    let ways: [&[&str]; 6] = [
        &["--format=oldgnu"],
        &["--format=gnu"],
        &["--format=gnu", "--hole-detection=raw"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ];
    for way in ways {
        let args = [
            &["-C", "root", "--sort=name", "--sparse"],
            way,
            &["-cf", "s.tar", "."],
        ]
        .concat();
        run(folder.path(), "tar", &args);
        let seen = read_path(&folder.path().join("s.tar")).clean();
        let names: Vec<_> = seen
            .iter()
            .map(|s| String::from_utf8_lossy(&s.entry.path))
            .collect();
        assert_eq!(
            names,
            ["./", "./all-hole", "./dense", "./few", "./many"],
            "{way:?}"
        );
        for Seen { entry, data } in &seen[1..] {
            let name = OsStr::from_bytes(&entry.path);
            assert!(
                fs::read(root.join(name)).unwrap() == *data,
                "{name:?} {way:?}"
            );
            let EntryKind::File { data: runs, .. } = &entry.kind else {
                panic!("{entry:?}")
            };
            let runs = runs.as_ref().map(Vec::len);
            match name.as_bytes() {
                b"./all-hole" => assert_eq!(runs, Some(0), "{way:?}"),
                b"./dense" => assert_eq!(runs, None),
                b"./few" => assert_eq!(runs, Some(3)),
                _ => assert_eq!(runs, Some(60)),
            }
        }
    }
}

#[test]
fn gnu_tar_extended_attributes() {
    if !have("tar") || !have("setfattr") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    fs::write(&file, b"x").unwrap();
    let set = |name: &str, hex: &str| run(folder.path(), "setfattr", &["-n", name, "-v", hex, "f"]);
    set("user.binary", "0x000a3dff");
    set("user.a=b%c", "0x31");
    run(
        folder.path(),
        "tar",
        &["--format=posix", "--xattrs", "-cf", "x.tar", "f"],
    );
    let seen = read_path(&folder.path().join("x.tar")).clean();
    let mut xattrs = seen[0].entry.xattrs.clone();
    xattrs.sort();
    assert_eq!(
        xattrs,
        [
            (b"user.a=b%c".to_vec(), b"1".to_vec()),
            (b"user.binary".to_vec(), b"\0\n=\xff".to_vec())
        ]
    );
}

/// Python's tarfile needs no privilege to write owners and devices.
const PYTHON: &str = r#"
import io, sys, tarfile
fmt = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}[sys.argv[1]]
big = sys.argv[1] != "ustar"
t = tarfile.open("p.tar", "w", format=fmt)
def add(name, kind, data=b"", **fields):
    i = tarfile.TarInfo(name)
    i.type, i.size = kind, len(data)
    for key, value in fields.items(): setattr(i, key, value)
    t.addfile(i, io.BytesIO(data))
add("dev", tarfile.DIRTYPE, mode=0o755)
add("dev/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
add("dev/sda", tarfile.BLKTYPE, mode=0o660, devmajor=8, devminor=0, gid=6)
add("dev/pipe", tarfile.FIFOTYPE)
add("owner", tarfile.REGTYPE, b"data", uid=4000000000 if big else 2000000, gid=65534, mtime=1)
add("l", tarfile.SYMTYPE, linkname="owner")
add("h", tarfile.LNKTYPE, linkname="owner")
if big: add("n" * 300, tarfile.REGTYPE, b"long", mtime=-5)
if sys.argv[1] == "pax":
    add("ns", tarfile.REGTYPE, pax_headers={"mtime": "-1.5", "atime": "2.000000001", "ctime": "3",
        "SCHILY.acl.access": "user::rw-,group::r--,other::r--", "comment": "x"})
t.close()
"#;

#[test]
fn python_tarfile_in_all_its_formats() {
    if !have("python3") {
        return;
    }
    for format in ["ustar", "gnu", "pax"] {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), "python3", &["-c", PYTHON, format]);
        let seen = read_path(&folder.path().join("p.tar")).clean();
        let find = |name: &str| {
            let entry = seen.iter().find(|s| {
                s.entry.path.strip_suffix(b"/").unwrap_or(&s.entry.path) == name.as_bytes()
            });
            entry.unwrap_or_else(|| panic!("{name} in {format}"))
        };
        assert_eq!(find("dev").entry.kind, EntryKind::Directory);
        assert_eq!(
            find("dev/null").entry.kind,
            EntryKind::CharDevice { major: 1, minor: 3 }
        );
        assert_eq!(
            find("dev/sda").entry.kind,
            EntryKind::BlockDevice { major: 8, minor: 0 }
        );
        assert_eq!(find("dev/sda").entry.gid, 6);
        assert_eq!(find("dev/pipe").entry.kind, EntryKind::Fifo);
        let target = b"owner".to_vec();
        assert_eq!(
            find("l").entry.kind,
            EntryKind::Symlink {
                target: target.clone()
            }
        );
        assert_eq!(find("h").entry.kind, EntryKind::HardLink { target });
        let owner = find("owner");
        let uid = if format == "ustar" {
            2_000_000
        } else {
            4_000_000_000
        };
        assert_eq!(
            (owner.entry.uid, owner.entry.gid, &owner.data[..]),
            (uid, 65534, &b"data"[..])
        );
        if format != "ustar" {
            assert_eq!(find(&"n".repeat(300)).entry.mtime.sec, -5);
        }
        if format == "pax" {
            let ns = &find("ns").entry;
            assert_eq!((ns.mtime.sec, ns.mtime.nsec), (-2, 500_000_000));
            assert_eq!(ns.atime.map(|t| (t.sec, t.nsec)), Some((2, 1)));
            assert_eq!(ns.ctime.map(|t| (t.sec, t.nsec)), Some((3, 0)));
            let acl = b"user::rw-,group::r--,other::r--".to_vec();
            assert_eq!((&ns.acl_access, &ns.acl_default), (&Some(acl), &None));
        }
    }
}
