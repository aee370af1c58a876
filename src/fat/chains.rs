//! Which clusters of a volume belong to whom, ours or not.
//!
//! The volume may be hostile: a cluster is followed once, a chain ends where it leaves the volume or meets
//! another, and what is kept grows with the table, an eighth of a byte a cluster beside it.

use std::io;

use super::FatInfo;
use crate::read_at::ReadAt;
use crate::units::{PATH_MAX, index, index32, lo32};

/// The largest table that is read: 16 million clusters.
const MAX_TABLE: u64 = 64 << 20;
/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// `DIR_Attr`: volume label (and, with the three bits below it, a part of a long name).
const ATTR_VOLUME_ID: u8 = 0x08;
/// `DIR_Attr`: all bits of a part of a long name.
const ATTR_LONG_NAME: u8 = 0x0f;
/// `DIR_Attr`: directory.
const ATTR_DIRECTORY: u8 = 0x10;

/// A file or directory and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatItem {
    /// Path from the root, `/EFI/BOOT/BOOTX64.EFI`; empty for the root itself.
    pub path: String,
    /// A directory.
    pub directory: bool,
    /// First cluster; 0 for an empty file and for the root of FAT12 and FAT16.
    pub cluster: u32,
    /// Runs of its bytes, in order: byte of the volume, length. The last may reach past the file's end.
    pub runs: Vec<(u64, u64)>,
}

/// What the table and the directories of a volume say.
#[derive(Clone, Debug)]
pub struct Chains {
    /// Root first, then as the directories have them.
    pub items: Vec<FatItem>,
    /// Runs of clusters in use that no item has.
    pub lost: Vec<(u64, u64)>,
    /// Whether all of it was read: false where chains cross or leave the volume.
    pub sound: bool,
}

struct Walk<'a> {
    disk: &'a dyn ReadAt,
    at: u64,
    info: &'a FatInfo,
    table: Vec<u8>,
    seen: Vec<u8>,
    sound: bool,
}

/// Follows all chains of the volume at byte `at` of a disk; `None` where its table is larger than any that
/// is read.
///
/// # Errors
///
/// The disk cannot be read.
pub fn chains(disk: &dyn ReadAt, at: u64, info: &FatInfo) -> io::Result<Option<Chains>> {
    let bits = u64::from(info.bits);
    let needed = ((info.clusters + 2) * bits).div_ceil(8);
    if needed > info.fat_len.min(MAX_TABLE) {
        return Ok(None);
    }
    let mut table = vec![0; index(needed)];
    disk.read_exact_at(at.saturating_add(info.fat_at), &mut table)?;
    let mut walk = Walk {
        disk,
        at,
        info,
        seen: vec![0; index((info.clusters + 2).div_ceil(8))],
        table,
        sound: true,
    };
    let root_runs = match info.bits {
        32 => walk.chain(info.root_cluster),
        _ => vec![(info.root_at(), info.root_len)],
    };
    let root = FatItem {
        path: String::new(),
        directory: true,
        cluster: info.root_cluster,
        runs: root_runs,
    };
    let mut items = vec![root];
    let mut next = 0;
    while let Some(item) = items.get(next) {
        next += 1;
        if item.directory {
            let (path, runs) = (item.path.clone(), item.runs.clone());
            for run in runs {
                if !walk.directory(&path, run, &mut items)? {
                    break;
                }
            }
        }
    }
    let lost = walk.lost();
    Ok(Some(Chains {
        items,
        lost,
        sound: walk.sound,
    }))
}

impl Walk<'_> {
    /// What the table says of a cluster.
    fn entry(&self, nr: u32) -> u32 {
        let byte = |n: usize| u32::from(self.table.get(n).copied().unwrap_or(0));
        let nr = index32(nr);
        match self.info.bits {
            12 => {
                let at = nr + nr / 2;
                let pair = byte(at) | byte(at + 1) << 8;
                if nr.is_multiple_of(2) {
                    pair & 0xfff
                } else {
                    pair >> 4
                }
            }
            16 => byte(2 * nr) | byte(2 * nr + 1) << 8,
            _ => (0..4).map(|n| byte(4 * nr + n) << (8 * n)).sum::<u32>() & 0x0fff_ffff,
        }
    }

    /// Marks a cluster; whether it is one of the volume and was not met before.
    fn meet(&mut self, nr: u32) -> bool {
        let there = (2..self.info.clusters + 2).contains(&u64::from(nr));
        let (byte, bit) = (index32(nr / 8), 1_u8 << (nr % 8));
        match self.seen.get_mut(byte).filter(|b| there && **b & bit == 0) {
            Some(b) => {
                *b |= bit;
                true
            }
            None => false,
        }
    }

    /// The runs of the chain that begins with a cluster.
    fn chain(&mut self, first: u32) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut nr = first;
        let end = 0x0fff_fff8_u32 >> (28 - u32::from(self.info.bits.min(28)));
        while nr != 0 && nr < end {
            if !self.meet(nr) {
                self.sound = false;
                break;
            }
            let (at, len) = (self.info.cluster_at(nr), self.info.cluster);
            match runs.last_mut() {
                Some(last) if last.0 + last.1 == at => last.1 += len,
                _ => runs.push((at, len)),
            }
            nr = self.entry(nr);
        }
        runs
    }

    /// Reads the entries of one run of a directory; whether it goes on behind it.
    fn directory(
        &mut self,
        path: &str,
        (at, len): (u64, u64),
        items: &mut Vec<FatItem>,
    ) -> io::Result<bool> {
        let step = self.info.cluster.max(512);
        let mut long = LongName::default();
        for from in (at..at + len).step_by(index(step)) {
            let mut bytes = vec![0; index(step.min(at + len - from))];
            self.disk
                .read_exact_at(self.at.saturating_add(from), &mut bytes)?;
            for raw in bytes.chunks_exact(ENTRY) {
                match raw[0] {
                    0 => return Ok(false),
                    0xe5 | b'.' => continue,
                    _ => {}
                }
                let attributes = raw[11];
                if attributes & ATTR_LONG_NAME == ATTR_LONG_NAME {
                    long.add(raw);
                    continue;
                }
                let name = long.take(raw);
                if attributes & ATTR_VOLUME_ID != 0 {
                    continue;
                }
                let half = |at: usize| u32::from(u16::from_le_bytes([raw[at], raw[at + 1]]));
                let high = if self.info.bits == 32 { half(0x14) } else { 0 };
                let cluster = high << 16 | half(0x1a);
                // Deeper than any path may be: what lies there counts as lost.
                if path.len() + 1 + name.len() >= PATH_MAX {
                    self.sound = false;
                    continue;
                }
                let item = FatItem {
                    path: format!("{path}/{name}"),
                    directory: attributes & ATTR_DIRECTORY != 0,
                    cluster,
                    runs: self.chain(cluster),
                };
                items.push(item);
            }
        }
        Ok(true)
    }

    fn lost(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for nr in 2..lo32(self.info.clusters + 2) {
            let met = self.seen[index32(nr / 8)] & 1 << (nr % 8) != 0;
            if met || self.entry(nr) == 0 {
                continue;
            }
            let (at, len) = (self.info.cluster_at(nr), self.info.cluster);
            match runs.last_mut() {
                Some(last) if last.0 + last.1 == at => last.1 += len,
                _ => runs.push((at, len)),
            }
        }
        runs
    }
}

/// The long name that stands in the entries before a short one.
#[derive(Default)]
struct LongName {
    /// Parts by their number from the end.
    parts: Vec<[u16; 13]>,
}

impl LongName {
    fn add(&mut self, raw: &[u8]) {
        if raw[0] & 0x40 != 0 {
            self.parts.clear();
        }
        // Twenty parts hold the 255 units that a name may have.
        if self.parts.len() >= 20 {
            return;
        }
        let places = (1..11)
            .step_by(2)
            .chain((14..26).step_by(2))
            .chain([28, 30]);
        let mut part = [0; 13];
        for (unit, at) in part.iter_mut().zip(places) {
            *unit = u16::from_le_bytes([raw[at], raw[at + 1]]);
        }
        self.parts.push(part);
    }

    /// The name of the entry that follows: the long one, else the short.
    fn take(&mut self, raw: &[u8]) -> String {
        let units: Vec<u16> = std::mem::take(&mut self.parts)
            .into_iter()
            .rev()
            .flatten()
            .take_while(|&u| u != 0 && u != 0xffff)
            .collect();
        if !units.is_empty() {
            return String::from_utf16_lossy(&units);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let (name, extension) = (text(&raw[..8]), text(&raw[8..11]));
        if extension.is_empty() {
            name
        } else {
            format!("{name}.{extension}")
        }
    }
}

const _: () = assert!(ENTRY == 32 && size_of::<[u16; 13]>() == 26);

/// Items are as many as the directories have entries: bounded by the volume's clusters.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::{FatFile, FatSpec, probe, volume};
    use crate::units::{Lba, MIB, Timestamp, count};

    fn esp(size: u64) -> Vec<u8> {
        let spec = FatSpec {
            size,
            start: Lba(0),
            id: 1,
            label: b"ESP        ",
            time: Timestamp::from_secs(1 << 30),
        };
        let data = vec![7; 100_000];
        let file = |path| FatFile { path, data: &data };
        let made = volume(
            &spec,
            &[file("EFI/BOOT/BOOTX64.EFI"), file("a long name.cfg")],
        )
        .unwrap();
        let mut bytes = vec![0; index(size)];
        made.bytes.read_exact_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn every_cluster_in_use_belongs_to_a_path() {
        for size in [4 * MIB, 32 * MIB, 100 * MIB] {
            let disk = esp(size);
            let info = probe(&disk, 0).unwrap().unwrap();
            let found = chains(&disk, 0, &info).unwrap().unwrap();
            assert!(found.sound && found.lost.is_empty(), "{found:?}");
            let paths: Vec<_> = found.items.iter().map(|i| i.path.as_str()).collect();
            for path in [
                "",
                "/EFI",
                "/EFI/BOOT",
                "/EFI/BOOT/BOOTX64.EFI",
                "/a long name.cfg",
            ] {
                assert!(paths.contains(&path), "{paths:?}");
            }
            let file = found
                .items
                .iter()
                .find(|i| i.path.ends_with(".EFI"))
                .unwrap();
            let len: u64 = file.runs.iter().map(|r| r.1).sum();
            assert!(len >= 100_000 && disk[index(file.runs[0].0)] == 7);
        }
    }

    #[test]
    fn damage_ends_a_chain_and_nothing_else() {
        let sound = esp(4 * MIB);
        let info = probe(&sound, 0).unwrap().unwrap();
        for byte in 0..200 {
            let mut disk = sound.clone();
            let at = index(info.fat_at) + byte;
            disk[at] ^= 0x55;
            let found = chains(&disk, 0, &info).unwrap().unwrap();
            assert!((1..=6).contains(&found.items.len()));
        }
        for byte in 0..count(512) {
            let mut disk = sound.clone();
            let at = index(info.root_at() + byte);
            disk[at] ^= 0xff;
            chains(&disk, 0, &info).unwrap().unwrap();
        }
    }
}
