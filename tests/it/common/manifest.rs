//! What a tree holds, file by file, as an archive says it and as somebody else's reader finds it.

use super::acl;
use diskwright::archive::{ArchiveReader, DataRun, EntryKind};
use diskwright::units::Timestamp;
use sha2::{Digest, Sha256};
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

/// What the archive says, by rules of its own making: a naive reading, to hold the tree against.
pub fn of_tar(tar: &Path) -> Manifest {
    let mut reader = ArchiveReader::open(tar).unwrap();
    let mut naive = Naive::default();
    naive.put(Vec::new(), folder());
    let mut newest = Timestamp::from_secs(i64::MIN);
    while let Some(entry) = reader.next_entry().unwrap() {
        newest = newest.max(entry.mtime);
        let path = naive.resolve(&entry.path);
        if let EntryKind::HardLink { target } = &entry.kind {
            let target = naive.resolve(target);
            let nr = naive.names[&target];
            naive.names.insert(path, nr);
            continue;
        }
        let text = |text: &Option<Vec<u8>>, name: &[u8]| {
            let stands_above = entry.xattrs.iter().any(|(n, _)| n == name);
            text.clone().filter(|_| !stands_above).unwrap_or_default()
        };
        let texts = [
            text(&entry.acl_access, b"system.posix_acl_access"),
            text(&entry.acl_default, b"system.posix_acl_default"),
        ];
        let mut record = Record {
            mode: u32::from(entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            times: [
                entry.mtime,
                entry.atime.unwrap_or(entry.mtime),
                entry.ctime.unwrap_or(entry.mtime),
            ],
            xattrs: entry.xattrs.iter().cloned().collect(),
            ..Record::default()
        };
        record.kind = match &entry.kind {
            EntryKind::File { size, data } => {
                record.size = *size;
                let pieces = std::iter::from_fn(|| reader.next_data().unwrap());
                if matches!(&path[..], b"etc/passwd" | b"etc/group") {
                    let bytes: Vec<u8> = pieces.flatten().collect();
                    record.sha256 = hex(&Sha256::digest(&bytes));
                    naive.accounts.insert(path.clone(), bytes);
                } else if *size <= CONTENT_MAX {
                    record.sha256 = digest(*size, data.as_deref(), pieces);
                }
                'f'
            }
            EntryKind::Symlink { target } => {
                record.target.clone_from(target);
                'l'
            }
            EntryKind::Directory => 'd',
            EntryKind::CharDevice { major, minor } => {
                record.device = (*major, *minor);
                'c'
            }
            EntryKind::BlockDevice { major, minor } => {
                record.device = (*major, *minor);
                'b'
            }
            EntryKind::Fifo => 'p',
            EntryKind::HardLink { .. } => unreachable!("done above"),
        };
        record.take_acls();
        let nr = naive.put(path, record);
        naive.texts.insert(nr, texts);
    }
    naive.finish(newest)
}

/// SHA-256 of a file from its runs of data, holes being zeros.
fn digest(
    size: u64,
    runs: Option<&[DataRun]>,
    pieces: impl Iterator<Item = bytes::Bytes>,
) -> String {
    let dense = [DataRun {
        offset: 0,
        len: size,
    }];
    let runs = runs.unwrap_or(&dense);
    let mut hasher = Sha256::new();
    let zeros = |hasher: &mut Sha256, mut len: u64| {
        while len > 0 {
            let n = len.min(65_536);
            hasher.update(vec![0; n.try_into().unwrap()]);
            len -= n;
        }
    };
    let (mut at, mut runs, mut left) = (0, runs.iter(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            while left == 0 {
                let run = runs.next().unwrap();
                zeros(&mut hasher, run.offset - at);
                at = run.offset + run.len;
                left = run.len;
            }
            let n = left.min(piece.len().try_into().unwrap());
            hasher.update(piece.split_to(n.try_into().unwrap()));
            left -= n;
        }
    }
    zeros(&mut hasher, size - at);
    hex(&hasher.finalize())
}

/// A folder that no entry describes: root's, of the image's own time.
fn folder() -> Record {
    Record {
        kind: 'd',
        mode: 0o755,
        times: [Timestamp::from_secs(i64::MAX); 3],
        ..Record::default()
    }
}

#[derive(Default)]
struct Naive {
    names: BTreeMap<Vec<u8>, usize>,
    records: Vec<Record>,
    /// ACLs as text, until the accounts are known.
    texts: BTreeMap<usize, [Vec<u8>; 2]>,
    accounts: BTreeMap<Vec<u8>, Vec<u8>>,
}

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

impl Naive {
    fn put(&mut self, path: Vec<u8>, record: Record) -> usize {
        if let Some(&nr) = self.names.get(&path)
            && self.records[nr].kind == 'd'
            && record.kind == 'd'
        {
            self.records[nr] = record;
            return nr;
        }
        self.names.insert(path, self.records.len());
        self.records.push(record);
        self.records.len() - 1
    }

    /// The name without `.` and `//`, its parents made, or followed where they are symbolic links.
    fn resolve(&mut self, path: &[u8]) -> Vec<u8> {
        let parts: Vec<&[u8]> = path
            .split(|&b| b == b'/')
            .filter(|p| !p.is_empty() && *p != b".")
            .collect();
        let Some((last, parents)) = parts.split_last() else {
            return Vec::new();
        };
        let mut at: Vec<u8> = Vec::new();
        for part in parents {
            let next = join_path(&at, part);
            match self.names.get(&next).map(|&nr| self.records[nr].clone()) {
                Some(r) if r.kind == 'l' => {
                    let base = if r.target.starts_with(b"/") {
                        Vec::new()
                    } else {
                        at.clone()
                    };
                    let mut all = base;
                    for p in r.target.split(|&b| b == b'/').filter(|p| !p.is_empty()) {
                        assert!(p != b"..", "the naive reader knows no ..");
                        all = join_path(&all, p);
                    }
                    at = all;
                }
                Some(_) => at = next,
                None => {
                    self.put(next.clone(), folder());
                    at = next;
                }
            }
        }
        join_path(&at, last)
    }

    fn finish(mut self, newest: Timestamp) -> Manifest {
        for (nr, [access, default]) in std::mem::take(&mut self.texts) {
            let names = acl::Names::new(&self.accounts);
            let record = &mut self.records[nr];
            record.acl.extend(acl::of_text(&access, "", &names));
            record
                .acl
                .extend(acl::of_text(&default, "default:", &names));
            record.settle_acl();
        }
        for record in &mut self.records {
            for time in &mut record.times {
                *time = (*time).min(newest);
            }
        }
        for (path, &nr) in &self.names {
            self.records[nr].links += 1;
            if self.records[nr].kind == 'd' {
                self.records[nr].links += 1;
                // The parent counts `..` of each.
                if !path.is_empty() {
                    let parent = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
                    let parent = self.names[&path[..parent]];
                    self.records[parent].links += 1;
                }
            }
        }
        // lost+found
        self.records[0].links += 1;
        let list = self.names.iter();
        let list = list.map(|(path, &nr)| (path.clone(), nr, self.records[nr].clone()));
        join(list.collect())
    }
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
