//! Taking a bundle apart: parts in, the image out.
//!
//! ```text
//!  the archive reader's thread                                     caller's thread
//!  parts ─┬─► AES ─► gunzip ─┬─► tar ─────────────────────────────► runs of the image ─► place
//!         └─► SHA-1          └─► SHA-1
//! ```

use super::cipher::{BLOCK, Decryptor, Secret, padded};
use super::keys::PrivateKey;
use super::manifest::{Manifest, PartInfo};
use super::parts::Sha1Digest;
use crate::archive::{ArchiveError, ArchiveReader, DataRun, EntryKind};
use crate::hex::{hex, unhex};
use crate::observe::{Observer, Stage};
use crate::units::{KIB, count, index};
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Encrypted bytes read at a time.
const STEP: usize = 256 << 10;
const _: () = assert!(STEP.is_multiple_of(BLOCK));

/// Why a bundle cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The private key is of another bundle.
    #[error(
        "the key {key} opens neither the user's copy of the bundle's key nor EC2's: the bundle was made for \
         another certificate"
    )]
    WrongKey {
        /// The key, by its name.
        key: String,
    },
    /// What was encrypted is no key.
    #[error("the bundle's {what}, decrypted, is no 32 hexadecimal digits")]
    NoSecret {
        /// Key or vector.
        what: &'static str,
    },
    /// A part cannot be read.
    #[error("cannot read the part {name}")]
    Part {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A part is not what the manifest says.
    #[error(
        "the part {name} is damaged: its SHA-1 is {found}, the manifest has {told}; copy it again"
    )]
    PartDigest {
        /// Its name.
        name: String,
        /// SHA-1 of its bytes.
        found: String,
        /// What it should be.
        told: String,
    },
    /// The parts together are not as long as the manifest says.
    #[error("the parts have {found} bytes together, the manifest's bundled_size is {told}")]
    BundledSize {
        /// Their bytes.
        found: u64,
        /// What they should be.
        told: u64,
    },
    /// The stream does not end as it should.
    #[error(
        "the last block has no padding of PKCS #7: the bundle is cut short, or its key is another"
    )]
    Padding,
    /// The stream is no gzip, or its CRC is wrong.
    #[error("the decrypted stream is no sound gzip")]
    Gzip(#[source] io::Error),
    /// What was compressed is no tar.
    #[error("the bundle holds no sound tar")]
    Tar(#[source] ArchiveError),
    /// The tar holds something else than one file.
    #[error("the tar holds {found}; that of a bundle holds one file, the image")]
    NotOneFile {
        /// What it holds.
        found: &'static str,
    },
    /// The image is not as long as the manifest says.
    #[error("the image has {found} bytes, the manifest's size is {told}")]
    Size {
        /// Its length.
        found: u64,
        /// What it should be.
        told: u64,
    },
    /// The tar is not the one of which the manifest speaks.
    #[error("the SHA-1 of the tar is {found}, the manifest has {told}")]
    Digest {
        /// SHA-1 of the tar.
        found: String,
        /// What it should be.
        told: String,
    },
    /// The image cannot be written.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// Somebody said stop.
    #[error("interrupted")]
    Interrupted,
}

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

impl Manifest {
    /// Key and vector of the cipher, from the user's copy or, for whoever holds that key, from EC2's.
    ///
    /// # Errors
    /// When `key` opens neither.
    pub fn open(&self, key: &PrivateKey) -> Result<Secret, UnpackError> {
        let copies = [&self.user_sealed, &self.ec2];
        let opened = copies.iter().find_map(|sealed| {
            let secret = key.decrypt(&sealed.key).ok()?;
            Some((secret, key.decrypt(&sealed.iv).ok()?))
        });
        let (digits, iv) = opened.ok_or_else(|| UnpackError::WrongKey {
            key: key.name().into(),
        })?;
        let sixteen = |digits: &[u8], what| {
            let bytes = unhex(digits).and_then(|b| b.try_into().ok());
            bytes.ok_or(UnpackError::NoSecret { what })
        };
        Ok(Secret {
            key: sixteen(&digits, "key")?,
            iv: sixteen(&iv, "initialization vector")?,
        })
    }
}

/// Takes the image out of a bundle. `place` gets its data in ascending order with the byte where it
/// belongs; what lies between two calls, and behind the last up to the manifest's `size`, reads as zeros.
/// Everything is checked; what was placed before an error is worth nothing.
///
/// # Errors
/// When a part is missing or damaged, or the stream is not what the manifest says.
pub fn unpack(
    manifest: &Manifest,
    secret: &Secret,
    parts: Box<dyn PartSource>,
    place: &mut dyn FnMut(u64, Bytes) -> io::Result<()>,
    observer: &dyn Observer,
) -> Result<(), UnpackError> {
    run(manifest, secret, parts, true, place, observer)
}

/// [`unpack`]; `digests` says whether those of the parts are checked.
pub(super) fn run(
    manifest: &Manifest,
    secret: &Secret,
    parts: Box<dyn PartSource>,
    digests: bool,
    place: &mut dyn FnMut(u64, Bytes) -> io::Result<()>,
    observer: &dyn Observer,
) -> Result<(), UnpackError> {
    let shared = Arc::new(Shared::default());
    let parts = Parts {
        source: parts,
        list: manifest.parts.clone().into_iter(),
        now: None,
        digests,
        shared: Arc::clone(&shared),
    };
    let stream = Stream {
        gzip: MultiGzDecoder::new(Decrypting::new(parts, secret)),
        sha1: Sha1::new(),
        shared: Arc::clone(&shared),
    };
    let stream = Handle(Arc::new(Mutex::new(stream)));
    let watched = Watched {
        manifest,
        shared: &shared,
        observer,
    };
    let read = watched.read(stream.clone(), place);
    // A failure below the tar is the cause of what the tar's reader says.
    if let Some(failure) = shared.taken() {
        return Err(failure);
    }
    read?;
    let found = stream.finish(&shared)?;
    if found != manifest.digest {
        return Err(UnpackError::Digest {
            found: hex(&found),
            told: hex(&manifest.digest),
        });
    }
    let (found, told) = (shared.read.load(Ordering::Relaxed), manifest.bundled_size);
    if found != told {
        return Err(UnpackError::BundledSize { found, told });
    }
    Ok(())
}

/// What the threads tell one another.
#[derive(Default)]
struct Shared {
    /// Bytes of parts that were read.
    read: AtomicU64,
    /// The first failure below the tar.
    failure: Mutex<Option<UnpackError>>,
}

impl Shared {
    fn fail(&self, failure: UnpackError) -> io::Error {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
        io::Error::other("told elsewhere")
    }

    fn failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    fn taken(&self) -> Option<UnpackError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The tar, read on the caller's thread.
struct Watched<'a> {
    manifest: &'a Manifest,
    shared: &'a Shared,
    observer: &'a dyn Observer,
}

impl Watched<'_> {
    fn read(
        &self,
        stream: Handle,
        place: &mut dyn FnMut(u64, Bytes) -> io::Result<()>,
    ) -> Result<(), UnpackError> {
        let name = format!("the tar of {}", self.manifest.name);
        let tar = ArchiveReader::from_reader(&name, Box::new(stream), None);
        let mut tar = tar.map_err(UnpackError::Tar)?;
        let entry = tar.next_entry().map_err(UnpackError::Tar)?;
        let entry = entry.ok_or(UnpackError::NotOneFile { found: "nothing" })?;
        let EntryKind::File { size, data } = entry.kind else {
            return Err(UnpackError::NotOneFile {
                found: "something that is no file",
            });
        };
        let told = self.manifest.size;
        if size != told {
            return Err(UnpackError::Size { found: size, told });
        }
        let mut runs = data
            .unwrap_or_else(|| {
                vec![DataRun {
                    offset: 0,
                    len: size,
                }]
            })
            .into_iter();
        let mut run = DataRun { offset: 0, len: 0 };
        while let Some(mut piece) = tar.next_data().map_err(UnpackError::Tar)? {
            if self.observer.cancelled() {
                return Err(UnpackError::Interrupted);
            }
            while !piece.is_empty() {
                if run.len == 0 {
                    // The reader gives as many bytes as the runs have.
                    run = runs.next().ok_or(UnpackError::NotOneFile {
                        found: "data without a place",
                    })?;
                    continue;
                }
                let step = count(piece.len()).min(run.len);
                place(run.offset, piece.slice(..index(step))).map_err(UnpackError::Write)?;
                piece.advance(index(step));
                run.offset += step;
                run.len -= step;
            }
            let done = self.shared.read.load(Ordering::Relaxed);
            self.observer
                .progress(Stage::Bundle, done, Some(self.manifest.bundled_size));
        }
        if tar.next_entry().map_err(UnpackError::Tar)?.is_some() {
            return Err(UnpackError::NotOneFile {
                found: "several files",
            });
        }
        for warning in tar.take_warnings() {
            self.observer.warn(&warning);
        }
        Ok(())
    }
}

/// Reads one part after the other.
struct Parts {
    source: Box<dyn PartSource>,
    list: std::vec::IntoIter<PartInfo>,
    now: Option<(PartInfo, Box<dyn Read + Send>, Sha1)>,
    digests: bool,
    shared: Arc<Shared>,
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
struct Decrypting {
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
    fn new(parts: Parts, secret: &Secret) -> Self {
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

/// The tar as bytes, and their digest.
struct Stream {
    gzip: MultiGzDecoder<Decrypting>,
    sha1: Sha1,
    shared: Arc<Shared>,
}

impl Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.shared.failed() {
            return Err(io::Error::other("told elsewhere"));
        }
        let read = self.gzip.read(buf);
        let n = read.map_err(|e| self.shared.fail(UnpackError::Gzip(e)))?;
        self.sha1.update(&buf[..n]);
        Ok(n)
    }
}

/// The stream, for the reader of the tar and, when that has seen its end mark, for what follows.
#[derive(Clone)]
struct Handle(Arc<Mutex<Stream>>);

impl Handle {
    /// Reads what is left, and gives the digest of all.
    fn finish(&self, shared: &Shared) -> Result<Sha1Digest, UnpackError> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buf = vec![0; index(64 * KIB)];
        loop {
            match stream.read(&mut buf) {
                Ok(0) => return Ok(stream.sha1.finalize_reset().into()),
                Ok(_) => {}
                Err(e) => return Err(shared.taken().unwrap_or(UnpackError::Gzip(e))),
            }
        }
    }
}

impl Read for Handle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(buf)
    }
}
