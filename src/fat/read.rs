//! A reader of FAT12, FAT16 and FAT32 volumes, whoever made them: Microsoft's *FAT32 File System
//! Specification* 1.03.
//!
//! A file is known by the byte of its directory entry on the volume ([`Item::at`]); nothing is kept but
//! numbers. The input may be hostile: a directory ends after 65,536 entries, as the specification has it, a
//! chain after as many clusters as its file's size asks for.

use super::entry::{ENTRY, Long, short_name, time, u16_at, u32_at};
use super::probe::parse;
use super::table::Window;
use crate::read_at::ReadAt;
use crate::units::{Timestamp, count, index};
use std::io;
use std::sync::Arc;

/// Most bytes of a directory: 65,536 entries.
const DIRECTORY_MAX: u64 = 65_536 * 32;
/// Bytes of a directory that are read at a time.
const PIECE: u64 = 32 << 10;
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
    pub(super) volume: Arc<dyn ReadAt>,
    pub(super) bits: u8,
    cluster: u64,
    pub(super) clusters: u64,
    /// First byte of the table.
    pub(super) fat: u64,
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
        self.entries_in(&self.runs(directory)?)
    }

    /// The same of a directory that lies in these runs.
    pub(super) fn entries_in(&self, runs: &[Run]) -> Result<Vec<(String, Item)>, FatReadError> {
        let mut list = Vec::new();
        let mut long = Long::default();
        let mut left = DIRECTORY_MAX;
        let mut bytes = vec![0; index(PIECE)];
        for run in runs {
            for from in (0..run.len.min(left)).step_by(index(PIECE)) {
                let at = run.at + from;
                let piece = &mut bytes[..index(PIECE.min(run.len - from))];
                self.read(at, piece, "a directory")?;
                for (n, entry) in piece.chunks_exact(ENTRY).enumerate() {
                    match (entry[0], entry[11]) {
                        (0, _) => return Ok(list),
                        (0xE5 | b'.', _) => long = Long::default(),
                        (_, attr) if attr & 0x3F == ATTR_LONG => long.add(entry),
                        (_, attr) if attr & ATTR_VOLUME != 0 => long = Long::default(),
                        _ => {
                            let item = self.parse(at + count(n * ENTRY), entry);
                            let name = std::mem::take(&mut long).name(entry);
                            list.push((name.unwrap_or_else(|| short_name(entry)), item));
                        }
                    }
                }
            }
            left = left.saturating_sub(run.len);
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
        let mut window = Window::default();
        let mut chain = self.chain(item.cluster, &mut window);
        let mut offset = 0;
        // A directory without a cluster is empty.
        while offset < wanted && (item.cluster != 0 || !item.directory) {
            let Some(cluster) = chain.next()? else {
                if item.directory {
                    break;
                }
                return Err(chain.broken("it ends too early, with cluster number", chain.last));
            };
            self.push(&mut runs, cluster);
            offset += self.cluster;
        }
        Ok(runs)
    }

    /// Adds a cluster to the runs of its chain.
    pub(super) fn push(&self, runs: &mut Vec<Run>, cluster: u32) {
        let at = self.place(cluster);
        match runs.last_mut() {
            Some(last) if last.at + last.len == at => last.len += self.cluster,
            last => {
                let offset = last.map_or(0, |last| last.offset + last.len);
                runs.push(Run {
                    offset,
                    at,
                    len: self.cluster,
                });
            }
        }
    }

    /// First byte of a cluster of the volume.
    pub(super) fn place(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster).saturating_sub(2) * self.cluster
    }

    /// Clusters, which count from 2.
    pub(super) fn clusters(&self) -> u64 {
        self.clusters
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

    pub(super) fn read(
        &self,
        offset: u64,
        buf: &mut [u8],
        what: &'static str,
    ) -> Result<(), FatReadError> {
        let read = self.volume.read_exact_at(offset, buf);
        read.map_err(|source| FatReadError::Read {
            what,
            offset,
            source,
        })
    }
}
