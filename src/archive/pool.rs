//! Buffers that travel from the decoder to whoever writes the data, and come back empty.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of a buffer in bytes. From 1 MiB on, larger reads of a cached file gain nothing.
pub(super) const BUFFER: usize = 1 << 20;

/// Pages in a buffer.
const PAGES: usize = BUFFER / size_of::<Page>();

/// Empty buffers kept for reuse: as many as are under way (`QUEUE` + one being filled + one being read) when
/// the caller has 8 MiB yet to write. A fresh one costs a page fault for every page.
const KEPT: usize = 14;

/// Keeps buffers page-aligned, as direct I/O and huge copies like them.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// Empty buffers. The pool never waits: a caller that holds slices of many buffers makes it allocate
/// more, and cannot lock itself out. How far the decoder runs ahead is bounded by the queue alone.
#[derive(Clone, Default)]
pub(super) struct Pool {
    shelf: Arc<Mutex<Vec<Vec<Page>>>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// A buffer of [`BUFFER`] bytes with arbitrary content.
    pub(super) fn get(&self) -> Buffer {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = shelf.pop().unwrap_or_else(|| vec![Page([0; 4096]); PAGES]);
        Buffer {
            pages,
            len: 0,
            pool: self.clone(),
        }
    }
}

/// A buffer on its way; returns to its pool when dropped.
pub(super) struct Buffer {
    pages: Vec<Page>,
    len: usize,
    pool: Pool,
}

impl Buffer {
    /// All of it.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.pages.as_mut_bytes()
    }

    /// The first `len` bytes, to be sliced and shared; the buffer returns with the last slice.
    pub(super) fn freeze(mut self, len: usize) -> Bytes {
        self.len = len;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        let bytes = self.pages.as_bytes();
        bytes.get(..self.len).unwrap_or(bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut shelf = self
            .pool
            .shelf
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shelf.len() < KEPT {
            shelf.push(std::mem::take(&mut self.pages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_with_its_last_slice() {
        let pool = Pool::default();
        let mut buffer = pool.get();
        buffer.space()[..5].copy_from_slice(b"hello");
        let whole = buffer.freeze(5);
        let slice = whole.slice(1..3);
        drop(whole);
        assert_eq!(
            (&slice[..], pool.shelf.lock().unwrap().len()),
            (&b"el"[..], 0)
        );
        drop(slice);
        assert_eq!(pool.shelf.lock().unwrap().len(), 1);
        let again = pool.get();
        assert!(pool.shelf.lock().unwrap().is_empty());
        drop(again);
    }

    #[test]
    fn buffers_are_page_aligned_and_no_hoard_is_kept() {
        let pool = Pool::default();
        let mut many: Vec<Buffer> = (0..20).map(|_| pool.get()).collect();
        assert!(
            many.iter_mut()
                .all(|b| b.space().as_ptr().addr() % 4096 == 0)
        );
        assert!(many.iter_mut().all(|b| b.space().len() == BUFFER));
        drop(many);
        assert_eq!(pool.shelf.lock().unwrap().len(), KEPT);
    }
}
