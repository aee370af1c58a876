//! Where a format's bytes go: from the first to the last, without seeking.

use crate::extent::Layout;
use crate::observe::{Observer, Stage};
use crate::units::{MIB, count, index};
use std::io;

/// Bytes that are copied at a time.
const STEP: u64 = MIB;

/// Takes the bytes of an image in their order.
pub trait Forward: Send {
    /// The next bytes.
    ///
    /// # Errors
    /// Whatever stands behind it says.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The next `len` bytes, all of them zero: a file may get a hole.
    ///
    /// # Errors
    /// Whatever stands behind it says.
    fn zeros(&mut self, len: u64) -> io::Result<()>;
}

/// For what fits into memory.
impl Forward for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.resize(self.len() + index(len), 0);
        Ok(())
    }
}

/// Fills up to a multiple of `unit`, which `len` bytes of something may not have reached.
pub(super) fn pad(out: &mut dyn Forward, len: u64, unit: u64) -> io::Result<()> {
    out.zeros(len.next_multiple_of(unit) - len)
}

/// Reads from `at`; past the end of the disk there are zeros.
pub(super) fn read_padded(disk: &dyn Layout, at: u64, buf: &mut [u8]) -> io::Result<()> {
    let room = usize::try_from(disk.len().saturating_sub(at)).unwrap_or(usize::MAX);
    let (inside, past) = buf.split_at_mut(room.min(buf.len()));
    past.fill(0);
    if inside.is_empty() {
        return Ok(());
    }
    disk.read_exact_at(at, inside)
}

/// Copies data of a disk, tells how far it is and stops when asked to.
pub(super) struct Copier<'a> {
    disk: &'a dyn Layout,
    observer: &'a dyn Observer,
    total: u64,
    done: u64,
    buf: Vec<u8>,
}

impl<'a> Copier<'a> {
    /// For `total` bytes in all.
    pub(super) fn new(disk: &'a dyn Layout, total: u64, observer: &'a dyn Observer) -> Self {
        let (done, buf) = (0, vec![0; index(STEP)]);
        Self {
            disk,
            observer,
            total,
            done,
            buf,
        }
    }

    /// `len` bytes from `at`.
    pub(super) fn copy(&mut self, at: u64, len: u64, out: &mut dyn Forward) -> io::Result<()> {
        let end = at + len;
        let mut at = at;
        while at < end {
            going_on(self.observer)?;
            let part = &mut self.buf[..index((end - at).min(STEP))];
            read_padded(self.disk, at, part)?;
            out.bytes(part)?;
            at += count(part.len());
            self.done += count(part.len());
            self.observer
                .progress(Stage::Sink, self.done, Some(self.total));
        }
        Ok(())
    }
}

/// `Interrupted` when the observer asks for an end.
pub(super) fn going_on(observer: &dyn Observer) -> io::Result<()> {
    match observer.cancelled() {
        true => Err(io::ErrorKind::Interrupted.into()),
        false => Ok(()),
    }
}

/// The disk's own bytes, what is zero or free as zeros.
///
/// # Errors
/// Whatever the disk or `out` says; `Interrupted` when `observer` asks for an end.
pub fn copy(disk: &dyn Layout, out: &mut dyn Forward, observer: &dyn Observer) -> io::Result<()> {
    let stored = super::chunks::stored(disk.extents());
    let total = stored.iter().map(|r| r.end - r.start).sum();
    let mut copier = Copier::new(disk, total, observer);
    let mut at = 0;
    for run in stored {
        out.zeros(run.start - at)?;
        copier.copy(run.start, run.end - run.start, out)?;
        at = run.end;
    }
    out.zeros(disk.len() - at)
}
