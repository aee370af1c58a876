//! The blocks of metadata that were read last: neighbours in an inode table are read one after the other.

use crate::units::{count, index};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes that a reader keeps.
pub const CACHE_BYTES: u64 = 4 << 20;

/// Blocks by number.
#[derive(Debug)]
pub(super) struct Cache {
    most: usize,
    blocks: Mutex<HashMap<u64, Arc<[u8]>>>,
}

impl Cache {
    pub(super) fn new(block_size: u64) -> Self {
        Self {
            most: index(CACHE_BYTES / block_size),
            blocks: Mutex::default(),
        }
    }

    pub(super) fn get(&self, nr: u64) -> Option<Arc<[u8]>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.get(&nr).cloned()
    }

    /// Keeps a block. A full cache begins anew: what is needed still comes back with one read each.
    pub(super) fn put(&self, nr: u64, block: Arc<[u8]>) -> Arc<[u8]> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.len() >= self.most {
            blocks.clear();
        }
        debug_assert!(count(block.len()) <= CACHE_BYTES);
        blocks.insert(nr, Arc::clone(&block));
        block
    }
}
