//! Making a filesystem: files are placed first, everything else is planned when the tree is known.

use super::alloc::Allocator;
use super::block_set::BlockSet;
use super::disk::extent::EXT4_EXT_ROOT_MAX;
use super::extent_tree;
use super::geometry::{Available, BLOCK, FLEX, Geometry, GeometryError};
use super::place::{EXTENT_MAX, FileExtent, FileTooLarge, Placement, as_extents};
use super::tables::{Tables, supers};
use crate::entry::DataRun;
use crate::tree::DataId;
use crate::units::TIB;
use std::ops::Range;

/// Blocks of lost+found, as mke2fs makes it.
pub(super) const LOST_FOUND_BLOCKS: u64 = 4;

/// A size that a fitted filesystem can be grown to online unless told otherwise, in bytes.
pub const DEFAULT_MAX_GROW: u64 = 2 * TIB;

/// A filesystem in the making.
///
/// Place every file with [`Formatter::add_file`], write its data where [`Formatter::locate`] says, and
/// [`Formatter::finish`] with the tree.
#[derive(Debug)]
pub struct Formatter {
    pub(super) shape: Shape,
    pub(super) alloc: Allocator,
    pub(super) placement: Placement,
}

/// What is known before the first file.
#[derive(Debug)]
pub(super) enum Shape {
    /// All but the files.
    Sized(Box<Fixed>),
    /// That descriptors take so many blocks.
    Fitted {
        descriptor_blocks: u64,
        available: Available,
    },
}

/// The places that mke2fs gives what every filesystem has.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) geometry: Geometry,
    /// What was asked for beside the size: inodes and bytes to grow to.
    asked: (Option<u64>, Option<u64>),
    pub(super) tables: Tables,
    /// First block of the root directory.
    pub(super) root: u64,
    pub(super) lost_found: u64,
    pub(super) resize_dind: u64,
    pub(super) journal: Vec<Range<u64>>,
    /// First block of its extent tree, when its inode cannot hold it.
    pub(super) journal_node: u64,
    /// All of it, superblocks, descriptors and tables too.
    pub(super) blocks: BlockSet,
}

impl Formatter {
    /// A filesystem of the geometry that mke2fs gives a device of `size` bytes. `inodes` is its `-N`,
    /// `max_grow` (bytes) its `-E resize`.
    ///
    /// # Errors
    /// When mke2fs would refuse.
    pub fn sized(
        size: u64,
        inodes: Option<u64>,
        max_grow: Option<u64>,
    ) -> Result<Self, GeometryError> {
        let fixed = Fixed::of_size(size, (inodes, max_grow))?;
        let alloc = Allocator::sized(&fixed.blocks, fixed.geometry.blocks);
        Ok(Self {
            shape: Shape::Sized(Box::new(fixed)),
            alloc,
            placement: Placement::default(),
        })
    }

    /// The smallest filesystem that holds what will be placed and leaves `available` for `df` to show.
    /// Its descriptors have room for `max_grow` bytes.
    #[must_use]
    pub fn fitted(available: Available, max_grow: u64) -> Self {
        let descriptor_blocks = Geometry::descriptor_blocks(max_grow);
        let alloc = Allocator::fitted(descriptor_blocks);
        let shape = Shape::Fitted {
            descriptor_blocks,
            available,
        };
        Self {
            shape,
            alloc,
            placement: Placement::default(),
        }
    }

    /// Places a file of `size` bytes; `data` are the parts that are no holes, `None` when it has none.
    ///
    /// # Errors
    /// When the file is over 16 TiB.
    pub fn add_file(
        &mut self,
        size: u64,
        data: Option<&[DataRun]>,
    ) -> Result<DataId, FileTooLarge> {
        self.placement.add(&mut self.alloc, size, data)
    }

    /// Gives back the blocks of a file that was replaced, and says which they were, in bytes.
    pub fn drop_file(&mut self, id: DataId) -> Vec<Range<u64>> {
        let extents = self.placement.extents(id).to_vec();
        for e in &extents {
            self.alloc.give_back(e.blocks());
        }
        let bytes = |e: &FileExtent| e.blocks().start * BLOCK..e.blocks().end * BLOCK;
        extents.iter().map(bytes).collect()
    }

    /// Bytes of blocks that a file was given.
    #[must_use]
    pub fn placed(&self, id: DataId) -> u64 {
        self.placement
            .extents(id)
            .iter()
            .map(|e| u64::from(e.len))
            .sum::<u64>()
            * BLOCK
    }

    /// Where byte `offset` of a file lies: the byte of the filesystem, and for how many bytes on.
    /// `None` in a hole, and when the filesystem is full.
    #[must_use]
    pub fn locate(&self, id: DataId, offset: u64) -> Option<(u64, u64)> {
        self.placement.locate(id, offset)
    }

    /// Bytes that are missing so far, when the filesystem is full.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.alloc.missing() * BLOCK
    }
}

impl Fixed {
    fn of_size(size: u64, asked: (Option<u64>, Option<u64>)) -> Result<Self, GeometryError> {
        let geometry = Geometry::of_size(size, asked.0, asked.1)?;
        Self::new(geometry, asked).ok_or(GeometryError::TooSmall { size })
    }

    /// Blocks that are free beside what every filesystem has.
    fn free(&self) -> u64 {
        self.geometry.blocks - self.blocks.len()
    }

    /// The size in bytes of a filesystem like this one that is large enough, where this one lacks
    /// `missing` blocks and the tree has `inodes`.
    pub(super) fn enough(&self, missing: u64, inodes: u64) -> Result<u64, GeometryError> {
        // Extent trees of files that were not placed: a block lists 340 extents, each at least a block.
        let wanted = self.free() + missing + missing / 300 + 16;
        let mut blocks = self.geometry.blocks + (wanted - self.free());
        loop {
            let size = blocks * BLOCK;
            let larger = Self::of_size(size, self.asked)?;
            let short_of_inodes = inodes.saturating_sub(larger.geometry.inodes());
            let short = wanted.saturating_sub(larger.free());
            if short == 0 && (short_of_inodes == 0 || self.asked.0.is_some()) {
                return Ok(size);
            }
            // Tables grow with the size, so that what is short of now is always short of enough.
            blocks += short.max(short_of_inodes / 4).max(1);
        }
    }

    fn new(geometry: Geometry, asked: (Option<u64>, Option<u64>)) -> Option<Self> {
        let g = &geometry;
        let mut used = supers(g);
        let tables = Tables::as_mke2fs(g, &mut used)?;
        let take = |used: &mut BlockSet, from: u64, len: u64| {
            let at = used.first_gap(from, g.blocks, len)?;
            used.insert(at..at + len);
            Some(at)
        };
        let root = take(&mut used, 0, 1)?;
        let lost_found = take(&mut used, 0, LOST_FOUND_BLOCKS)?;
        // Where the tables of group 0 would end without `flex_bg` (`ext2fs_create_resize_inode`).
        let goal = g.gdt_blocks + g.reserved_gdt_blocks + 2 + g.inode_table_blocks();
        let resize_dind = take(&mut used, goal, 1)?;
        let (journal, journal_node) = journal(g, &mut used)?;
        let blocks = used;
        Some(Self {
            geometry,
            asked,
            tables,
            root,
            lost_found,
            resize_dind,
            journal,
            journal_node,
            blocks,
        })
    }
}

/// Free runs for the journal, upwards from where mke2fs looks first (`get_midpoint_journal_block`), and the
/// block of its extent tree, 0 when its inode holds them.
fn journal(g: &Geometry, used: &mut BlockSet) -> Option<(Vec<Range<u64>>, u64)> {
    let (mut runs, mut node) = (Vec::<Range<u64>>::new(), 0);
    let mut left = g.journal_blocks;
    if left == 0 {
        return Some((runs, node));
    }
    let mut at = g.group_start(journal_group(g, used));
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
        runs.push(run);
        if node == 0 && as_extents(&runs).len() > usize::from(EXT4_EXT_ROOT_MAX) {
            // The tree grows when its fifth extent comes: before the first if that is free
            // (`extent_node_split`), else behind those that are there.
            node = used.first_gap(runs[0].start - 1, g.blocks, 1)?;
            used.insert(node..node + 1);
        }
    }
    debug_assert!(extent_tree::blocks(as_extents(&runs).len()) <= 1);
    Some((runs, node))
}

/// The emptiest group near the middle, so that the heads of a disk had short ways.
fn journal_group(g: &Geometry, used: &BlockSet) -> u64 {
    let free = |group: u64| {
        let blocks = g.group_start(group)..g.group_start(group) + g.group_blocks(group);
        blocks.end - blocks.start - used.count_in(&blocks)
    };
    let middle = g.blocks / 2 / g.blocks_per_group;
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
