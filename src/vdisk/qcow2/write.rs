//! A qcow2 file in one forward pass.

use super::disk::{COPIED, Header, HeaderV3, MAGIC};
use super::plan::{CLUSTER, CLUSTER_BITS, Plan, REFCOUNTS};
use crate::extent::Layout;
use crate::observe::Observer;
use crate::units::{count, count32, index};
use crate::vdisk::forward::{Copier, going_on, pad};
use crate::vdisk::{Format, Forward};
use std::io;
use zerocopy::IntoBytes;
use zerocopy::big_endian::{U16, U32, U64};

/// Writes `disk` as qcow2, version 3.
///
/// # Errors
/// When the disk is larger than [`crate::vdisk::MAX_DISK`]; whatever the disk or `out` says; `Interrupted` when `observer` asks for an end.
pub fn write(disk: &dyn Layout, out: &mut dyn Forward, observer: &dyn Observer) -> io::Result<()> {
    Format::Qcow2.check_size(disk.len())?;
    let plan = Plan::new(disk.extents(), disk.len());
    out.bytes(&plan.header())?;
    let total: u64 = plan.placed.iter().map(|p| p.clusters * CLUSTER).sum();
    let mut copier = Copier::new(disk, total, observer);
    for p in &plan.placed {
        copier.copy(p.guest * CLUSTER, p.clusters * CLUSTER, out)?;
    }
    write_tables(&plan, out, observer)
}

/// Writes what stands behind the data.
///
/// # Errors
/// As [`write()`].
pub fn write_tables(plan: &Plan, out: &mut dyn Forward, observer: &dyn Observer) -> io::Result<()> {
    let mut by_guest = plan.placed.clone();
    by_guest.sort_unstable_by_key(|p| p.guest);
    let entry = |offset: u64| U64::new(if offset == 0 { 0 } else { offset | COPIED });
    for &nr in &plan.l2 {
        going_on(observer)?;
        let table: Vec<U64> = plan.l2_of(&by_guest, nr).into_iter().map(entry).collect();
        out.bytes(table.as_bytes())?;
    }
    let mut l1 = vec![U64::ZERO; index(plan.l1_entries)];
    for (n, &nr) in plan.l2.iter().enumerate() {
        l1[index(nr)] = entry((plan.l2_table + count(n)) * CLUSTER);
    }
    out.bytes(l1.as_bytes())?;
    pad(out, 8 * plan.l1_entries, CLUSTER)?;
    let first = plan.refcount_table + plan.refcount_table_clusters;
    let blocks = (first..first + plan.refcount_blocks).map(|c| U64::new(c * CLUSTER));
    let blocks: Vec<U64> = blocks.collect();
    out.bytes(blocks.as_bytes())?;
    pad(
        out,
        8 * plan.refcount_blocks,
        plan.refcount_table_clusters * CLUSTER,
    )?;
    let ones = vec![U16::new(1); index(REFCOUNTS)];
    for block in 0..plan.refcount_blocks {
        going_on(observer)?;
        let used = (plan.clusters - block * REFCOUNTS).min(REFCOUNTS);
        out.bytes(ones[..index(used)].as_bytes())?;
        pad(out, 2 * used, CLUSTER)?;
    }
    Ok(())
}

impl Plan {
    /// The first cluster.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let header = Header {
            magic: MAGIC,
            version: U32::new(3),
            backing_file_offset: U64::ZERO,
            backing_file_size: U32::ZERO,
            cluster_bits: U32::new(CLUSTER_BITS),
            size: U64::new(self.size),
            crypt_method: U32::ZERO,
            l1_size: U32::new(count32(index(self.l1_entries))),
            l1_table_offset: U64::new(self.l1_table * CLUSTER),
            refcount_table_offset: U64::new(self.refcount_table * CLUSTER),
            refcount_table_clusters: U32::new(count32(index(self.refcount_table_clusters))),
            nb_snapshots: U32::ZERO,
            snapshots_offset: U64::ZERO,
        };
        let more = HeaderV3 {
            incompatible_features: U64::ZERO,
            compatible_features: U64::ZERO,
            autoclear_features: U64::ZERO,
            refcount_order: U32::new(4),
            header_length: U32::new(count32(size_of::<Header>() + size_of::<HeaderV3>())),
        };
        // Behind them, zeros: the end of the header extensions.
        let mut bytes = [header.as_bytes(), more.as_bytes()].concat();
        bytes.resize(index(CLUSTER), 0);
        bytes
    }
}
