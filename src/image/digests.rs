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

/// What a hole reads as.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// SHA-256 of the data of regular files.
#[derive(Clone, Debug, Default)]
pub struct Digests(HashMap<DataId, [u8; 32]>);

impl Digests {
    /// Of a file with its holes; `None` of what is no regular file.
    #[must_use]
    pub fn of(&self, kind: NodeKind) -> Option<[u8; 32]> {
        match kind {
            NodeKind::File {
                data: Some(data), ..
            } => self.0.get(&data).copied(),
            // Nothing but a hole.
            NodeKind::File { size, data: None } => {
                let mut hash = Hash::new(size);
                hash.zeros(size, &AtomicBool::new(false));
                Some(hash.hasher.finalize().into())
            }
            _ => None,
        }
    }
}

enum Order {
    /// A file of that size begins; the one before it has ended.
    Begin(DataId, u64),
    /// Data at that byte of it.
    Data(u64, Bytes),
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
    let mut end = |current: &mut Option<(DataId, Hash)>| {
        if let Some((id, mut hash)) = current.take() {
            hash.zeros(hash.size, stop);
            digests.0.insert(id, hash.hasher.finalize().into());
        }
    };
    for order in orders.iter().flatten() {
        match order {
            Order::Begin(id, size) => {
                end(&mut current);
                current = Some((id, Hash::new(size)));
            }
            Order::Data(offset, data) => {
                if let Some((_, hash)) = &mut current {
                    hash.zeros(offset, stop);
                    hash.hasher.update(&data);
                    hash.at += count(data.len());
                }
            }
        }
    }
    end(&mut current);
    digests
}

/// A file under way.
struct Hash {
    hasher: Sha256,
    at: u64,
    size: u64,
}

impl Hash {
    fn new(size: u64) -> Self {
        Self {
            hasher: Sha256::new(),
            at: 0,
            size,
        }
    }

    /// A hole up to byte `end`. It may be one of terabytes: `stop` ends it.
    fn zeros(&mut self, end: u64, stop: &AtomicBool) {
        while self.at < end && !stop.load(Ordering::Relaxed) {
            let step = (end - self.at).min(count(ZEROS.len()));
            self.hasher.update(&ZEROS[..index(step)]);
            self.at += step;
        }
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
    }

    #[test]
    fn a_hole_of_terabytes_ends_with_the_build() {
        struct Interrupted;
        impl Observer for Interrupted {
            fn cancelled(&self) -> bool {
                true
            }
        }
        let mut digesting = Digesting::start();
        digesting.begin(DataId(1), 1 << 44);
        assert!(matches!(
            digesting.finish(&Interrupted),
            Err(BuildError::Interrupted)
        ));
    }
}
