//! Finding what is zero anyway: such data needs no writing, and the image can say so.

use crate::units::{KIB, count, index};
use bytes::Bytes;
use std::ops::Range;

/// Shorter runs of zeros, in bytes, are no extents of their own: they would outnumber the files.
const RUN_MIN: u64 = 64 * KIB;

/// The largest block.
const ZEROS: [u8; 4096] = [0; 4096];

/// Follows file data as it is placed.
#[derive(Debug)]
pub(super) struct Zeros {
    /// Bytes in a block.
    block: u64,
    /// Zero bytes so far without a gap, on the filesystem.
    current: Range<u64>,
    /// Whole blocks, sorted.
    runs: Vec<Range<u64>>,
}

impl Zeros {
    /// For a filesystem with blocks of `block` bytes, at most 4096.
    pub(super) fn new(block: u64) -> Self {
        Self {
            block,
            current: 0..0,
            runs: Vec::new(),
        }
    }

    /// Gives `put` the parts of `data`, which belongs at byte `at` of the filesystem, that are not
    /// zero. Block by block, so that the runs do not depend on how the data was cut.
    pub(super) fn split<E>(
        &mut self,
        at: u64,
        data: &Bytes,
        mut put: impl FnMut(u64, Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let len = data.len();
        let (mut from, mut done) = (0, 0);
        while done < len {
            let room = index(self.block - (at + count(done)) % self.block);
            let end = len.min(done + room);
            let part = &data[done..end];
            // Nearly every block shows itself in its first byte.
            if part[0] == 0 && part == &ZEROS[..part.len()] {
                if from < done {
                    put(at + count(from), data.slice(from..done))?;
                }
                self.zero(at + count(done)..at + count(end));
                from = end;
            }
            done = end;
        }
        if from < len {
            put(at + count(from), data.slice(from..len))?;
        }
        Ok(())
    }

    fn zero(&mut self, bytes: Range<u64>) {
        if bytes.start == self.current.end {
            self.current.end = bytes.end;
        } else {
            self.close();
            self.current = bytes;
        }
    }

    fn close(&mut self) {
        let blocks = self.current.start.div_ceil(self.block)..self.current.end / self.block;
        if blocks.end >= blocks.start + RUN_MIN / self.block {
            self.runs.push(blocks);
        }
        self.current = 0..0;
    }

    /// The runs that were found, in blocks of the filesystem.
    pub(super) fn finish(mut self) -> Vec<Range<u64>> {
        self.close();
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: u64 = 4096;

    proptest! {
        #[test]
        fn what_is_put_and_zeros_make_the_data_however_it_is_cut(
            blocks in prop::collection::vec((any::<bool>(), 1u64..40), 1..8),
            cuts in prop::collection::vec(1usize..70_000, 1..30),
        ) {
            let mut data = Vec::new();
            for (zero, n) in blocks {
                data.extend(vec![u8::from(!zero); index(n * 2048)]);
            }
            let whole = Bytes::from(data.clone());
            let (mut out, mut zeros) = (vec![0; data.len()], Zeros::new(BLOCK));
            let mut at = 0;
            for cut in cuts.iter().copied().chain([data.len()]) {
                let end = data.len().min(at + cut);
                zeros.split(count(at), &whole.slice(at..end), |to, part| {
                    out[index(to)..index(to) + part.len()].copy_from_slice(&part);
                    Ok::<(), ()>(())
                }).unwrap();
                at = end;
            }
            prop_assert!(out == data);
            let runs = zeros.finish();
            let mut once = Zeros::new(BLOCK);
            once.split(0, &whole, |_, _| Ok::<(), ()>(())).unwrap();
            prop_assert_eq!(&runs, &once.finish());
            for run in runs {
                let (from, to) = (index(run.start * BLOCK), index(run.end * BLOCK));
                prop_assert!(data[from..to].iter().all(|&b| b == 0));
            }
        }
    }
}
