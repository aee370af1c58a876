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
    Ok(parse(&s).ok())
}

/// The parameters of a boot sector, or the field that makes no sense. FAT32 is what has no `BPB_FATSz16`, however
/// few its clusters, as Linux has it (and `mkfs.fat -F 32` makes it); the count tells FAT12 from FAT16 alone.
pub(super) fn parse(s: &[u8; 512]) -> Result<FatInfo, &'static str> {
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([s[at], s[at + 1]]));
    let u32_at = |at: usize| u32::from_le_bytes([s[at], s[at + 1], s[at + 2], s[at + 3]]);
    let either = |short: u64, long: u32| if short == 0 { u64::from(long) } else { short };
    let (sector, spc) = (u16_at(0x0b), u64::from(s[0x0d]));
    let (reserved, fats) = (u16_at(0x0e), u64::from(s[0x10]));
    // Partition tables end with the same signature: a boot sector is a FAT volume's by all that it says.
    if s[0x1fe..] != [0x55, 0xaa] {
        return Err("Signature_word is not 55 aa");
    }
    if !matches!(s[..3], [0xeb, _, 0x90] | [0xe9, _, _]) {
        return Err("BS_jmpBoot is no jump");
    }
    if !matches!(s[0x15], 0xf0 | 0xf8..) {
        return Err("BPB_Media is neither f0 nor f8 to ff");
    }
    if !matches!(sector, 512 | 1024 | 2048 | 4096) {
        return Err("BPB_BytsPerSec is no sector size");
    }
    if !spc.is_power_of_two() {
        return Err("BPB_SecPerClus is no power of two");
    }
    if reserved == 0 {
        return Err("BPB_RsvdSecCnt leaves no room for the boot sector");
    }
    if !matches!(fats, 1 | 2) {
        return Err("BPB_NumFATs is neither 1 nor 2");
    }
    let sectors = either(u16_at(0x13), u32_at(0x20));
    let wide = u16_at(0x16) == 0;
    let fat = either(u16_at(0x16), u32_at(0x24));
    if fat == 0 {
        return Err("BPB_FATSz is 0");
    }
    let root = (u16_at(0x11) * 32).div_ceil(sector);
    let Some(room) = sectors.checked_sub(reserved + fats * fat + root) else {
        return Err("BPB_TotSec is less than FATs and root directory take");
    };
    let clusters = room / spc;
    let bits = match clusters {
        _ if wide => 32,
        ..4085 => 12,
        _ => 16,
    };
    // As Linux has it: clusters that no table has an entry for are not there.
    let entries = fat * sector * 8 / u64::from(bits);
    let clusters = clusters.min(entries.saturating_sub(2));
    // The extended fields begin behind FAT32's own; old tools leave them out.
    let extended = if wide { 0x40 } else { 0x24 };
    let told = s[extended + 2] == 0x29;
    let label = String::from_utf8_lossy(&s[extended + 7..extended + 18]);
    Ok(FatInfo {
        bits,
        id: if told { u32_at(extended + 3) } else { 0 },
        label: label
            .trim_end()
            .get(..)
            .filter(|_| told)
            .unwrap_or_default()
            .to_owned(),
        size: sectors * sector,
        cluster: spc * sector,
        clusters,
        fats,
        fat_at: reserved * sector,
        fat_len: fat * sector,
        root_len: root * sector,
        root_cluster: if wide { u32_at(0x2c) } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::{FatReader, chains};
    use std::sync::Arc;

    /// A boot sector as `mkfs.fat -F 32` makes it on 24 MiB: 48,364 clusters of a sector.
    fn small_fat32() -> Vec<u8> {
        let mut disk = vec![0; 24 << 20];
        let mut put = |at: usize, bytes: &[u8]| disk[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, 0x58, 0x90]);
        put(0x0b, &[0, 2, 1, 32, 0, 2, 0, 0, 0, 0, 0xf8]);
        put(0x20, &49_152_u32.to_le_bytes());
        put(0x24, &378_u32.to_le_bytes());
        put(0x2c, &2_u32.to_le_bytes());
        put(0x1fe, &[0x55, 0xaa]);
        let fat = [0x0fff_fff8_u32, 0x0fff_ffff, 0x0fff_ffff];
        put(32 * 512, &fat.map(u32::to_le_bytes).concat());
        disk
    }

    #[test]
    fn fat32_is_told_by_its_fields_and_not_by_how_many_clusters_it_has() {
        let disk = small_fat32();
        let info = probe(&disk, 0).unwrap().unwrap();
        assert_eq!(
            (info.bits, info.clusters, info.root_cluster),
            (32, 48_364, 2)
        );
        let reader = FatReader::open(Arc::new(disk)).unwrap();
        let found = chains(&reader).unwrap().unwrap();
        assert!(found.sound && found.lost.is_empty());
        assert_eq!(reader.entries(&reader.root()).unwrap().len(), 0);
    }

    #[test]
    fn a_sector_that_is_no_boot_sector_is_no_volume() {
        let sound = small_fat32();
        for (at, byte) in [(0, 0x33), (2, 0), (0x15, 0), (0x15, 0xf7), (0x1ff, 0)] {
            let mut disk = sound.clone();
            disk[at] = byte;
            assert_eq!(probe(&disk, 0).unwrap(), None, "{at:#x}");
            assert!(FatReader::open(Arc::new(disk)).is_err(), "{at:#x}");
        }
        for (at, byte) in [(0, 0xe9), (0x15, 0xf0), (0x15, 0xff)] {
            let mut disk = sound.clone();
            disk[at] = byte;
            assert!(probe(&disk, 0).unwrap().is_some(), "{at:#x}");
        }
    }

    #[test]
    fn clusters_are_no_more_than_the_table_has_entries() {
        let mut disk = small_fat32();
        disk[0x24..0x28].copy_from_slice(&1_u32.to_le_bytes());
        assert_eq!(probe(&disk, 0).unwrap().unwrap().clusters, 126);
    }
}
