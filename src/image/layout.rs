//! The image: extents, and where to read them.

use crate::ext4::Plan;
use crate::extent::{Content, Extent, Layout, SourceNr, TileError, tile};
use crate::read_at::ReadAt;
use crate::units::index32;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Where bytes of an image come from.
#[derive(Clone)]
pub enum Source {
    /// Rendered on demand, or held in memory.
    Rendered(Arc<dyn ReadAt>),
    /// The spool, where they lie at their place on the disk.
    Spool,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rendered(r) => write!(f, "Rendered({} bytes)", r.len()),
            Self::Spool => f.write_str("Spool"),
        }
    }
}

/// A disk image as a value.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) size: u64,
    pub(super) extents: Vec<Extent>,
    pub(super) sources: Vec<Source>,
    /// Everything outside of the filesystem that is not free, in order.
    pub(super) regions: Vec<Region>,
    pub(super) filesystem: Arc<Plan>,
    pub(super) filesystem_offset: u64,
}

/// A structure outside of the filesystem.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// Its bytes on the disk.
    pub(super) range: Range<u64>,
    /// Its name.
    pub(super) name: &'static str,
}

/// A kind of structure, all of its extents together.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Structure {
    /// Its name.
    pub structure: &'static str,
    /// `bytes`, `file`, `zero` or `free`.
    pub content: &'static str,
    /// Byte of the disk at which the first of them begins.
    pub first: u64,
    /// How many extents.
    pub extents: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// Why an image is none: a bug of ours.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its extents do not tile the disk.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// An extent reads past the end of its source.
    #[error("the extent at byte {start} reads its source up to byte {end}, but that ends at {len}")]
    Source {
        /// Where the extent begins.
        start: u64,
        /// Where in the source it ends.
        end: u64,
        /// Length of the source.
        len: u64,
    },
}

impl Image {
    /// Size of the disk in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What lies where, in order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The source of an extent.
    #[must_use]
    pub fn source(&self, nr: SourceNr) -> &Source {
        &self.sources[index32(nr.0)]
    }

    /// The same image with file data from `data`, where it lies at its place on the disk (a
    /// [`super::MemorySpool`], the file that was written): all of it can be read then.
    #[must_use]
    pub fn with_data(mut self, data: &Arc<dyn ReadAt>) -> Self {
        for source in &mut self.sources {
            if matches!(source, Source::Spool) {
                *source = Source::Rendered(Arc::<dyn ReadAt>::clone(data));
            }
        }
        self
    }

    /// The root filesystem.
    #[must_use]
    pub fn filesystem(&self) -> &Plan {
        &self.filesystem
    }

    /// Checks that the extents tile the disk and that each source delivers its length: that the image is
    /// one, not that its filesystem is clean.
    ///
    /// # Errors
    /// The first place where they do not.
    pub fn verify(&self) -> Result<(), ImageError> {
        tile(&self.extents, self.size)?;
        for e in &self.extents {
            let (Content::Bytes { source, offset } | Content::File { source, offset }) = e.content
            else {
                continue;
            };
            let len = match self.source(source) {
                Source::Rendered(r) => r.len(),
                Source::Spool => self.size,
            };
            let end = offset + e.len;
            if end > len {
                return Err(ImageError::Source {
                    start: e.start,
                    end,
                    len,
                });
            }
        }
        Ok(())
    }

    /// The layout as text, one structure a line: start and length in bytes, content, name.
    ///
    /// # Errors
    /// Whatever `out` says.
    pub fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for p in self.parts() {
            writeln!(
                out,
                "{:>15} {:>15} {:<5} {}",
                p.start, p.len, p.content, p.structure
            )?;
        }
        Ok(())
    }

    /// What the disk is made of: every structure with its extents and bytes, by where it begins first.
    #[must_use]
    pub fn structures(&self) -> Vec<Structure> {
        let mut list: Vec<Structure> = Vec::new();
        for p in self.parts() {
            let same = |s: &&mut Structure| s.structure == p.structure && s.content == p.content;
            match list.iter_mut().find(same) {
                Some(s) => {
                    s.extents += 1;
                    s.bytes += p.len;
                }
                None => list.push(Structure {
                    structure: p.structure,
                    content: p.content,
                    first: p.start,
                    extents: 1,
                    bytes: p.len,
                }),
            }
        }
        list
    }

    /// The extents, those of metadata cut where one structure ends and the next begins.
    fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.extents.iter().flat_map(|e| {
            let (content, structure) = match e.content {
                Content::Bytes { .. } => match self.region(e) {
                    Some(name) => ("bytes", name),
                    None => return self.pieces_in(e),
                },
                Content::File { .. } => ("file", "file data"),
                Content::Zero => {
                    let inside = "journal, unused inodes, zero runs of files";
                    ("zero", self.region(e).unwrap_or(inside))
                }
                Content::Free => ("free", "free"),
            };
            vec![Part {
                start: e.start,
                len: e.len,
                content,
                structure,
            }]
        })
    }

    /// The structure outside of the filesystem that an extent belongs to.
    fn region(&self, extent: &Extent) -> Option<&'static str> {
        let mut regions = self.regions.iter();
        let region = regions.find(|r| r.range.contains(&extent.start))?;
        Some(region.name)
    }

    fn pieces_in(&self, extent: &Extent) -> Vec<Part> {
        let size = self.filesystem.geometry().block();
        let block = |byte: u64| (byte - self.filesystem_offset) / size;
        let (from, to) = (block(extent.start), block(extent.end()));
        let pieces = self.filesystem.pieces();
        let first = pieces.partition_point(|p| p.start < from);
        let mut list: Vec<Part> = Vec::new();
        for p in pieces[first..].iter().take_while(|p| p.start < to) {
            let (len, structure) = (p.len * size, p.kind.name());
            match list.last_mut().filter(|last| last.structure == structure) {
                Some(last) => last.len += len,
                None => list.push(Part {
                    start: self.filesystem_offset + p.start * size,
                    len,
                    content: "bytes",
                    structure,
                }),
            }
        }
        list
    }
}

/// Reads the disk. File data needs [`Image::with_data`], unless a spool is elsewhere read for it.
impl ReadAt for Image {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        crate::extent::read(&self.extents, offset, buf, |nr, at, out| {
            match self.source(nr) {
                Source::Rendered(source) => source.read_exact_at(at, out),
                Source::Spool => Err(io::Error::other(
                    "the image was built without its file data: see Image::with_data",
                )),
            }
        })
    }
}

impl Layout for Image {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

/// A run of bytes of one structure.
struct Part {
    start: u64,
    len: u64,
    content: &'static str,
    structure: &'static str,
}
