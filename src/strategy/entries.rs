//! Lists of files that refer to one another: parents, links, duplicates.
//!
//! What is generated are steps that name others by number; they become paths when the list is made. So
//! a step can go, or become simpler, and the rest still makes sense: that is what lets a case shrink.

use super::files::{File, Files};
use crate::entry::{DataRun, Entry, EntryKind};
use crate::tree::{Meta, Tree};
use crate::units::Timestamp;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// Extended attributes: full names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Where a step stands.
#[derive(Clone, Debug)]
enum Place {
    /// In directory number so many, with that name.
    In(u16, Vec<u8>),
    /// In the directory made last.
    Deeper(Vec<u8>),
    /// In place of file number so many.
    Again(u16),
}

/// What a step makes.
#[derive(Clone, Debug)]
enum What {
    Directory,
    /// Bytes.
    File(u64),
    /// Gaps and the data behind them, then a last gap.
    Sparse(Vec<(u64, u64)>, u64),
    Symlink(Vec<u8>),
    /// To directory number so many.
    SymlinkToDirectory(u16),
    HardLink(u16),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
    /// So many empty files with names so long.
    Many(u16, u8),
}

#[derive(Clone, Debug)]
struct Step {
    place: Place,
    what: What,
    meta: Meta,
    fill: u8,
    xattrs: Xattrs,
    acl: Option<Vec<(u32, u8)>>,
}

/// Lists of up to forty entries, some of which stand for hundreds: deep and wide directories, names of any
/// bytes, sparse files, links of both kinds, parents that are symbolic links, devices, attributes, ACLs
/// and files that replace one another. A [`Tree`] takes every entry.
pub fn files() -> impl Strategy<Value = Files> + Clone {
    vec(step(), 0..40).prop_map(|steps| resolve(&steps))
}

/// A name of a file: most are short, so that names meet; some have any bytes, or 255 of them.
pub fn name() -> impl Strategy<Value = Vec<u8>> + Clone {
    let byte = any::<u8>().prop_map(|b| match b {
        0 => b'a',
        b'/' => b'_',
        b => b,
    });
    prop_oneof![
        6 => "[a-d]{1,2}".prop_map(String::into_bytes),
        2 => vec(byte.clone(), 1..24),
        1 => vec(byte, 200..=255),
    ]
    .prop_map(|name| match &name[..] {
        b"." | b".." => b"dot".to_vec(),
        _ => name,
    })
}

/// Owner, permissions and times; times are those that ext4 holds, 1901 to 2446.
pub fn meta() -> impl Strategy<Value = Meta> + Clone {
    let id = prop_oneof![4 => Just(0), 1 => 1000_u32..1003, 1 => any::<u32>()];
    let sec = prop_oneof![
        4 => Just(0),
        1 => 1_600_000_000_i64..1_800_000_000,
        1 => -(1_i64 << 31)..0x3_7fff_ffff,
    ];
    let time = (sec, prop_oneof![3 => Just(0), 1 => 0_u32..1_000_000_000]);
    let time = time.prop_map(|(sec, nsec)| Timestamp { sec, nsec });
    let mode = prop_oneof![2 => Just(0o644), 2 => Just(0o755), 1 => 0_u16..0o10_000];
    (mode, id.clone(), id, time)
        .prop_map(|(mode, uid, gid, time)| Meta::new(mode).owner(uid, gid).at(time))
}

/// Extended attributes that any file can have and that fit the smallest block.
pub fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> + Clone {
    let name = "(trusted|security)\\.[a-c]{1,30}".prop_map(String::into_bytes);
    let set = proptest::collection::btree_map(name, vec(any::<u8>(), 0..150), 1..4);
    prop_oneof![5 => Just(Vec::new()), 1 => set.prop_map(|set| set.into_iter().collect())]
}

fn step() -> impl Strategy<Value = Step> + Clone {
    let place = prop_oneof![
        4 => (any::<u16>(), name()).prop_map(|(nr, name)| Place::In(nr, name)),
        3 => name().prop_map(Place::Deeper),
        1 => any::<u16>().prop_map(Place::Again),
    ];
    let acl = vec((0_u32..2000, 0_u8..8), 1..4);
    let filled = (any::<u8>(), xattrs(), weighted(0.1, acl));
    (place, what(), meta(), filled).prop_map(|(place, what, meta, (fill, xattrs, acl))| Step {
        place,
        what,
        meta,
        fill,
        xattrs,
        acl,
    })
}

fn what() -> impl Strategy<Value = What> + Clone {
    let size = prop_oneof![2 => 0_u64..100, 2 => 0_u64..20_000, 1 => 0_u64..400_000];
    let gap = prop_oneof![4 => 0_u64..40_000, 1 => 0_u64..1 << 38];
    let runs = vec((gap.clone(), 1_u64..20_000), 0..8);
    let many = prop_oneof![3 => 0_u16..100, 1 => 0_u16..1500];
    let target = prop_oneof![
        name(),
        vec(1_u8..=255, 1..=120),
        vec(prop_oneof![Just(b'x'), Just(b'/')], 900..1000)
    ];
    prop_oneof![
        6 => size.prop_map(What::File),
        5 => Just(What::Directory),
        2 => (runs, gap).prop_map(|(runs, end)| What::Sparse(runs, end)),
        1 => target.prop_map(What::Symlink),
        2 => any::<u16>().prop_map(What::SymlinkToDirectory),
        2 => any::<u16>().prop_map(What::HardLink),
        1 => (0_u32..1 << 12, 0_u32..1 << 20).prop_map(|(major, minor)| What::Char(major, minor)),
        1 => (0_u32..1 << 12, 0_u32..1 << 20).prop_map(|(major, minor)| What::Block(major, minor)),
        1 => Just(What::Fifo),
        1 => (many, 1_u8..240).prop_map(|(count, len)| What::Many(count, len)),
    ]
}

/// The list so far, and what later steps can name.
struct List {
    files: Vec<File>,
    /// Directories, by any path that leads to them; the root is the first.
    directories: Vec<Vec<u8>>,
    /// Other files.
    others: Vec<Vec<u8>>,
    tree: Tree,
}

fn resolve(steps: &[Step]) -> Files {
    let mut list = List {
        files: Vec::new(),
        directories: vec![Vec::new()],
        others: Vec::new(),
        tree: Tree::new(),
    };
    for step in steps {
        list.step(step);
    }
    Files(list.files)
}

impl List {
    fn step(&mut self, step: &Step) {
        let nth =
            |list: &[Vec<u8>], nr: u16| list.get(usize::from(nr) % list.len().max(1)).cloned();
        let parent = |nr| nth(&self.directories, nr).unwrap_or_default();
        let path = match &step.place {
            Place::In(nr, name) => join(&parent(*nr), name),
            Place::Deeper(name) => join(self.directories.last().map_or(b"", |d| d), name),
            Place::Again(nr) => nth(&self.others, *nr).unwrap_or_else(|| b"again".to_vec()),
        };
        let kind = match &step.what {
            What::Directory => EntryKind::Directory,
            What::File(size) => EntryKind::File {
                size: *size,
                data: None,
            },
            What::Sparse(runs, end) => sparse(runs, *end),
            What::Symlink(target) => EntryKind::Symlink {
                target: target.clone(),
            },
            What::SymlinkToDirectory(nr) => EntryKind::Symlink {
                target: join(b"/", &parent(*nr)),
            },
            What::HardLink(nr) => match nth(&self.others, *nr) {
                Some(target) => EntryKind::HardLink { target },
                None => EntryKind::Fifo,
            },
            &What::Char(major, minor) => EntryKind::CharDevice { major, minor },
            &What::Block(major, minor) => EntryKind::BlockDevice { major, minor },
            What::Fifo => EntryKind::Fifo,
            &What::Many(files, len) => return self.many(&path, files, usize::from(len), step),
        };
        let leads_to_directory = matches!(step.what, What::Directory | What::SymlinkToDirectory(_));
        let link = matches!(kind, EntryKind::HardLink { .. });
        let mut entry = entry(path.clone(), kind, &step.meta);
        if !link {
            entry.xattrs.clone_from(&step.xattrs);
            entry.acl_access = acl(step, &entry);
        }
        if self.push(entry, step.fill) {
            let known = if leads_to_directory {
                &mut self.directories
            } else {
                &mut self.others
            };
            known.push(path);
        }
    }

    fn many(&mut self, path: &[u8], files: u16, len: usize, step: &Step) {
        let directory = entry(path.to_vec(), EntryKind::Directory, &step.meta);
        if !self.push(directory, 0) {
            return;
        }
        self.directories.push(path.to_vec());
        let kind = EntryKind::File {
            size: 0,
            data: None,
        };
        for n in 0..files {
            let name = format!("{n:0len$}");
            self.push(
                entry(join(path, name.as_bytes()), kind.clone(), &step.meta),
                0,
            );
        }
    }

    /// Puts an entry behind the others unless no tree would have it there.
    fn push(&mut self, entry: Entry, fill: u8) -> bool {
        let taken = self.tree.insert(&entry).is_ok_and(|i| i.node.is_some());
        if taken {
            self.files.push(File { entry, fill });
        } else {
            // Its parents may have been made, or put in the place of others.
            self.tree = Tree::new();
            for file in &self.files {
                self.tree
                    .insert(&file.entry)
                    .expect("it was taken before, after the same entries");
            }
        }
        taken
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    match parent {
        b"" => name.to_vec(),
        b"/" => [parent, name].concat(),
        _ => [parent, b"/", name].concat(),
    }
}

fn sparse(runs: &[(u64, u64)], end: u64) -> EntryKind {
    let mut at = 0;
    let mut list = Vec::new();
    for &(gap, len) in runs {
        let offset = at + gap;
        list.push(DataRun { offset, len });
        at = offset + len;
    }
    EntryKind::File {
        size: at + end,
        data: Some(list),
    }
}

/// An access ACL in the text form of pax records, its classes as the mode has them.
fn acl(step: &Step, entry: &Entry) -> Option<Vec<u8>> {
    let users = step.acl.as_ref()?;
    if matches!(entry.kind, EntryKind::Symlink { .. }) {
        return None;
    }
    let class = |shift: u16| rwx((entry.mode >> shift) & 7);
    let mut users: Vec<(u32, u8)> = users.clone();
    users.sort_unstable();
    users.dedup_by_key(|(id, _)| *id);
    let mut text = format!("user::{}", class(6));
    for (id, perm) in users {
        text += &format!(",user:{id}:{}", rwx(u16::from(perm)));
    }
    text += &format!(
        ",group::{},mask::{},other::{}",
        class(3),
        class(3),
        class(0)
    );
    Some(text.into_bytes())
}

fn rwx(bits: u16) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x')]
        .map(|(bit, c)| if bits & bit == 0 { '-' } else { c })
        .iter()
        .collect()
}

fn entry(path: Vec<u8>, kind: EntryKind, meta: &Meta) -> Entry {
    Entry {
        path,
        kind,
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        mtime: meta.mtime,
        atime: None,
        ctime: None,
        xattrs: Vec::new(),
        acl_access: None,
        acl_default: None,
        offset: 0,
    }
}
