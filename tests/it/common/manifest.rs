//! What a tree holds, file by file, as an archive says it and as somebody else's reader finds it.

use super::acl;
use crate::tools;
use diskwright::units::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Content beyond this is not read back: only its size is compared.
pub const CONTENT_MAX: u64 = 1 << 30;

/// One file, by everything that a user can see of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// As `find -printf %y`: `f`, `d`, `l`, `c`, `b`, `p`.
    pub kind: char,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// 0 for what has no size of its own.
    pub size: u64,
    pub sha256: String,
    pub target: Vec<u8>,
    pub device: (u32, u32),
    /// Last change, last access, last change of the inode.
    pub times: [Timestamp; 3],
    /// Without ACLs.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// As `getfacl --numeric --omit-header` prints it; empty where it says no more than the mode.
    pub acl: Vec<String>,
    pub links: u32,
    /// The first name of the same inode.
    pub first_name: Vec<u8>,
}

/// Path without a leading slash (the root is empty) → record. lost+found is left out.
pub type Manifest = BTreeMap<Vec<u8>, Record>;

impl Record {
    /// Turns the attributes that are ACLs into their text.
    pub fn take_acls(&mut self) {
        for (name, prefix) in [("access", ""), ("default", "default:")] {
            let value = self
                .xattrs
                .remove(format!("system.posix_acl_{name}").as_bytes());
            if let Some(value) = value {
                self.acl.extend(acl::of_xattr(&value, prefix));
            }
        }
        self.settle_acl();
    }

    /// The mode as the ACL has it; the access ACL is gone when the mode says it all.
    fn settle_acl(&mut self) {
        let is_default = |line: &String| line.starts_with("default:");
        let access: Vec<String> = self
            .acl
            .iter()
            .filter(|l| !is_default(l))
            .cloned()
            .collect();
        if self.kind != 'd' {
            self.acl.retain(|line| !is_default(line));
        }
        if access.is_empty() {
            return;
        }
        self.mode = self.mode & 0o7000 | acl::mode(&access);
        if access.len() == 3 {
            self.acl.retain(is_default);
        }
    }
}

pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut s, b| {
        write!(s, "{b:02x}").unwrap();
        s
    })
}

/// Joins the names of an inode: first name and number of links, directories by their children.
pub fn join<K: Ord>(list: Vec<(Vec<u8>, K, Record)>) -> Manifest {
    let mut names: BTreeMap<&K, Vec<&Vec<u8>>> = BTreeMap::new();
    for (path, key, _) in &list {
        names.entry(key).or_default().push(path);
    }
    let firsts: Vec<Vec<u8>> = list
        .iter()
        .map(|(_, key, _)| (*names[key].iter().min().unwrap()).clone())
        .collect();
    list.into_iter()
        .zip(firsts)
        .map(|((path, _, mut record), first)| {
            record.first_name = first;
            (path, record)
        })
        .collect()
}

/// What only the kernel shows beside a [`Record`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Blocks that data touches.
    pub blocks: u64,
    /// As `getfacl --numeric` prints it; nothing without an ACL.
    pub acl: String,
    /// SHA-256 of the last 64 KiB of a file beyond [`CONTENT_MAX`].
    pub tail: String,
}

/// What archives say, lowest first, by a reading that shares nothing with ours: `manifest.py`, whose `flags`
/// these are.
#[track_caller]
pub fn of_layers(tars: &[&Path], flags: &[&str]) -> (Manifest, BTreeMap<Vec<u8>, Extra>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/common/manifest.py");
    let tars = tars.iter().map(|tar| tar.to_str().unwrap());
    let args: Vec<&str> = [script.to_str().unwrap()]
        .into_iter()
        .chain(flags.iter().copied())
        .chain(tars)
        .collect();
    let (mut records, mut extras) = (Manifest::new(), BTreeMap::new());
    for line in tools::stdout("python3", &args).lines() {
        let file: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| file[key].as_str().unwrap().to_owned();
        let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
        let pair = |value: &Value| (value[0].clone(), value[1].clone());
        let (major, minor) = pair(&file["device"]);
        let times = [0, 1, 2].map(|n| {
            let (sec, nsec) = pair(&file["times"][n]);
            Timestamp {
                sec: sec.as_i64().unwrap(),
                nsec: number(&nsec),
            }
        });
        let xattrs = file["xattrs"].as_object().unwrap().iter();
        let mut record = Record {
            acl: Vec::new(),
            kind: text("kind").chars().next().unwrap(),
            mode: number(&file["mode"]),
            uid: number(&file["uid"]),
            gid: number(&file["gid"]),
            size: file["size"].as_u64().unwrap(),
            sha256: text("sha256"),
            target: latin(&text("target")),
            device: (number(&major), number(&minor)),
            times,
            xattrs: xattrs
                .map(|(name, value)| (latin(name), unhex(value.as_str().unwrap())))
                .collect(),
            links: number(&file["links"]),
            first_name: latin(&text("first")),
        };
        record.take_acls();
        let extra = Extra {
            blocks: file["blocks"].as_u64().unwrap(),
            acl: text("acl"),
            tail: text("tail"),
        };
        records.insert(latin(&text("path")), record);
        extras.insert(latin(&text("path")), extra);
    }
    (records, extras)
}

/// What an archive says.
#[track_caller]
pub fn of_tar(tar: &Path) -> Manifest {
    of_layers(&[tar], &[]).0
}

/// The bytes that the script wrote as the characters U+0000 to U+00FF.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

pub fn join_path(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        name.to_vec()
    } else {
        [parent, b"/", name].concat()
    }
}

fn fields(r: &Record) -> Vec<String> {
    let xattrs = r.xattrs.iter();
    let mut all = vec![
        format!("kind {}", r.kind),
        format!("mode {:o}", r.mode),
        format!("owner {}:{}", r.uid, r.gid),
        format!("size {}", r.size),
        format!("sha256 {}", r.sha256),
        format!("target {}", r.target.escape_ascii()),
        format!("device {:?}", r.device),
        format!("times {:?}", r.times),
        format!("links {}", r.links),
        format!("first name {}", r.first_name.escape_ascii()),
        format!("acl {:?}", r.acl),
    ];
    all.extend(xattrs.map(|(k, v)| format!("{}={}", k.escape_ascii(), v.escape_ascii())));
    all
}

/// Compares two; the fields that differ, of at most eight files.
#[track_caller]
pub fn assert_same(found: &Manifest, expected: &Manifest) {
    let all: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let wrong: Vec<_> = all
        .into_iter()
        .filter(|path| found.get(*path) != expected.get(*path))
        .collect();
    let mut report = String::new();
    for path in wrong.iter().take(8) {
        let says = |m: &Manifest| m.get(*path).map(fields).unwrap_or_default();
        let (a, b) = (says(found), says(expected));
        let only = |x: &[String], y: &[String]| {
            let lines = x.iter().filter(|l| !y.contains(l));
            lines.cloned().collect::<Vec<_>>().join(", ")
        };
        let name = path.escape_ascii();
        writeln!(
            report,
            "{name}\n  found    {}\n  expected {}",
            only(&a, &b),
            only(&b, &a)
        )
        .unwrap();
    }
    assert!(
        wrong.is_empty(),
        "{} of {} files differ:\n{report}",
        wrong.len(),
        expected.len()
    );
}
