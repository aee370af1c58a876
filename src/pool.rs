//! Buffers that travel from whoever fills them to whoever reads them, and come back empty: a fresh one costs a
//! page fault for every page.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Keeps buffers page-aligned, as direct I/O and huge copies like them.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// Empty buffers. The pool never waits: a caller that holds slices of many buffers makes it allocate
/// more, and cannot lock itself out. What is under way is for others to bound.
#[derive(Clone)]
pub(crate) struct Pool {
    shelf: Arc<Mutex<Vec<Vec<Page>>>>,
    /// In a buffer.
    pages: usize,
    /// Empty buffers that are kept.
    kept: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// Of buffers of `len` bytes, a whole number of pages, of which at most `kept` lie empty.
    pub(crate) fn new(len: usize, kept: usize) -> Self {
        Self {
            shelf: Arc::default(),
            pages: len.div_ceil(size_of::<Page>()),
            kept,
        }
    }

    /// A buffer with arbitrary content.
    pub(crate) fn get(&self) -> Buffer {
        let empty = {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.pop()
        };
        let pages = empty.unwrap_or_else(|| vec![Page([0; 4096]); self.pages]);
        Buffer {
            pages,
            len: 0,
            pool: self.clone(),
        }
    }
}

/// A buffer on its way; returns to its pool when dropped.
pub(crate) struct Buffer {
    pages: Vec<Page>,
    len: usize,
    pool: Pool,
}

impl Buffer {
    /// All of it.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.pages.as_mut_bytes()
    }

    /// The first `len` bytes, to be sliced and shared; the buffer returns with the last slice.
    pub(crate) fn freeze(mut self, len: usize) -> Bytes {
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
        if shelf.len() < self.pool.kept {
            shelf.push(std::mem::take(&mut self.pages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_with_its_last_slice() {
        let pool = Pool::new(1 << 20, 14);
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
        let pool = Pool::new(1 << 20, 14);
        let mut many: Vec<Buffer> = (0..20).map(|_| pool.get()).collect();
        assert!(
            many.iter_mut()
                .all(|b| b.space().as_ptr().addr() % 4096 == 0)
        );
        assert!(many.iter_mut().all(|b| b.space().len() == 1 << 20));
        drop(many);
        assert_eq!(pool.shelf.lock().unwrap().len(), 14);
    }
}
