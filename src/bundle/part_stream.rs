//! The parts of a bundle as one stream, decrypted.

use super::cipher::{BLOCK, Decryptor, Secret, padded};
use super::manifest::PartInfo;
use super::parts::Sha1Digest;
use super::unpack::UnpackError;
use crate::hex::hex;
use crate::units::count;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Encrypted bytes read at a time.
const STEP: usize = 256 << 10;
const _: () = assert!(STEP.is_multiple_of(BLOCK));

/// Where parts are: a folder, a bucket.
pub trait PartSource: Send {
    /// Opens a part by its name in the manifest.
    ///
    /// # Errors
    /// When it is not there.
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + Send>>;
}

/// Parts in a folder.
#[derive(Clone, Debug)]
pub struct FolderParts(PathBuf);

impl FolderParts {
    /// Of `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.into())
    }
}

impl PartSource for FolderParts {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }
}

/// What the threads tell one another.
#[derive(Default)]
pub(super) struct Shared {
    /// Bytes of parts that were read.
    pub(super) read: AtomicU64,
    /// The first failure below the tar.
    failure: Mutex<Option<UnpackError>>,
}

impl Shared {
    pub(super) fn fail(&self, failure: UnpackError) -> io::Error {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
        io::Error::other("told elsewhere")
    }

    pub(super) fn failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    pub(super) fn taken(&self) -> Option<UnpackError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Reads one part after the other.
pub(super) struct Parts {
    source: Box<dyn PartSource>,
    list: std::vec::IntoIter<PartInfo>,
    now: Option<(PartInfo, Box<dyn Read + Send>, Sha1)>,
    digests: bool,
    shared: Arc<Shared>,
}

impl Parts {
    /// Those of `list`, in its order; `digests` says whether their digests are checked.
    pub(super) fn new(
        source: Box<dyn PartSource>,
        list: Vec<PartInfo>,
        digests: bool,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            source,
            list: list.into_iter(),
            now: None,
            digests,
            shared,
        }
    }
}

impl Read for Parts {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some((part, reader, sha1)) = &mut self.now else {
                let Some(part) = self.list.next() else {
                    return Ok(0);
                };
                let reader = self.source.open(&part.filename);
                let reader = reader.map_err(|source| {
                    let name = part.filename.clone();
                    self.shared.fail(UnpackError::Part { name, source })
                })?;
                self.now = Some((part, reader, Sha1::new()));
                continue;
            };
            let n = match reader.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let name = part.filename.clone();
                    return Err(self.shared.fail(UnpackError::Part { name, source }));
                }
                Ok(n) => n,
            };
            if n > 0 {
                if self.digests {
                    sha1.update(&buf[..n]);
                }
                self.shared.read.fetch_add(count(n), Ordering::Relaxed);
                return Ok(n);
            }
            let found = Sha1Digest::from(sha1.finalize_reset());
            if self.digests && found != part.sha1 {
                return Err(self.shared.fail(UnpackError::PartDigest {
                    name: part.filename.clone(),
                    found: hex(&found),
                    told: hex(&part.sha1),
                }));
            }
            self.now = None;
        }
    }
}

/// Decrypts, and takes off the padding.
pub(super) struct Decrypting {
    parts: Parts,
    decryptor: Decryptor,
    buf: Vec<u8>,
    /// Decrypted and not given yet.
    ready: std::ops::Range<usize>,
    /// Behind `ready`: the last block, which may be padding, and what is no whole block.
    held: usize,
    ended: bool,
}

impl Decrypting {
    pub(super) fn new(parts: Parts, secret: &Secret) -> Self {
        Self {
            parts,
            decryptor: Decryptor::new(secret),
            buf: vec![0; STEP + BLOCK],
            ready: 0..0,
            held: 0,
            ended: false,
        }
    }

    /// Reads and decrypts the next step.
    fn refill(&mut self) -> io::Result<()> {
        // The block held back is decrypted already.
        self.buf
            .copy_within(self.ready.end..self.ready.end + self.held, 0);
        let from = self.held;
        let mut end = from;
        let room = from + STEP;
        while end < room {
            match self.parts.read(&mut self.buf[end..room])? {
                0 => {
                    self.ended = true;
                    break;
                }
                n => end += n,
            }
        }
        if !(end - from).is_multiple_of(BLOCK) {
            return Err(self.parts.shared.fail(UnpackError::Padding));
        }
        self.decryptor.decrypt(&mut self.buf[from..end]);
        self.held = if self.ended { 0 } else { BLOCK };
        if self.ended {
            let padding = padded(&self.buf[..end]);
            end -= padding.ok_or_else(|| self.parts.shared.fail(UnpackError::Padding))?;
        }
        self.ready = 0..end - self.held;
        Ok(())
    }
}

impl Read for Decrypting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Decrypting {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.ready.is_empty() && !self.ended {
            self.refill()?;
        }
        Ok(&self.buf[self.ready.clone()])
    }

    fn consume(&mut self, n: usize) {
        self.ready.start += n;
    }
}
