//! Blocks of a snapshot that differ: what EBS would store of the second on top of the first.

use super::DiffError;
use crate::inspect::disk::Disk;
use crate::observe::Observer;
use crate::read_at::ReadAt;
use crate::units::{KIB, MIB, index};
use serde::Serialize;
use std::ops::Range;

/// Bytes of a block of an EBS snapshot.
pub const BLOCK: u64 = 512 * KIB;

/// Blocks that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blocks {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks of the first disk, the last perhaps cut off.
    pub from: u64,
    /// Blocks of the second.
    pub to: u64,
    /// How many differ. What one disk alone has counts where it is not zero.
    pub differ: u64,
    /// Which: first and last of each run.
    pub runs: Vec<(u64, u64)>,
}

impl Blocks {
    /// Whether none of `len` bytes from `start` is in a block that differs.
    pub(super) fn untouched(&self, start: u64, len: u64) -> bool {
        let (first, last) = (start / BLOCK, start.saturating_add(len.max(1) - 1) / BLOCK);
        let n = self.runs.partition_point(|(_, end)| *end < first);
        self.runs.get(n).is_none_or(|(from, _)| *from > last)
    }
}

/// A disk and the name of its image.
type Named<'a> = (&'a str, &'a Disk);

/// Compares two disks.
pub(super) fn compare(
    a: Named<'_>,
    b: Named<'_>,
    observer: &dyn Observer,
) -> Result<Blocks, DiffError> {
    let (left, right) = (a.1.image(), b.1.image());
    let len = |disk: &dyn ReadAt| disk.len();
    let (a_len, b_len) = (len(&**left), len(&**right));
    let mut blocks = Blocks {
        block_size: BLOCK,
        from: a_len.div_ceil(BLOCK),
        to: b_len.div_ceil(BLOCK),
        ..Blocks::default()
    };
    // Four blocks at a time: fewer calls, and still within a processor's cache.
    let chunk = 2 * MIB;
    let mut buffers = [vec![0; index(chunk)], vec![0; index(chunk)]];
    let mut at = 0;
    let mut holes = [0..0, 0..0];
    while at < a_len.max(b_len) {
        if observer.cancelled() {
            return Err(DiffError::Interrupted);
        }
        for (hole, side) in holes.iter_mut().zip([a, b]) {
            next_hole(side, at, hole)?;
        }
        let end = at + chunk;
        let empty = |(hole, len): (&Range<u64>, u64)| {
            at >= len || hole.start <= at && hole.end >= end.min(len)
        };
        if holes.iter().zip([a_len, b_len]).all(empty) {
            at = end;
            continue;
        }
        let [x, y] = &mut buffers;
        fill(a, at, x)?;
        fill(b, at, y)?;
        let pairs = x.chunks(index(BLOCK)).zip(y.chunks(index(BLOCK)));
        for (nr, _) in (at / BLOCK..).zip(pairs).filter(|(_, (x, y))| x != y) {
            blocks.differ += 1;
            match blocks.runs.last_mut() {
                Some((_, last)) if *last + 1 == nr => *last = nr,
                _ => blocks.runs.push((nr, nr)),
            }
        }
        at += chunk;
    }
    Ok(blocks)
}

/// Moves on to the hole that ends behind byte `offset`.
fn next_hole((name, disk): Named<'_>, offset: u64, hole: &mut Range<u64>) -> Result<(), DiffError> {
    let len = disk.image().len();
    if hole.end > offset || offset >= len {
        return Ok(());
    }
    let found = disk.image().hole(offset);
    *hole = found.map_err(|source| DiffError::Disk {
        image: name.to_owned(),
        offset,
        source,
    })?;
    // Without one it is empty, at the end: not to be asked for again.
    hole.end = hole.end.max(offset + 1);
    Ok(())
}

/// Reads a disk from byte `offset`; what lies behind its end is zero.
fn fill((name, disk): Named<'_>, offset: u64, buf: &mut [u8]) -> Result<(), DiffError> {
    let image = disk.image();
    let there = index(image.len().saturating_sub(offset)).min(buf.len());
    let (data, rest) = buf.split_at_mut(there);
    rest.fill(0);
    let read = image.read_exact_at(offset, data);
    read.map_err(|source| DiffError::Disk {
        image: name.to_owned(),
        offset,
        source,
    })
}
