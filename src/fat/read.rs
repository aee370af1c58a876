//! A reader of FAT12, FAT16 and FAT32 volumes, whoever made them: Microsoft's *FAT32 File System
//! Specification* 1.03.
//!
//! A file is known by the byte of its directory entry on the volume ([`Item::at`]); nothing is kept but
//! numbers. The input may be hostile: a directory ends after 65,536 entries, as the specification has it, a
//! chain after as many clusters as its file's size asks for.

use super::probe::parse;
use crate::read_at::ReadAt;
use crate::units::{Timestamp, count, day_of, index};
use std::io;
use std::sync::Arc;

/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// Most bytes of a directory: 65,536 entries.
const DIRECTORY_MAX: u64 = 65_536 * 32;
/// `DIR_Attr`: read-only.
const ATTR_READ_ONLY: u8 = 0x01;
/// `DIR_Attr`: the label of the volume.
const ATTR_VOLUME: u8 = 0x08;
/// `DIR_Attr`: a directory.
const ATTR_DIRECTORY: u8 = 0x10;
/// `DIR_Attr`: a part of a long name.
const ATTR_LONG: u8 = 0x0F;

/// Why something on a FAT volume cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FatReadError {
    /// The boot sector makes no sense.
    #[error("no FAT volume: {why}")]
    NotFat {
        /// The field, and what is wrong with it.
        why: &'static str,
    },
    /// The image could not be read.
    #[error("cannot read {what} at byte {offset} of the FAT volume")]
    Read {
        /// What lies there.
        what: &'static str,
        /// First byte.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than the volume: its chain goes in a circle, if it has one.
    #[error(
        "DIR_FileSize {size} at byte {offset} of the FAT volume is more than the {room} bytes of its clusters"
    )]
    Size {
        /// Bytes that the file has.
        size: u64,
        /// Bytes that all clusters have.
        room: u64,
        /// Byte of its directory entry.
        offset: u64,
    },
    /// A chain of clusters leaves the volume, ends early or goes in a circle.
    #[error(
        "the chain of cluster {first} is damaged: {why} {cluster} (its entry is at byte {offset})"
    )]
    Chain {
        /// First cluster.
        first: u32,
        /// What is wrong with it.
        why: &'static str,
        /// Where it breaks.
        cluster: u32,
        /// Byte of that cluster's entry in the FAT.
        offset: u64,
    },
}

/// A file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Byte of its directory entry on the volume; 0 is the root.
    pub at: u64,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether it may not be changed.
    pub read_only: bool,
    /// Size in bytes; 0 of a directory.
    pub size: u64,
    /// Last change, in a time zone that the volume does not tell.
    pub modified: Timestamp,
    /// First cluster; 0 when there is none.
    pub cluster: u32,
}

/// A run of bytes, one after the other in the file and on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First byte in the file.
    pub offset: u64,
    /// First byte on the volume.
    pub at: u64,
    /// Bytes, whole clusters.
    pub len: u64,
}

/// An open volume.
pub struct FatReader {
    volume: Arc<dyn ReadAt>,
    bits: u8,
    cluster: u64,
    clusters: u64,
    fat: u64,
    /// The root directory of FAT12 and FAT16: first byte and length.
    root: (u64, u64),
    root_cluster: u32,
    data: u64,
}

impl std::fmt::Debug for FatReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FatReader(FAT{}, {} clusters)", self.bits, self.clusters)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let part = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
    part.map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at + 2)) << 16 | u32::from(u16_at(bytes, at))
}

impl FatReader {
    /// Opens a volume, whose first byte is that of its boot sector.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn open(volume: Arc<dyn ReadAt>) -> Result<Self, FatReadError> {
        let mut s = [0; 512];
        volume
            .read_exact_at(0, &mut s)
            .map_err(|source| FatReadError::Read {
                what: "the boot sector",
                offset: 0,
                source,
            })?;
        let info = parse(&s).map_err(|why| FatReadError::NotFat { why })?;
        Ok(Self {
            volume,
            bits: info.bits,
            cluster: info.cluster,
            clusters: info.clusters,
            fat: info.fat_at,
            root: (info.root_at(), info.root_len),
            root_cluster: info.root_cluster,
            data: info.root_at() + info.root_len,
        })
    }

    /// Bytes of a cluster.
    #[must_use]
    pub fn cluster_size(&self) -> u64 {
        self.cluster
    }

    /// Bytes of all clusters.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.clusters * self.cluster
    }

    /// First byte of the clusters.
    #[must_use]
    pub fn data_start(&self) -> u64 {
        self.data
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Item {
        Item {
            at: 0,
            directory: true,
            read_only: false,
            size: 0,
            modified: Timestamp::default(),
            cluster: if self.bits == 32 {
                self.root_cluster
            } else {
                0
            },
        }
    }

    /// What the directory entry at byte `at` describes; 0 is the root.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn item(&self, at: u64) -> Result<Item, FatReadError> {
        if at == 0 {
            return Ok(self.root());
        }
        let mut entry = [0; ENTRY];
        self.read(at, &mut entry, "a directory entry")?;
        Ok(self.parse(at, &entry))
    }

    fn parse(&self, at: u64, entry: &[u8]) -> Item {
        let high = if self.bits == 32 {
            u16_at(entry, 20)
        } else {
            0
        };
        let attr = entry[11];
        let directory = attr & ATTR_DIRECTORY != 0;
        Item {
            at,
            directory,
            read_only: attr & ATTR_READ_ONLY != 0,
            size: if directory {
                0
            } else {
                u64::from(u32_at(entry, 28))
            },
            modified: time(u16_at(entry, 24), u16_at(entry, 22)),
            cluster: u32::from(high) << 16 | u32::from(u16_at(entry, 26)),
        }
    }

    /// Name and entry of everything in a directory, "." and ".." left out.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entries(&self, directory: &Item) -> Result<Vec<(String, Item)>, FatReadError> {
        let mut list = Vec::new();
        let mut long = Long::default();
        for run in self.runs(directory)? {
            let mut bytes = vec![0; index(run.len)];
            self.read(run.at, &mut bytes, "a directory")?;
            for (n, entry) in bytes.chunks_exact(ENTRY).enumerate() {
                match (entry[0], entry[11]) {
                    (0, _) => return Ok(list),
                    (0xE5, _) => long = Long::default(),
                    (_, attr) if attr & 0x3F == ATTR_LONG => long.add(entry),
                    (_, attr) if attr & ATTR_VOLUME != 0 => long = Long::default(),
                    (b'.', _) => {}
                    _ => {
                        let item = self.parse(run.at + count(n * ENTRY), entry);
                        let name = std::mem::take(&mut long).name(entry);
                        list.push((name.unwrap_or_else(|| short_name(entry)), item));
                    }
                }
            }
        }
        Ok(list)
    }

    /// Where the bytes of a file or directory lie.
    ///
    /// # Errors
    /// When the FAT cannot be read, or the chain is damaged.
    pub fn runs(&self, item: &Item) -> Result<Vec<Run>, FatReadError> {
        if item.at == 0 && self.bits != 32 {
            let (at, len) = self.root;
            return Ok(Vec::from_iter((len > 0).then_some(Run {
                offset: 0,
                at,
                len,
            })));
        }
        let wanted = if item.directory {
            DIRECTORY_MAX.min(self.clusters * self.cluster)
        } else {
            item.size
        };
        let room = self.volume.len().min(self.clusters * self.cluster);
        if wanted > room && !item.directory {
            return Err(FatReadError::Size {
                size: wanted,
                room,
                offset: item.at,
            });
        }
        let mut runs: Vec<Run> = Vec::new();
        let (mut cluster, mut offset) = (item.cluster, 0);
        let mut window = Window::default();
        let broken = |why, cluster| FatReadError::Chain {
            first: item.cluster,
            why,
            cluster,
            offset: self.fat_entry(cluster),
        };
        while offset < wanted {
            if self.ends(cluster) {
                if item.directory {
                    break;
                }
                return Err(broken("it ends too early, with cluster number", cluster));
            }
            if cluster < 2 || u64::from(cluster) - 2 >= self.clusters {
                if item.directory && item.cluster == 0 {
                    break;
                }
                return Err(broken("there is no cluster", cluster));
            }
            let at = self.data + (u64::from(cluster) - 2) * self.cluster;
            match runs.last_mut() {
                Some(last) if last.at + last.len == at => last.len += self.cluster,
                _ => runs.push(Run {
                    offset,
                    at,
                    len: self.cluster,
                }),
            }
            offset += self.cluster;
            if offset < wanted {
                cluster = self.next(cluster, &mut window)?;
            }
        }
        Ok(runs)
    }

    /// Fills `buf` from byte `offset` of a file whose runs are `runs`; how many bytes there were.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn read_at(
        &self,
        item: &Item,
        runs: &[Run],
        offset: u64,
        buf: &mut [u8],
    ) -> Result<usize, FatReadError> {
        let len = index(item.size.saturating_sub(offset).min(count(buf.len())));
        let mut done = 0;
        while done < len {
            let at = offset + count(done);
            let n = runs.partition_point(|r| r.offset + r.len <= at);
            let Some(run) = runs.get(n) else { break };
            let into = at - run.offset;
            let part = index((run.len - into).min(count(len - done)));
            self.read(run.at + into, &mut buf[done..done + part], "a file")?;
            done += part;
        }
        Ok(done)
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

    /// The cluster behind another.
    fn next(&self, cluster: u32, window: &mut Window) -> Result<u32, FatReadError> {
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

    fn read(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<(), FatReadError> {
        let read = self.volume.read_exact_at(offset, buf);
        read.map_err(|source| FatReadError::Read {
            what,
            offset,
            source,
        })
    }
}

/// The part of the FAT that was read last.
#[derive(Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
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

/// A long name in the making: its parts come last first.
#[derive(Default)]
struct Long {
    units: Vec<u16>,
    sum: u8,
    next: u8,
}

impl Long {
    fn add(&mut self, entry: &[u8]) {
        let order = entry[0];
        if order & 0x40 != 0 {
            *self = Self {
                units: Vec::new(),
                sum: entry[13],
                next: order & 0x3F,
            };
        }
        if order & 0x3F != self.next || self.next == 0 || self.next > 20 || entry[13] != self.sum {
            *self = Self::default();
            return;
        }
        self.next -= 1;
        let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        let part = places.iter().map(|at| u16_at(entry, *at));
        let part: Vec<u16> = part
            .take_while(|unit| !matches!(unit, 0 | 0xFFFF))
            .collect();
        self.units.splice(0..0, part);
    }

    /// The name, if it is whole and of this entry.
    fn name(self, entry: &[u8]) -> Option<String> {
        let sum = entry[..11]
            .iter()
            .fold(0_u8, |sum, b| sum.rotate_right(1).wrapping_add(*b));
        let whole = self.next == 0 && !self.units.is_empty() && sum == self.sum;
        whole.then(|| String::from_utf16_lossy(&self.units))
    }
}

/// A name of 8 and 3 characters; two bits of byte 12 make either part lower case, as Windows NT has it.
fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text = bytes.iter().map(|b| match b {
            // 0xE5 at the beginning would mean a deleted entry.
            0x05 => '\u{e5}',
            b if lower => char::from(b.to_ascii_lowercase()),
            b => char::from(*b),
        });
        text.collect::<String>().trim_end().to_owned()
    };
    let name = part(&entry[..8], entry[12] & 0x08 != 0);
    let extension = part(&entry[8..11], entry[12] & 0x10 != 0);
    if extension.is_empty() {
        name
    } else {
        format!("{name}.{extension}")
    }
}

/// A date and a time of FAT as if its zone was UTC.
fn time(date: u16, time: u16) -> Timestamp {
    let (year, month, day) = (1980 + i64::from(date >> 9), date >> 5 & 15, date & 31);
    if month == 0 || day == 0 {
        return Timestamp::default();
    }
    let days = day_of(year, month.into(), day.into());
    let (hour, minute, second) = (time >> 11, time >> 5 & 63, time % 32 * 2);
    let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Timestamp::from_secs(days * 86_400 + of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |y: u16, m: u16, d: u16| time((y - 1980) << 9 | m << 5 | d, 0).sec;
        assert_eq!(at(1980, 1, 1), 315_532_800);
        assert_eq!(at(2000, 2, 29), 951_782_400);
        assert_eq!(at(2024, 3, 1), 1_709_251_200);
        assert_eq!(time(0, 0), Timestamp::default());
        assert_eq!(
            time(0x21, 12 << 11 | 34 << 5 | 28).sec,
            315_532_800 + 45_296
        );
    }

    #[test]
    fn short_names_are_as_windows_nt_shows_them() {
        let entry = |name: &[u8; 11], bits: u8| {
            let mut entry = [0; ENTRY];
            entry[..11].copy_from_slice(name);
            entry[12] = bits;
            short_name(&entry)
        };
        assert_eq!(entry(b"GRUB    CFG", 0x18), "grub.cfg");
        assert_eq!(entry(b"EFI        ", 0), "EFI");
        assert_eq!(entry(b"READ ME TXT", 0x10), "READ ME.txt");
    }
}
