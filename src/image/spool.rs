//! Where file data lands while the archive is being read.

use bytes::Bytes;
use std::io;

/// Takes file data at its place on the disk, as the archive brings it.
///
/// A raw image is its own spool: the data goes straight to where it will live. Another sink keeps it
/// in an unlinked file that is laid out as the disk will be.
pub trait Spool {
    /// Puts `data` at byte `at` of the disk. Calls come in ascending order of `at`; what lies between
    /// two calls reads as zeros. `keep` marks the few files that `prepare` will read again.
    ///
    /// # Errors
    /// When the disk is full, or an earlier write failed.
    fn place(&mut self, at: u64, data: Bytes, keep: bool) -> io::Result<()>;

    /// Forgets `len` bytes at `at`: the file they belonged to was replaced by a later entry.
    ///
    /// # Errors
    /// When the output cannot be changed.
    fn punch(&mut self, at: u64, len: u64) -> io::Result<()>;

    /// Reads back what was placed with `keep`. Waits for writes under way.
    ///
    /// # Errors
    /// When the spool cannot be read.
    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// Keeps the few files that are read again, and nothing else: for `plan`, which writes nothing.
#[derive(Debug, Default)]
pub struct PlanSpool {
    kept: std::collections::BTreeMap<u64, Bytes>,
}

impl Spool for PlanSpool {
    fn place(&mut self, at: u64, data: Bytes, keep: bool) -> io::Result<()> {
        if keep {
            // A copy: a slice would keep the archive's whole buffer.
            self.kept.insert(at, Bytes::copy_from_slice(&data));
        }
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
        buf.fill(0);
        let end = at + crate::units::count(buf.len());
        // A piece may begin before `at`; no piece of the archive is longer than its buffers.
        let from = self.kept.range(..at).next_back().map_or(at, |(&k, _)| k);
        for (&start, data) in self.kept.range(from..end) {
            let stop = start + crate::units::count(data.len());
            let (lo, hi) = (start.max(at), stop.min(end));
            if lo < hi {
                let part = &data[crate::units::index(lo - start)..crate::units::index(hi - start)];
                let to = crate::units::index(lo - at);
                buf[to..to + part.len()].copy_from_slice(part);
            }
        }
        Ok(())
    }
}
