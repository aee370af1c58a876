//! SHA-256 of every file, made on a thread of its own while the data passes to its place.

use super::BuildError;
use crate::observe::Observer;
use crate::tree::{DataId, NodeKind};
use crate::units::{count, index};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Orders that go to the thread together, and bytes in them: a message costs more than the digest of a small
/// file.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// Batches that wait: they hold buffers of the archive, of 1 MiB each.
const QUEUE: usize = 4;

/// Bytes of holes in all that are digested: a sparse file claims terabytes for nothing, and SHA-256 knows no
/// shortcut through zeros.
const HOLES: u64 = 64 << 30;

/// What a hole reads as.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// SHA-256 of regular files.
#[derive(Clone, Debug, Default)]
pub struct Digests {
    data: HashMap<DataId, [u8; 32]>,
    /// Of files that are nothing but a hole, by their size.
    holes: HashMap<u64, [u8; 32]>,
}

impl Digests {
    /// Of a file with its holes. `None` of what is no regular file, and of one behind the first 64 GiB of holes
    /// of the image.
    #[must_use]
    pub fn of(&self, kind: NodeKind) -> Option<[u8; 32]> {
        match kind {
            NodeKind::File {
                data: Some(data), ..
            } => self.data.get(&data).copied(),
            NodeKind::File { size: 0, .. } => Some(Sha256::digest(b"").into()),
            NodeKind::File { size, data: None } => self.holes.get(&size).copied(),
            _ => None,
        }
    }
}

enum Order {
    /// A file of that size begins; the one before it has ended.
    Begin(DataId, u64),
    /// Data at that byte of it.
    Data(u64, Bytes),
    /// A file of that size without data.
    Hole(u64),
}

/// Files on their way.
pub(super) struct Digesting {
    orders: Option<SyncSender<Vec<Order>>>,
    batch: Vec<Order>,
    bytes: usize,
    thread: JoinHandle<Digests>,
    stop: Arc<AtomicBool>,
}

impl Digesting {
    pub(super) fn start() -> Self {
        let (orders, receiver) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || run(&receiver, &stopped));
        Self {
            orders: Some(orders),
            batch: Vec::new(),
            bytes: 0,
            thread,
            stop,
        }
    }

    /// A file begins.
    pub(super) fn begin(&mut self, id: DataId, size: u64) {
        self.order(Order::Begin(id, size), 0);
    }

    /// Data of the file that began last, in ascending order; what lies between is a hole.
    pub(super) fn data(&mut self, offset: u64, data: &Bytes) {
        self.order(Order::Data(offset, data.clone()), data.len());
    }

    /// A file that is nothing but a hole.
    pub(super) fn hole(&mut self, size: u64) {
        self.order(Order::Hole(size), 0);
    }

    fn order(&mut self, order: Order, bytes: usize) {
        self.batch.push(order);
        self.bytes += bytes;
        if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if let Some(orders) = &self.orders {
            // Only a thread that panicked is gone: `finish` says so.
            let _ = orders.send(batch);
        }
    }

    /// All digests, when the last file has ended.
    pub(super) fn finish(mut self, observer: &dyn Observer) -> Result<Digests, BuildError> {
        self.send();
        self.orders = None;
        while !self.thread.is_finished() {
            if observer.cancelled() {
                self.stop.store(true, Ordering::Relaxed);
                return Err(BuildError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(self.thread.join().expect("digesting does not panic"))
    }
}

fn run(orders: &Receiver<Vec<Order>>, stop: &AtomicBool) -> Digests {
    let mut digests = Digests::default();
    let mut current: Option<(DataId, Hash)> = None;
    let mut zeros = Zeros { left: HOLES, stop };
    for order in orders.iter().flatten() {
        match order {
            Order::Begin(id, size) => {
                end(&mut digests, current.take(), &mut zeros);
                current = Some((id, Hash::new(size)));
            }
            Order::Data(offset, data) => {
                if let Some((_, hash)) = &mut current {
                    zeros.up_to(offset, hash);
                    hash.hasher.update(&data);
                    hash.at += count(data.len());
                }
            }
            Order::Hole(size) if !digests.holes.contains_key(&size) => {
                if let Some(digest) = zeros.end(Hash::new(size)) {
                    digests.holes.insert(size, digest);
                }
            }
            Order::Hole(_) => {}
        }
    }
    end(&mut digests, current, &mut zeros);
    digests
}

fn end(digests: &mut Digests, file: Option<(DataId, Hash)>, zeros: &mut Zeros<'_>) {
    if let Some((id, hash)) = file
        && let Some(digest) = zeros.end(hash)
    {
        digests.data.insert(id, digest);
    }
}

/// A file under way.
struct Hash {
    hasher: Sha256,
    at: u64,
    size: u64,
    /// Whether a hole was too much.
    given_up: bool,
}

impl Hash {
    fn new(size: u64) -> Self {
        Self {
            hasher: Sha256::new(),
            at: 0,
            size,
            given_up: false,
        }
    }
}

/// What holes read as, as much of it as is left.
struct Zeros<'a> {
    left: u64,
    stop: &'a AtomicBool,
}

impl Zeros<'_> {
    /// A hole of `hash` up to byte `end`.
    fn up_to(&mut self, end: u64, hash: &mut Hash) {
        if end.saturating_sub(hash.at) > self.left {
            hash.given_up = true;
        }
        while hash.at < end && !hash.given_up && !self.stop.load(Ordering::Relaxed) {
            let step = (end - hash.at).min(count(ZEROS.len()));
            hash.hasher.update(&ZEROS[..index(step)]);
            hash.at += step;
            self.left -= step;
        }
    }

    /// The file ends, perhaps with a hole.
    fn end(&mut self, mut hash: Hash) -> Option<[u8; 32]> {
        self.up_to(hash.size, &mut hash);
        (!hash.given_up).then(|| hash.hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;
    use crate::observe::Silent;

    fn sha256(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    #[test]
    fn holes_are_digested_as_the_zeros_that_they_read_as() {
        let mut digesting = Digesting::start();
        let (sparse, plain, cut) = (DataId(7), DataId(3), DataId(9));
        digesting.begin(sparse, 200_000);
        digesting.data(70_000, &Bytes::from_static(b"abc"));
        digesting.begin(plain, 6);
        digesting.data(0, &Bytes::from_static(b"one"));
        digesting.data(3, &Bytes::from_static(b"two"));
        digesting.begin(cut, 5);
        digesting.hole(100_000);
        // More zeros than anybody would read.
        let huge = DataId(11);
        digesting.begin(huge, 1 << 44);
        digesting.data(5, &Bytes::from_static(b"abc"));
        digesting.hole(1 << 45);
        let digests = digesting.finish(&Silent).unwrap();
        let of = |data, size| {
            let kind = NodeKind::File { size, data };
            hex(&digests.of(kind).unwrap())
        };
        let mut whole = vec![0; 200_000];
        whole[70_000..70_003].copy_from_slice(b"abc");
        assert_eq!(of(Some(sparse), 200_000), sha256(&whole));
        assert_eq!(of(Some(plain), 6), sha256(b"onetwo"));
        assert_eq!(of(Some(cut), 5), sha256(&[0; 5]));
        assert_eq!(of(None, 100_000), sha256(&vec![0; 100_000]));
        assert_eq!(of(None, 0), sha256(b""));
        assert_eq!(digests.of(NodeKind::Fifo), None);
        for (data, size) in [(Some(huge), 1 << 44), (None, 1 << 45)] {
            assert_eq!(digests.of(NodeKind::File { size, data }), None);
        }
    }

    #[test]
    fn a_large_hole_ends_with_the_build() {
        struct Interrupted;
        impl Observer for Interrupted {
            fn cancelled(&self) -> bool {
                true
            }
        }
        let mut digesting = Digesting::start();
        digesting.begin(DataId(1), HOLES);
        assert!(matches!(
            digesting.finish(&Interrupted),
            Err(BuildError::Interrupted)
        ));
    }
}
