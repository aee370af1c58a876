//! What lies where in a qcow2 file.

use crate::extent::{Content, Extent};
use crate::units::{KIB, index};
use crate::vdisk::chunks::{total, touched, without};

/// Bytes in a cluster: qemu's default.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
pub(super) const CLUSTER_BITS: u32 = 16;
/// Entries of an L2 table, or of a cluster of the L1 or refcount table: 8 bytes each.
pub(super) const ENTRIES: u64 = CLUSTER / 8;
/// Entries of a refcount block: 2 bytes each.
pub(super) const REFCOUNTS: u64 = 32 * KIB;

/// Clusters of the disk that lie one behind the other in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// First cluster of the disk.
    pub(super) guest: u64,
    pub(super) clusters: u64,
    /// First cluster of the file.
    pub(super) host: u64,
}

/// The places of data and tables. All numbers are clusters of the file.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the disk, in bytes; whole sectors.
    pub(super) size: u64,
    /// In the order of the file.
    pub(super) placed: Vec<Placed>,
    /// Clusters that hold file data.
    files: u64,
    /// L1 entries with an L2 table, ascending.
    pub(super) l2: Vec<u64>,
    pub(super) l2_table: u64,
    pub(super) l1_table: u64,
    pub(super) l1_entries: u64,
    pub(super) refcount_table: u64,
    pub(super) refcount_table_clusters: u64,
    pub(super) refcount_blocks: u64,
    /// All of the file.
    pub(super) clusters: u64,
}

impl Plan {
    /// For a disk of `size` bytes with these extents.
    #[must_use]
    pub fn new(extents: &[Extent], size: u64) -> Self {
        let is_file = |c| matches!(c, Content::File { .. });
        let files = touched(extents, CLUSTER, is_file);
        let data = |c| is_file(c) || matches!(c, Content::Bytes { .. });
        let others = without(&touched(extents, CLUSTER, data), &files);
        // The header has the first.
        let mut at = 1;
        let mut placed = Vec::with_capacity(files.len() + others.len());
        for range in files.iter().chain(&others) {
            let clusters = range.end - range.start;
            placed.push(Placed {
                guest: range.start,
                clusters,
                host: at,
            });
            at += clusters;
        }
        let mut l2: Vec<u64> = placed
            .iter()
            .flat_map(|p| p.guest / ENTRIES..=(p.guest + p.clusters - 1) / ENTRIES)
            .collect();
        l2.sort_unstable();
        l2.dedup();
        let l1_entries = size.div_ceil(CLUSTER * ENTRIES);
        let l2_table = at;
        let l1_table = l2_table + crate::units::count(l2.len());
        let refcount_table = l1_table + l1_entries.div_ceil(ENTRIES);
        // They count themselves too.
        let (mut table, mut blocks) = (1, 1);
        let clusters = loop {
            let clusters = refcount_table + table + blocks;
            let need = clusters.div_ceil(REFCOUNTS);
            if need <= blocks && need.div_ceil(ENTRIES) <= table {
                break clusters;
            }
            (blocks, table) = (need, need.div_ceil(ENTRIES));
        };
        Self {
            size: size.next_multiple_of(crate::units::SECTOR),
            placed,
            files: total(&files),
            l2,
            l2_table,
            l1_table,
            l1_entries,
            refcount_table,
            refcount_table_clusters: table,
            refcount_blocks: blocks,
            clusters,
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.clusters * CLUSTER
    }

    /// Clusters of the disk that hold file data, as ranges: they lie in the file from its second cluster on.
    pub fn file_clusters(&self) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
        let files = self.placed.iter().take_while(|p| p.host <= self.files);
        files.map(|p| p.guest..p.guest + p.clusters)
    }

    /// The parts of `len` bytes of the disk from `at` that lie in clusters with file data, or with `shared` false
    /// in clusters with metadata alone: byte of the disk, length, byte of the file.
    #[must_use]
    pub fn pieces(&self, at: u64, len: u64, shared: bool) -> Vec<(u64, u64, u64)> {
        let (files, others) = self
            .placed
            .split_at(self.placed.partition_point(|p| p.host <= self.files));
        let runs = if shared { files } else { others };
        let end = at + len;
        let first = runs.partition_point(|p| (p.guest + p.clusters) * CLUSTER <= at);
        let within = runs[first..].iter().take_while(|p| p.guest * CLUSTER < end);
        let piece = |p: &Placed| {
            let start = at.max(p.guest * CLUSTER);
            let stop = end.min((p.guest + p.clusters) * CLUSTER);
            let place = p.host * CLUSTER + (start - p.guest * CLUSTER);
            (start, stop - start, place)
        };
        within.map(piece).collect()
    }

    /// Byte from which the tables stand.
    #[must_use]
    pub fn tables(&self) -> u64 {
        self.l2_table * CLUSTER
    }

    /// The L2 table of L1 entry `nr`: byte of the file of each cluster, 0 where there is none.
    pub(super) fn l2_of(&self, by_guest: &[Placed], nr: u64) -> Vec<u64> {
        let (first, end) = (nr * ENTRIES, (nr + 1) * ENTRIES);
        let mut table = vec![0; index(ENTRIES)];
        let from = by_guest.partition_point(|p| p.guest + p.clusters <= first);
        for p in by_guest[from..].iter().take_while(|p| p.guest < end) {
            for guest in p.guest.max(first)..(p.guest + p.clusters).min(end) {
                table[index(guest - first)] = (p.host + guest - p.guest) * CLUSTER;
            }
        }
        table
    }
}
