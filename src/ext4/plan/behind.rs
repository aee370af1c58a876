//! What a fitted filesystem has behind its content: journal, bitmaps and inode tables.

use super::PlanError;
use crate::ext4::alloc::Allocator;
use crate::ext4::extent_tree;
use crate::ext4::geometry::{Geometry, Need};
use crate::ext4::place::as_extents;
use crate::ext4::tables::Tables;
use std::ops::Range;

/// Places behind the content.
pub(super) struct Behind {
    pub(super) journal: Vec<Range<u64>>,
    /// First block of its extent tree, when its inode cannot hold it.
    pub(super) journal_node: u64,
    pub(super) tables: Tables,
}

/// The smallest shape that meets `need`, and places for what stands behind the content in it. What
/// must lie in one piece leaves gaps before superblocks, which only placing it shows: then the shape
/// is made to reach further, and all is placed anew.
pub(super) fn behind(
    alloc: &mut Allocator,
    mut need: Need,
) -> Result<(Geometry, Behind), PlanError> {
    let content = alloc.taken().len();
    let mut journal_tree = 0;
    loop {
        need.content = content + journal_tree;
        let g = Geometry::fitted(&need)?;
        let mut tried = alloc.onwards();
        let journal = runs(&mut tried, g.journal_blocks)?;
        let tree = extent_tree::blocks(as_extents(&journal).len());
        let journal_node = match tree {
            0 => 0,
            n => tried.take_contiguous(n).ok_or(PlanError::Unplaced)?,
        };
        let tables = tables_behind(&mut tried, &g)?;
        if tree <= journal_tree && tried.reached() <= g.blocks {
            alloc.join(&tried);
            let places = Behind {
                journal,
                journal_node,
                tables,
            };
            return Ok((g, places));
        }
        journal_tree = journal_tree.max(tree);
        need.reach = if tried.reached() > g.blocks {
            tried.reached()
        } else {
            need.reach
        };
    }
}

/// `len` blocks in as few runs as there are.
fn runs(alloc: &mut Allocator, len: u64) -> Result<Vec<Range<u64>>, PlanError> {
    let mut list: Vec<Range<u64>> = Vec::new();
    let mut left = len;
    while left > 0 {
        let run = alloc.take(left).ok_or(PlanError::Unplaced)?;
        left -= run.end - run.start;
        list.push(run);
    }
    Ok(list)
}

/// Bitmaps and inode tables behind the data: `flex_bg` lets them lie anywhere.
fn tables_behind(alloc: &mut Allocator, g: &Geometry) -> Result<Tables, PlanError> {
    let mut all = |len: u64| -> Result<Vec<u64>, PlanError> {
        (0..g.groups)
            .map(|_| alloc.take_contiguous(len).ok_or(PlanError::Unplaced))
            .collect()
    };
    Ok(Tables {
        block_bitmap: all(1)?,
        inode_bitmap: all(1)?,
        inode_table: all(g.inode_table_blocks())?,
    })
}
