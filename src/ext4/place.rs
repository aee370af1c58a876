//! Where the data of files lies.

use super::alloc::Allocator;
use super::block_size::BlockSize;
use crate::entry::DataRun;
use crate::tree::DataId;
use crate::units::{count32, index32};
use std::ops::Range;

/// The longest initialised extent: `EXT_INIT_MAX_LEN`.
pub(super) const EXTENT_MAX: u64 = 32_768;

/// An extent of a file: `len` blocks from file block `logical` lie from filesystem block `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileExtent {
    /// First block in the file.
    pub logical: u32,
    /// Blocks, 1 to 32,768.
    pub len: u32,
    /// First block in the filesystem.
    pub start: u64,
}

impl FileExtent {
    /// The blocks in the filesystem.
    #[must_use]
    pub fn blocks(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.len)
    }
}

/// The most blocks of a file: the kernel counts them in 32 bits too (`ext4_max_size`).
const FILE_MAX: u64 = (1 << 32) - 1;

/// A file too large for 32-bit block numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a file of {size} bytes; ext4 with blocks of {block_size} bytes holds files of up to {} TiB less a block",
    block_size / 256
)]
pub struct FileTooLarge {
    /// Its size in bytes.
    pub size: u64,
    /// Bytes in a block.
    pub block_size: u64,
}

/// The extents of every file.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    block_size: BlockSize,
    extents: Vec<FileExtent>,
    /// By [`DataId`]: the file's part of `extents`.
    files: Vec<(u32, u32)>,
}

impl Placement {
    /// Of no file yet.
    #[must_use]
    pub(crate) fn new(block_size: BlockSize) -> Self {
        Self {
            block_size,
            ..Self::default()
        }
    }

    /// Gives a file of `size` bytes its blocks; `data` are the parts that are no holes. When the
    /// filesystem is full the file gets fewer, and the allocator counts what is missing.
    ///
    /// # Errors
    /// When 32 bits do not count its blocks.
    pub(crate) fn add(
        &mut self,
        alloc: &mut Allocator,
        size: u64,
        data: Option<&[DataRun]>,
    ) -> Result<DataId, FileTooLarge> {
        let block = self.block_size.bytes();
        if size > FILE_MAX * block {
            return Err(FileTooLarge {
                size,
                block_size: block,
            });
        }
        let first = count32(self.extents.len());
        let dense = [DataRun {
            offset: 0,
            len: size,
        }];
        // The next file block that has no place yet: runs that share a block share its place.
        let mut done = 0;
        for run in data.unwrap_or(&dense) {
            let from = (run.offset / block).max(done);
            let to = (run.offset + run.len).div_ceil(block);
            let mut at = from;
            while at < to {
                let Some(got) = alloc.take((to - at).min(EXTENT_MAX)) else {
                    alloc.miss(to - at);
                    break;
                };
                let len = got.end - got.start;
                self.extend(first, at, got.start, len);
                at += len;
            }
            done = done.max(to);
        }
        self.files.push((first, count32(self.extents.len())));
        Ok(DataId(count32(self.files.len() - 1)))
    }

    fn extend(&mut self, first: u32, logical: u64, start: u64, len: u64) {
        let narrow = |n| u32::try_from(n).expect("files end at 2^32 blocks, runs at 32,768");
        let mine = self.extents.len() > index32(first);
        if let Some(last) = self.extents.last_mut().filter(|_| mine) {
            let joined = u64::from(last.len) + len;
            let follows = u64::from(last.logical) + u64::from(last.len) == logical;
            if follows && last.blocks().end == start && joined <= EXTENT_MAX {
                last.len = narrow(joined);
                return;
            }
        }
        self.extents.push(FileExtent {
            logical: narrow(logical),
            len: narrow(len),
            start,
        });
    }

    /// The extents of a file, in file order.
    #[must_use]
    pub(crate) fn extents(&self, id: DataId) -> &[FileExtent] {
        let (from, to) = self.files[index32(id.0)];
        &self.extents[index32(from)..index32(to)]
    }

    /// Where byte `offset` of a file lies: the byte of the filesystem, and for how many bytes on.
    #[must_use]
    pub(crate) fn locate(&self, id: DataId, offset: u64) -> Option<(u64, u64)> {
        let extents = self.extents(id);
        let block = self.block_size.bytes();
        let at = offset / block;
        let n = extents.partition_point(|e| u64::from(e.logical) + u64::from(e.len) <= at);
        let e = extents.get(n).filter(|e| u64::from(e.logical) <= at)?;
        let into = offset - u64::from(e.logical) * block;
        Some((e.start * block + into, u64::from(e.len) * block - into))
    }

    /// The first byte of a file that has a place behind `offset`, which has none.
    #[must_use]
    pub(crate) fn behind_hole(&self, id: DataId, offset: u64) -> Option<u64> {
        let extents = self.extents(id);
        let block = self.block_size.bytes();
        let n = extents.partition_point(|e| u64::from(e.logical) * block <= offset);
        extents.get(n).map(|e| u64::from(e.logical) * block)
    }
}

impl Placement {
    /// As [`Placement::add`], for content that the plan makes: `blocks` blocks, the first of them in
    /// `preset`.
    pub(super) fn add_behind(
        &mut self,
        alloc: &mut Allocator,
        preset: Range<u64>,
        blocks: u64,
    ) -> DataId {
        let first = count32(self.extents.len());
        let mut at = (preset.end - preset.start).min(blocks);
        if at > 0 {
            self.extend(first, 0, preset.start, at);
        }
        while at < blocks {
            let Some(got) = alloc.take((blocks - at).min(EXTENT_MAX)) else {
                alloc.miss(blocks - at);
                break;
            };
            let len = got.end - got.start;
            self.extend(first, at, got.start, len);
            at += len;
        }
        self.files.push((first, count32(self.extents.len())));
        DataId(count32(self.files.len() - 1))
    }
}

/// Blocks as the extents of a file, in order from its first block.
pub(crate) fn as_extents(runs: &[Range<u64>]) -> Vec<(u64, Range<u64>)> {
    let mut logical = 0;
    let mut list = Vec::new();
    for run in runs {
        let mut at = run.start;
        while at < run.end {
            let end = run.end.min(at + EXTENT_MAX);
            list.push((logical, at..end));
            logical += end - at;
            at = end;
        }
    }
    list
}
