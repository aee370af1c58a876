//! Few large writes out of many small pieces, on a thread of their own.

use crate::units::{count, index};
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Bytes of one write. Larger ones gain nothing and cost memory: three of them are under way at most.
const BATCH: usize = 2 << 20;

/// A gap up to this is filled with zeros rather than ending the batch: one system call costs as much as
/// copying it. It is also the shortest run of zeros that stays a hole.
const GAP: u64 = 64 << 10;

/// A piece from here on is written from where it lies, without copying it into the batch.
const LARGE: usize = 256 << 10;

/// What the writer thread is told.
enum Order {
    /// A batch; its memory comes back.
    Batch(u64, BytesMut),
    Write(u64, Bytes),
    /// Answer when all before is written.
    Flush(SyncSender<()>),
}

/// Gathers pieces and has them written.
#[derive(Debug)]
pub(super) struct Writer {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    batch: BytesMut,
    /// Byte of the file at which the batch begins.
    start: u64,
    /// Batches that were written: fresh memory costs a page fault for every page.
    written: Receiver<BytesMut>,
}

impl Writer {
    pub(super) fn start(file: Arc<File>) -> Self {
        let (orders, receiver) = sync_channel(1);
        let (returns, written) = channel();
        let thread = std::thread::spawn(move || run(&file, &receiver, &returns));
        Self {
            orders: Some(orders),
            thread: Some(thread),
            batch: BytesMut::new(),
            start: 0,
            written,
        }
    }

    /// Puts `data` at byte `at`.
    pub(super) fn place(&mut self, at: u64, data: Bytes) -> io::Result<()> {
        if data.len() >= LARGE {
            self.send_batch()?;
            return self.order(Order::Write(at, data));
        }
        let mut rest = &data[..];
        let mut at = at;
        while !rest.is_empty() {
            let end = self.start + count(self.batch.len());
            let joins = !self.batch.is_empty() && at >= end && at - end <= GAP;
            let room = BATCH.saturating_sub(self.batch.len());
            let gap = if joins { index(at - end) } else { 0 };
            if !self.batch.is_empty() && (!joins || gap >= room) {
                self.send_batch()?;
                continue;
            }
            if self.batch.is_empty() {
                if self.batch.capacity() == 0 {
                    self.batch = self.written.try_recv().unwrap_or_default();
                    self.batch.reserve(BATCH);
                }
                self.start = at;
            }
            self.batch.resize(self.batch.len() + gap, 0);
            let step = rest.len().min(BATCH - self.batch.len());
            self.batch.extend_from_slice(&rest[..step]);
            rest = &rest[step..];
            at += count(step);
        }
        Ok(())
    }

    fn send_batch(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.order(Order::Batch(self.start, batch))
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
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.send_batch()?;
        let (done, wait) = sync_channel(1);
        self.order(Order::Flush(done))?;
        if wait.recv().is_ok() {
            Ok(())
        } else {
            self.failure()
        }
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

fn run(file: &File, orders: &Receiver<Order>, written: &Sender<BytesMut>) -> io::Result<()> {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Batch(at, mut bytes) => {
                file.write_all_at(&bytes, at)?;
                bytes.clear();
                // The other side may have finished.
                let _ = written.send(bytes);
            }
            Order::Write(at, bytes) => file.write_all_at(&bytes, at)?,
            Order::Flush(done) => {
                // The other side may have given up waiting.
                let _ = done.send(());
            }
        }
    }
    Ok(())
}
