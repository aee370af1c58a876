//! A digest of what passes by, computed on a thread of its own: SHA-256 takes longer than to read a plain
//! layer and put its files in their places. Small layers, of which images have thousands, go without.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::digest::Hasher;
use crate::archive::input::THREAD_MIN;

/// Pieces that wait to be digested; each is as long as one read, at most a buffer of 1 MiB.
const QUEUE: usize = 2;

/// A digest under way.
#[derive(Debug)]
pub(super) enum Hashing {
    Here(Box<Hasher>),
    /// On its thread, which ends with it.
    Thread {
        pieces: SyncSender<Vec<u8>>,
        /// Digested pieces, to be filled again.
        empty: Receiver<Vec<u8>>,
        thread: JoinHandle<Hasher>,
    },
}

impl Hashing {
    /// Of `len` bytes.
    pub(super) fn start(hasher: Hasher, len: u64) -> io::Result<Self> {
        if len < THREAD_MIN {
            return Ok(Self::Here(Box::new(hasher)));
        }
        let (pieces, receiver) = sync_channel(QUEUE);
        let (sender, empty) = channel();
        let thread = std::thread::Builder::new()
            .name(String::from("digest"))
            .spawn(move || run(hasher, &receiver, &sender))?;
        Ok(Self::Thread {
            pieces,
            empty,
            thread,
        })
    }

    /// Adds a copy of `bytes`.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Here(hasher) => hasher.update(bytes),
            Self::Thread { pieces, empty, .. } => {
                let mut piece = empty.try_recv().unwrap_or_default();
                piece.clear();
                piece.extend_from_slice(bytes);
                // The thread ends before its sender only by a panic, which `finish` passes on.
                let _ = pieces.send(piece);
            }
        }
    }

    /// The digest of all that was added.
    pub(super) fn finish(self) -> Hasher {
        let (pieces, thread) = match self {
            Self::Here(hasher) => return *hasher,
            Self::Thread { pieces, thread, .. } => (pieces, thread),
        };
        drop(pieces);
        match thread.join() {
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
