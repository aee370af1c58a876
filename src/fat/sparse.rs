//! Memory that is as long as a partition and holds only what was written.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::read_at::{ReadAt, sought};
use crate::units::{count, index};

const PAGE: usize = 4096;

/// A seekable store of fixed length; what was never written reads as zero.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Up to the last that was written. By number: every entry of the FAT is looked up, several times.
    pages: Vec<Option<Box<[u8; PAGE]>>>,
    len: u64,
    at: u64,
}

impl Sparse {
    pub(super) fn new(len: u64) -> Self {
        Self {
            pages: Vec::new(),
            len,
            at: 0,
        }
    }

    /// Overwrites the bytes at `at`; the caller knows that they lie inside.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) {
        let end = at + count(bytes.len());
        assert!(end <= self.len, "writes stay inside of the volume");
        let mut from = at;
        while from < end {
            let (page, inside) = split(from);
            let n = (PAGE - inside).min(index(end - from));
            let done = index(from - at);
            let part = &bytes[done..done + n];
            // Formatting writes whole FATs of zeros: they need no memory.
            let zeros = part.iter().all(|&b| b == 0);
            if !zeros || self.page(page).is_some() {
                let page = self.page_to_write(page);
                page[inside..inside + n].copy_from_slice(part);
            }
            from += count(n);
        }
    }

    /// The bytes at `at`, zero where nothing was written.
    pub(super) fn get(&self, at: u64, buf: &mut [u8]) {
        let end = at + count(buf.len());
        let mut from = at;
        while from < end {
            let (page, inside) = split(from);
            let n = (PAGE - inside).min(index(end - from));
            let done = index(from - at);
            match self.page(page) {
                Some(page) => buf[done..done + n].copy_from_slice(&page[inside..inside + n]),
                None => buf[done..done + n].fill(0),
            }
            from += count(n);
        }
    }

    fn page(&self, nr: usize) -> Option<&[u8; PAGE]> {
        self.pages.get(nr)?.as_deref()
    }

    fn page_to_write(&mut self, nr: usize) -> &mut [u8; PAGE] {
        if nr >= self.pages.len() {
            self.pages.resize_with(nr + 1, || None);
        }
        self.pages[nr].get_or_insert_with(|| Box::new([0; PAGE]))
    }

    /// Bytes from the cursor to the end, at most `want`.
    fn room(&self, want: usize) -> usize {
        want.min(index(self.len.saturating_sub(self.at)))
    }
}

fn split(at: u64) -> (usize, usize) {
    let at = index(at);
    (at / PAGE, at % PAGE)
}

impl Read for Sparse {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.room(buf.len());
        self.get(self.at, &mut buf[..n]);
        self.at += count(n);
        Ok(n)
    }
}

impl Write for Sparse {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.room(buf.len());
        self.put(self.at, &buf[..n]);
        self.at += count(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.len)?;
        Ok(self.at)
    }
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(count(buf.len()));
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.get(offset, buf);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_across_pages_and_zeros_cost_nothing() {
        let mut disk = Sparse::new(1 << 20);
        disk.seek(SeekFrom::Start(4090)).unwrap();
        disk.write_all(b"across a page").unwrap();
        disk.write_all(&[0; 50_000]).unwrap();
        assert_eq!(disk.pages.iter().flatten().count(), 2);
        let mut back = [0xff; 15];
        disk.read_exact_at(4089, &mut back).unwrap();
        assert_eq!(&back, b"\0across a page\0");
        assert!(disk.read_exact_at((1 << 20) - 14, &mut back).is_err());
        disk.seek(SeekFrom::End(-3)).unwrap();
        assert_eq!(disk.write(b"longer").unwrap(), 3);
    }
}
