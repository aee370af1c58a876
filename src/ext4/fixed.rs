//! What has its place before the first file comes, where mke2fs puts it.

use super::block_set::BlockSet;
use super::disk::extent::EXT4_EXT_ROOT_MAX;
use super::extent_tree;
use super::geometry::{FLEX, Geometry, JOURNAL_BLOCKS, PAGE};
use super::geometry_error::GeometryError;
use super::options::{Journal, Options};
use super::place::{EXTENT_MAX, as_extents};
use super::plan::PlanError;
use super::tables::{Tables, supers};
use std::ops::Range;

/// A file of the filesystem's own: the journal, or the orphan file.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemFile {
    /// Its blocks, in order; none when there is no such file.
    pub(super) runs: Vec<Range<u64>>,
    /// First block of its extent tree, when its inode cannot hold it.
    pub(super) node: u64,
}

/// The places that mke2fs gives what every filesystem has.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) geometry: Geometry,
    /// What was asked for beside the size.
    options: Options,
    pub(super) tables: Tables,
    /// First block of the root directory.
    pub(super) root: u64,
    pub(super) lost_found: u64,
    pub(super) resize_dind: u64,
    pub(super) journal: SystemFile,
    pub(super) orphan_file: SystemFile,
    /// All of it, superblocks, descriptors and tables too.
    pub(super) blocks: BlockSet,
}

impl Fixed {
    pub(super) fn of_size(size: u64, options: &Options) -> Result<Self, GeometryError> {
        Self::exactly(size, options).map_err(|e| e.with_needed(|| Self::larger(size, options)))
    }

    fn exactly(size: u64, options: &Options) -> Result<Self, GeometryError> {
        let geometry = Geometry::of_size(size, options)?;
        let too_small = GeometryError::TooSmall { size, needed: None };
        Self::new(geometry, options)?.ok_or(too_small)
    }

    /// A size that is enough, and a page less is not, where `size` is too small.
    fn larger(size: u64, options: &Options) -> Option<u64> {
        let enough = |pages: u64| match Self::exactly(pages * PAGE, options) {
            Ok(_) => Some(true),
            Err(
                GeometryError::TooSmall { .. }
                | GeometryError::TooManyInodes { .. }
                | GeometryError::JournalSize { .. },
            ) => Some(false),
            Err(_) => None,
        };
        let mut low = size / PAGE;
        let mut high = low + 1;
        while !enough(high)? {
            low = high;
            high *= 2;
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            *(if enough(middle)? { &mut high } else { &mut low }) = middle;
        }
        Some(high * PAGE)
    }

    /// Blocks that are free beside what every filesystem has.
    fn free(&self) -> u64 {
        self.geometry.blocks - self.blocks.len()
    }

    /// A filesystem like this one that is large enough, where this one lacks `missing` blocks and the tree
    /// has `inodes`; and the blocks that are the tree's.
    fn enough(&self, missing: u64, inodes: u64) -> Result<(Self, u64), GeometryError> {
        // Extent trees of files that were not placed: each extent that a node lists has at least a block.
        let per_node = crate::units::count(self.options.block_size.extents()) - 4;
        let wanted = self.free() + missing + missing / per_node + 16;
        let mut blocks = self.geometry.blocks + (wanted - self.free());
        loop {
            let size = blocks * self.geometry.block();
            let larger = Self::of_size(size, &self.options)?;
            let short_of_inodes = inodes.saturating_sub(larger.geometry.inodes());
            let short = wanted.saturating_sub(larger.free());
            if short == 0 && (short_of_inodes == 0 || self.options.inodes.is_some()) {
                return Ok((larger, wanted));
            }
            // Tables grow with the size, so that what is short of now is always short of enough.
            blocks += short.max(short_of_inodes / 4).max(1);
        }
    }

    /// Why a tree with `inodes` inodes does not fit, where `missing` blocks are missing.
    pub(super) fn full(&self, missing: u64, inodes: u64) -> Result<PlanError, GeometryError> {
        let (larger, tree) = self.enough(missing, inodes)?;
        let (blocks, journal) = (larger.geometry.blocks, larger.geometry.journal_blocks);
        let block = self.geometry.block();
        Ok(PlanError::Full {
            size: self.geometry.blocks * block,
            needed: blocks * block,
            tree: tree * block,
            journal: journal * block,
            tables: (blocks - tree - journal) * block,
        })
    }

    fn new(geometry: Geometry, options: &Options) -> Result<Option<Self>, GeometryError> {
        let g = &geometry;
        let mut used = supers(g);
        let Some(tables) = Tables::as_mke2fs(g, &mut used) else {
            return Ok(None);
        };
        // Before root and lost+found, as `figure_journal_size` counts.
        let most = (g.blocks - used.len()) / 2;
        if matches!(options.journal, Journal::Bytes(_)) && g.journal_blocks > most {
            return Err(GeometryError::JournalSize {
                blocks: g.journal_blocks,
                block_size: g.block(),
                least: JOURNAL_BLOCKS.0,
                most,
            });
        }
        let rest = || {
            let take = |used: &mut BlockSet, from: u64, len: u64| {
                let at = used.first_gap(from, g.blocks, len)?;
                used.insert(at..at + len);
                Some(at)
            };
            let root = take(&mut used, 0, 1)?;
            let lost_found = take(&mut used, 0, g.block_size.lost_found())?;
            // Where the tables of group 0 would end without `flex_bg` (`ext2fs_create_resize_inode`).
            let own = g.first_block() + g.gdt_blocks + g.reserved_gdt_blocks;
            let resize_dind = take(&mut used, own + 2 + g.inode_table_blocks(), 1)?;
            let journal = match g.journal_blocks {
                0 => SystemFile::default(),
                len => {
                    // Where `get_midpoint_journal_block` says.
                    let goal = g.group_start(journal_group(g, &used));
                    upwards(g, &mut used, goal, len)?
                }
            };
            let orphan_file = upwards(g, &mut used, 0, g.orphan_blocks())?;
            Some(Self {
                geometry,
                options: *options,
                tables,
                root,
                lost_found,
                resize_dind,
                journal,
                orphan_file,
                blocks: used,
            })
        };
        Ok(rest())
    }
}

/// `len` free blocks upwards from `at`, and one for their extent tree when an inode cannot hold it.
fn upwards(g: &Geometry, used: &mut BlockSet, mut at: u64, len: u64) -> Option<SystemFile> {
    let mut file = SystemFile::default();
    let mut left = len;
    while left > 0 {
        let start = used.first_gap(at, g.blocks, 1)?;
        let stop = used
            .parts_in(&(start..g.blocks))
            .next()
            .map_or(g.blocks, |r| r.start);
        let run = start..stop.min(start + left.min(EXTENT_MAX));
        left -= run.end - run.start;
        at = run.end;
        used.insert(run.clone());
        file.runs.push(run);
        if file.node == 0 && as_extents(&file.runs).len() > usize::from(EXT4_EXT_ROOT_MAX) {
            // The tree grows when its fifth extent comes: before the first if that is free
            // (`extent_node_split`), else behind those that are there.
            file.node = used.first_gap(file.runs[0].start - 1, g.blocks, 1)?;
            used.insert(file.node..file.node + 1);
        }
    }
    let extents = as_extents(&file.runs).len();
    debug_assert!(extent_tree::blocks(extents, g.block_size) <= 1);
    Some(file)
}

/// The emptiest group near the middle, so that the heads of a disk had short ways.
fn journal_group(g: &Geometry, used: &BlockSet) -> u64 {
    let free = |group: u64| {
        let blocks = g.group_start(group)..g.group_start(group) + g.group_blocks(group);
        blocks.end - blocks.start - used.count_in(&blocks)
    };
    // `ext2fs_group_of_blk2` of half the blocks, which counts from the first.
    let half = (g.blocks - g.first_block()) / 2;
    let middle = half.saturating_sub(g.first_block()) / g.blocks_per_group;
    let (start, middle) = if middle > FLEX {
        let first = middle & !(FLEX - 1);
        let group = (first..g.groups).find(|&n| free(n) > 0).unwrap_or(0);
        (group, group)
    } else {
        (middle.saturating_sub(1), middle)
    };
    let end = (middle + 1).min(g.groups - 1);
    let mut best = start;
    for group in start + 1..=end {
        if free(group) > free(best) {
            best = group;
        }
    }
    best
}
