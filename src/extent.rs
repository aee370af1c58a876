//! The extent list: an image as a value.
//!
//! ```text
//!  0                                                              disk size
//!  |Bytes: MBR|Bytes: core.img|Free|Bytes: superblock|File|Zero|Free| … |
//!  ```
//! Extents are sorted, disjoint and cover the disk exactly; [`tile`] checks it.

use crate::read_at::ReadAt;
use crate::units::{count, index};
use std::{fmt, io};

/// A source of bytes of the image, by its place in the image's table of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceNr(pub u32);

/// What the bytes of an extent are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Metadata that a planner made; rendered when read.
    Bytes {
        /// Who renders it.
        source: SourceNr,
        /// Byte offset in that source.
        offset: u64,
    },
    /// Data of a file: of the archive, of the spool, of an overlay file.
    File {
        /// Where the data is.
        source: SourceNr,
        /// Byte offset in that source.
        offset: u64,
    },
    /// Must read as zero: inode tables, the journal, zero runs of a file.
    Zero,
    /// Does not matter: no reader of the image may notice what stands here.
    Free,
}

impl Content {
    /// The same content from `by` bytes on.
    #[must_use]
    pub fn advanced(self, by: u64) -> Self {
        match self {
            Self::Bytes { source, offset } => Self::Bytes {
                source,
                offset: offset + by,
            },
            Self::File { source, offset } => Self::File {
                source,
                offset: offset + by,
            },
            Self::Zero => Self::Zero,
            Self::Free => Self::Free,
        }
    }

    /// Whether `next`, which begins `len` bytes after `self`, continues it.
    #[must_use]
    pub fn continues(self, len: u64, next: Self) -> bool {
        self.advanced(len) == next
    }
}

/// `len` bytes from `start`, both in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Length in bytes; never 0.
    pub len: u64,
    /// What they are.
    pub content: Content,
}

impl Extent {
    /// One past the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// Appends to a list of extents, in order, joining what continues.
pub fn push(list: &mut Vec<Extent>, extent: Extent) {
    if extent.len == 0 {
        return;
    }
    if let Some(last) = list.last_mut()
        && last.end() == extent.start
        && last.content.continues(last.len, extent.content)
    {
        last.len += extent.len;
        return;
    }
    list.push(extent);
}

/// Why a list of extents is no image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TileError {
    /// Bytes that no extent covers.
    #[error("bytes {start} to {end} of the image are covered by no extent")]
    Gap {
        /// First byte of the gap.
        start: u64,
        /// One past its last byte.
        end: u64,
    },
    /// Bytes that two extents cover, or extents out of order.
    #[error(
        "the extent at byte {start} begins before byte {expected}, where the one before it ends"
    )]
    Overlap {
        /// Where the extent begins.
        start: u64,
        /// Where it should.
        expected: u64,
    },
    /// An extent past the end of the disk.
    #[error("the extents end at byte {end}, the image at byte {size}")]
    PastEnd {
        /// Where the last extent ends.
        end: u64,
        /// Size of the disk in bytes.
        size: u64,
    },
}

/// Checks that `extents` are sorted, disjoint and cover `size` bytes exactly.
///
/// # Errors
/// The first place where they do not.
pub fn tile(extents: &[Extent], size: u64) -> Result<(), TileError> {
    let mut at = 0;
    for e in extents {
        if e.start < at || e.len == 0 {
            return Err(TileError::Overlap {
                start: e.start,
                expected: at,
            });
        }
        if e.start > at {
            return Err(TileError::Gap {
                start: at,
                end: e.start,
            });
        }
        at = e.end();
    }
    match at.cmp(&size) {
        std::cmp::Ordering::Less => Err(TileError::Gap {
            start: at,
            end: size,
        }),
        std::cmp::Ordering::Greater => Err(TileError::PastEnd { end: at, size }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// Reads `buf.len()` bytes at `offset` of what `extents` describe: zero and free space read as zeros, the
/// rest from `source`, which is given a source, a byte offset in it and where to put the bytes.
///
/// # Errors
/// `UnexpectedEof` past the last extent; whatever `source` says.
pub fn read(
    extents: &[Extent],
    offset: u64,
    buf: &mut [u8],
    mut source: impl FnMut(SourceNr, u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut at, mut rest) = (offset, buf);
    let mut next = extents.partition_point(|e| e.end() <= offset);
    while !rest.is_empty() {
        let extent = extents.get(next).filter(|e| e.start <= at);
        let extent = extent.ok_or(io::ErrorKind::UnexpectedEof)?;
        let room = usize::try_from(extent.end() - at).unwrap_or(usize::MAX);
        let (out, more) = rest.split_at_mut(room.min(rest.len()));
        match extent.content.advanced(at - extent.start) {
            Content::Bytes { source: nr, offset } | Content::File { source: nr, offset } => {
                source(nr, offset, out)?;
            }
            Content::Zero | Content::Free => out.fill(0),
        }
        at += count(out.len());
        next += 1;
        rest = more;
    }
    Ok(())
}

/// Bytes of which it is known what they are: a filesystem, a disk.
pub trait Layout: ReadAt {
    /// What lies where: sorted, disjoint, covering all of it.
    fn extents(&self) -> &[Extent];

    /// The same bytes, with noise wherever they are [`Content::Free`]. Whoever reads it and notices a
    /// difference looks at what nobody wrote; another `seed` is other noise.
    fn poisoned(&self, seed: u64) -> Poisoned<'_>
    where
        Self: Sized,
    {
        Poisoned { layout: self, seed }
    }

    /// Writes everything, from the first byte to the last, without seeking.
    ///
    /// # Errors
    /// Whatever a source or `out` says.
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut buf = vec![0; 1 << 16];
        let mut at = 0;
        while at < self.len() {
            let len = usize::try_from(self.len() - at).unwrap_or(usize::MAX);
            let part = &mut buf[..len.min(1 << 16)];
            self.read_exact_at(at, part)?;
            out.write_all(part)?;
            at += count(part.len());
        }
        out.flush()
    }
}

/// A layout with noise in its free space: [`Layout::poisoned`].
#[derive(Clone, Copy)]
pub struct Poisoned<'a> {
    layout: &'a dyn Layout,
    seed: u64,
}

impl fmt::Debug for Poisoned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poisoned({} bytes, {})", self.layout.len(), self.seed)
    }
}

impl ReadAt for Poisoned<'_> {
    fn len(&self) -> u64 {
        self.layout.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.layout.read_exact_at(offset, buf)?;
        let end = offset + count(buf.len());
        let extents = self.layout.extents();
        let first = extents.partition_point(|e| e.end() <= offset);
        for e in extents[first..].iter().take_while(|e| e.start < end) {
            if e.content == Content::Free {
                let (from, to) = (e.start.max(offset), e.end().min(end));
                let out = &mut buf[index(from - offset)..index(to - offset)];
                for (at, byte) in (from..).zip(out) {
                    *byte = noise(self.seed, at);
                }
            }
        }
        Ok(())
    }
}

impl Layout for Poisoned<'_> {
    fn extents(&self) -> &[Extent] {
        self.layout.extents()
    }
}

/// The byte at `at`: splitmix64, eight bytes a number, so that any place can be read alone.
fn noise(seed: u64, at: u64) -> u8 {
    let mut z = (seed ^ (at / 8)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()[index(at % 8)]
}
