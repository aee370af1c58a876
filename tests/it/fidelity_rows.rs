//! The rows of the fidelity table: archives with one feature each, and how to tell that it has survived.

use crate::common::features::content;
use crate::common::member::Member;
use crate::common::peers::{Made, Members};
use std::fmt::{Display, Formatter};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Yes,
    No(String),
    Partly(&'static str),
    /// The question makes no sense: a folder has no duplicate entries.
    Meaningless,
    /// This machine could not try.
    Untried,
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No(why) if why.is_empty() => f.write_str("no"),
            Self::No(why) => write!(f, "no: {why}"),
            Self::Partly(how) => write!(f, "partly: {how}"),
            Self::Meaningless => f.write_str("—"),
            Self::Untried => f.write_str("not tried"),
        }
    }
}

pub fn no(why: &str) -> Cell {
    Cell::No(why.into())
}

pub fn yes_if(yes: bool) -> Cell {
    if yes { Cell::Yes } else { no("") }
}

/// One line of the table.
pub struct Row {
    pub what: &'static str,
    pub layers: Vec<Members>,
    /// Whether a folder can say it too.
    pub in_folders: bool,
    pub judge: fn(&Made) -> Cell,
}

/// A feature of archives and folders.
fn row(what: &'static str, members: Members, judge: fn(&Made) -> Cell) -> Row {
    Row {
        what,
        layers: vec![members],
        in_folders: true,
        judge,
    }
}

/// A feature that only archives have.
fn in_tars(what: &'static str, members: Members, judge: fn(&Made) -> Cell) -> Row {
    Row {
        in_folders: false,
        ..row(what, members, judge)
    }
}

fn file(name: &str) -> Member {
    Member::file(name, "content")
}

/// What every program must manage, lest its other cells mean nothing.
pub fn control() -> Row {
    row("a file", vec![file("f").bytes()], |fs| {
        yes_if(fs.content("f").is_some_and(|c| c == b"content"))
    })
}

pub fn rows() -> Vec<Row> {
    let mut all = attributes();
    all.extend(inodes());
    all.extend(names());
    all.extend(filesystem());
    all
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
/// rw-, uid 1000: r-x, r--, mask r-x, nothing for others.
const ACL_TEXT: &str = "user::rw-,user:1000:r-x,group::r--,mask::r-x,other::---";
/// Tag, permissions, id of its entries.
const ACL: [(u8, u8, Option<u32>); 5] = [
    (0x01, 6, None),
    (0x02, 5, Some(1000)),
    (0x04, 4, None),
    (0x10, 5, None),
    (0x20, 0, None),
];

/// As system calls have it: version 2, an id in every entry.
fn acl_of_calls() -> Vec<u8> {
    ACL.iter().fold(vec![2, 0, 0, 0], |mut value, e| {
        value.extend([e.0, 0, e.1, 0]);
        value.extend(e.2.unwrap_or(u32::MAX).to_le_bytes());
        value
    })
}

/// As ext4 has it (Linux, fs/ext4/acl.h): version 1, an id only where it means something.
fn acl_of_ext4() -> Vec<u8> {
    ACL.iter().fold(vec![1, 0, 0, 0], |mut value, e| {
        value.extend([e.0, 0, e.1, 0]);
        value.extend(e.2.into_iter().flat_map(u32::to_le_bytes));
        value
    })
}

fn acl(fs: &Made, path: &str, name: &str) -> Cell {
    match fs.xattr(path, name) {
        None => no(""),
        Some(value) if value == acl_of_ext4() => Cell::Yes,
        Some(value) if value == acl_of_calls() => no("not ext4's form"),
        Some(_) => no("other entries"),
    }
}

/// A capability of version 2: cap_net_raw, permitted and effective.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn attributes() -> Vec<Row> {
    let with = |key: &str, value: &[u8]| {
        let member = file("f").mode(0o650).record(key, value);
        vec![member.bytes()]
    };
    let default = Member::folder("d").record("SCHILY.acl.default", ACL_TEXT);
    vec![
        row(
            "access ACL, as text",
            with("SCHILY.acl.access", ACL_TEXT.as_bytes()),
            |fs| acl(fs, "f", ACCESS),
        ),
        in_tars(
            "access ACL, as an attribute",
            with(&format!("SCHILY.xattr.{ACCESS}"), &acl_of_calls()),
            |fs| acl(fs, "f", ACCESS),
        ),
        row("default ACL", vec![default.bytes()], |fs| {
            acl(fs, "d", DEFAULT)
        }),
        row(
            "attributes `user.*`",
            with("SCHILY.xattr.user.a", b"\0\xff"),
            |fs| yes_if(fs.xattr("f", "user.a").is_some_and(|v| v == b"\0\xff")),
        ),
        row(
            "attributes `trusted.*`",
            with("SCHILY.xattr.trusted.a", b"t"),
            |fs| yes_if(fs.xattr("f", "trusted.a").is_some_and(|v| v == b"t")),
        ),
        row(
            "`security.selinux`",
            with("SCHILY.xattr.security.selinux", b"u:r:t:s0\0"),
            |fs| {
                let label = fs.xattr("f", "security.selinux");
                yes_if(label.is_some_and(|v| v == b"u:r:t:s0\0"))
            },
        ),
        row(
            "`security.capability`",
            with("SCHILY.xattr.security.capability", &CAPABILITY),
            |fs| {
                let value = fs.xattr("f", "security.capability");
                yes_if(value.is_some_and(|v| v == CAPABILITY))
            },
        ),
        in_tars(
            "libarchive's form of attributes",
            // A name URL-encoded, a value in base64 without padding.
            with("LIBARCHIVE.xattr.user.%61", b"AP8K"),
            |fs| yes_if(fs.xattr("f", "user.a").is_some_and(|v| v == b"\0\xff\n")),
        ),
    ]
}

fn inodes() -> Vec<Row> {
    let at = |time: &str| vec![file("f").mtime(time).bytes()];
    let two = |first: Member| vec![first.bytes(), Member::hard_link("second", "first").bytes()];
    // pax 1.0: the map before the data; as GNU tar ends it, with nothing at the end of the file.
    let mut data = b"3\n4096\n4096\n8384512\n4096\n8392704\n0\n".to_vec();
    data.resize(512, 0);
    data.extend(content(1, 8192));
    let sparse = Member::file("GNUSparseFile.0/f", data)
        .record("GNU.sparse.major", "1")
        .record("GNU.sparse.minor", "0")
        .record("GNU.sparse.name", "f")
        .record("GNU.sparse.realsize", SPARSE.to_string());
    let device = |name, kind, numbers| Member::special(name, kind, numbers).bytes();
    vec![
        row("nanoseconds", at("1700000000.123456789"), |fs| {
            let (sec, nsec) = fs.stat("f").unwrap().mtime();
            assert_eq!(sec, 1_700_000_000);
            yes_if(nsec == 123_456_789)
        }),
        row("times after 2038", at("4102444800"), |fs| {
            yes_if(fs.stat("f").unwrap().mtime().0 == 4_102_444_800)
        }),
        row(
            "owners above 65535",
            vec![file("f").owner(1_000_000, 2_000_000).bytes()],
            |fs| {
                let stat = fs.stat("f").unwrap();
                let owners = (stat.number("User:"), stat.number("Group:"));
                yes_if(owners == (1_000_000, 2_000_000))
            },
        ),
        row("hard links", two(file("first")), |fs| linked(fs, "regular")),
        row(
            "hard links to symbolic links",
            two(Member::symlink("first", "target")),
            |fs| linked(fs, "symlink"),
        ),
        row("sparse files stay sparse", vec![sparse.bytes()], holes),
        row(
            "devices, of 12 and 20 bits too",
            vec![
                device("small", b'3', (1, 3)),
                device("large", b'4', (4095, 1_048_575)),
            ],
            |fs| {
                let of = |name: &str| fs.stat(name).and_then(|s| s.device());
                match (of("small"), of("large")) {
                    (Some((1, 3)), Some((4095, 1_048_575))) => Cell::Yes,
                    (Some((1, 3)), _) => Cell::Partly("8 bits"),
                    _ => no(""),
                }
            },
        ),
        row("fifos", vec![device("f", b'6', (0, 0))], |fs| {
            yes_if(fs.stat("f").is_some_and(|s| s.word("Type:") == "FIFO"))
        }),
    ]
}

/// Two names of one inode, which knows that.
fn linked(fs: &Made, kind: &str) -> Cell {
    let (Some(a), Some(b)) = (fs.stat("first"), fs.stat("second")) else {
        return no("");
    };
    if a.word("Inode:") != b.word("Inode:") {
        return no("copies");
    }
    match a.number("Links:") {
        2 => yes_if(a.word("Type:") == kind),
        _ => no("wrong count"),
    }
}

/// Size of the sparse file: data in its second and its second last block of 4 KiB, zeros around.
const SPARSE: usize = 8_392_704;

fn holes(fs: &Made) -> Cell {
    let mut expected = vec![0; SPARSE];
    let data = content(1, 8192);
    expected[4096..8192].copy_from_slice(&data[..4096]);
    expected[8_384_512..8_388_608].copy_from_slice(&data[4096..]);
    match fs.content("f") {
        Some(found) if found == expected => {}
        Some(found) if expected.starts_with(&found) => return no("cut short"),
        _ => return no("content lost"),
    }
    // In sectors: two blocks, and at most four that map them.
    yes_if(fs.stat("f").unwrap().number("Blockcount:") <= 6 * 8)
}

fn names() -> Vec<Row> {
    let text = |path: &str, text: &str| Member::file(path, text).bytes();
    let lower = vec![
        Member::folder("opaque").bytes(),
        Member::folder("folder").bytes(),
        text("gone", ""),
        text("kept", ""),
        text("opaque/old", ""),
        text("folder/below", ""),
    ];
    let upper = vec![
        text(".wh.gone", ""),
        text("folder/.wh.below", ""),
        text("opaque/new", ""),
        text("opaque/.wh..wh..opq", ""),
    ];
    vec![
        in_tars(
            "of two entries the last counts",
            vec![text("f", "first"), text("g", ""), text("f", "the second")],
            |fs| yes_if(fs.content("f").is_some_and(|c| c == b"the second")),
        ),
        in_tars(
            "entries below a symbolic link (merged /usr)",
            vec![
                Member::folder("usr").bytes(),
                Member::folder("usr/lib").bytes(),
                Member::symlink("lib", "usr/lib").bytes(),
                text("lib/f", "content"),
            ],
            |fs| {
                let link = fs.stat("lib").is_some_and(|s| s.word("Type:") == "symlink");
                yes_if(link && fs.content("usr/lib/f").is_some_and(|c| c == b"content"))
            },
        ),
        in_tars(
            "entries whose parent comes later or never",
            vec![
                text("a/b/f", "content"),
                Member::folder("a").mode(0o700).bytes(),
            ],
            |fs| {
                let found = fs.content("a/b/f").is_some_and(|c| c == b"content");
                yes_if(found && fs.stat("a").unwrap().mode() == 0o700)
            },
        ),
        row(
            "names that are not UTF-8",
            vec![Member::file(b"\xff\xfe\x80", "content").bytes()],
            |fs| yes_if(fs.stat(b"\xff\xfe\x80").is_some()),
        ),
        Row {
            layers: vec![lower, upper],
            ..in_tars("whiteouts and opaque markers (OCI)", vec![], |fs| {
                let here = |path: &str| fs.stat(path).is_some();
                if !here("kept") || !here("opaque/new") {
                    return no("other files lost");
                }
                let hidden = ["gone", "folder/below", "opaque/old"];
                let markers = [".wh.gone", "folder/.wh.below", "opaque/.wh..wh..opq"];
                yes_if(!hidden.into_iter().chain(markers).any(here))
            })
        },
    ]
}

fn filesystem() -> Vec<Row> {
    let mut large = vec![Member::folder("d").bytes()];
    large.extend((0..400).map(|n| Member::file(format!("d/{n}{}", "n".repeat(60)), "").bytes()));
    let any = || vec![file("f").bytes()];
    vec![
        row("directories have an index", large, |fs| {
            yes_if(fs.stat("d").unwrap().is_indexed())
        }),
        row("journal", any(), |fs| yes_if(fs.has_feature("has_journal"))),
        row("can be grown while mounted", any(), |fs| {
            let reserved = fs.superblock("Reserved GDT blocks");
            yes_if(fs.has_feature("resize_inode") && reserved.parse::<u32>().is_ok_and(|n| n > 0))
        }),
    ]
}
