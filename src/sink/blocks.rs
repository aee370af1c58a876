//! An image as blocks of one size: which of them matter, and the digest of each that does.

use super::map::{Class, Region};
use crate::hex::unhex;
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{KIB, count, count32, index};
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The block of an EBS snapshot, in bytes (`PutSnapshotBlock`, `DataLength`).
pub const SNAPSHOT_BLOCK: u64 = 512 * KIB;
/// Blocks that a thread hashes before it looks for more.
const CHUNK: usize = 16;

/// SHA-256.
pub type Digest = [u8; 32];

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// A digest from text: 64 digits, nothing else.
#[must_use]
pub fn from_hex(text: &str) -> Option<Digest> {
    unhex(text.as_bytes())?.try_into().ok()
}

/// A block that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Its number, from 0.
    pub index: u32,
    /// Of its bytes; the last block of an image is filled up with zeros.
    pub digest: Digest,
}

/// What of an image matters: every block that is not free throughout.
#[derive(Clone, Debug)]
pub struct Survey {
    block_size: u64,
    len: u64,
    zero: Digest,
    /// Shared: of a large image they are many.
    blocks: Arc<Vec<Hashed>>,
}

impl Survey {
    /// Reads what `regions`, which cover `image`, call data, in as many threads as there are processors.
    ///
    /// # Errors
    /// When the image cannot be read or has more blocks than 32 bits can number; `Interrupted` when
    /// `observer` asks for an end.
    pub fn new(
        image: &dyn ReadAt,
        regions: &[Region],
        block_size: u64,
        observer: &dyn Observer,
    ) -> io::Result<Self> {
        let len = image.len();
        if len.div_ceil(block_size) > u64::from(u32::MAX) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let zero = sha256(&vec![0; index(block_size)]);
        let (blocks, data) = matter(regions, block_size, zero);
        let hashing = Hashing {
            image,
            block_size,
            data: &data,
            next: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            results: Mutex::new(Ok(blocks)),
            observer,
        };
        hashing.run();
        let results = hashing.results.into_inner();
        Ok(Self {
            block_size,
            len,
            zero,
            blocks: Arc::new(results.unwrap_or_else(PoisonError::into_inner)?),
        })
    }

    /// Bytes in a block.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        self.block_size
    }

    /// Bytes of the image.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the image is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The blocks that matter, ascending.
    #[must_use]
    pub fn blocks(&self) -> &[Hashed] {
        &self.blocks
    }

    /// The digest of a block of zeros.
    #[must_use]
    pub fn zero(&self) -> Digest {
        self.zero
    }

    /// One digest for all of it: of the sizes, and of number and digest of every block that matters.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(self.block_size.to_le_bytes());
        hasher.update(self.len.to_le_bytes());
        for block in self.blocks.iter() {
            hasher.update(block.index.to_le_bytes());
            hasher.update(block.digest);
        }
        hasher.finalize().into()
    }
}

/// The blocks that are not free throughout, all as if they were zeros; and which of them, by their place in
/// that list, hold data.
fn matter(regions: &[Region], block_size: u64, zero: Digest) -> (Vec<Hashed>, Vec<usize>) {
    let (mut blocks, mut data): (Vec<Hashed>, Vec<usize>) = (Vec::new(), Vec::new());
    let known = regions
        .iter()
        .filter(|r| r.class != Class::Free && r.len > 0);
    for region in known {
        let first = region.start / block_size;
        let last = (region.start + region.len - 1) / block_size;
        for nr in first..=last {
            let nr = count32(index(nr));
            if blocks.last().is_none_or(|b| b.index != nr) {
                blocks.push(Hashed {
                    index: nr,
                    digest: zero,
                });
            }
            let place = blocks.len() - 1;
            if region.class == Class::Data && data.last() != Some(&place) {
                data.push(place);
            }
        }
    }
    (blocks, data)
}

struct Hashing<'a> {
    image: &'a dyn ReadAt,
    block_size: u64,
    data: &'a [usize],
    next: AtomicUsize,
    done: AtomicU64,
    results: Mutex<io::Result<Vec<Hashed>>>,
    observer: &'a dyn Observer,
}

impl Hashing<'_> {
    fn run(&self) {
        let chunks = self.data.len().div_ceil(CHUNK);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(chunks))
                .map(|_| scope.spawn(|| self.work()))
                .collect();
            let total = count(self.data.len()) * self.block_size;
            while workers.iter().any(|w| !w.is_finished()) {
                let done = self.done.load(Ordering::Relaxed);
                self.observer.progress(Stage::Digest, done, Some(total));
                if self.observer.cancelled() {
                    *self.lock() = Err(io::ErrorKind::Interrupted.into());
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, io::Result<Vec<Hashed>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut buf = vec![0; index(self.block_size)];
        loop {
            let from = self.next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(places) = self.data.get(from..) else {
                return;
            };
            for &place in places.iter().take(CHUNK) {
                let nr = match self.lock().as_ref() {
                    Ok(blocks) => blocks[place].index,
                    Err(_) => return,
                };
                let result = read_block(self.image, nr, &mut buf).map(|()| sha256(&buf));
                match (&mut *self.lock(), result) {
                    (Ok(blocks), Ok(digest)) => blocks[place].digest = digest,
                    (Err(_), _) => return,
                    (failed, Err(e)) => {
                        *failed = Err(e);
                        return;
                    }
                }
                self.done.fetch_add(self.block_size, Ordering::Relaxed);
            }
        }
    }
}

/// Reads block `nr` of an image cut into blocks of `buf`'s length; past its end there are zeros.
///
/// # Errors
/// When the image cannot be read.
pub fn read_block(image: &dyn ReadAt, nr: u32, buf: &mut [u8]) -> io::Result<()> {
    let start = u64::from(nr) * count(buf.len());
    let room = usize::try_from(image.len().saturating_sub(start)).unwrap_or(usize::MAX);
    let (inside, past) = buf.split_at_mut(room.min(buf.len()));
    past.fill(0);
    image.read_exact_at(start, inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;

    fn region(start: u64, len: u64, class: Class) -> Region {
        Region { start, len, class }
    }

    #[test]
    fn a_block_matters_unless_it_is_free_throughout() {
        let image: Vec<u8> = (0..40).collect();
        let regions = [
            region(0, 8, Class::Free),
            region(8, 5, Class::Zero),
            region(13, 4, Class::Data),
            region(17, 15, Class::Free),
            region(32, 8, Class::Data),
        ];
        let survey = Survey::new(&image, &regions, 8, &Silent).unwrap();
        let zero = survey.zero();
        let expected = [
            // Zero up to byte 13, data from there: read.
            (1, sha256(&image[8..16])),
            (2, sha256(&image[16..24])),
            (4, sha256(&image[32..40])),
        ];
        let seen: Vec<_> = survey
            .blocks()
            .iter()
            .map(|b| (b.index, b.digest))
            .collect();
        assert_eq!(seen, expected);
        let zeros = Survey::new(&image, &[region(0, 40, Class::Zero)], 16, &Silent).unwrap();
        assert_eq!(zeros.blocks().len(), 3);
        assert!(zeros.blocks().iter().all(|b| b.digest == zeros.zero()));
        assert_ne!(zeros.zero(), zero);
    }

    #[test]
    fn many_blocks_are_hashed_in_order_and_the_last_is_filled_up() {
        let image: Vec<u8> = (0..100_003_u32).map(|n| n.to_le_bytes()[0]).collect();
        let all = [region(0, 100_003, Class::Data)];
        let survey = Survey::new(&image, &all, 1024, &Silent).unwrap();
        let mut padded = image.clone();
        padded.resize(98 * 1024, 0);
        for (block, bytes) in survey.blocks().iter().zip(padded.chunks(1024)) {
            assert_eq!(block.digest, sha256(bytes), "{}", block.index);
        }
        assert_eq!(survey.blocks().len(), 98);
    }

    #[test]
    fn a_shortened_image_is_an_error() {
        let regions = [region(0, 300, Class::Data)];
        struct Short;
        impl ReadAt for Short {
            fn len(&self) -> u64 {
                300
            }
            fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let error = Survey::new(&Short, &regions, 64, &Silent).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
