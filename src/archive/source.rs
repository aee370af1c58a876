//! The compressed side of a decoder: bytes of the file, buffered once, with their offset known.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::pool::Buffer;
use crate::units::count;

/// What both threads look at.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Bytes read from the file.
    pub(super) read: AtomicU64,
    /// Bytes of the file that the decoder has consumed.
    pub(super) consumed: AtomicU64,
    /// Set when nobody wants more.
    pub(super) cancelled: AtomicBool,
}

/// An error of the file, not of the compressed data; carried through decoders that speak `io::Error`.
#[derive(Debug)]
pub(super) struct SourceError(pub(super) io::Error);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SourceError {}

/// A reader with a buffer that a decoder can look into.
pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    buffer: Buffer,
    start: usize,
    end: usize,
    eof: bool,
    shared: Arc<Shared>,
}

impl Source {
    /// Goes on from `buffer`, whose first `len` bytes are the head of the file.
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
        buffer: Buffer,
        len: usize,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            reader,
            buffer,
            start: 0,
            end: len,
            eof: false,
            shared,
        }
    }

    /// The bytes at hand, at least `want` of them unless the file ends; `want` is a few bytes.
    pub(super) fn peek(&mut self, want: usize) -> Result<&[u8], SourceError> {
        while self.end.saturating_sub(self.start) < want && !self.eof {
            let space = self.buffer.space();
            // Bytes move only when a decoder asks to see across a refill: at a frame's start.
            space.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
            let tail = space.get_mut(self.end..).unwrap_or_default();
            let got = read_some(&mut *self.reader, tail, &self.shared)?;
            self.eof = got == 0;
            self.end = self.end.saturating_add(got);
        }
        Ok(self
            .buffer
            .space()
            .get(self.start..self.end)
            .unwrap_or_default())
    }

    /// Bytes at hand were used.
    pub(super) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
        self.shared.consumed.fetch_add(count(n), Ordering::Relaxed);
    }

    /// Fills `out` from the bytes at hand and the file, without a detour.
    pub(super) fn copy_to(&mut self, out: &mut [u8]) -> Result<usize, SourceError> {
        let at_hand = self.end.saturating_sub(self.start);
        let n = if at_hand > 0 {
            let bytes = self.peek(0)?;
            let n = bytes.len().min(out.len());
            if let (Some(to), Some(from)) = (out.get_mut(..n), bytes.get(..n)) {
                to.copy_from_slice(from);
            }
            n
        } else {
            read_some(&mut *self.reader, out, &self.shared)?
        };
        self.consume_direct(n, at_hand > 0);
        Ok(n)
    }

    fn consume_direct(&mut self, n: usize, buffered: bool) {
        if buffered {
            self.consume(n);
        } else {
            self.shared.consumed.fetch_add(count(n), Ordering::Relaxed);
        }
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.peek(1).map_err(io::Error::other)?;
        let n = out.len().min(self.end.saturating_sub(self.start));
        self.copy_to(out.get_mut(..n).unwrap_or_default())
            .map_err(io::Error::other)
    }
}

/// One read that counts and can be called off; 0 is the end.
pub(super) fn read_some(
    reader: &mut (dyn Read + Send),
    out: &mut [u8],
    shared: &Shared,
) -> Result<usize, SourceError> {
    loop {
        if shared.cancelled.load(Ordering::Relaxed) {
            return Err(SourceError(io::ErrorKind::BrokenPipe.into()));
        }
        match reader.read(out) {
            Ok(n) => {
                // A reader that lies about its count must not take us past the buffer.
                let n = n.min(out.len());
                shared.read.fetch_add(count(n), Ordering::Relaxed);
                return Ok(n);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(SourceError(e)),
        }
    }
}
