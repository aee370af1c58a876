//! Where bitmaps and inode tables lie.

use super::block_set::BlockSet;
use super::geometry::{FLEX, Geometry};
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
    for group in (0..g.groups).filter(|&n| Geometry::has_super(n)) {
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
            let rest = last - group + 1;
            let place = |used: &mut BlockSet, hint: Option<u64>, len: u64| -> Option<u64> {
                // What was found may be short: the room asked for is at most a quarter of a group.
                let goal = search(g, used, hint, first, last, rest, len)?;
                let at = used
                    .first_gap(goal, g.blocks, len)
                    .or_else(|| used.first_gap(0, g.blocks, len))?;
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

/// `flexbg_offset`: at `hint` or soon after; else the first place in the flex group with room for all
/// that the rest of it needs; else the first with room for one; else anywhere.
fn search(
    g: &Geometry,
    used: &BlockSet,
    hint: Option<u64>,
    first: u64,
    last: u64,
    rest: u64,
    len: u64,
) -> Option<u64> {
    let all = (rest * len).min(g.blocks_per_group / 4);
    if let Some(at) = hint.filter(|&h| h < g.blocks) {
        let found = used.first_gap(at, (at + all).max(at + len).min(g.blocks), len);
        if found.is_some() {
            return found;
        }
    }
    let (from, to) = (
        g.group_start(first),
        g.group_start(last) + g.group_blocks(last),
    );
    used.first_gap(from, to, all)
        .or_else(|| used.first_gap(from, to, len))
        .or_else(|| used.first_gap(0, g.blocks, len))
}
