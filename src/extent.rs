//! The extent list: an image as a value.
//!
//! ```text
//!  0                                                              disk size
//!  |Bytes: MBR|Bytes: core.img|Free|Bytes: superblock|File|Zero|Free| … |
//!  ```
//! Extents are sorted, disjoint and cover the disk exactly; [`tile`] checks it.

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
