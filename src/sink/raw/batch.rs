//! Few large writes out of many small pieces, on a thread of their own.

use crate::units::{count, index};
use bytes::Bytes;
use rustix::io::{Errno, pwritev};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes from which on a batch is written. Larger ones gain nothing and cost memory: three of them are under
/// way at most.
const BATCH: u64 = 2 << 20;

/// A gap up to this is filled with zeros rather than ending the batch: one system call costs as much as
/// copying it. It is also the shortest run of zeros that stays a hole.
const GAP: usize = 64 << 10;

/// What fills a gap.
static ZEROS: [u8; GAP] = [0; GAP];

/// Pieces of one write, with what fills the gaps: `IOV_MAX` of Linux (limits.h).
const PIECES: usize = 1024;

/// Bytes of the archive's buffers that a batch holds, about: small pieces between data that is stored nowhere
/// would hold a buffer each.
const HELD: u64 = 16 << 20;

/// As far apart, two pieces lie in different buffers.
const BUFFER: u64 = 1 << 20;

/// What the writer thread is told.
enum Order {
    Write(Batch),
    /// Answer when all before is written.
    Flush(SyncSender<()>),
}

/// Pieces that lie one behind the other. They are written from where they lie, uncopied.
#[derive(Debug, Default)]
struct Batch {
    /// Byte of the file at which the first begins.
    start: u64,
    len: u64,
    pieces: Vec<Bytes>,
    /// Where in memory the last piece of data lies, and how far apart all of them do.
    last: u64,
    held: u64,
}

impl Batch {
    /// Bytes from its end to `at`, if it can go on there.
    fn gap(&self, at: u64) -> Option<usize> {
        let gap = at.checked_sub(self.start + self.len)?;
        let room = self.len < BATCH && self.held < HELD && self.pieces.len() + 2 <= PIECES;
        (room && gap <= count(GAP)).then(|| index(gap))
    }

    /// Where it lies in the file.
    fn range(&self) -> Range<u64> {
        self.start..self.start + self.len
    }

    fn push_data(&mut self, piece: Bytes) {
        let at = count(piece.as_ptr().addr());
        self.held += at.abs_diff(self.last).min(BUFFER);
        self.last = at;
        self.push(piece);
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += count(piece.len());
            self.pieces.push(piece);
        }
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let mut slices: Vec<_> = self.pieces.iter().map(|p| IoSlice::new(p)).collect();
        let (mut rest, mut at) = (&mut slices[..], self.start);
        while !rest.is_empty() {
            match pwritev(file, rest, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += count(n);
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Gathers pieces and has them written.
#[derive(Debug)]
pub(in crate::sink) struct Writer {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    batch: Batch,
    /// Where those that were sent, and may not be written yet, lie in the file.
    under_way: VecDeque<Range<u64>>,
    done: Arc<Done>,
    /// Batches that are not in the list any more.
    forgotten: u64,
}

/// What the thread has done.
#[derive(Debug, Default)]
struct Done {
    batches: AtomicU64,
    /// One past the last byte of the last write.
    end: AtomicU64,
}

impl Writer {
    pub(in crate::sink) fn start(file: Arc<File>) -> Self {
        let (orders, receiver) = sync_channel(1);
        let done = Arc::new(Done::default());
        let tell = Arc::clone(&done);
        let thread = std::thread::spawn(move || run(&file, &receiver, &tell));
        Self {
            orders: Some(orders),
            thread: Some(thread),
            batch: Batch::default(),
            under_way: VecDeque::new(),
            done,
            forgotten: 0,
        }
    }

    /// Up to which byte everything is in the file, of what was placed in ascending order.
    pub(in crate::sink) fn written(&self) -> u64 {
        self.done.end.load(Ordering::Acquire)
    }

    /// Puts `data` at byte `at`.
    pub(in crate::sink) fn place(&mut self, at: u64, data: Bytes) -> io::Result<()> {
        let gap = match self.batch.gap(at) {
            Some(gap) if !self.batch.pieces.is_empty() => gap,
            _ => {
                self.send_batch()?;
                self.batch.start = at;
                0
            }
        };
        self.batch.push(Bytes::from_static(&ZEROS[..gap]));
        self.batch.push_data(data);
        Ok(())
    }

    /// What comes next begins a batch: no gap before it is filled, for there lies what was written already.
    pub(in crate::sink) fn part(&mut self) -> io::Result<()> {
        self.send_batch()
    }

    fn send_batch(&mut self) -> io::Result<()> {
        if self.batch.pieces.is_empty() {
            return Ok(());
        }
        self.forget_done();
        let batch = std::mem::take(&mut self.batch);
        self.under_way.push_back(batch.range());
        self.order(Order::Write(batch))
    }

    fn forget_done(&mut self) {
        let done = self.done.batches.load(Ordering::Acquire);
        while self.forgotten < done {
            self.under_way.pop_front();
            self.forgotten += 1;
        }
    }

    fn order(&mut self, order: Order) -> io::Result<()> {
        let sent = self.orders.as_ref().is_some_and(|o| o.send(order).is_ok());
        if sent { Ok(()) } else { self.failure() }
    }

    /// The thread is gone: why.
    fn failure(&mut self) -> io::Result<()> {
        self.orders = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(e))) => Err(e),
            _ => Err(io::Error::other("an earlier write failed")),
        }
    }

    /// Waits until everything is in the file.
    pub(in crate::sink) fn flush(&mut self) -> io::Result<()> {
        self.send_batch()?;
        self.forget_done();
        if self.under_way.is_empty() {
            return Ok(());
        }
        let (answer, wait) = sync_channel(1);
        self.order(Order::Flush(answer))?;
        if wait.recv().is_ok() {
            Ok(())
        } else {
            self.failure()
        }
    }

    /// Waits until what was placed among these bytes is in the file.
    pub(in crate::sink) fn settle(&mut self, bytes: Range<u64>) -> io::Result<()> {
        self.forget_done();
        let here = |there: &Range<u64>| there.start < bytes.end && bytes.start < there.end;
        if here(&self.batch.range()) || self.under_way.iter().any(here) {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left and ends the thread.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.send_batch()?;
        self.orders = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the writer thread ended early")),
        }
    }
}

/// An abandoned image: the thread ends with its last order.
impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Whatever it says, nobody wants the file any more.
            let _ = thread.join();
        }
    }
}

fn run(file: &File, orders: &Receiver<Order>, done: &Done) -> io::Result<()> {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Write(batch) => {
                batch.write(file)?;
                done.end.store(batch.range().end, Ordering::Release);
                done.batches.fetch_add(1, Ordering::Release);
            }
            Order::Flush(answer) => {
                // The other side may have given up waiting.
                let _ = answer.send(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::FileExt;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_settled_is_in_the_file_whatever_else_is_under_way(
            places in prop::collection::vec((0u64..64, any::<Option<u8>>()), 1..60),
        ) {
            // Each as large as a batch, so that one is sent whenever another follows.
            let file = Arc::new(tempfile::tempfile().unwrap());
            let mut writer = Writer::start(Arc::clone(&file));
            let mut want = BTreeMap::new();
            for (n, (at, settle)) in places.into_iter().enumerate() {
                let byte = u8::try_from(n).unwrap() + 1;
                writer.place(at * BATCH, vec![byte; index(BATCH)].into()).unwrap();
                want.insert(at, byte);
                if let Some(pick) = settle {
                    let (&at, &byte) = want.iter().nth(usize::from(pick) % want.len()).unwrap();
                    writer.settle(at * BATCH + 5..at * BATCH + 6).unwrap();
                    let mut back = [0];
                    file.read_exact_at(&mut back, at * BATCH + 5).unwrap();
                    prop_assert_eq!(back[0], byte);
                }
            }
        }

        #[test]
        fn pieces_lie_where_they_were_placed_whatever_is_between(
            pieces in prop::collection::vec((0usize..5000, 1usize..3000), 1..20),
            repeat in 1usize..200, wide in any::<bool>(), flush in any::<bool>(),
        ) {
            let file = Arc::new(tempfile::tempfile().unwrap());
            let mut writer = Writer::start(Arc::clone(&file));
            let (mut want, mut last) = (Vec::new(), 0);
            for (n, &(gap, len)) in pieces.iter().cycle().take(pieces.len() * repeat).enumerate() {
                // Some gaps end a batch.
                let gap = if wide && n % 50 == 0 { gap * 100 } else { gap };
                last = want.len() + gap;
                want.resize(last + len, 0);
                want[last..].fill(u8::try_from(n % 255).unwrap() + 1);
                writer.place(count(last), want[last..].to_vec().into()).unwrap();
            }
            if flush {
                writer.flush().unwrap();
                let mut back = vec![0; want.len() - last];
                file.read_exact_at(&mut back, count(last)).unwrap();
                prop_assert!(back == want[last..]);
            }
            writer.finish().unwrap();
            let mut back = vec![0; want.len()];
            file.read_exact_at(&mut back, 0).unwrap();
            prop_assert!(back == want && file.metadata().unwrap().len() == count(want.len()));
        }
    }

    #[test]
    fn small_pieces_of_many_buffers_do_not_hold_them_all() {
        let buffers = (0..100).map(|_| Bytes::from(vec![1; index(BUFFER)]));
        let mut batch = Batch::default();
        let taken = buffers.take_while(|buffer| {
            let room = batch.gap(batch.len).is_some();
            batch.push_data(buffer.slice(..1));
            room
        });
        assert_eq!(count(taken.count()), HELD / BUFFER);
    }

    #[test]
    fn a_failed_write_is_told() {
        // Read-only.
        let file = Arc::new(File::open("/proc/self/exe").unwrap());
        let mut writer = Writer::start(file);
        writer.place(0, Bytes::from_static(b"x")).unwrap();
        assert!(writer.flush().is_err());
        assert!(writer.place(0, Bytes::from_static(b"x")).is_ok() && writer.flush().is_err());
    }
}
