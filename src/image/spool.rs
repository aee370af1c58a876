//! Where file data lands while the archive is being read.

use bytes::Bytes;
use std::io;

/// Takes file data at its place on the disk, as the archive brings it.
///
/// A raw image is its own spool: the data goes straight to where it will live. Another sink keeps it
/// in an unlinked file that is laid out as the disk will be.
pub trait Spool {
    /// Puts `data` at byte `at` of the disk. Calls come in ascending order of `at`; what lies between
    /// two calls reads as zeros. `keep` marks the few files that [`super::prepare`] will read again.
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
