//! SHA-256 of every file, made on a thread of its own while the data passes to its place.

use super::BuildError;
use crate::archive::{HolesLeft, SparseDigest};
use crate::observe::Observer;
use crate::tree::{DataId, NodeKind};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Orders that go to the thread together, and bytes in them: a message costs more than the digest of a small
/// file.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// Batches that wait: they hold buffers of the archive, of 1 MiB each.
const QUEUE: usize = 4;

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
pub(super) struct Digesting<'a> {
    orders: Option<SyncSender<Vec<Order>>>,
    batch: Vec<Order>,
    bytes: usize,
    thread: Option<JoinHandle<Digests>>,
    stop: Arc<AtomicBool>,
    observer: &'a dyn Observer,
}

/// A build that fails leaves no thread at work.
impl Drop for Digesting<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl<'a> Digesting<'a> {
    pub(super) fn start(observer: &'a dyn Observer) -> Self {
        let (orders, receiver) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || run(&receiver, &stopped));
        Self {
            orders: Some(orders),
            batch: Vec::new(),
            bytes: 0,
            thread: Some(thread),
            stop,
            observer,
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
        let (Some(orders), mut order) = (&self.orders, Some(batch)) else {
            return;
        };
        while let Some(batch) = order.take() {
            match orders.try_send(batch) {
                // Whoever asked for an end looks at it next: nobody will want the digests.
                Err(TrySendError::Full(_)) if self.observer.cancelled() => {}
                Err(TrySendError::Full(batch)) => {
                    order = Some(batch);
                    std::thread::sleep(Duration::from_micros(200));
                }
                // Only a thread that panicked is gone: `finish` says so.
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// All digests, when the last file has ended.
    pub(super) fn finish(mut self) -> Result<Digests, BuildError> {
        self.send();
        self.orders = None;
        let thread = self.thread.take().expect("only this takes the thread");
        while !thread.is_finished() {
            if self.observer.cancelled() {
                return Err(BuildError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(thread.join().expect("digesting does not panic"))
    }
}

fn run(orders: &Receiver<Vec<Order>>, stop: &AtomicBool) -> Digests {
    let mut digests = Digests::default();
    let mut current: Option<(DataId, SparseDigest)> = None;
    let mut zeros = HolesLeft::default();
    let stop = || stop.load(Ordering::Relaxed);
    for order in orders.iter().flatten() {
        if stop() {
            break;
        }
        match order {
            Order::Begin(id, size) => {
                end(&mut digests, current.take(), &mut zeros, &stop);
                current = Some((id, SparseDigest::new(size)));
            }
            Order::Data(offset, data) => {
                if let Some((_, file)) = &mut current {
                    file.data(offset, &data, &mut zeros, &stop);
                }
            }
            Order::Hole(size) if !digests.holes.contains_key(&size) => {
                if let Some(digest) = SparseDigest::new(size).finish(&mut zeros, &stop) {
                    digests.holes.insert(size, digest);
                }
            }
            Order::Hole(_) => {}
        }
    }
    end(&mut digests, current, &mut zeros, &stop);
    digests
}

fn end(
    digests: &mut Digests,
    file: Option<(DataId, SparseDigest)>,
    zeros: &mut HolesLeft,
    stop: &dyn Fn() -> bool,
) {
    if let Some((id, file)) = file
        && let Some(digest) = file.finish(zeros, stop)
    {
        digests.data.insert(id, digest);
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
        let mut digesting = Digesting::start(&Silent);
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
        let digests = digesting.finish().unwrap();
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
        let mut digesting = Digesting::start(&Interrupted);
        digesting.begin(DataId(1), 64 << 30);
        assert!(matches!(digesting.finish(), Err(BuildError::Interrupted)));
    }
}
