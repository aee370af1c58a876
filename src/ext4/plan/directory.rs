//! How a directory's entries are spread over its blocks.
//!
//! ```text
//! linear                 htree, one level       htree, two levels
//! |. .. a b c … |tail|   |dx_root|leaf|leaf|…   |dx_root|dx_node|dx_node|…|leaf|leaf|…
//!
//! htree, three levels
//! |dx_root|upper dx_node|…|lower dx_node|…|leaf|leaf|…
//! ```
//! The kernel follows three levels only where the feature `large_dir` is set (`ext4_dir_htree_level`).
//!
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
    /// Levels of `dx_node`s that there may be between root and leaves.
    pub(crate) node_levels: usize,
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
            node_levels: if features.large_dir() { 2 } else { 1 },
        }
    }

    /// Leaves of the largest htree.
    fn most_leaves(self) -> usize {
        (0..self.node_levels).fold(self.root_limit, |most, _| most * self.node_limit)
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
    "its {entries} entries fill {leaves} blocks of {block_size} bytes; an index of {} levels reaches {most} \
     of them; {}spread the files over several directories", if *large_dir { 3 } else { 2 }, advice(self)
)]
pub struct DirectoryTooLarge {
    /// Its entries.
    pub entries: u64,
    /// Blocks that they fill.
    pub leaves: u64,
    /// Most blocks that an index reaches.
    pub most: u64,
    /// Bytes in a block.
    pub block_size: u64,
    /// Whether the index may have three levels.
    pub large_dir: bool,
}

/// What helps beside smaller directories.
fn advice(error: &DirectoryTooLarge) -> &'static str {
    match (error.large_dir, error.block_size < 4096) {
        (false, true) => {
            "say `--large-dir` for a third level (Linux 4.13, GRUB 2.12 and e2fsck 1.44 read it) or a \
             larger `--block-size`, or "
        }
        (false, false) => {
            "say `--large-dir` for a third level (Linux 4.13, GRUB 2.12 and e2fsck 1.44 read it), or "
        }
        (true, true) => "say a larger `--block-size`, or ",
        (true, false) => "",
    }
}

/// A leaf of an htree: entries from `first` in hash order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) first: u32,
    /// Hash of its first entry, the lowest bit set when the leaf before ends with the same hash.
    pub(crate) hash: u32,
}

/// The levels of an htree: each level's blocks follow those of the one above, the leaves last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Blocks of each, the root's 1 first.
    blocks: Vec<usize>,
    node_limit: usize,
}

impl Levels {
    /// As few as index `leaves` leaves; `None` where the root would lie too high.
    fn new(leaves: usize, room: Room) -> Option<Self> {
        let mut blocks = vec![leaves];
        while blocks[0] > room.root_limit {
            blocks.insert(0, blocks[0].div_ceil(room.node_limit));
        }
        blocks.insert(0, 1);
        let levels = Self {
            blocks,
            node_limit: room.node_limit,
        };
        (levels.of_nodes() <= room.node_levels).then_some(levels)
    }

    /// Levels between root and leaves: `indirect_levels`.
    pub(crate) fn of_nodes(&self) -> usize {
        self.blocks.len() - 2
    }

    /// Blocks in all.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.iter().sum()
    }

    /// The level of file block `block`, the root's being 0, and its place there; `None` past the end.
    pub(crate) fn locate(&self, block: usize) -> Option<(usize, usize)> {
        let mut nth = block;
        for (level, &len) in self.blocks.iter().enumerate() {
            if nth < len {
                return Some((level, nth));
            }
            nth -= len;
        }
        None
    }

    /// What the `nth` node of `level` points at: for each child, its first leaf and its file block.
    pub(crate) fn children(
        &self,
        level: usize,
        nth: usize,
    ) -> impl Iterator<Item = (usize, usize)> + use<> {
        let below = level + 1;
        let len = self.blocks[below];
        let range = match level {
            0 => 0..len,
            _ => nth * self.node_limit..len.min((nth + 1) * self.node_limit),
        };
        let first_block: usize = self.blocks[..below].iter().sum();
        // Every node but the last of its level is full, so that each has as many leaves below it.
        let leaves_each = (below..self.of_nodes() + 1).fold(1, |n, _| n * self.node_limit);
        range.map(move |child| (child * leaves_each, first_block + child))
    }
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
        levels: Levels,
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
        let levels = Levels::new(leaves.len(), room).ok_or_else(|| DirectoryTooLarge {
            entries,
            leaves: count(leaves.len()),
            most: count(room.most_leaves()),
            block_size: count(room.block),
            large_dir: room.node_levels > 1,
        })?;
        let order = keyed.into_iter().map(|(_, _, child)| child).collect();
        Ok(Self::Htree {
            order,
            leaves,
            levels,
        })
    }

    /// Blocks in all.
    pub(crate) fn blocks(&self) -> u64 {
        match self {
            Self::Linear { blocks } => *blocks,
            Self::Htree { levels, .. } => count(levels.blocks()),
        }
    }

    /// Whether it is an htree (`EXT4_INDEX_FL`).
    pub(crate) fn is_htree(&self) -> bool {
        matches!(self, Self::Htree { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Levels {
        /// The leaves in the order in which the index leads to them.
        pub(crate) fn reached(&self) -> Vec<usize> {
            let mut leaves = Vec::new();
            let mut seen = vec![0];
            self.descend(0, 0, &mut leaves, &mut seen);
            seen.sort_unstable();
            let all: Vec<usize> = (0..self.blocks()).collect();
            assert_eq!(seen, all, "each block once");
            leaves
        }

        fn descend(
            &self,
            level: usize,
            nth: usize,
            leaves: &mut Vec<usize>,
            seen: &mut Vec<usize>,
        ) {
            if level > self.of_nodes() {
                return leaves.push(nth);
            }
            for (first_leaf, block) in self.children(level, nth) {
                seen.push(block);
                assert_eq!(leaves.len(), first_leaf, "block {block}");
                let (below, child) = self.locate(block).unwrap();
                assert_eq!(below, level + 1, "block {block}");
                self.descend(below, child, leaves, seen);
            }
        }
    }

    proptest! {
        #[test]
        fn an_index_leads_to_every_leaf_in_order_or_is_refused(
            leaves in 1_usize..700,
            root_limit in 1_usize..9,
            node_limit in 2_usize..9,
            node_levels in 1_usize..=2,
        ) {
            let features = Features::DEFAULT;
            let room = Room { root_limit, node_limit, node_levels, ..Room::new(BlockSize::KiB1, features) };
            let Some(levels) = Levels::new(leaves, room) else {
                prop_assert!(leaves > room.most_leaves());
                return Ok(());
            };
            prop_assert!(leaves <= room.most_leaves());
            prop_assert_eq!(levels.reached(), (0..leaves).collect::<Vec<_>>());
            let lower = Room { node_levels: levels.of_nodes().saturating_sub(1), ..room };
            prop_assert!(levels.of_nodes() == 0 || leaves > lower.most_leaves(), "a level too many");
            prop_assert_eq!(levels.locate(levels.blocks()), None);
        }
    }

    #[test]
    fn three_levels_begin_where_two_end() {
        let room = |features| Room::new(BlockSize::KiB1, features);
        let (two, three) = (
            room(Features::DEFAULT),
            room(Features::DEFAULT.with_large_dir()),
        );
        // 1024 bytes less head and tail, by 8.
        assert_eq!((two.root_limit, two.node_limit), (123, 126));
        let most = 123 * 126;
        let levels = |leaves, room| Levels::new(leaves, room).map(|l| l.of_nodes());
        assert_eq!(levels(most, two), Some(1));
        assert_eq!(levels(most, three), Some(1));
        assert_eq!(levels(most + 1, two), None);
        assert_eq!(levels(most + 1, three), Some(2));
        assert_eq!(levels(most * 126, three), Some(2));
        assert_eq!(levels(most * 126 + 1, three), None);
    }
}
