//! Disks with partitions.

use crate::partition::{LINUX, PartitionInfo};
use crate::units::{Lba, SECTOR};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use std::fmt;

/// A disk and where its partitions lie: disjoint, behind sector 0, in ascending order.
#[derive(Clone, PartialEq, Eq)]
pub struct DiskLayout {
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Up to four, numbered from 1; the first may be active.
    pub partitions: Vec<PartitionInfo>,
}

impl DiskLayout {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.sectors * SECTOR
    }
}

impl fmt::Debug for DiskLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "disk of {} sectors", self.sectors)?;
        for p in &self.partitions {
            let active = if p.active { ", active" } else { "" };
            let (number, start, kind) = (p.number, p.start, p.kind);
            writeln!(
                f,
                "  {number}: {start}+{}, type {kind:02x}{active}",
                p.sectors
            )?;
        }
        Ok(())
    }
}

/// Disks of up to 2 GiB with up to four partitions of at least 2 MiB each, aligned or not, with and without
/// gaps.
pub fn disk() -> impl Strategy<Value = DiskLayout> + Clone {
    let gap = prop_oneof![Just(0_u64), Just(2047), 0_u64..5000];
    let sectors = prop_oneof![3 => 4096_u64..40_000, 1 => 4096_u64..1_000_000];
    let kind = prop_oneof![3 => Just(LINUX), 1 => 1_u8..=255];
    let active = any::<bool>();
    (vec((gap.clone(), sectors, kind), 0..=4), gap, active).prop_map(|(list, end, active)| {
        let mut at = 1;
        let mut partitions = Vec::new();
        for (number, (gap, sectors, kind)) in (1..).zip(list) {
            partitions.push(PartitionInfo {
                number,
                start: Lba(at + gap),
                sectors,
                kind,
                active: active && number == 1,
            });
            at += gap + sectors;
        }
        DiskLayout {
            sectors: at + end,
            partitions,
        }
    })
}
