//! What is bundled: bytes, and where among them there is data.

use super::tar::BLOCK;
use crate::extent::{Content, Layout};
use crate::units::{KIB, count, index};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// An image, read once from its first byte to its last. Its holes are known beforehand: a tar tells them
/// before the data.
pub struct Source<'a> {
    len: u64,
    data: Vec<Range<u64>>,
    reader: Box<dyn Read + 'a>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes, {} runs)", self.len, self.data.len())
    }
}

impl<'a> Source<'a> {
    /// An image as a value: what it says is zero or free is a hole.
    #[must_use]
    pub fn of_layout(image: &'a dyn Layout) -> Self {
        let stored = |c: Content| matches!(c, Content::Bytes { .. } | Content::File { .. });
        let ranges = image.extents().iter().filter(|e| stored(e.content));
        let len = image.len();
        // Blocks of ext4, so that no end of a file becomes a hole of its own.
        let data = aligned(ranges.map(|e| e.start..e.end()), 4 * KIB, len);
        let reader = Box::new(Runs {
            runs: data.clone().into_iter(),
            now: 0..0,
            read: move |buf: &mut [u8], at| image.read_exact_at(at, buf),
        });
        Self { len, data, reader }
    }

    /// A file, or a block device, with the holes that its filesystem knows (`SEEK_DATA`).
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn of_file(file: &'a File) -> io::Result<Self> {
        let len = seek(file, SeekFrom::End(0))?;
        let data = aligned(data_of(file, len)?.into_iter(), BLOCK, len);
        let reader = Box::new(Runs {
            runs: data.clone().into_iter(),
            now: 0..0,
            read: move |buf: &mut [u8], at| file.read_exact_at(buf, at),
        });
        Ok(Self { len, data, reader })
    }

    /// `len` bytes from a pipe. Of their holes nothing is known, so all of it is data; zeros cost time and
    /// hardly any space.
    #[must_use]
    pub fn of_reader(len: u64, reader: impl Read + 'a) -> Self {
        let data = aligned(std::iter::once(0..len), BLOCK, len);
        let reader = Box::new(reader);
        Self { len, data, reader }
    }

    /// Its length in bytes, holes included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it has data.
    pub(super) fn data(&self) -> &[Range<u64>] {
        &self.data
    }

    /// The data alone, without the holes.
    pub(super) fn reader(&mut self) -> &mut dyn Read {
        &mut self.reader
    }
}

/// The runs of data of a file of `len` bytes.
fn data_of(file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No more data.
            Err(Errno::NXIO) => break,
            // A filesystem without holes, or a device.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(std::iter::once(0..len).collect()),
            Err(e) => return Err(e.into()),
        };
        // lseek(2): the end of the file is a hole.
        let end = seek(file, SeekFrom::Hole(start))?.min(len);
        if start >= end {
            // It grew meanwhile.
            break;
        }
        runs.push(start..end);
        at = end;
    }
    Ok(runs)
}

/// Ranges rounded outwards to multiples of `to`, joined where they meet, ended at `len`.
fn aligned(ranges: impl Iterator<Item = Range<u64>>, to: u64, len: u64) -> Vec<Range<u64>> {
    let mut list: Vec<Range<u64>> = Vec::new();
    for range in ranges.filter(|r| !r.is_empty()) {
        let (start, end) = (
            range.start / to * to,
            range.end.next_multiple_of(to).min(len),
        );
        match list.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ => list.push(start..end),
        }
    }
    list
}

/// Reads runs one after the other.
struct Runs<R> {
    runs: std::vec::IntoIter<Range<u64>>,
    now: Range<u64>,
    read: R,
}

impl<R: Fn(&mut [u8], u64) -> io::Result<()>> Read for Runs<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.now.is_empty() {
            let Some(next) = self.runs.next() else {
                return Ok(0);
            };
            self.now = next;
        }
        let left = self.now.end - self.now.start;
        let step = left.min(count(buf.len()));
        (self.read)(&mut buf[..index(step)], self.now.start)?;
        self.now.start += step;
        Ok(index(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_rounded_outwards_and_joined() {
        let data = aligned(
            [5..9, 500..600, 5000..5001, 9000..9999].into_iter(),
            512,
            9999,
        );
        assert_eq!(data, [0..1024, 4608..5120, 8704..9999]);
        assert_eq!(aligned(std::iter::once(0..0), 512, 0), []);
    }

    #[test]
    fn a_sparse_file_gives_its_data_and_no_holes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(b"data", 1 << 19).unwrap();
        let mut source = Source::of_file(&file).unwrap();
        assert_eq!(source.len(), 1 << 20);
        let stored: u64 = source.data().iter().map(|r| r.end - r.start).sum();
        assert!(stored < 1 << 19, "{source:?}");
        let mut data = Vec::new();
        source.reader().read_to_end(&mut data).unwrap();
        assert_eq!(count(data.len()), stored);
        assert_eq!(&data[..4], b"data");
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 9000], 0).unwrap();
        let mut source = Source::of_file(&file).unwrap();
        file.set_len(100).unwrap();
        let failed = source.reader().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
    }
}
