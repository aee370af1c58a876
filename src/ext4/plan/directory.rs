//! How a directory's entries are spread over its blocks.
//!
//! ```text
//! linear                 htree, one level             htree, two levels
//! |. .. a b c … |tail|   |dx_root|leaf|leaf|…         |dx_root|dx_node|…|leaf|leaf|…
//! ```
//! A directory that fits one block is linear; one that outgrows it is an htree from the start, as the
//! kernel would have made it. Leaves are filled to 80 %, as `e2fsck -D` leaves 20 % of slack, so that
//! a file made in the running system splits no leaf.

use crate::ext4::dirhash::{Chars, half_md4};
use crate::tree::{NodeId, Sorted, Tree};
use crate::units::{count, count32, index32};

/// Bytes of a block before its checksum tail.
pub(crate) const LINEAR_ROOM: usize = 4096 - 12;
/// Bytes of `.` and `..` in a linear block.
pub(crate) const DOTS: usize = 12 + 12;
/// Bytes that a leaf is filled to.
const LEAF_FILL: usize = LINEAR_ROOM * 4 / 5;
/// Slots of a `dx_root` with a checksum tail: `(4096 - 32 - 8) / 8`.
pub(crate) const ROOT_LIMIT: usize = 507;
/// Slots of a `dx_node`: `(4096 - 8 - 8) / 8`.
pub(crate) const NODE_LIMIT: usize = 510;

/// Bytes of an entry: `EXT4_DIR_REC_LEN`.
#[must_use]
pub(crate) fn rec_len(name: &[u8]) -> usize {
    (8 + name.len()).next_multiple_of(4)
}

/// A directory that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a directory with {entries} entries needs an htree of three levels, which needs the feature \
     large_dir that older readers refuse; spread the files over several directories"
)]
pub struct DirectoryTooLarge {
    /// Its entries.
    pub entries: u64,
}

/// A leaf of an htree: entries from `first` in hash order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) first: u32,
    /// Hash of its first entry, the lowest bit set when the leaf before ends with the same hash.
    pub(crate) hash: u32,
}

/// The spread of one directory.
#[derive(Debug)]
pub(crate) enum Layout {
    /// All entries in the first block, by name; further blocks are empty.
    Linear { blocks: u64 },
    /// Children in hash order and the leaves they fall into.
    Htree { order: Vec<u32>, leaves: Vec<Leaf> },
}

impl Layout {
    /// Lays out `directory`; `min_blocks` is 4 for lost+found, which e2fsck wants to have room.
    pub(crate) fn new(
        tree: &Tree,
        sorted: &Sorted,
        directory: NodeId,
        hash_seed: &[u32; 4],
        min_blocks: u64,
    ) -> Result<Self, DirectoryTooLarge> {
        let children = tree.children(sorted, directory);
        let entries = count(children.len());
        let bytes: usize = children.map(|c| rec_len(c.name)).sum();
        if DOTS + bytes <= LINEAR_ROOM {
            return Ok(Self::Linear {
                blocks: min_blocks.max(1),
            });
        }
        let mut keyed: Vec<(u32, u32, u32)> = tree
            .children(sorted, directory)
            .enumerate()
            .map(|(i, c)| {
                let (hash, minor) = half_md4(c.name, hash_seed, Chars::Signed);
                (hash, minor, count32(i))
            })
            .collect();
        keyed.sort_unstable();
        let lens: Vec<u16> = tree
            .children(sorted, directory)
            .map(|c| u16::try_from(rec_len(c.name)).expect("names have at most 255 bytes"))
            .collect();
        let mut leaves: Vec<Leaf> = Vec::new();
        let mut room = 0;
        let mut last_hash = None;
        for (at, &(hash, _, child)) in keyed.iter().enumerate() {
            let len = usize::from(lens[index32(child)]);
            if len > room {
                let hash = if last_hash == Some(hash) {
                    hash | 1
                } else {
                    hash
                };
                leaves.push(Leaf {
                    first: count32(at),
                    hash,
                });
                room = LEAF_FILL;
            }
            room -= len;
            last_hash = Some(hash);
        }
        if leaves.len() > ROOT_LIMIT * NODE_LIMIT {
            return Err(DirectoryTooLarge { entries });
        }
        let order = keyed.into_iter().map(|(_, _, child)| child).collect();
        Ok(Self::Htree { order, leaves })
    }

    /// Blocks in all.
    pub(crate) fn blocks(&self) -> u64 {
        match self {
            Self::Linear { blocks } => *blocks,
            Self::Htree { leaves, .. } => 1 + count(self.nodes()) + count(leaves.len()),
        }
    }

    /// `dx_node` blocks between root and leaves.
    pub(crate) fn nodes(&self) -> usize {
        match self {
            Self::Htree { leaves, .. } if leaves.len() > ROOT_LIMIT => {
                leaves.len().div_ceil(NODE_LIMIT)
            }
            _ => 0,
        }
    }

    /// Whether it is an htree (`EXT4_INDEX_FL`).
    pub(crate) fn is_htree(&self) -> bool {
        matches!(self, Self::Htree { .. })
    }
}
