//! The files of an archive as a build would have them, their data by digest.

use super::DiffError;
use super::data::DataDigest;
use crate::acl::text::Names;
use crate::archive::{Item, Options, Origin, Rootfs};
use crate::entry::{DataRun, EntryKind};
use crate::inspect::accounts;
use crate::observe::Observer;
use crate::tree::{DataId, NodeKind, Tree};
use crate::units::{count, count32, index, index32};
use std::collections::HashMap;
use std::ffi::OsStr;

/// Files that are kept whole: the packages, and the accounts that ACLs name.
const KEPT: [&str; 3] = ["var/lib/dpkg/status", "etc/passwd", "etc/group"];
/// No longer ones are kept.
const KEPT_MAX: u64 = 64 << 20;

/// An archive, read.
#[derive(Debug)]
pub(super) struct Archived {
    pub(super) tree: Tree,
    digests: Vec<[u8; 32]>,
    kept: HashMap<DataId, Vec<u8>>,
}

impl Archived {
    /// The digest of a file's data.
    pub(super) fn digest(&self, data: DataId) -> Option<[u8; 32]> {
        self.digests.get(index32(data.0)).copied()
    }

    /// A file that was kept.
    pub(super) fn kept(&self, path: &str) -> Option<&[u8]> {
        let node = self.tree.resolve(path.as_bytes())?;
        let NodeKind::File {
            data: Some(data), ..
        } = self.tree.node(node).kind
        else {
            return None;
        };
        self.kept.get(&data).map(Vec::as_slice)
    }
}

/// Whether the archive reader takes it.
pub(super) fn opens(text: &OsStr) -> bool {
    let rootfs = Rootfs::open(&[text]);
    rootfs.is_ok_and(|mut rootfs| {
        // The layer, then its first member.
        (0..2).all(|_| matches!(rootfs.next_item(), Ok(Some(_))))
    })
}

/// Reads an archive to its end.
pub(super) fn read(text: &OsStr, observer: &dyn Observer) -> Result<Archived, DiffError> {
    let origins = [Origin::parse(text)];
    let mut rootfs = Rootfs::open_with(&origins, &Options::default())?;
    let mut archived = Archived {
        tree: Tree::new(),
        digests: Vec::new(),
        kept: HashMap::new(),
    };
    let mut latest = [None; KEPT.len()];
    while let Some(item) = rootfs.next_item()? {
        if observer.cancelled() {
            return Err(DiffError::Interrupted);
        }
        let tree = &mut archived.tree;
        match item {
            Item::Layer => tree.begin_layer()?,
            Item::Whiteout(path) => drop(tree.whiteout(&path)?),
            Item::Opaque(path) => drop(tree.opaque(&path)?),
            Item::Entry(entry) => {
                let node = tree.insert(&entry)?.node;
                let (Some(node), EntryKind::File { size, data }) = (node, &entry.kind) else {
                    continue;
                };
                let id = DataId(count32(archived.digests.len()));
                tree.set_data(node, id);
                let whole = [DataRun {
                    offset: 0,
                    len: *size,
                }];
                let runs = data.as_deref().unwrap_or(&whole);
                let keep = *size <= KEPT_MAX && KEPT.iter().any(|k| is(&entry.path, k));
                let (digest, kept) = content(&mut rootfs, *size, runs, keep)?;
                archived.digests.push(digest);
                if let (Some(bytes), Some(name)) =
                    (kept, KEPT.iter().position(|k| is(&entry.path, k)))
                {
                    // The last of a name counts: one is kept of each.
                    if let Some(older) = latest[name].replace(id) {
                        archived.kept.remove(&older);
                    }
                    archived.kept.insert(id, bytes);
                }
            }
        }
    }
    let sorted = archived.tree.sorted();
    let numbers = |path: &str| {
        let mut numbers = HashMap::new();
        for (name, number) in accounts::lines(archived.kept(path).unwrap_or_default()) {
            // The first line of a name counts.
            numbers.entry(name.to_vec()).or_insert(number);
        }
        numbers
    };
    let names = Numbers {
        users: numbers("etc/passwd"),
        groups: numbers("etc/group"),
    };
    let mut warn = |w: String| observer.warn(&w);
    archived.tree.settle_acls(&sorted, &names, &mut warn)?;
    Ok(archived)
}

/// Whether a member's name is `path`.
fn is(name: &[u8], path: &str) -> bool {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    name.strip_prefix(b"/").unwrap_or(name) == path.as_bytes()
}

fn content(
    rootfs: &mut Rootfs,
    size: u64,
    runs: &[DataRun],
    keep: bool,
) -> Result<([u8; 32], Option<Vec<u8>>), DiffError> {
    let mut digest = DataDigest::default();
    let mut kept = keep.then(|| vec![0; index(size)]);
    let mut runs = runs.iter();
    let mut run = DataRun { offset: 0, len: 0 };
    while let Some(mut data) = rootfs.next_data()? {
        while !data.is_empty() {
            if run.len == 0 {
                let Some(next) = runs.next() else { break };
                run = *next;
            }
            let part = data.split_to(data.len().min(index(run.len)));
            digest.add(run.offset, &part);
            if let Some(kept) = &mut kept {
                let at = index(run.offset);
                if let Some(room) = kept.get_mut(at..at + part.len()) {
                    room.copy_from_slice(&part);
                }
            }
            run.offset += count(part.len());
            run.len -= count(part.len());
        }
    }
    Ok((digest.finish(), kept))
}

/// The numbers of names.
struct Numbers {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Names for Numbers {
    fn user(&self, name: &[u8]) -> Option<u32> {
        self.users.get(name).copied()
    }

    fn group(&self, name: &[u8]) -> Option<u32> {
        self.groups.get(name).copied()
    }
}
