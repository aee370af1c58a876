//! What a fitted filesystem has behind its content: journal, orphan file, bitmaps and inode tables.

use super::PlanError;
use crate::ext4::alloc::Allocator;
use crate::ext4::extent_tree;
use crate::ext4::fit::{Need, Reached};
use crate::ext4::fixed::SystemFile;
use crate::ext4::geometry::Geometry;
use crate::ext4::place::as_extents;
use crate::ext4::tables::Tables;
use std::ops::Range;

/// Places of what every filesystem has.
pub(super) struct Places {
    pub(super) tables: Tables,
    pub(super) resize_dind: u64,
    pub(super) journal: SystemFile,
    pub(super) orphan_file: SystemFile,
}

/// The shape that meets `need`, and places for what stands behind the content in it. What must lie in
/// one piece leaves gaps before superblocks, which only placing it shows.
pub(super) fn behind(
    alloc: &mut Allocator,
    need: &Need,
    resize_dind: u64,
) -> Result<(Geometry, Places), PlanError> {
    let g = Geometry::fitted(need, |g| {
        let mut tried = alloc.onwards();
        let placed = places(&mut tried, g, resize_dind)?;
        let extra = |f: &SystemFile| extent_tree::blocks(as_extents(&f.runs).len(), g.block_size);
        Ok::<_, PlanError>(Reached {
            end: tried.reached(),
            extra: extra(&placed.journal) + extra(&placed.orphan_file),
        })
    })?;
    let placed = places(alloc, &g, resize_dind)?;
    Ok((g, placed))
}

fn places(alloc: &mut Allocator, g: &Geometry, resize_dind: u64) -> Result<Places, PlanError> {
    let journal = system_file(alloc, g, g.journal_blocks)?;
    let orphan_file = system_file(alloc, g, g.orphan_blocks())?;
    Ok(Places {
        tables: tables_behind(alloc, g)?,
        resize_dind,
        journal,
        orphan_file,
    })
}

fn unplaced(g: &Geometry) -> PlanError {
    PlanError::Unplaced {
        block_size: g.block(),
    }
}

/// `len` blocks in as few runs as there are, and their extent tree.
fn system_file(alloc: &mut Allocator, g: &Geometry, len: u64) -> Result<SystemFile, PlanError> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut left = len;
    while left > 0 {
        let run = alloc.take(left).ok_or_else(|| unplaced(g))?;
        left -= run.end - run.start;
        runs.push(run);
    }
    let node = match extent_tree::blocks(as_extents(&runs).len(), g.block_size) {
        0 => 0,
        n => alloc.take_contiguous(n).ok_or_else(|| unplaced(g))?,
    };
    Ok(SystemFile { runs, node })
}

/// Bitmaps and inode tables behind the data: `flex_bg` lets them lie anywhere.
fn tables_behind(alloc: &mut Allocator, g: &Geometry) -> Result<Tables, PlanError> {
    let mut all = |len: u64| -> Result<Vec<u64>, PlanError> {
        (0..g.groups)
            .map(|_| alloc.take_contiguous(len).ok_or_else(|| unplaced(g)))
            .collect()
    };
    Ok(Tables {
        block_bitmap: all(1)?,
        inode_bitmap: all(1)?,
        inode_table: all(g.inode_table_blocks())?,
    })
}
