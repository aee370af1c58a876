//! Reading at an offset: what a planner's metadata, a spool and an image file have in common.

use std::io::{self, SeekFrom};
use std::ops::Range;

/// Bytes that can be read at any offset, from several threads, without a cursor.
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when `offset + buf.len()` lies past the end; whatever the device says.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// The first hole from `offset` on: bytes that are known to be zero without reading them. Without one it
    /// is empty, at the end.
    ///
    /// # Errors
    /// Whatever the device says.
    fn hole(&self, _offset: u64) -> io::Result<Range<u64>> {
        Ok(self.len()..self.len())
    }

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        crate::units::count(Self::len(self))
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|s| Some(s..s.checked_add(buf.len())?));
        let bytes = range
            .and_then(|r| self.get(r))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

impl<T: ReadAt + ?Sized> ReadAt for std::sync::Arc<T> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        (**self).hole(offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        (**self).hole(offset)
    }
}

/// A file or block device of known length.
#[derive(Debug)]
pub struct FileAt {
    file: std::fs::File,
    len: u64,
}

impl FileAt {
    /// Wraps `file`; its length is taken now.
    ///
    /// # Errors
    /// When the length cannot be read.
    pub fn new(file: std::fs::File) -> io::Result<Self> {
        use std::io::Seek;
        let mut f = &file;
        let len = f.seek(io::SeekFrom::End(0))?;
        Ok(Self { file, len })
    }
}

impl ReadAt for FileAt {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buf, offset)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        use rustix::fs::SeekFrom::{Data, Hole};
        use rustix::io::Errno;
        if offset >= self.len {
            return Ok(self.len..self.len);
        }
        // Every file has a hole at its end; ENXIO says that none of what follows is data.
        let start = rustix::fs::seek(&self.file, Hole(offset))?.min(self.len);
        let end = match rustix::fs::seek(&self.file, Data(start)) {
            Ok(end) => end.min(self.len),
            Err(Errno::NXIO) => self.len,
            Err(e) => return Err(e.into()),
        };
        Ok(start..end)
    }
}

/// A window of another source, its offsets counted from the window's start.
#[derive(Clone, Copy)]
pub struct Window<R> {
    inner: R,
    start: u64,
    len: u64,
}

impl<R: ReadAt> Window<R> {
    /// The `len` bytes of `inner` from `start`, cut at the end of `inner`.
    #[must_use]
    pub fn new(inner: R, start: u64, len: u64) -> Self {
        let len = len.min(inner.len().saturating_sub(start));
        Self { inner, start, len }
    }
}

impl<R> std::fmt::Debug for Window<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({}+{})", self.start, self.len)
    }
}

impl<R: ReadAt> ReadAt for Window<R> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(crate::units::count(buf.len()));
        if end.is_none_or(|e| e > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.inner.read_exact_at(self.start + offset, buf)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        let hole = self.inner.hole(self.start.saturating_add(offset))?;
        let inside = |at: u64| at.saturating_sub(self.start).min(self.len);
        Ok(inside(hole.start)..inside(hole.end))
    }
}

/// Where a seek leads from byte `at` of something `len` bytes long, as [`std::io::Seek`] has it.
pub(crate) fn sought(to: SeekFrom, at: u64, len: u64) -> io::Result<u64> {
    let sought = match to {
        SeekFrom::Start(n) => Some(n),
        SeekFrom::End(n) => len.checked_add_signed(n),
        SeekFrom::Current(n) => at.checked_add_signed(n),
    };
    Ok(sought.ok_or(io::ErrorKind::InvalidInput)?)
}
