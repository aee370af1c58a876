//! Making a filesystem: files are placed first, everything else is planned when the tree is known.

use super::alloc::Allocator;
use super::block_set::BlockSet;
use super::block_size::BlockSize;
use super::fit::{Fit, descriptor_blocks};
use super::fixed::Fixed;
use super::geometry_error::GeometryError;
use super::options::Options;
use super::place::{FileExtent, FileTooLarge, Placement};
use crate::entry::DataRun;
use crate::tree::DataId;
use crate::units::{TIB, index};
use std::ops::Range;

/// A size that a fitted filesystem can be grown to online unless told otherwise, in bytes.
pub const DEFAULT_MAX_GROW: u64 = 2 * TIB;

/// A filesystem in the making.
///
/// Place every file with [`Formatter::add_file`], write its data where [`Formatter::locate`] says, and
/// [`Formatter::finish`] with the tree.
#[derive(Debug)]
pub struct Formatter {
    pub(super) options: Options,
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
    Fitted { descriptor_blocks: u64, fit: Fit },
}

impl Formatter {
    /// A filesystem of the geometry that mke2fs gives a device of `size` bytes.
    ///
    /// # Errors
    /// When mke2fs would refuse.
    pub fn sized(size: u64, options: &Options) -> Result<Self, GeometryError> {
        let fixed = Fixed::of_size(size, options)?;
        let alloc = Allocator::sized(&fixed.blocks, fixed.geometry.blocks);
        Ok(Self::new(options, Shape::Sized(Box::new(fixed)), alloc))
    }

    /// A filesystem made to fit what will be placed. Its descriptors have room for
    /// [`Options::max_grow`], or [`DEFAULT_MAX_GROW`].
    #[must_use]
    pub fn fitted(fit: Fit, options: &Options) -> Self {
        let max_grow = options.max_grow.unwrap_or(DEFAULT_MAX_GROW);
        let descriptor_blocks = descriptor_blocks(max_grow, options);
        let alloc = Allocator::fitted(descriptor_blocks, options.block_size);
        let shape = Shape::Fitted {
            descriptor_blocks,
            fit,
        };
        Self::new(options, shape, alloc)
    }

    fn new(options: &Options, shape: Shape, alloc: Allocator) -> Self {
        Self {
            options: *options,
            shape,
            alloc,
            placement: Placement::new(options.block_size),
        }
    }

    /// Bytes in a block.
    #[must_use]
    pub fn block_size(&self) -> BlockSize {
        self.options.block_size
    }

    fn block(&self) -> u64 {
        self.options.block_size.bytes()
    }

    /// Bytes that are part of the filesystem and will most likely be zeros: the journal behind its first block, and
    /// the inode tables but for the first eighth. None of a fitted one are known before its files.
    #[must_use]
    pub fn vacant(&self) -> Vec<Range<u64>> {
        let Shape::Sized(fixed) = &self.shape else {
            return Vec::new();
        };
        let g = &fixed.geometry;
        let mut blocks = BlockSet::default();
        let used = index(g.groups.div_ceil(8));
        for start in &fixed.tables.inode_table[used..] {
            blocks.insert(*start..start + g.inode_table_blocks());
        }
        let mut head = 1;
        for run in &fixed.journal.runs {
            blocks.insert(run.start + head..run.end);
            head = 0;
        }
        let bytes = |r: Range<u64>| r.start * g.block()..r.end * g.block();
        blocks.iter().map(bytes).collect()
    }

    /// Places a file of `size` bytes; `data` are the parts that are no holes, `None` when it has none.
    ///
    /// # Errors
    /// When 32 bits do not count its blocks.
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
        let block = self.block();
        let bytes = |e: &FileExtent| e.blocks().start * block..e.blocks().end * block;
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
            * self.block()
    }

    /// Where byte `offset` of a file lies: the byte of the filesystem, and for how many bytes on.
    /// `None` in a hole, and when the filesystem is full.
    #[must_use]
    pub fn locate(&self, id: DataId, offset: u64) -> Option<(u64, u64)> {
        self.placement.locate(id, offset)
    }

    /// Where a file's data goes on behind the hole at `offset`; `None` when none follows.
    #[must_use]
    pub fn behind_hole(&self, id: DataId, offset: u64) -> Option<u64> {
        self.placement.behind_hole(id, offset)
    }

    /// Bytes that are missing so far, when the filesystem is full.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.alloc.missing() * self.block()
    }
}
