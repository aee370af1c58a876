//! Whether two files hold the same bytes. However many names, or files of one name each on the other side, a
//! file is compared with, it is read twice at most.

use super::Of;
use super::blocks::Blocks;
use super::data::{self, DataDigest};
use super::file::{File, From};
use super::side::Root;
use crate::ext4::read::Run;
use crate::inspect::files::{Data, Files, FilesError, Node};
use crate::inspect::taken::Taken;
use crate::tree::NodeKind;
use std::collections::{HashMap, HashSet};

/// Why bytes cannot be compared: the side and the cause.
pub(super) type Failed = (Of, String);

/// The contents of two volumes.
pub(super) struct Contents<'a> {
    sides: [Half<'a>; 2],
    /// Blocks of the disks that differ, and where on both the volume begins: what lies at one place in both,
    /// in blocks that do not differ, is not read again.
    blocks: Option<(&'a Blocks, u64)>,
    /// What is known of two files, by their numbers.
    known: HashMap<(u64, u64), Result<bool, Failed>>,
}

/// One side of it.
struct Half<'a> {
    of: Of,
    root: Root<'a>,
    taken: Option<Taken>,
    /// Files that were read.
    seen: HashSet<u64>,
    digests: HashMap<u64, Result<[u8; 32], String>>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(a: Root<'a>, b: Root<'a>, blocks: Option<(&'a Blocks, u64)>) -> Self {
        let half = |of, root| Half {
            of,
            root,
            taken: match root {
                Root::Files(files) => Some(Taken::of(files)),
                _ => None,
            },
            seen: HashSet::new(),
            digests: HashMap::new(),
        };
        Self {
            sides: [half(Of::First, a), half(Of::Second, b)],
            blocks,
            known: HashMap::new(),
        }
    }

    /// Whether two files of one kind hold the same bytes.
    pub(super) fn same(&mut self, path: &[u8], a: &File, b: &File) -> Result<bool, Failed> {
        if a.size != b.size || a.kind != "file" {
            return Ok(a.size == b.size);
        }
        let (Some(left), Some(right)) = (a.id(), b.id()) else {
            return Ok(true);
        };
        if let Some(known) = self.known.get(&(left, right)) {
            return known.clone();
        }
        let found = self.compare(path, (left, a), (right, b));
        self.known.insert((left, right), found.clone());
        found
    }

    fn compare(
        &mut self,
        path: &[u8],
        (left, a): (u64, &File),
        (right, b): (u64, &File),
    ) -> Result<bool, Failed> {
        let [x, y] = &mut self.sides;
        if let (Root::Files(one), Root::Files(two), From::Node(old), From::Node(new)) =
            (x.root, y.root, &a.from, &b.from)
            && !x.seen.contains(&left)
            && !y.seen.contains(&right)
        {
            let old_data = x.open(one, old, path)?;
            let new_data = y.open(two, new, path)?;
            if self
                .blocks
                .is_some_and(|at| untouched(at, &old_data, &new_data, one, two))
            {
                return Ok(true);
            }
            return data::same(&old_data, &new_data).map_err(|(of, e)| (of, told(&e)));
        }
        Ok(x.digest(left, a, path)? == y.digest(right, b, path)?)
    }
}

impl<'a> Half<'a> {
    /// Opens a file for the first time.
    fn open(&mut self, files: &'a Files, node: &Node, path: &[u8]) -> Result<Data<'a>, Failed> {
        let data = files.data(node, path).and_then(|data| {
            if let (false, Some(taken)) = (self.seen.contains(&node.id), &mut self.taken) {
                taken.take(&data)?;
                self.seen.insert(node.id);
            }
            Ok(data)
        });
        data.map_err(|e| (self.of, told(&e)))
    }

    fn digest(&mut self, id: u64, file: &File, path: &[u8]) -> Result<[u8; 32], Failed> {
        let of = self.of;
        if let Some(known) = self.digests.get(&id) {
            return known.clone().map_err(|why| (of, why));
        }
        let digest = match (self.root, &file.from) {
            (Root::Files(files), From::Node(node)) => {
                let data = self.open(files, node, path);
                data.and_then(|data| data::digest(&data).map_err(|e| (of, told(&e))))
            }
            (Root::Archived(archived), From::Tree(node)) => {
                let digest = match archived.tree.node(*node).kind {
                    NodeKind::File { data, .. } => data.and_then(|data| archived.digest(data)),
                    _ => None,
                };
                Ok(digest.unwrap_or_else(|| DataDigest::default().finish()))
            }
            _ => Ok(DataDigest::default().finish()),
        };
        let kept = digest.clone().map_err(|(_, why)| why);
        self.digests.insert(id, kept);
        digest
    }
}

/// Whether two files lie at one place, in blocks that do not differ.
fn untouched(
    (blocks, start): (&Blocks, u64),
    a: &Data<'_>,
    b: &Data<'_>,
    one: &Files,
    two: &Files,
) -> bool {
    let (Data::Ext4(a), Data::Ext4(b), Files::Ext4(one), Files::Ext4(two)) = (a, b, one, two)
    else {
        return false;
    };
    let size = one.block_size();
    let same = size == two.block_size() && !a.runs().is_empty() && a.runs() == b.runs();
    let mut runs = a.runs().iter();
    // A damaged extent may point behind the end of all disks.
    let byte = |run: &Run| start.saturating_add(run.physical.saturating_mul(size));
    same && runs.all(|run| blocks.untouched(byte(run), run.len * size))
}

/// An error and its cause, in words.
pub(super) fn told(error: &FilesError) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, |e| format!(": {e}"));
    format!("{error}{cause}")
}
