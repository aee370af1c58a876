//! Where file data lands while the archive is being read.

use crate::read_at::ReadAt;
use crate::units::{count, index};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;

/// Takes file data at its place on the disk, as the archive brings it.
///
/// A raw image is its own spool: the data goes straight to where it will live. Another sink keeps it
/// in an unlinked file that is laid out as the disk will be.
pub trait Spool {
    /// Puts `data` at byte `at` of the disk. Calls come in ascending order of `at`; what lies between
    /// two calls reads as zeros. `keep` marks the few files that the prepare stage will read again.
    ///
    /// # Errors
    /// When the disk is full, or an earlier write failed.
    fn place(&mut self, at: u64, data: Bytes, keep: bool) -> io::Result<()>;

    /// Forgets `len` bytes at `at`: the file they belonged to was replaced by a later entry.
    ///
    /// # Errors
    /// When the output cannot be changed.
    fn punch(&mut self, at: u64, len: u64) -> io::Result<()>;

    /// Reads back what was placed with `keep`. Waits for writes of it that are under way.
    ///
    /// # Errors
    /// When the spool cannot be read.
    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Says before all data that these `len` bytes at `at` will most likely be zeros that matter: who sends the disk
    /// away while it is being made has something to begin with.
    fn vacant(&mut self, _at: u64, _len: u64) {}
}

/// Keeps the few files that are read again, and nothing else: for `plan`, which writes nothing.
#[derive(Debug, Default)]
pub struct PlanSpool(MemorySpool);

impl Spool for PlanSpool {
    fn place(&mut self, at: u64, data: Bytes, keep: bool) -> io::Result<()> {
        if keep {
            self.0.place(at, data, keep)?;
        }
        Ok(())
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.0.punch(at, len)
    }

    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_back(at, buf)
    }
}

/// Keeps all file data in memory; what it does not have reads as zeros. For images that are looked at and
/// never written: [`super::Image::with_data`].
#[derive(Clone, Debug, Default)]
pub struct MemorySpool {
    kept: BTreeMap<u64, Bytes>,
    end: u64,
}

impl Spool for MemorySpool {
    fn place(&mut self, at: u64, data: Bytes, _keep: bool) -> io::Result<()> {
        self.end = self.end.max(at + count(data.len()));
        // A copy: a slice would keep the archive's whole buffer.
        self.kept.insert(at, Bytes::copy_from_slice(&data));
        Ok(())
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        let gone: Vec<u64> = self.kept.range(at..at + len).map(|(&k, _)| k).collect();
        for k in gone {
            self.kept.remove(&k);
        }
        Ok(())
    }

    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read(at, buf);
        Ok(())
    }
}

impl MemorySpool {
    fn read(&self, at: u64, buf: &mut [u8]) {
        buf.fill(0);
        let end = at + count(buf.len());
        // A piece may begin before `at`; no piece of the archive is longer than its buffers.
        let from = self.kept.range(..at).next_back().map_or(at, |(&k, _)| k);
        for (&start, data) in self.kept.range(from..end) {
            let stop = start + count(data.len());
            let (lo, hi) = (start.max(at), stop.min(end));
            if lo < hi {
                let part = &data[index(lo - start)..index(hi - start)];
                let to = index(lo - at);
                buf[to..to + part.len()].copy_from_slice(part);
            }
        }
    }
}

impl ReadAt for MemorySpool {
    fn len(&self) -> u64 {
        self.end
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read(offset, buf);
        Ok(())
    }
}
