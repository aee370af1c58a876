//! What the boot sector of a FAT volume says.

use std::io;

use crate::read_at::ReadAt;

/// A FAT volume by its boot sector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatInfo {
    /// 12, 16 or 32.
    pub bits: u8,
    /// `BS_VolID`.
    pub id: u32,
    /// `BS_VolLab` without trailing blanks; bytes that are no ASCII replaced.
    pub label: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes in a cluster.
    pub cluster: u64,
    /// Clusters.
    pub clusters: u64,
    /// Tables, 1 or 2.
    pub fats: u64,
    /// Byte of the first table, from the start of the volume.
    pub fat_at: u64,
    /// Bytes of a table.
    pub fat_len: u64,
    /// Bytes of the root directory behind the tables; 0 for FAT32.
    pub root_len: u64,
    /// First cluster of the root directory of FAT32 (`BPB_RootClus`); 0 for the others.
    pub root_cluster: u32,
}

impl FatInfo {
    /// Byte of the root directory of FAT12 and FAT16, from the start of the volume.
    #[must_use]
    pub fn root_at(&self) -> u64 {
        self.fat_at + self.fats * self.fat_len
    }

    /// Byte of a cluster, from the start of the volume; clusters count from 2.
    #[must_use]
    pub fn cluster_at(&self, nr: u32) -> u64 {
        let nr = u64::from(nr).saturating_sub(2);
        self.root_at() + self.root_len + nr * self.cluster
    }
}

/// The FAT volume at byte `at` of a disk; `None` where there is none.
///
/// # Errors
///
/// The disk cannot be read.
pub fn probe(disk: &dyn ReadAt, at: u64) -> io::Result<Option<FatInfo>> {
    let mut s = [0; 512];
    match disk.read_exact_at(at, &mut s) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    Ok(parse(&s))
}

fn parse(s: &[u8; 512]) -> Option<FatInfo> {
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([s[at], s[at + 1]]));
    let u32_at = |at: usize| u32::from_le_bytes([s[at], s[at + 1], s[at + 2], s[at + 3]]);
    let either = |short: u64, long: u32| if short == 0 { u64::from(long) } else { short };
    let jump = matches!(s[0], 0xeb | 0xe9);
    let (sector, spc) = (u16_at(0x0b), u64::from(s[0x0d]));
    let (reserved, fats) = (u16_at(0x0e), u64::from(s[0x10]));
    if !jump
        || s[0x1fe..] != [0x55, 0xaa]
        || !(matches!(sector, 512 | 1024 | 2048 | 4096) && spc.is_power_of_two())
        || reserved == 0
        || !matches!(fats, 1 | 2)
    {
        return None;
    }
    let sectors = either(u16_at(0x13), u32_at(0x20));
    let fat = either(u16_at(0x16), u32_at(0x24));
    let root = (u16_at(0x11) * 32).div_ceil(sector);
    let clusters = sectors.checked_sub(reserved + fats * fat + root)? / spc;
    let bits = match clusters {
        ..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    // The extended fields begin behind FAT32's own.
    let extended = if bits == 32 { 0x40 } else { 0x24 };
    if s[extended + 2] != 0x29 {
        return None;
    }
    let label = String::from_utf8_lossy(&s[extended + 7..extended + 18]).into_owned();
    Some(FatInfo {
        bits,
        id: u32_at(extended + 3),
        label: label.trim_end().to_owned(),
        size: sectors * sector,
        cluster: spc * sector,
        clusters,
        fats,
        fat_at: reserved * sector,
        fat_len: fat * sector,
        root_len: root * sector,
        root_cluster: if bits == 32 { u32_at(0x2c) } else { 0 },
    })
}
