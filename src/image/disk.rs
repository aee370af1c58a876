//! A disk put together by hand: parts at places, free space between them.

use crate::extent::{Content, Extent, Layout, SourceNr, push};
use crate::read_at::ReadAt;
use crate::units::{SECTOR, count32, index32};
use std::fmt;
use std::io;
use std::sync::Arc;

/// Why a part cannot stand where it should.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DiskError {
    /// It reaches past the end of the disk.
    #[error("a part of {len} bytes at byte {start} reaches past the disk's end at byte {size}")]
    PastEnd {
        /// Where the part begins.
        start: u64,
        /// Its length.
        len: u64,
        /// Size of the disk.
        size: u64,
    },
    /// It shares bytes with another.
    #[error("a part of {len} bytes at byte {start} shares bytes with the one at byte {other}")]
    Overlap {
        /// Where the part begins.
        start: u64,
        /// Its length.
        len: u64,
        /// Where the other begins.
        other: u64,
    },
    /// A size that no sector divides.
    #[error("a disk of {size} bytes is not a whole number of 512-byte sectors")]
    NotSectors {
        /// The size.
        size: u64,
    },
}

/// A disk as a value: everything that was put on it, and free space.
///
/// Two filesystems behind a partition table:
///
/// ```
/// use diskwright::ext4::{self, Builder, Format, Meta};
/// use diskwright::extent::Layout;
/// use diskwright::image::Disk;
/// use diskwright::observe::Silent;
/// use diskwright::partition::{FIRST_PARTITION, LINUX, PartitionInfo, mbr_of};
/// use diskwright::read_at::{ReadAt, Window};
/// use diskwright::units::{Lba, MIB, SECTOR};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let filesystem = |label: &str| {
///     let mut fs = Builder::new(Format { label: label.into(), ..Format::default() })?;
///     fs.file("/README", Meta::new(0o644), format!("This is {label}.\n"))?;
///     fs.finish()
/// };
/// let (system, data) = (filesystem("system")?, filesystem("data")?);
///
/// let first = PartitionInfo {
///     number: 1,
///     start: FIRST_PARTITION,
///     sectors: system.len() / SECTOR,
///     kind: LINUX,
///     active: true,
/// };
/// let second = PartitionInfo {
///     number: 2,
///     start: Lba((first.start.0 + first.sectors).next_multiple_of(2048)),
///     sectors: data.len() / SECTOR,
///     active: false,
///     ..first
/// };
/// let size = second.start.byte_offset() + data.len() + MIB;
/// let mut disk = Disk::new(size)?;
/// disk.put_bytes(0, mbr_of(0x1234_5678, size / SECTOR, &[first, second])?)?;
/// disk.put(first.start.byte_offset(), system)?;
/// disk.put(second.start.byte_offset(), data)?;
///
/// // What nobody wrote is of no importance, to the last bit: both are still clean.
/// let poisoned = disk.poisoned(7);
/// for partition in [first, second] {
///     let (start, len) = (partition.start.byte_offset(), partition.sectors * SECTOR);
///     let (summary, findings) = ext4::check::check(&Window::new(&poisoned, start, len), &Silent)?;
///     assert!(summary.complete && findings.is_empty());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Disk {
    size: u64,
    /// By where they begin; disjoint.
    parts: Vec<(u64, u32)>,
    layouts: Vec<Arc<dyn Layout>>,
    extents: Vec<Extent>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().map(|&(start, nr)| {
            let end = start + self.layouts[index32(nr)].len();
            start..end
        });
        f.debug_struct("Disk")
            .field("size", &self.size)
            .field("parts", &parts.collect::<Vec<_>>())
            .finish()
    }
}

impl Disk {
    /// An empty disk of `size` bytes.
    ///
    /// # Errors
    /// When that is no whole number of sectors.
    pub fn new(size: u64) -> Result<Self, DiskError> {
        if !size.is_multiple_of(SECTOR) {
            return Err(DiskError::NotSectors { size });
        }
        let mut disk = Self {
            size,
            parts: Vec::new(),
            layouts: Vec::new(),
            extents: Vec::new(),
        };
        disk.tile();
        Ok(disk)
    }

    /// Puts `part` at byte `start`. In the disk's extents its sources become one, read at the offset in
    /// the part; sources are numbered in the order of these calls.
    ///
    /// # Errors
    /// When it has no room there.
    pub fn put(&mut self, start: u64, part: impl Layout + 'static) -> Result<(), DiskError> {
        let (len, size) = (part.len(), self.size);
        let end = start.checked_add(len).filter(|&end| end <= size);
        let end = end.ok_or(DiskError::PastEnd { start, len, size })?;
        let taken = |&&(other, nr): &&(u64, u32)| {
            other < end && start < other + self.layouts[index32(nr)].len()
        };
        if let Some(&(other, _)) = self.parts.iter().find(taken) {
            return Err(DiskError::Overlap { start, len, other });
        }
        self.parts.push((start, count32(self.layouts.len())));
        self.parts.sort_unstable();
        self.layouts.push(Arc::new(part));
        self.tile();
        Ok(())
    }

    /// Puts `bytes` at byte `start`.
    ///
    /// # Errors
    /// When they have no room there.
    pub fn put_bytes(&mut self, start: u64, bytes: impl Into<Vec<u8>>) -> Result<(), DiskError> {
        self.put(start, Plain::new(bytes.into()))
    }

    fn tile(&mut self) {
        self.extents.clear();
        let mut at = 0;
        let free = |from, to| Extent {
            start: from,
            len: to - from,
            content: Content::Free,
        };
        for &(start, nr) in &self.parts {
            push(&mut self.extents, free(at, start));
            let layout = &self.layouts[index32(nr)];
            for e in layout.extents() {
                let (source, offset) = (SourceNr(nr), e.start);
                let content = match e.content {
                    Content::Bytes { .. } => Content::Bytes { source, offset },
                    Content::File { .. } => Content::File { source, offset },
                    other => other,
                };
                let (start, len) = (start + e.start, e.len);
                push(
                    &mut self.extents,
                    Extent {
                        start,
                        len,
                        content,
                    },
                );
            }
            at = start + layout.len();
        }
        push(&mut self.extents, free(at, self.size));
    }
}

impl ReadAt for Disk {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        crate::extent::read(&self.extents, offset, buf, |nr, at, out| {
            self.layouts[index32(nr.0)].read_exact_at(at, out)
        })
    }
}

impl Layout for Disk {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

/// Bytes all of which matter.
struct Plain {
    bytes: Vec<u8>,
    extents: Vec<Extent>,
}

impl Plain {
    fn new(bytes: Vec<u8>) -> Self {
        let mut extents = Vec::new();
        let content = Content::Bytes {
            source: SourceNr(0),
            offset: 0,
        };
        let (start, len) = (0, ReadAt::len(&bytes));
        push(
            &mut extents,
            Extent {
                start,
                len,
                content,
            },
        );
        Self { bytes, extents }
    }
}

impl ReadAt for Plain {
    fn len(&self) -> u64 {
        ReadAt::len(&self.bytes)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.read_exact_at(offset, buf)
    }
}

impl Layout for Plain {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}
