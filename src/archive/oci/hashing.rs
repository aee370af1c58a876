//! A blob read ahead and digested on a thread of its own: SHA-256 takes longer than to read a plain layer and
//! put its files in their places, and whoever decompresses it has enough to do. Small blobs, of which images
//! have thousands, go without.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::digest::{Digest, Hasher};
use crate::archive::input::THREAD_MIN;

/// Bytes read at a time: they are still in the core's cache when they are digested.
const PIECE: usize = 256 << 10;

/// Pieces that wait to be taken.
const QUEUE: usize = 4;

/// What the thread sends.
enum Message {
    /// So many bytes at the beginning of a piece.
    Bytes(Vec<u8>, usize),
    End(Digest),
    Failed(io::Error),
}

/// What was taken.
pub(in crate::archive) enum Taken {
    /// So many bytes, above 0, and the rest.
    Bytes(usize, Hashing),
    /// Nothing is left; the digest of all.
    End(Digest),
}

/// A blob on its way.
pub(in crate::archive) enum Hashing {
    Here {
        reader: Box<dyn Read + Send>,
        hasher: Box<Hasher>,
    },
    Ahead(Ahead),
}

impl Hashing {
    /// Of `len` bytes, if it keeps its word.
    pub(in crate::archive) fn start(
        reader: Box<dyn Read + Send>,
        hasher: Hasher,
        len: u64,
    ) -> io::Result<Self> {
        if len < THREAD_MIN {
            let hasher = Box::new(hasher);
            return Ok(Self::Here { reader, hasher });
        }
        Ahead::start(reader, hasher).map(Self::Ahead)
    }

    /// Moves bytes to `out`, which is not empty.
    pub(in crate::archive) fn take(self, out: &mut [u8]) -> io::Result<Taken> {
        match self {
            Self::Ahead(ahead) => ahead.take(out),
            Self::Here {
                mut reader,
                mut hasher,
            } => loop {
                match reader.read(out) {
                    Ok(0) => return Ok(Taken::End(hasher.finish())),
                    Ok(n) => {
                        // A reader that lies about its count must not take us past the end.
                        let n = n.min(out.len());
                        hasher.update(out.get(..n).unwrap_or_default());
                        return Ok(Taken::Bytes(n, Self::Here { reader, hasher }));
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            },
        }
    }
}

/// Read by a thread, which ends when this is dropped.
#[derive(Debug)]
pub(in crate::archive) struct Ahead {
    messages: Receiver<Message>,
    /// Pieces that were taken, to be filled again.
    empty: Sender<Vec<u8>>,
    piece: Vec<u8>,
    /// Where in it the bytes lie that are yet to be taken.
    at: usize,
    end: usize,
}

impl Ahead {
    fn start(reader: Box<dyn Read + Send>, hasher: Hasher) -> io::Result<Self> {
        let (sender, messages) = sync_channel(QUEUE);
        let (empty, pieces) = channel();
        // It is not joined: it may be waiting for a pipe.
        std::thread::Builder::new()
            .name(String::from("digest"))
            .spawn(move || run(reader, hasher, &sender, &pieces))?;
        Ok(Self {
            messages,
            empty,
            piece: Vec::new(),
            at: 0,
            end: 0,
        })
    }

    fn take(mut self, out: &mut [u8]) -> io::Result<Taken> {
        if self.at == self.end {
            let spent = std::mem::take(&mut self.piece);
            (self.at, self.end) = (0, 0);
            if !spent.is_empty() {
                // The thread may have ended: nobody needs it then.
                let _ = self.empty.send(spent);
            }
            match self.messages.recv() {
                Ok(Message::Bytes(piece, end)) => (self.piece, self.end) = (piece, end),
                Ok(Message::End(digest)) => return Ok(Taken::End(digest)),
                Ok(Message::Failed(e)) => return Err(e),
                // Only a reader that panicked says nothing at its end.
                Err(_) => return Err(io::Error::other("its reader has failed")),
            }
        }
        let bytes = self.piece.get(self.at..self.end).unwrap_or_default();
        let n = bytes.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at = self.at.saturating_add(n);
        Ok(Taken::Bytes(n, Hashing::Ahead(self)))
    }
}

fn run(
    mut reader: Box<dyn Read + Send>,
    mut hasher: Hasher,
    messages: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
        let message = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => {
                // A reader that lies about its count must not take us past the piece.
                let n = n.min(piece.len());
                hasher.update(piece.get(..n).unwrap_or_default());
                Message::Bytes(piece, n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => Message::Failed(e),
        };
        let failed = matches!(message, Message::Failed(_));
        if messages.send(message).is_err() || failed {
            return;
        }
    }
    // Nobody may be there any more.
    let _ = messages.send(Message::End(hasher.finish()));
}
