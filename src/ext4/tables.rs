//! Where bitmaps and inode tables lie.

use super::block_set::BlockSet;
use super::geometry::{FLEX, Geometry, super_groups};
use crate::units::index;

/// First blocks, by group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    /// Block bitmaps, one block each.
    pub(crate) block_bitmap: Vec<u64>,
    /// Inode bitmaps, one block each.
    pub(crate) inode_bitmap: Vec<u64>,
    /// Inode tables, [`Geometry::inode_table_blocks`] each.
    pub(crate) inode_table: Vec<u64>,
}

/// Superblocks, descriptors and reserved descriptors of every group.
#[must_use]
pub(crate) fn supers(g: &Geometry) -> BlockSet {
    let mut set = BlockSet::default();
    // With blocks of 1 KiB, block 0 is the boot sector's and of no group.
    set.insert(0..g.first_block());
    for group in super_groups(g.groups) {
        let start = g.group_start(group);
        set.insert(start..start + g.super_blocks(group));
    }
    set
}

impl Tables {
    /// The places that mke2fs chooses (`ext2fs_allocate_group_table` with `flex_bg`): all that belong
    /// to a flex group stand at its start, bitmaps before tables. They are added to `used`.
    #[must_use]
    pub(crate) fn as_mke2fs(g: &Geometry, used: &mut BlockSet) -> Option<Self> {
        let mut t = Self::default();
        let table = g.inode_table_blocks();
        for group in 0..g.groups {
            let first = group - group % FLEX;
            let last = (first + FLEX - 1).min(g.groups - 1);
            let in_flex = last - first + 1;
            // A flex group of one leaves room as for 16; one that is short keeps its tables together.
            let step = if in_flex == 1 { FLEX } else { in_flex };
            let leads = group == first;
            let place = |used: &mut BlockSet, hint: Option<u64>, len: u64| -> Option<u64> {
                let at = Search {
                    g,
                    used,
                    group,
                    first,
                    last,
                }
                .place(hint, len)?;
                used.insert(at..at + len);
                Some(at)
            };
            let hint = (!leads).then(|| t.block_bitmap[index(group - 1)] + 1);
            let block_bitmap = place(used, hint, 1)?;
            let hint = if leads {
                block_bitmap + step
            } else {
                t.inode_bitmap[index(group - 1)] + 1
            };
            let inode_bitmap = place(used, Some(hint), 1)?;
            let hint = if leads {
                inode_bitmap + step
            } else {
                t.inode_table[index(group - 1)] + table
            };
            let inode_table = place(used, Some(hint), table)?;
            t.block_bitmap.push(block_bitmap);
            t.inode_bitmap.push(inode_bitmap);
            t.inode_table.push(inode_table);
        }
        Some(t)
    }
}

/// What one search is about.
struct Search<'a> {
    g: &'a Geometry,
    used: &'a BlockSet,
    group: u64,
    /// First and last group of its flex group.
    first: u64,
    last: u64,
}

impl Search<'_> {
    /// `ext2fs_get_free_blocks2`: the first run of `len` free blocks that begins at `from` or later and
    /// before `before`; it may end behind it.
    fn free(&self, from: u64, before: u64, len: u64) -> Option<u64> {
        let to = (before + len).saturating_sub(1).min(self.g.blocks);
        self.used.first_gap(from, to, len)
    }

    /// `flexbg_offset` and what `ext2fs_allocate_group_table` makes of it: at `hint` or soon after; else
    /// the first place in the flex group with room for all that the rest of it needs, but no more than
    /// a quarter of a group; else with room for one; else anywhere before its end.
    fn place(&self, hint: Option<u64>, len: u64) -> Option<u64> {
        let rest = self.last - self.group + 1;
        let all = (rest * len).min(self.g.blocks_per_group / 4);
        let from = self.g.group_start(self.first);
        // mke2fs leaves out the last block of the flex group.
        let end = self.g.group_start(self.last) + self.g.group_blocks(self.last) - 1;
        let at = hint
            .filter(|&at| at < self.g.blocks)
            .and_then(|at| self.free(at, at + all, len))
            .or_else(|| self.free(from, end, all))
            .or_else(|| self.free(from, end, len))
            .or_else(|| self.free(0, end, len))
            .unwrap_or(0);
        // A quarter of a group may be less than a table.
        let found = self.free(at, end, len);
        if len == 1 {
            return found.or_else(|| self.free(self.g.group_start(self.group), end, len));
        }
        found
    }
}
