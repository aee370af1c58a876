//! How a directory's entries are spread over its blocks.
//!
//! ```text
//! linear                 htree, one level             htree, two levels
//! |. .. a b c … |tail|   |dx_root|leaf|leaf|…         |dx_root|dx_node|…|leaf|leaf|…
//! ```
//! A directory that fits one block is linear; one that outgrows it is an htree from the start, as the
//! kernel would have made it. Leaves are filled to 80 %, as `e2fsck -D` leaves 20 % of slack, so that
//! a file made in the running system splits no leaf.

use crate::ext4::block_size::BlockSize;
use crate::ext4::dirhash::{Chars, half_md4};
use crate::ext4::disk::htree::{DX_NODE_ENTRIES_OFFSET, DX_ROOT_ENTRIES_OFFSET};
use crate::ext4::features::Features;
use crate::tree::{NodeId, Sorted, Tree};
use crate::units::{count, count32, index, index32};

/// Bytes of `.` and `..` in a linear block.
pub(crate) const DOTS: usize = 12 + 12;

/// What the blocks of a directory hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of a block.
    pub(crate) block: usize,
    /// Of them before the checksum tail.
    pub(crate) linear: usize,
    /// Slots of a `dx_root`: what 8 bytes each leave of the block behind 32 and before the tail.
    pub(crate) root_limit: usize,
    /// Slots of a `dx_node`, behind 8 bytes.
    pub(crate) node_limit: usize,
}

impl Room {
    pub(crate) fn new(block_size: BlockSize, features: Features) -> Self {
        let block = index(block_size.bytes());
        let slots = |head| (block - head - features.dx_tail()) / 8;
        Self {
            block,
            linear: block - features.dirent_tail(),
            root_limit: slots(DX_ROOT_ENTRIES_OFFSET),
            node_limit: slots(DX_NODE_ENTRIES_OFFSET),
        }
    }

    /// Bytes that a leaf is filled to.
    fn leaf(self) -> usize {
        self.linear * 4 / 5
    }
}

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
    Htree {
        order: Vec<u32>,
        leaves: Vec<Leaf>,
        /// `dx_node` blocks between root and leaves.
        nodes: usize,
    },
}

impl Layout {
    /// Lays out `directory`; `min_blocks` is 4 for lost+found, which e2fsck wants to have room.
    pub(crate) fn new(
        tree: &Tree,
        sorted: &Sorted,
        directory: NodeId,
        hash_seed: &[u32; 4],
        min_blocks: u64,
        room: Room,
    ) -> Result<Self, DirectoryTooLarge> {
        let children = tree.children(sorted, directory);
        let entries = count(children.len());
        let bytes: usize = children.map(|c| rec_len(c.name)).sum();
        if DOTS + bytes <= room.linear {
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
        let mut left = 0;
        let mut last_hash = None;
        for (at, &(hash, _, child)) in keyed.iter().enumerate() {
            let len = usize::from(lens[index32(child)]);
            if len > left {
                let hash = if last_hash == Some(hash) {
                    hash | 1
                } else {
                    hash
                };
                leaves.push(Leaf {
                    first: count32(at),
                    hash,
                });
                left = room.leaf();
            }
            left -= len;
            last_hash = Some(hash);
        }
        if leaves.len() > room.root_limit * room.node_limit {
            return Err(DirectoryTooLarge { entries });
        }
        let order = keyed.into_iter().map(|(_, _, child)| child).collect();
        let nodes = if leaves.len() > room.root_limit {
            leaves.len().div_ceil(room.node_limit)
        } else {
            0
        };
        Ok(Self::Htree {
            order,
            leaves,
            nodes,
        })
    }

    /// Blocks in all.
    pub(crate) fn blocks(&self) -> u64 {
        match self {
            Self::Linear { blocks } => *blocks,
            Self::Htree { leaves, nodes, .. } => 1 + count(nodes + leaves.len()),
        }
    }

    /// Whether it is an htree (`EXT4_INDEX_FL`).
    pub(crate) fn is_htree(&self) -> bool {
        matches!(self, Self::Htree { .. })
    }
}
