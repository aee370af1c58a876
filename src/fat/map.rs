//! What lies where on a volume that fatfs wrote.

use super::sparse::Sparse;
use super::volume::{Piece, PieceKind};
use crate::read_at::ReadAt;
use crate::units::{SECTOR, count, index};

/// Bytes of a directory entry.
pub(super) const ENTRY: u64 = 32;

/// Where the parts of a volume lie, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// 12, 16 or 32, by the count of clusters.
    pub(super) bits: u8,
    fat: u64,
    pub(super) root: u64,
    pub(super) root_len: u64,
    data: u64,
    pub(super) cluster: u64,
    pub(super) clusters: u64,
}

pub(super) fn u16_at(disk: &Sparse, at: u64) -> u64 {
    let mut b = [0; 2];
    disk.get(at, &mut b);
    u64::from(u16::from_le_bytes(b))
}

pub(super) fn u32_at(disk: &Sparse, at: u64) -> u64 {
    let mut b = [0; 4];
    disk.get(at, &mut b);
    u64::from(u32::from_le_bytes(b))
}

impl Layout {
    /// Reads the BPB of a volume of ours.
    pub(super) fn of(disk: &Sparse) -> Self {
        let mut spc = [0];
        disk.get(0x0d, &mut spc);
        let cluster = u64::from(spc[0]) * SECTOR;
        let fat = u16_at(disk, 0x0e) * SECTOR;
        // BPB_FATSz16 is 0 on FAT32, BPB_RootEntCnt too.
        let fat_sectors = match u16_at(disk, 0x16) {
            0 => u32_at(disk, 0x24),
            n => n,
        };
        let fat_len = fat_sectors * SECTOR;
        let root = fat + 2 * fat_len;
        let root_len = u16_at(disk, 0x11) * ENTRY;
        let data = root + root_len;
        let clusters = (disk.len() - data) / cluster;
        Self {
            bits: match clusters {
                ..4085 => 12,
                4085..65525 => 16,
                _ => 32,
            },
            fat,
            root,
            root_len,
            data,
            cluster,
            clusters,
        }
    }

    /// What the FAT says of cluster `nr`, from 2; 0 is unused.
    fn entry(&self, disk: &Sparse, nr: u64) -> u64 {
        match self.bits {
            12 => {
                let pair = u16_at(disk, self.fat + nr + nr / 2);
                if nr.is_multiple_of(2) {
                    pair & 0xfff
                } else {
                    pair >> 4
                }
            }
            16 => u16_at(disk, self.fat + 2 * nr),
            _ => u32_at(disk, self.fat + 4 * nr) & 0x0fff_ffff,
        }
    }

    /// Byte of cluster `nr`.
    pub(super) fn place(&self, nr: u64) -> u64 {
        self.data + (nr - 2) * self.cluster
    }

    /// Clusters in use, ascending.
    pub(super) fn used(&self, disk: &Sparse) -> Vec<u64> {
        (2..self.clusters + 2)
            .filter(|&nr| self.entry(disk, nr) != 0)
            .collect()
    }

    /// The clusters of the chain that begins with `first`.
    pub(super) fn chain(&self, disk: &Sparse, first: u64) -> Vec<u64> {
        let mut list = Vec::new();
        let mut nr = first;
        while (2..self.clusters + 2).contains(&nr) && count(list.len()) < self.clusters {
            list.push(nr);
            nr = self.entry(disk, nr);
        }
        list
    }
}

/// The volume as runs.
pub(super) fn pieces(disk: &Sparse, layout: &Layout) -> Vec<Piece> {
    let mut list: Vec<Piece> = Vec::new();
    let mut add = |start: u64, len: u64, kind| match list.last_mut() {
        _ if len == 0 => {}
        Some(last) if last.kind == kind => last.len += len,
        _ => list.push(Piece { start, len, kind }),
    };
    let mut sector = [0; 512];
    for at in (0..layout.data).step_by(index(SECTOR)) {
        disk.get(at, &mut sector);
        let kind = if sector.iter().all(|&b| b == 0) {
            PieceKind::Zero
        } else {
            PieceKind::Bytes
        };
        add(at, SECTOR, kind);
    }
    for nr in 2..layout.clusters + 2 {
        let kind = match layout.entry(disk, nr) {
            0 => PieceKind::Free,
            _ => PieceKind::Bytes,
        };
        add(layout.place(nr), layout.cluster, kind);
    }
    let end = layout.place(layout.clusters + 2);
    add(end, disk.len() - end, PieceKind::Free);
    list
}
