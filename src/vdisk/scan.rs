//! A disk that was made elsewhere, looked through for what is zero: then it can be written.

use super::VirtualDisk;
use super::forward::going_on;
use super::open::is_zero;
use crate::extent::{Content, Extent, Layout, SourceNr, push};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{KIB, MIB, count, index};
use std::io;
use std::sync::Arc;

/// Zeros of so many bytes, and at a multiple of it, are told from data: the cluster of qcow2, the grain of VMDK.
const UNIT: u64 = 64 * KIB;
/// So many pieces are kept, of some 40 bytes each. On a disk of more the shortest zeros count as data.
const MAX_EXTENTS: usize = 2 << 20;

/// A disk with its extents: file data, and zeros.
pub struct Scanned {
    disk: Arc<dyn VirtualDisk>,
    extents: Vec<Extent>,
}

impl std::fmt::Debug for Scanned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scanned({} extents)", self.extents.len())
    }
}

impl Scanned {
    /// Reads all of `disk` that is stored.
    ///
    /// # Errors
    /// When it cannot be read; `Interrupted` when `observer` asks for an end.
    pub fn new(disk: Arc<dyn VirtualDisk>, observer: &dyn Observer) -> io::Result<Self> {
        let len = disk.len();
        let mut extents = Pieces::new(MAX_EXTENTS);
        let mut buf = vec![0; index(MIB)];
        let mut at = 0;
        while at < len {
            going_on(observer)?;
            let run = disk.run(at)?;
            let end = (at + run.len.max(1)).min(len);
            if !run.stored {
                extents.add(at, end - at, true);
                at = end;
            }
            while at < end {
                going_on(observer)?;
                // Up to a multiple of the buffer, so that units stay whole.
                let part = &mut buf[..index((end - at).min(MIB - at % MIB))];
                disk.read_exact_at(at, part)?;
                observer.progress(Stage::Archive, at, Some(len));
                let mut rest = &*part;
                while !rest.is_empty() {
                    let (unit, more) = rest.split_at(rest.len().min(index(UNIT - at % UNIT)));
                    extents.add(at, count(unit.len()), is_zero(unit));
                    at += count(unit.len());
                    rest = more;
                }
            }
        }
        let extents = extents.list;
        Ok(Self { disk, extents })
    }
}

/// Extents in the making, no more than `max`.
struct Pieces {
    list: Vec<Extent>,
    max: usize,
    /// Shorter zeros count as data.
    shortest: u64,
}

impl Pieces {
    fn new(max: usize) -> Self {
        Self {
            list: Vec::new(),
            max,
            shortest: 0,
        }
    }

    fn add(&mut self, start: u64, len: u64, zero: bool) {
        let content = if zero { Content::Zero } else { data(start) };
        let extent = Extent {
            start,
            len,
            content,
        };
        push(&mut self.list, extent);
        if self.list.len() <= self.max {
            return;
        }
        // To the half, so that this is not done again for every piece.
        loop {
            for mut extent in std::mem::take(&mut self.list) {
                // The last may go on.
                if extent.len < self.shortest && extent.start != start {
                    extent.content = data(extent.start);
                }
                push(&mut self.list, extent);
            }
            if self.list.len() <= self.max / 2 {
                return;
            }
            self.shortest = (2 * self.shortest).max(2 * UNIT);
        }
    }
}

/// Bytes of the disk, from there on.
fn data(offset: u64) -> Content {
    Content::File {
        source: SourceNr(0),
        offset,
    }
}

impl ReadAt for Scanned {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_exact_at(offset, buf)
    }
}

impl Layout for Scanned {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::tile;

    #[test]
    fn a_disk_of_too_many_pieces_loses_its_shortest_zeros_and_no_data() {
        let mut pieces = Pieces::new(32);
        // Data and zeros in turn; every tenth hole is a long one.
        let mut data = Vec::new();
        let mut at = 0;
        for n in 0..1000 {
            data.push(at);
            pieces.add(at, UNIT, false);
            let hole = if n % 200 == 0 { 1000 } else { 1 };
            pieces.add(at + UNIT, hole * UNIT, true);
            assert!(pieces.list.len() <= 32);
            at += (1 + hole) * UNIT;
        }
        tile(&pieces.list, at).unwrap();
        let stored = |byte: u64| {
            let n = pieces.list.partition_point(|e| e.end() <= byte);
            match pieces.list[n].content {
                Content::File { offset, .. } => offset == pieces.list[n].start,
                _ => false,
            }
        };
        assert!(data.iter().all(|at| stored(*at)));
        let zeros = pieces.list.iter().filter(|e| e.content == Content::Zero);
        assert!(zeros.map(|e| e.len).sum::<u64>() >= 2 * 1000 * UNIT);
    }
}
