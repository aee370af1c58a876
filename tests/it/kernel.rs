//! Linux itself mounts the image, walks it, and finds what the archive says: every name, inode, byte, time,
//! xattr, ACL, flag and hole. The archive is read by Python's tarfile, so nothing of ours stands on either side.

use crate::common::guest::{self, Disk};
use crate::common::manifest::{self, Manifest, Record, join};
use crate::common::member::Member;
use crate::common::{features, image, oci, rootfs};
use crate::tools;
use diskwright::units::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the guest says of each disk: NUL-terminated lines where a name can hold anything.
const WALK: &str = r#"
for disk in /disk/*; do
    [ $disk != /disk/answer ] || continue
    mount -o ro $disk /mnt
    to=/answer/${disk##*/}
    mkdir $to
    cd /mnt
    all() { find . -path ./lost+found -prune -o "$@"; }
    all -print0 > /tmp/all
    xargs -0 stat --printf '%n\0%f %u %g %s %h %i %b %t %T %.9Y %.9X %.9Z %.9W\0' < /tmp/all > $to/stat
    all -type l -printf '%p\0%l\0' > $to/links
    all -type f -size -1073741825c -print0 | xargs -0 sha256sum -z > $to/sums
    all -type f -size +1073741824c -print > /tmp/huge
    while read -r file; do printf '%s  %s\0' $(tail -c 65536 $file | sha256sum | cut -c -64) $file; done < /tmp/huge > $to/tails
    xargs -0 getfattr -h -d -m - -e hex < /tmp/all > $to/xattrs
    all ! -type l -print0 | xargs -0 getfacl -n -E -s > $to/acls
    all '(' -type f -o -type d ')' -print0 | xargs -0 lsattr -d > $to/flags
    cd /
    umount /mnt
done
"#;

/// What only the kernel can tell of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    born: Timestamp,
    /// In units of 512 bytes: data, and the blocks that describe it.
    blocks: u64,
    acl: String,
    /// Of lsattr, without its dashes.
    flags: String,
    /// Digest of the end of a file too long for a digest of all.
    tail: String,
    /// What stat says for a folder too.
    size: u64,
}

/// What the guest said of a disk.
fn seen(answers: &Path) -> (Manifest, BTreeMap<Vec<u8>, Seen>) {
    let read = |name: &str| std::fs::read(answers.join(name)).unwrap();
    let (mut files, mut extras) = (BTreeMap::new(), BTreeMap::new());
    for (name, fields) in pairs(&read("stat")) {
        let (inode, record, seen) = stat(&String::from_utf8(fields).unwrap());
        extras.insert(name.clone(), seen);
        files.insert(name, (inode, record));
    }
    for (name, target) in pairs(&read("links")) {
        files.get_mut(&name).unwrap().1.target = target;
    }
    for (sums, tail) in [("sums", false), ("tails", true)] {
        for line in read(sums)
            .split(|&b| b == 0)
            .filter(|line| !line.is_empty())
        {
            let (digest, name) = (
                String::from_utf8(line[..64].to_vec()).unwrap(),
                path(&line[66..]),
            );
            if tail {
                extras.get_mut(&name).unwrap().tail = digest;
            } else {
                files.get_mut(&name).unwrap().1.sha256 = digest;
            }
        }
    }
    for (name, lines) in sections(&read("xattrs")) {
        let record = &mut files.get_mut(&name).unwrap().1;
        for line in lines {
            let equals = line.iter().position(|&b| b == b'=').unwrap_or(line.len());
            let value = String::from_utf8(line[equals..].to_vec()).unwrap();
            let value = manifest::unhex(value.strip_prefix("=0x").unwrap_or(""));
            record.xattrs.insert(unquote(&line[..equals]), value);
        }
    }
    for (name, lines) in sections(&read("acls")) {
        let lines = lines.iter().filter(|line| !line.starts_with(b"#"));
        let text = lines.map(|line| String::from_utf8(line.clone()).unwrap() + "\n");
        extras.get_mut(&name).unwrap().acl = text.collect();
    }
    for line in read("flags")
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
    {
        let space = line.iter().position(|&b| b == b' ').unwrap();
        let flags = String::from_utf8(line[..space].to_vec()).unwrap();
        extras.get_mut(&path(&line[space + 1..])).unwrap().flags = flags.replace('-', "");
    }
    let list = files.into_iter().map(|(name, (inode, mut record))| {
        record.take_acls();
        (name, inode, record)
    });
    (join(list.collect()), extras)
}

/// `./name` as manifests have it.
fn path(name: &[u8]) -> Vec<u8> {
    name.strip_prefix(b".")
        .map_or(name, |rest| rest.strip_prefix(b"/").unwrap_or(rest))
        .to_vec()
}

/// NUL-terminated strings, two by two, a path first.
fn pairs(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let strings: Vec<&[u8]> = bytes.split(|&b| b == 0).collect();
    strings
        .chunks_exact(2)
        .map(|pair| (path(pair[0]), pair[1].to_vec()))
        .collect()
}

/// What getfattr and getfacl write: `# file: NAME`, lines, an empty line.
fn sections(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut all: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
    for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix(b"# file: ") {
            all.push((path(&unquote(name)), Vec::new()));
        } else {
            all.last_mut().unwrap().1.push(line.to_vec());
        }
    }
    all
}

/// `\ooo` is a byte.
fn unquote(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((&first, more)) = rest.split_first() {
        let octal = more
            .get(..3)
            .filter(|o| o.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(octal) if first == b'\\' => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(octal).unwrap(), 8).unwrap());
                rest = &more[3..];
            }
            _ => {
                bytes.push(first);
                rest = more;
            }
        }
    }
    bytes
}

/// Inode and fields of a line of stat.
fn stat(text: &str) -> (u64, Record, Seen) {
    let fields: Vec<&str> = text.split(' ').collect();
    let number = |n: usize| fields[n].parse::<u64>().unwrap();
    let short = |n: usize| u32::try_from(number(n)).unwrap();
    let hex = |n: usize| u32::from_str_radix(fields[n], 16).unwrap();
    let mode = hex(0);
    let kind = match mode >> 12 {
        0o10 => 'f',
        0o4 => 'd',
        0o12 => 'l',
        0o2 => 'c',
        0o6 => 'b',
        0o1 => 'p',
        other => panic!("a file of type {other:o}"),
    };
    let record = Record {
        kind,
        mode: mode & 0o7777,
        uid: short(1),
        gid: short(2),
        size: if kind == 'f' { number(3) } else { 0 },
        links: short(4),
        device: (hex(7), hex(8)),
        times: [9, 10, 11].map(|n| time(fields[n])),
        ..Record::default()
    };
    let seen = Seen {
        born: time(fields[12]),
        blocks: number(6),
        size: number(3),
        ..Seen::default()
    };
    (number(5), record, seen)
}

/// Seconds and nine digits; the sign is of both.
fn time(text: &str) -> Timestamp {
    let (sec, nsec) = text.split_once('.').unwrap();
    let sign = if sec.starts_with('-') { -1 } else { 1 };
    let all = sec.parse::<i128>().unwrap() * 1_000_000_000 + sign * nsec.parse::<i128>().unwrap();
    let nsec = all.rem_euclid(1_000_000_000);
    Timestamp {
        sec: i64::try_from(all.div_euclid(1_000_000_000)).unwrap(),
        nsec: u32::try_from(nsec).unwrap(),
    }
}

/// An image and what it was made of.
struct Case<'a> {
    name: &'a str,
    /// Lowest first.
    tars: Vec<&'a Path>,
    /// Of `manifest.py`.
    reading: &'a [&'a str],
    image: &'a Path,
    block_size: u64,
}

#[track_caller]
fn assert_kernel_agrees(case: &Case, answers: &Path) {
    let block_size = case.block_size.to_string();
    let reading = [case.reading, &["--block-size", &block_size]].concat();
    let (expected, claims) = manifest::of_layers(&case.tars, &reading);
    let (found, seen) = seen(&answers.join(case.name));
    eprintln!("{}: {} files", case.name, found.len());
    manifest::assert_same(&found, &expected);
    let sectors = case.block_size / 512;
    for (path, seen) in seen {
        let (record, claim) = (&expected[&path], &claims[&path]);
        let what = format!(
            "{}: {}: {seen:?}, {claim:?}",
            case.name,
            path.escape_ascii()
        );
        assert_eq!(seen.born, record.times[0], "{what}");
        assert_eq!((&seen.acl, &seen.tail), (&claim.acl, &claim.tail), "{what}");
        // Folders longer than a block are indexed, all of them.
        let flags = match record.kind {
            'd' if seen.size > case.block_size => "Ie",
            'd' | 'f' => "e",
            _ => "",
        };
        assert_eq!(seen.flags, flags, "{what}");
        // Holes have no blocks; a block of xattrs and those of the extent tree count too.
        if record.kind == 'f' {
            let extents = claim.blocks / 4 + 1;
            let room = sectors * (claim.blocks + 1 + extents.div_ceil(80));
            assert!(
                (sectors * claim.blocks..=room).contains(&seen.blocks),
                "{what}"
            );
        }
    }
}

/// Three layers, in which files go, folders are emptied, and links reach down.
fn layers() -> [Vec<Vec<u8>>; 3] {
    let whiteout = |path: &str| Member::file(path, "").mode(0).bytes();
    let mut low = features::members();
    low.push(Member::folder("opt").mode(0o751).bytes());
    for name in ["a", "b", "deep/c"] {
        low.push(Member::file(format!("opt/app/{name}"), name).bytes());
        low.push(Member::file(format!("opt/other/{name}"), name).bytes());
    }
    low.push(Member::file("opt/.wh", "no marker").bytes());
    let middle = vec![
        whiteout("size/.wh.4096"),
        whiteout("many/.wh.17"),
        whiteout(".wh.deep"),
        // One of two names: the other keeps the file.
        whiteout("link/.wh.hard"),
        Member::file("opt/app/new", "of the middle").bytes(),
        // Last, yet it acts first, and only on lower layers.
        whiteout("opt/app/.wh..wh..opq"),
        Member::hard_link("opt/link", "size/8192").bytes(),
        Member::file("opt/other/a", "replaced").mode(0o600).bytes(),
        Member::folder("opt").mode(0o700).owner(7, 8).bytes(),
        // A folder gives way to a file, through the symbolic link of the lower layer.
        whiteout("usr/lib/.wh.deep"),
        Member::file("lib/deep", "a file now").bytes(),
    ];
    let high = vec![
        whiteout("opt/other/.wh.deep"),
        Member::folder("opt/other").bytes(),
        Member::file("deep/again", "made anew").bytes(),
        Member::file("opt/app/new", "of the top").bytes(),
        Member::hard_link("opt/link2", "opt/link").bytes(),
        Member::file("xattr/user", "no xattrs now").bytes(),
    ];
    [low, middle, high]
}

#[test]
fn linux_finds_what_the_archives_say() {
    if !(guest::can_run() && tools::have("python3")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tar = image::write_tar(folder.path(), "features.tar", &features::members());
    let [disk, bare, system] = ["features.img", "bare.img", "debian.img"].map(path);
    image::build(&tar, &disk, &["--boot", "none"]);
    image::build(
        &tar,
        &bare,
        &["--scheme", "none", "--size", "600M", "--inodes", "1234567"],
    );
    image::build(&debian, &system, &["--boot", "none"]);
    let [low, middle, high] = layers();
    let layers = [("low.tar", low), ("middle.tar", middle), ("high.tar", high)];
    let layers = layers.map(|(name, members)| image::write_tar(folder.path(), name, &members));
    let layers: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    let (layout, layered) = (path("layout"), path("layered.img"));
    oci::write(&layout, &layers);
    let source = format!("oci:{}", layout.display());
    image::build(Path::new(&source), &layered, &["--boot", "none"]);
    let case = |name, tar, image| Case {
        name,
        tars: vec![tar],
        reading: &[],
        image,
        block_size: 4096,
    };
    let cases = [
        case("features", &*tar, &*disk),
        case("bare", &tar, &bare),
        case("debian", &debian, &system),
        Case {
            name: "layered",
            tars: layers,
            reading: &["--oci"],
            image: &layered,
            block_size: 4096,
        },
    ];
    let disks = cases.iter().map(|c| Disk {
        name: c.name,
        image: c.image,
        keep: false,
    });
    let answers = guest::run(folder.path(), &debian, &disks.collect::<Vec<_>>(), WALK);
    for case in &cases {
        assert_kernel_agrees(case, &answers);
    }
}
