//! Handing out blocks: upwards, past what is taken, never back.

use super::block_set::BlockSet;
use super::block_size::BlockSize;
use super::geometry::super_groups;
use std::ops::Range;

/// Hands out blocks in ascending order. Placement is a fold over sizes: it depends on nothing else.
#[derive(Debug)]
pub(crate) struct Allocator {
    /// Blocks to leave out.
    reserved: Vec<Range<u64>>,
    /// The first of them that ends after `next`.
    ahead: usize,
    next: u64,
    /// One past the last block that there can be.
    end: u64,
    /// What was handed out and not given back.
    taken: BlockSet,
    /// Blocks asked for beyond `end`.
    missing: u64,
}

impl Allocator {
    /// For a filesystem of known size, all of whose fixed places are in `reserved`.
    #[must_use]
    pub(crate) fn sized(reserved: &BlockSet, blocks: u64) -> Self {
        Self::new(reserved.iter().collect(), blocks)
    }

    /// For a filesystem whose size comes out in the end, with `descriptor_blocks` reserved in every
    /// group that has a superblock.
    #[must_use]
    pub(crate) fn fitted(descriptor_blocks: u64, block_size: BlockSize) -> Self {
        let group = block_size.bits();
        let mut reserved: Vec<_> = super_groups((1_u64 << 32) / group)
            .into_iter()
            .map(|g| block_size.first_block() + g * group)
            .map(|at| at..at + 1 + descriptor_blocks)
            .collect();
        // With blocks of 1 KiB, block 0 is the boot sector's.
        reserved[0].start = 0;
        // Beyond that no block number goes: a sparse file made dense must not grow the lists for ever.
        Self::new(reserved, u64::from(u32::MAX))
    }

    /// What comes next, without what was: to try how far placing more would get.
    #[must_use]
    pub(crate) fn onwards(&self) -> Self {
        Self {
            ahead: self.ahead,
            next: self.next,
            ..Self::new(self.reserved.clone(), self.end)
        }
    }

    fn new(reserved: Vec<Range<u64>>, end: u64) -> Self {
        Self {
            reserved,
            ahead: 0,
            next: 0,
            end,
            taken: BlockSet::default(),
            missing: 0,
        }
    }

    /// Up to `want` blocks in a row; none past the end of the filesystem.
    pub(crate) fn take(&mut self, want: u64) -> Option<Range<u64>> {
        while let Some(r) = self.reserved.get(self.ahead) {
            if self.next < r.start {
                break;
            }
            self.next = self.next.max(r.end);
            self.ahead += 1;
        }
        let stop = self.reserved.get(self.ahead).map(|r| r.start);
        let limit = stop.map_or(self.end, |at| at.min(self.end));
        if self.next >= limit {
            return None;
        }
        let run = self.next..(self.next + want).min(limit);
        self.next = run.end;
        self.taken.insert(run.clone());
        Some(run)
    }

    /// `len` blocks in a row: what is too short on the way stays free.
    pub(crate) fn take_contiguous(&mut self, len: u64) -> Option<u64> {
        loop {
            let run = self.take(len)?;
            if run.end - run.start == len {
                return Some(run.start);
            }
            self.give_back(run);
        }
    }

    /// Gives back blocks of a file that was replaced. They stay free.
    pub(crate) fn give_back(&mut self, run: Range<u64>) {
        self.taken.remove(run);
    }

    /// Counts blocks that could not be had, so that the error can say how many are missing.
    pub(crate) fn miss(&mut self, blocks: u64) {
        self.missing += blocks;
    }

    /// Blocks in use.
    #[must_use]
    pub(crate) fn taken(&self) -> &BlockSet {
        &self.taken
    }

    /// The block after the last that was handed out.
    #[must_use]
    pub(crate) fn reached(&self) -> u64 {
        self.next
    }

    /// Blocks that were wanted and not there.
    #[must_use]
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }
}
