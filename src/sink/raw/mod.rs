//! A raw image: a sparse file, byte for byte the disk.
//!
//! ```text
//!  caller's thread                      writer thread
//!  place(at, data) ──► batch of 2 MiB ──► pwrite ──► temporary beside the target
//!                       neighbours join                  │ finish: link or rename
//! ```
//! The file is its own spool: data goes to its place while the archive is read, metadata follows. It
//! appears under its name whole or not at all: the temporary has no name (`O_TMPFILE`) where the
//! filesystem can do that, so that even SIGKILL leaves nothing behind.

pub(super) mod batch;
pub(super) mod target;

pub use target::RawOptions;

use crate::extent::{Content, Extent};
use crate::image::{Image, Source, Spool};
use crate::observe::{Observer, Stage};
use crate::units::{KIB, MIB, count, index};
use batch::Writer;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target::Target;

/// Metadata is rendered so many bytes at a time: few enough that the same memory, still in a cache, serves
/// for the next. The writer joins them.
const RENDER: u64 = 256 * KIB;

/// Why a raw image cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The output's folder does not exist.
    #[error("cannot write {path}: its folder does not exist; make it first")]
    NoFolder {
        /// The output.
        path: PathBuf,
    },
    /// The output exists.
    #[error("{path} exists already; say `--force` to replace it")]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The output is something that a file cannot replace.
    #[error("{path} is {what}; choose the path of a regular file")]
    NotFile {
        /// The output.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The temporary cannot be made.
    #[error("cannot make a temporary file beside {path}")]
    Create {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is written cannot be read.
    #[error("cannot read the disk that is written")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// The finished file cannot be put in its place.
    #[error("the image is written, but cannot be put at {path}")]
    Rename {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody said stop.
    #[error("interrupted")]
    Interrupted,
}

/// A raw image under way. Dropped before [`RawFile::finish`], it leaves nothing.
#[derive(Debug)]
pub struct RawFile {
    target: Target,
    file: Arc<File>,
    writer: Option<Writer>,
}

impl RawFile {
    /// Makes a temporary beside `path`.
    ///
    /// # Errors
    /// When `path` exists and may not be replaced, or its folder takes no files.
    pub fn create(path: &Path, options: RawOptions) -> Result<Self, SinkError> {
        let (target, file) = Target::create(path, options)?;
        let file = Arc::new(file);
        let writer = Writer::start(Arc::clone(&file));
        Ok(Self {
            target,
            file,
            writer: Some(writer),
        })
    }

    /// The temporary's path, where it has one: what to remove when the process must end at once.
    #[must_use]
    pub fn temporary(&self) -> Option<&Path> {
        self.target.temporary()
    }

    /// Takes file data at its place.
    pub fn spool(&mut self) -> &mut dyn Spool {
        self
    }

    fn failed(&self, source: io::Error) -> SinkError {
        self.target.failed(source)
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("only finish takes the writer")
    }

    /// Writes the metadata of `image`, whose file data was placed already, and sets the file's size.
    ///
    /// # Errors
    /// When the disk is full, or the observer says stop.
    pub fn write(&mut self, image: &Image, observer: &dyn Observer) -> Result<(), SinkError> {
        let rendered = |e: &&Extent| matches!(e.content, Content::Bytes { .. });
        let total: u64 = image.extents().iter().filter(rendered).map(|e| e.len).sum();
        let mut done = 0;
        for e in image.extents() {
            let (start, len) = (e.start, e.len);
            let (source, offset) = match e.content {
                Content::Bytes { source, offset } => (source, offset),
                // Of other gaps nobody minds that they become zeros.
                Content::File { .. } => {
                    let parted = self.writer().part();
                    parted.map_err(|e| self.failed(e))?;
                    continue;
                }
                Content::Zero | Content::Free => continue,
            };
            let Source::Rendered(reader) = image.source(source) else {
                continue;
            };
            let mut at = 0;
            while at < len {
                if observer.cancelled() {
                    return Err(SinkError::Interrupted);
                }
                let step = (len - at).min(RENDER);
                let mut bytes = vec![0; index(step)];
                reader
                    .read_exact_at(offset + at, &mut bytes)
                    .map_err(|e| self.failed(e))?;
                let placed = self.writer().place(start + at, Bytes::from(bytes));
                placed.map_err(|e| self.failed(e))?;
                at += step;
                done += step;
                observer.progress(Stage::Sink, done, Some(total));
            }
        }
        self.end_at(image.size())
    }

    /// Ends the file at `size` bytes, when everything was placed that is not zero: for images that are no
    /// [`Image`].
    ///
    /// # Errors
    /// When the disk is full.
    pub fn end_at(&mut self, size: u64) -> Result<(), SinkError> {
        let flushed = self.writer().flush();
        flushed.map_err(|e| self.failed(e))?;
        self.file.set_len(size).map_err(|e| self.failed(e))
    }

    /// The image as it stands, to be read back before it is finished.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts the image under its name.
    ///
    /// # Errors
    /// When it cannot be synced (if asked for) or renamed, or the name was taken meanwhile.
    pub fn finish(mut self) -> Result<(), SinkError> {
        if let Some(writer) = self.writer.take() {
            writer.finish().map_err(|e| self.failed(e))?;
        }
        self.target.publish(&self.file)
    }
}

impl Spool for RawFile {
    fn place(&mut self, at: u64, data: Bytes, _keep: bool) -> io::Result<()> {
        self.writer().place(at, data)
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.writer().settle(at..at + len)?;
        punch(&self.file, at, len)
    }

    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.writer().settle(at..at + count(buf.len()))?;
        read_back(&self.file, at, buf)
    }
}

/// Reads what was written so far; past it the file will read as zeros.
pub(super) fn read_back(file: &File, at: u64, buf: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], at + count(done)) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    buf[done..].fill(0);
    Ok(())
}

/// Makes a range a hole; where the filesystem has none, zeros.
pub(super) fn punch(file: &File, at: u64, len: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(file, flags, at, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            done => return Ok(done?),
        }
    }
    let end = file.metadata()?.len().min(at + len);
    let zeros = vec![0; index(MIB)];
    let mut from = at;
    while from < end {
        let step = (end - from).min(MIB);
        file.write_all_at(&zeros[..index(step)], from)?;
        from += step;
    }
    Ok(())
}
