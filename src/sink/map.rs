//! What is where in an image file, as a file beside it: the form of `qemu-img map --output=json`.
//!
//! | entry says | means | [`Class`] |
//! |---|---|---|
//! | `data` | bytes that count | `Data` |
//! | `data`, `zero` | must read as zero, though the file has a hole there | `Zero` |
//! | neither `data` | nothing: no reader of the image looks there | `Free` |
//!
//! The first entry has a key of ours besides, `blocks-sha256`, the digest of a [`super::blocks::Survey`]: a map of
//! another image, or of this one before it was changed, is told apart.

use super::blocks::{Digest, from_hex};
use crate::extent::{Content, Extent};
use crate::hex::hex;
use crate::read_at::ReadAt;
use crate::units::{count, index};
use crate::vdisk;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};

/// What bytes of an image are to whoever copies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// They count.
    Data,
    /// They must read as zero.
    Zero,
    /// They do not matter.
    Free,
}

/// A run of bytes of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What they are.
    pub class: Class,
}

impl Region {
    fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// A map of an image, read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Sorted, without gaps from byte 0.
    pub regions: Vec<Region>,
    /// The digest of the survey that was made with it, if diskwright wrote the map.
    pub digest: Option<Digest>,
}

/// Why a map is none, or not of this image.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Not what `qemu-img map --output=json` writes.
    #[error("this is no map: {0}")]
    Json(serde_json::Error),
    /// Entries that leave a gap or overlap.
    #[error("this is no map: the entry at byte {start} should begin at byte {expected}")]
    Order {
        /// Where the entry begins.
        start: u64,
        /// Where the one before it ends.
        expected: u64,
    },
    /// Our key with something else in it.
    #[error("this is no map: blocks-sha256 is not a SHA-256 in hex")]
    Digest,
    /// A map of an image of another size.
    #[error("the map is of an image of {map} bytes, this one has {image}")]
    Size {
        /// What the map covers.
        map: u64,
        /// What the image has.
        image: u64,
    },
    /// Bytes where the map has none.
    #[error("the map is of another image, or this one was changed: byte {at} should be zero")]
    NotZero {
        /// The first such byte.
        at: u64,
    },
    /// Other bytes than when the map was made.
    #[error("the map is of another image, or this one was changed: its digest is another")]
    Changed,
    /// The image cannot be read.
    #[error("cannot read the image to hold it against the map")]
    Read(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Entry {
    start: u64,
    length: u64,
    #[serde(default)]
    depth: u32,
    #[serde(default)]
    present: bool,
    zero: bool,
    data: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "blocks-sha256")]
    digest: Option<String>,
}

/// Appends to regions in order, joining those of one class.
fn push(list: &mut Vec<Region>, region: Region) {
    match list.last_mut() {
        _ if region.len == 0 => {}
        Some(last) if last.class == region.class => last.len += region.len,
        _ => list.push(region),
    }
}

/// What the extents of an image say.
#[must_use]
pub fn of_extents(extents: &[Extent]) -> Vec<Region> {
    let mut list = Vec::new();
    for e in extents {
        let class = match e.content {
            Content::Bytes { .. } | Content::File { .. } => Class::Data,
            Content::Zero => Class::Zero,
            Content::Free => Class::Free,
        };
        push(
            &mut list,
            Region {
                start: e.start,
                len: e.len,
                class,
            },
        );
    }
    list
}

/// What a file's holes say: `hole` is what they are, the rest is data. Where the filesystem knows no holes, all
/// of it is data.
///
/// # Errors
/// When the file cannot be looked at.
pub fn of_holes(file: &File, len: u64, hole: Class) -> io::Result<Vec<Region>> {
    let mut list = Vec::new();
    let mut at = 0;
    while at < len {
        let run = vdisk::stored(file, at, len)?;
        // A file that shrinks meanwhile has a run of nothing.
        let len = run.len.max(1);
        let class = if run.stored { Class::Data } else { hole };
        let start = at;
        push(&mut list, Region { start, len, class });
        at += len;
    }
    Ok(list)
}

/// Writes a map.
///
/// # Errors
/// Whatever `out` says.
pub fn write(out: &mut dyn Write, regions: &[Region], digest: Digest) -> io::Result<()> {
    let mut digest = Some(hex(&digest));
    for (nr, region) in regions.iter().enumerate() {
        let entry = Entry {
            start: region.start,
            length: region.len,
            depth: 0,
            present: true,
            zero: region.class != Class::Data,
            data: region.class != Class::Free,
            offset: Some(region.start),
            digest: digest.take(),
        };
        out.write_all(if nr == 0 { b"[ " } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &entry)?;
    }
    out.write_all(b"]\n")
}

impl Map {
    /// Reads a map.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(json: &[u8]) -> Result<Self, MapError> {
        let entries: Vec<Entry> = serde_json::from_slice(json).map_err(MapError::Json)?;
        let digest = entries.first().and_then(|e| e.digest.as_deref());
        let digest = digest.map(|text| from_hex(text).ok_or(MapError::Digest));
        let mut regions: Vec<Region> = Vec::new();
        for entry in &entries {
            let expected = regions.last().map_or(0, Region::end);
            if entry.start != expected || entry.start.checked_add(entry.length).is_none() {
                return Err(MapError::Order {
                    start: entry.start,
                    expected,
                });
            }
            push(
                &mut regions,
                Region {
                    start: entry.start,
                    len: entry.length,
                    class: match (entry.data, entry.zero) {
                        (true, false) => Class::Data,
                        (true, true) => Class::Zero,
                        (false, _) => Class::Free,
                    },
                },
            );
        }
        Ok(Self {
            regions,
            digest: digest.transpose()?,
        })
    }

    /// Holds the map against an image: its size, and zeros wherever the map has no data. What the file has as a
    /// hole is not read.
    ///
    /// # Errors
    /// When it is of another image.
    pub fn fits(&self, file: &File, image: &dyn ReadAt) -> Result<(), MapError> {
        let size = self.regions.last().map_or(0, Region::end);
        if size != image.len() {
            return Err(MapError::Size {
                map: size,
                image: image.len(),
            });
        }
        let mut buf = vec![0; 1 << 16];
        let stored = of_holes(file, size, Class::Free)?;
        for stored in stored.iter().filter(|r| r.class == Class::Data) {
            let first = self.regions.partition_point(|r| r.end() <= stored.start);
            let touched = self.regions[first..]
                .iter()
                .take_while(|r| r.start < stored.end());
            for region in touched.filter(|r| r.class != Class::Data) {
                let end = region.end().min(stored.end());
                let mut at = region.start.max(stored.start);
                while at < end {
                    let len = index(end - at).min(buf.len());
                    image.read_exact_at(at, &mut buf[..len])?;
                    if let Some(byte) = buf[..len].iter().position(|b| *b != 0) {
                        return Err(MapError::NotZero {
                            at: at + count(byte),
                        });
                    }
                    at += count(len);
                }
            }
        }
        Ok(())
    }
}
