//! Which blocks are in use, and by what metadata.
//!
//! One bit a block, a group at a time, made when the group is first touched: a large, empty
//! filesystem costs little.

use std::fmt;

use super::geometry::Geometry;
use crate::units::{count, index, lo32};

/// Fixed metadata of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    Superblock(u32),
    Descriptors(u32),
    ReservedDescriptors(u32),
    BlockBitmap(u32),
    InodeBitmap(u32),
    InodeTable(u32),
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superblock(g) => write!(f, "the superblock of group {g}"),
            Self::Descriptors(g) => write!(f, "the group descriptors of group {g}"),
            Self::ReservedDescriptors(g) => write!(f, "the reserved GDT blocks of group {g}"),
            Self::BlockBitmap(g) => write!(f, "the block bitmap of group {g}"),
            Self::InodeBitmap(g) => write!(f, "the inode bitmap of group {g}"),
            Self::InodeTable(g) => write!(f, "the inode table of group {g}"),
        }
    }
}

#[derive(Debug)]
struct MetaRun {
    start: u64,
    len: u64,
    what: Meta,
}

/// The map of blocks in use.
#[derive(Debug)]
pub(super) struct UsedBlocks {
    first: u64,
    per_group: u64,
    groups: Vec<Option<Box<[u64]>>>,
    meta: Vec<MetaRun>,
}

impl UsedBlocks {
    pub(super) fn new(geo: &Geometry) -> Self {
        let mut groups = Vec::new();
        groups.resize_with(index(u64::from(geo.groups)), || None);
        Self {
            first: geo.first_data_block,
            per_group: geo.blocks_per_group,
            groups,
            meta: vec![],
        }
    }

    /// Marks `len` blocks from `start`, all in the filesystem, and returns the first of them that
    /// was in use already.
    pub(super) fn claim(&mut self, start: u64, len: u64) -> Option<u64> {
        let mut double = None;
        let mut at = start;
        while at < start + len {
            let (group, bit) = self.place(at);
            let n = (start + len - at).min(self.per_group - bit);
            if let Some(first) = self.mark(group, bit, n) {
                double = double.or(Some(at + first));
            }
            at += n;
        }
        double
    }

    /// As [`Self::claim`], for fixed metadata.
    pub(super) fn claim_meta(&mut self, start: u64, len: u64, what: Meta) -> Option<u64> {
        let double = self.claim(start, len);
        self.meta.push(MetaRun { start, len, what });
        double
    }

    /// The fixed metadata at `block`, the first to have claimed it. Looked up for findings only.
    pub(super) fn meta_at(&self, block: u64) -> Option<Meta> {
        self.meta_before(self.meta.len(), block)
    }

    /// Runs of fixed metadata claimed so far.
    pub(super) fn meta_len(&self) -> usize {
        self.meta.len()
    }

    /// As [`Self::meta_at`], among the first `len` runs.
    pub(super) fn meta_before(&self, len: usize, block: u64) -> Option<Meta> {
        let holds = |r: &&MetaRun| r.start <= block && block < r.start + r.len;
        self.meta.iter().take(len).find(holds).map(|r| r.what)
    }

    /// Who uses `block`, as words for a finding.
    pub(super) fn owner(&self, block: u64) -> String {
        self.meta_at(block)
            .map_or_else(|| "another structure".into(), |m| m.to_string())
    }

    /// Blocks of fixed metadata in all groups.
    pub(super) fn meta_total(&self) -> u64 {
        self.meta.iter().map(|r| r.len).sum()
    }

    /// Blocks of fixed metadata by group, as a group without its bitmap holds them.
    pub(super) fn meta_by_group(&self) -> Vec<u64> {
        let mut counts = vec![0; self.groups.len()];
        for run in &self.meta {
            let mut at = run.start;
            while at < run.start + run.len {
                let (group, bit) = self.place(at);
                let n = (run.start + run.len - at).min(self.per_group - bit);
                counts[group] += n;
                at += n;
            }
        }
        counts
    }

    /// The words of a group's map, the lowest bit first; `None` when nothing in it is in use.
    pub(super) fn words(&self, group: usize) -> Option<&[u64]> {
        self.groups.get(group).and_then(Option::as_deref)
    }

    /// Blocks in use in a group.
    pub(super) fn in_group(&self, group: usize) -> u64 {
        self.words(group)
            .unwrap_or_default()
            .iter()
            .map(|w| u64::from(w.count_ones()))
            .sum()
    }

    /// Blocks in use.
    pub(super) fn total(&self) -> u64 {
        (0..self.groups.len()).map(|g| self.in_group(g)).sum()
    }

    fn place(&self, block: u64) -> (usize, u64) {
        let block = block - self.first;
        (index(block / self.per_group), block % self.per_group)
    }

    /// Sets `len` bits from `bit`; the first that was set already, counted from `bit`.
    fn mark(&mut self, group: usize, bit: u64, len: u64) -> Option<u64> {
        let words = index(self.per_group.div_ceil(64));
        let map = self.groups[group].get_or_insert_with(|| vec![0; words].into_boxed_slice());
        let mut double = None;
        let mut at = bit;
        while at < bit + len {
            let shift = at % 64;
            let n = (64 - shift).min(bit + len - at);
            let mask = (u64::MAX >> (64 - n)) << shift;
            let word = &mut map[index(at / 64)];
            if *word & mask != 0 && double.is_none() {
                double = Some(at - shift + u64::from((*word & mask).trailing_zeros()) - bit);
            }
            *word |= mask;
            at += n;
        }
        double
    }
}

/// Bit `n` of a bitmap block, the lowest bit of a byte first.
pub(super) fn bit(bitmap: &[u8], n: u64) -> bool {
    bitmap
        .get(index(n / 8))
        .is_some_and(|b| b >> lo32(n % 8) & 1 == 1)
}

/// The eight bytes of a bitmap block at word `n`.
pub(super) fn word(bitmap: &[u8], n: usize) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(bitmap.iter().skip(n * 8)) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// A `usize` place as `u64`.
pub(super) fn at(n: usize) -> u64 {
    count(n)
}
