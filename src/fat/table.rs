//! The table of a FAT volume: which cluster follows which.

use super::entry::{u16_at, u32_at};
use super::{FatReadError, FatReader};
use crate::units::{index, lo32};

impl FatReader {
    /// The chain that begins with a cluster.
    pub(super) fn chain<'a>(&'a self, first: u32, window: &'a mut Window) -> Chain<'a> {
        Chain {
            reader: self,
            first,
            last: first,
            begun: false,
            window,
        }
    }

    fn ends(&self, cluster: u32) -> bool {
        cluster
            >= match self.bits {
                12 => 0xFF8,
                16 => 0xFFF8,
                _ => 0x0FFF_FFF8,
            }
    }

    fn fat_entry(&self, cluster: u32) -> u64 {
        let n = u64::from(cluster);
        self.fat
            + match self.bits {
                12 => n * 3 / 2,
                16 => n * 2,
                _ => n * 4,
            }
    }

    /// What the FAT says of a cluster: 0 is free, else the one behind it.
    pub(super) fn next(&self, cluster: u32, window: &mut Window) -> Result<u32, FatReadError> {
        let at = self.fat_entry(cluster);
        let len = if self.bits == 32 { 4 } else { 2 };
        let bytes = window.get(self, at, len)?;
        Ok(match self.bits {
            12 if cluster % 2 == 1 => u32::from(u16_at(bytes, 0) >> 4),
            12 => u32::from(u16_at(bytes, 0) & 0xFFF),
            16 => u32::from(u16_at(bytes, 0)),
            _ => u32_at(bytes, 0) & 0x0FFF_FFFF,
        })
    }
}

/// A chain of clusters being followed. It ends nowhere by itself when it goes in a circle: who follows it knows
/// how long it may be, or where it was.
pub(super) struct Chain<'a> {
    reader: &'a FatReader,
    first: u32,
    /// The cluster met last.
    pub(super) last: u32,
    begun: bool,
    window: &'a mut Window,
}

impl Chain<'_> {
    /// The next cluster; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<u32>, FatReadError> {
        if std::mem::replace(&mut self.begun, true) {
            self.last = self.reader.next(self.last, self.window)?;
        }
        if self.reader.ends(self.last) {
            return Ok(None);
        }
        let there = 2..self.reader.clusters + 2;
        if !there.contains(&u64::from(self.last)) {
            return Err(self.broken("there is no cluster", self.last));
        }
        Ok(Some(self.last))
    }

    pub(super) fn broken(&self, why: &'static str, cluster: u32) -> FatReadError {
        FatReadError::Chain {
            first: self.first,
            why,
            cluster,
            offset: self.reader.fat_entry(cluster),
        }
    }
}

/// The part of the FAT that was read last.
#[derive(Default)]
pub(super) struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// All of the FAT, for who follows all of its chains: they may leap over more than 4 KiB with every cluster.
    pub(super) fn whole(reader: &FatReader) -> Result<Self, FatReadError> {
        // Entries have two bytes or four.
        let end = reader.fat_entry(lo32(reader.clusters + 1)) + 4;
        let end = end.min(reader.volume.len()).max(reader.fat);
        let mut bytes = vec![0; index(end - reader.fat)];
        reader.read(reader.fat, &mut bytes, "the FAT")?;
        let at = reader.fat;
        Ok(Self { at, bytes })
    }

    fn get(&mut self, reader: &FatReader, at: u64, len: usize) -> Result<&[u8], FatReadError> {
        let inside = at.checked_sub(self.at).map(index);
        let held = inside.is_some_and(|from| from + len <= self.bytes.len());
        if !held {
            let room = reader.volume.len().saturating_sub(at).min(4096);
            self.bytes = vec![0; index(room).max(len)];
            self.at = at;
            reader.read(at, &mut self.bytes, "the FAT")?;
        }
        Ok(&self.bytes[index(at - self.at)..][..len])
    }
}
