//! What is on the disk in a snapshot, by the few blocks that say so.

use super::SnapshotError;
use super::parent::{Listed, block, list};
use crate::aws::Aws;
use crate::inspect::{self, Info};
use crate::read_at::ReadAt;
use crate::units::{GIB, count, index};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Partitions and filesystems of a completed snapshot: reads the blocks that [`inspect::info`] looks at, one after the
/// other.
///
/// # Errors
/// When AWS refuses, or the disk's partition table is damaged.
pub async fn look(aws: &Aws, id: &str) -> Result<Info, SnapshotError> {
    let Listed {
        block_size,
        gibibytes,
        blocks,
    } = list(aws, id).await?;
    let tokens: BTreeMap<u64, (i32, String)> = blocks
        .into_iter()
        .filter_map(|(nr, token)| Some((u64::try_from(nr).ok()?, (nr, token))))
        .collect();
    let mut disk = Partial {
        len: gibibytes.saturating_mul(GIB),
        block_size,
        blocks: tokens.keys().map(|nr| (*nr, None)).collect(),
        missing: Mutex::default(),
    };
    loop {
        let info = inspect::info(&disk);
        let missing = disk.missing.get_mut();
        let missing = missing.unwrap_or_else(PoisonError::into_inner).take();
        let Some((nr, (number, token))) = missing.and_then(|nr| Some((nr, tokens.get(&nr)?)))
        else {
            return info.map_err(|source| SnapshotError::Look {
                id: id.to_owned(),
                source,
            });
        };
        let (_, bytes) = block(aws, id, *number, token).await?;
        disk.blocks.insert(nr, Some(bytes));
    }
}

/// A disk of which some blocks are here, and some are only known to exist.
struct Partial {
    len: u64,
    block_size: u64,
    /// What a snapshot has not reads as zeros.
    blocks: BTreeMap<u64, Option<Bytes>>,
    /// The block without which it could not go on.
    missing: Mutex<Option<u64>>,
}

impl ReadAt for Partial {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(count(buf.len()));
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let (nr, from) = (at / self.block_size, at % self.block_size);
            let here = index((self.block_size - from).min(count(rest.len())));
            let (piece, further) = rest.split_at_mut(here);
            match self.blocks.get(&nr) {
                None => piece.fill(0),
                Some(Some(bytes)) => {
                    let bytes = bytes.get(index(from)..index(from) + here);
                    piece.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
                }
                Some(None) => {
                    *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(nr);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
            (at, rest) = (at + count(here), further);
        }
        Ok(())
    }
}
