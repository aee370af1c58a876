//! The few pieces of an image that were read last: tables, and what was compressed.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the pieces that were asked for last, by their number.
#[derive(Debug)]
pub(super) struct Cache<T> {
    kept: Mutex<VecDeque<(u64, Arc<T>)>>,
    room: usize,
}

impl<T> Cache<T> {
    /// For `room` pieces.
    pub(super) fn new(room: usize) -> Self {
        Self {
            kept: Mutex::default(),
            room,
        }
    }

    /// Piece `nr`, made where it is not there.
    pub(super) fn get(&self, nr: u64, make: impl FnOnce() -> io::Result<T>) -> io::Result<Arc<T>> {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = kept.iter().position(|(n, _)| *n == nr)
                && let Some(found) = kept.remove(at)
            {
                let piece = Arc::clone(&found.1);
                kept.push_front(found);
                return Ok(piece);
            }
        }
        // Without the lock: two threads may make the same piece, none waits for another's.
        let piece = Arc::new(make()?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(self.room.saturating_sub(1));
        kept.push_front((nr, Arc::clone(&piece)));
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let cache = Cache::new(2);
        let made = |nr: u64| {
            let mut fresh = false;
            let piece = cache.get(nr, || {
                fresh = true;
                Ok(nr * 10)
            });
            assert_eq!(*piece.unwrap(), nr * 10);
            fresh
        };
        let seen = [1, 2, 1, 3, 1, 2].map(made);
        assert_eq!(seen, [true, true, false, true, false, true]);
    }
}
