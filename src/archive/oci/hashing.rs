//! A digest of what passes by, computed on a thread of its own: SHA-256 takes longer than to read a plain
//! layer and put its files in their places.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::digest::Hasher;

/// Pieces that wait to be digested; each is as long as one read, at most a buffer of 1 MiB.
const QUEUE: usize = 2;

/// A digest under way on its thread, which ends with it.
#[derive(Debug)]
pub(super) struct Hashing {
    pieces: SyncSender<Vec<u8>>,
    /// Digested pieces, to be filled again.
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Hasher>,
}

impl Hashing {
    pub(super) fn start(hasher: Hasher) -> io::Result<Self> {
        let (pieces, receiver) = sync_channel(QUEUE);
        let (sender, empty) = channel();
        let thread = std::thread::Builder::new()
            .name(String::from("digest"))
            .spawn(move || run(hasher, &receiver, &sender))?;
        Ok(Self {
            pieces,
            empty,
            thread,
        })
    }

    /// Adds a copy of `bytes`.
    pub(super) fn update(&self, bytes: &[u8]) {
        let mut piece = self.empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        // The thread ends before its sender only by a panic, which `finish` passes on.
        let _ = self.pieces.send(piece);
    }

    /// The digest of all that was added.
    pub(super) fn finish(self) -> Hasher {
        drop(self.pieces);
        match self.thread.join() {
            Ok(hasher) => hasher,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn run(mut hasher: Hasher, pieces: &Receiver<Vec<u8>>, empty: &Sender<Vec<u8>>) -> Hasher {
    while let Ok(piece) = pieces.recv() {
        hasher.update(&piece);
        // Nobody fills pieces any more once the last is read.
        let _ = empty.send(piece);
    }
    hasher
}
