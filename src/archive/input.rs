//! The decoder's thread, and the stream of bytes that the tar reader takes from it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;

use super::decode::{Decoder, Failure, Filled};
use super::detect::{Compression, Content, content};
use super::error::ArchiveError;
use super::oci::{Check, ImageError};
use super::source::{Shared, Source, read_some};
use crate::pool::{Buffer, Pool};
use crate::units::{count, index};

/// Filled buffers waiting for the parser: with those being filled and read, 6 MiB, and another 1 MiB
/// of compressed input. Beyond them only those count of which the caller holds slices.
const QUEUE: usize = 4;

/// Size of a buffer in bytes. From 1 MiB on, larger reads of a cached file gain nothing.
const BUFFER: usize = 1 << 20;
/// Empty buffers kept for reuse: as many as are under way ([`QUEUE`] + one being filled + one being read) when
/// the caller has 8 MiB yet to write.
const KEPT: usize = 14;

/// Bytes of a compressed file from which on a thread of its own is worth it. Images have thousands of layers
/// of a few KiB; to start and end a thread takes as long as to read one of them.
pub(super) const THREAD_MIN: u64 = 64 << 10;

/// Buffers for what is decoded.
pub(super) fn buffers() -> Pool {
    Pool::new(BUFFER, KEPT)
}

/// What the decoder's thread sends.
enum Message {
    Data(Bytes),
    End(Option<String>),
    Failed(Failure),
}

/// Where more bytes come from.
enum Feed {
    /// A decoder's thread.
    Thread(Receiver<Message>),
    /// A small file, not worth a thread.
    Here(Box<Decoding>),
    /// A plain file, of which parts are passed over unread.
    File { file: Arc<File>, at: u64, end: u64 },
    /// The stream has ended.
    Ended,
}

/// Bytes read at a time from a file of which most is passed over.
const SEEK_READ: u64 = 4096;

/// The decompressed archive, front to back.
pub(super) struct Input {
    name: Arc<str>,
    compression: Compression,
    shared: Arc<Shared>,
    feed: Feed,
    /// A layer of an image, with the licence that its makers take: see [`Input::layer`].
    layer: bool,
    /// Received, not consumed; none is empty.
    chunks: VecDeque<Bytes>,
    offset: u64,
    /// Length of the file, where it is known.
    total: Option<u64>,
    remark: Option<String>,
    /// Says whether somebody wants an end.
    cancelled: fn() -> bool,
}

impl Input {
    /// Reads the head of the file, learns what it is, and starts to decode.
    pub(super) fn start(
        name: Arc<str>,
        reader: Box<dyn Read + Send>,
        total: Option<u64>,
    ) -> Result<Self, ArchiveError> {
        Self::start_as(name, reader, total, false, None, &buffers())
    }

    /// As [`Input::start`], of a layer of an image: it may be empty, and nothing may follow its
    /// compressed data, which the digest covers. `check` looks at what comes out. The buffers are those of
    /// the layer before.
    pub(super) fn layer(
        name: Arc<str>,
        reader: Box<dyn Read + Send>,
        len: u64,
        check: Option<Check>,
        pool: &Pool,
    ) -> Result<Self, ArchiveError> {
        Self::start_as(name, reader, Some(len), true, check, pool)
    }

    /// A plain tar in a file of `len` bytes, of which only what is asked for is read.
    pub(super) fn seekable(name: Arc<str>, file: Arc<File>, len: u64) -> Self {
        Self {
            name,
            compression: Compression::None,
            shared: Arc::default(),
            feed: Feed::File {
                file,
                at: 0,
                end: len,
            },
            layer: false,
            chunks: VecDeque::new(),
            offset: 0,
            total: Some(len),
            remark: None,
            cancelled: || false,
        }
    }

    /// From now on reading ends when `cancelled` says so.
    pub(super) fn stop_when(&mut self, cancelled: fn() -> bool) {
        self.cancelled = cancelled;
    }

    fn start_as(
        name: Arc<str>,
        mut reader: Box<dyn Read + Send>,
        total: Option<u64>,
        layer: bool,
        check: Option<Check>,
        pool: &Pool,
    ) -> Result<Self, ArchiveError> {
        let shared = Arc::new(Shared::default());
        let mut head = pool.get();
        let mut len = 0;
        while let Some(space) = head.space().get_mut(len..).filter(|s| !s.is_empty()) {
            let offset = count(len);
            let n = read_some(&mut *reader, space, &shared)
                .map_err(|e| read_error(&name, offset, e.0))?;
            if n == 0 {
                break;
            }
            len = len.saturating_add(n);
        }
        let bytes = head.space().get(..len).unwrap_or_default();
        if bytes.is_empty() && !layer {
            return Err(ArchiveError::Empty { archive: name });
        }
        let compression = match content(bytes) {
            Content::Tar => Compression::None,
            Content::Compressed(compression) => compression,
            Content::Foreign(looks, advice) => {
                let compression = Compression::None;
                return Err(ArchiveError::NotTar {
                    archive: name,
                    compression,
                    looks,
                    advice,
                });
            }
        };
        let decoding = Decoding::new(compression, reader, head, len, check, pool, &shared);
        let feed = if total.is_some_and(|total| total < THREAD_MIN) {
            Feed::Here(Box::new(decoding))
        } else {
            Feed::Thread(spawn(&name, decoding)?)
        };
        let mut input = Self {
            name,
            compression,
            shared,
            feed,
            layer,
            chunks: VecDeque::new(),
            offset: 0,
            total,
            remark: None,
            cancelled: || false,
        };
        if compression != Compression::None {
            input.check_inside()?;
        }
        Ok(input)
    }

    /// What came out of the decoder must be a tar.
    fn check_inside(&mut self) -> Result<(), ArchiveError> {
        self.pull()?;
        let compression = self.compression;
        let head = self.chunks.front().map(|b| &b[..]).unwrap_or_default();
        let (looks, advice) = match content(head) {
            _ if head.is_empty() && self.layer => return Ok(()),
            _ if head.is_empty() => (
                String::from("holds nothing, not a byte"),
                "the command that made it has failed",
            ),
            Content::Tar => return Ok(()),
            Content::Foreign(looks, advice) => (looks, advice),
            Content::Compressed(inner) => (
                format!("is compressed a second time, by {inner}"),
                "decompress it once",
            ),
        };
        Err(ArchiveError::NotTar {
            archive: self.name.clone(),
            compression,
            looks,
            advice,
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes consumed: the offset of what comes next in the (decompressed) archive.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the archive from here to the end of the file, where that can be known.
    pub(super) fn left(&self) -> Option<u64> {
        let plain = self.total.filter(|_| self.compression == Compression::None);
        plain.map(|total| total.saturating_sub(self.offset))
    }

    /// Bytes of the file read, and its length.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        (self.shared.read.load(Ordering::Relaxed), self.total)
    }

    /// Whether it is a layer of an image.
    pub(super) fn is_layer(&self) -> bool {
        self.layer
    }

    /// What the decoder remarked at its end.
    pub(super) fn take_remark(&mut self) -> Option<String> {
        self.remark.take()
    }

    /// Receives one more buffer; `false` at the end.
    fn pull(&mut self) -> Result<bool, ArchiveError> {
        if (self.cancelled)() {
            return Err(ArchiveError::Interrupted);
        }
        let message = match &mut self.feed {
            Feed::Thread(messages) => messages.recv().ok(),
            Feed::Here(decoding) => Some(decoding.next()),
            Feed::Ended => return Ok(false),
            Feed::File { file, at, end } => {
                let len = index(end.saturating_sub(*at).min(SEEK_READ));
                let mut bytes = vec![0; len];
                let n = file
                    .read_at(&mut bytes, *at)
                    .map_err(|source| read_error(&self.name, *at, source))?;
                bytes.truncate(n);
                *at = at.saturating_add(count(n));
                if n > 0 {
                    self.chunks.push_back(bytes.into());
                }
                return Ok(n > 0);
            }
        };
        match message {
            Some(Message::Data(bytes)) => {
                self.chunks.push_back(bytes);
                Ok(true)
            }
            Some(Message::End(remark)) => {
                self.feed = Feed::Ended;
                match remark {
                    // The digest of a layer covers every byte: none is ignored.
                    Some(why) if self.layer => Err(self.failure(Failure::Corrupt(why))),
                    remark => {
                        self.remark = remark;
                        Ok(false)
                    }
                }
            }
            Some(Message::Failed(failure)) => {
                self.feed = Feed::Ended;
                Err(self.failure(failure))
            }
            // Only a decoder that panicked says nothing at its end.
            None => Err(ArchiveError::Spent {
                archive: self.name.clone(),
            }),
        }
    }

    fn failure(&self, failure: Failure) -> ArchiveError {
        let archive = self.name.clone();
        let compression = self.compression;
        let offset = self.shared.consumed.load(Ordering::Relaxed);
        match failure {
            Failure::Io(source) => {
                let offset = self.shared.read.load(Ordering::Relaxed);
                read_error(&archive, offset, source)
            }
            Failure::Image(e) => e.into(),
            Failure::Truncated => {
                let offset = self.shared.read.load(Ordering::Relaxed);
                ArchiveError::CompressedTruncated {
                    archive,
                    compression,
                    offset,
                }
            }
            Failure::Corrupt(why) => ArchiveError::Corrupt {
                archive,
                compression,
                offset,
                why,
            },
            Failure::Window(window) => ArchiveError::Window {
                archive,
                compression,
                offset,
                window,
            },
        }
    }

    /// The next bytes, 1 to `max` of them, shared and not copied; `None` at the end.
    pub(super) fn take(&mut self, max: u64) -> Result<Option<Bytes>, ArchiveError> {
        if self.chunks.is_empty() && !self.pull()? {
            return Ok(None);
        }
        let Some(front) = self.chunks.front_mut() else {
            return Ok(None);
        };
        let bytes = if count(front.len()) <= max {
            self.chunks.pop_front().unwrap_or_default()
        } else {
            front.split_to(index(max))
        };
        self.offset = self.offset.saturating_add(count(bytes.len()));
        Ok(Some(bytes))
    }

    /// Passes over `n` bytes, or as many as there are; says how many.
    pub(super) fn skip(&mut self, n: u64) -> Result<u64, ArchiveError> {
        let mut left = n;
        while left > 0 {
            if self.chunks.is_empty()
                && let Feed::File { at, end, .. } = &mut self.feed
            {
                let step = left.min(end.saturating_sub(*at));
                *at = at.saturating_add(step);
                self.offset = self.offset.saturating_add(step);
                left = left.saturating_sub(step);
                break;
            }
            let Some(bytes) = self.take(left)? else { break };
            left = left.saturating_sub(count(bytes.len()));
        }
        Ok(n.saturating_sub(left))
    }

    /// Fills `block`, or as much of it as there is; says how much.
    pub(super) fn read_block(&mut self, block: &mut [u8; 512]) -> Result<usize, ArchiveError> {
        let got = self.peek_block(block)?;
        self.skip(count(got))?;
        Ok(got)
    }

    /// Like [`Self::read_block`], and consumes nothing.
    pub(super) fn peek_block(&mut self, block: &mut [u8; 512]) -> Result<usize, ArchiveError> {
        // Nearly every block lies in one chunk.
        if let Some(whole) = self.chunks.front().and_then(|b| b.first_chunk()) {
            *block = *whole;
            return Ok(block.len());
        }
        let mut got: usize = 0;
        let mut chunk = 0;
        while got < block.len() {
            if chunk == self.chunks.len() && !self.pull()? {
                break;
            }
            let bytes = self.chunks.get(chunk).map(|b| &b[..]).unwrap_or_default();
            let space = block.get_mut(got..).unwrap_or_default();
            let n = bytes.len().min(space.len());
            for (to, from) in space.iter_mut().zip(bytes) {
                *to = *from;
            }
            got = got.saturating_add(n);
            chunk = chunk.saturating_add(1);
        }
        Ok(got)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // The thread ends at its next send or read. It is not joined: it may be waiting for a pipe.
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }
}

/// An error of the file; one of an image's blob says itself which.
fn read_error(archive: &Arc<str>, offset: u64, source: io::Error) -> ArchiveError {
    match source.downcast::<ImageError>() {
        Ok(image) => image.into(),
        Err(source) => ArchiveError::Read {
            archive: archive.clone(),
            offset,
            source,
        },
    }
}

/// A file on its way through its decoder.
struct Decoding {
    decoder: Decoder,
    check: Option<Check>,
    pool: Pool,
    /// What comes next and was made already.
    ready: Option<Message>,
}

impl Decoding {
    /// Of `reader`, whose first `len` bytes are in `head`.
    fn new(
        compression: Compression,
        reader: Box<dyn Read + Send>,
        head: Buffer,
        len: usize,
        mut check: Option<Check>,
        pool: &Pool,
        shared: &Arc<Shared>,
    ) -> Self {
        let (shared, pool) = (shared.clone(), pool.clone());
        let (source, ready) = if compression == Compression::None && len > 0 {
            // The head is tar already: the first buffer goes as it is.
            let head = head.freeze(len);
            if let Some(check) = &mut check {
                check.update(&head);
            }
            let source = Source::new(reader, pool.get(), 0, shared);
            (source, Some(Message::Data(head)))
        } else {
            (Source::new(reader, head, len, shared), None)
        };
        Self {
            decoder: Decoder::new(compression, source),
            check,
            pool,
            ready,
        }
    }

    /// A full buffer, or less before the end; the end, or an error, is said once.
    fn next(&mut self) -> Message {
        if let Some(message) = self.ready.take() {
            return message;
        }
        let mut buffer = self.pool.get();
        let mut len: usize = 0;
        let mut last = None;
        while let Some(space) = buffer.space().get_mut(len..).filter(|s| !s.is_empty()) {
            match self.decoder.fill(space) {
                Ok(Filled::Bytes(n)) => len = len.saturating_add(n),
                Ok(Filled::End(remark)) => last = Some(Message::End(remark)),
                Err(failure) => last = Some(Message::Failed(failure)),
            }
            if last.is_some() {
                break;
            }
        }
        let bytes = buffer.freeze(len);
        if let Some(check) = &mut self.check {
            check.update(&bytes);
        }
        if let Some(Message::End(_)) = last
            && let Some(Err(e)) = self.check.take().map(Check::finish)
        {
            last = Some(Message::Failed(Failure::Image(e)));
        }
        match last {
            Some(last) if len == 0 => last,
            last => {
                self.ready = last;
                Message::Data(bytes)
            }
        }
    }
}

/// Decodes on a thread until the end, an error, or until nobody listens.
fn spawn(name: &Arc<str>, mut decoding: Decoding) -> Result<Receiver<Message>, ArchiveError> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name(String::from("archive"))
        .spawn(move || {
            loop {
                let message = decoding.next();
                let more = matches!(message, Message::Data(_));
                if sender.send(message).is_err() || !more {
                    return;
                }
            }
        })
        .map_err(|source| ArchiveError::Thread {
            archive: name.clone(),
            source,
        })?;
    Ok(receiver)
}
