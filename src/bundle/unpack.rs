//! Taking a bundle apart: parts in, the image out.
//!
//! ```text
//!  the archive reader's thread                                     caller's thread
//!  parts ─┬─► AES ─► gunzip ─┬─► tar ─────────────────────────────► runs of the image ─► place
//!         └─► SHA-1          └─► SHA-1
//! ```

use super::cipher::Secret;
use super::keys::PrivateKey;
use super::manifest::Manifest;
use super::part_stream::{Decrypting, PartSource, Parts, Shared};
use super::parts::Sha1Digest;
use crate::archive::{ArchiveError, ArchiveReader, DataRun, EntryKind};
use crate::hex::{hex, unhex};
use crate::observe::{Observer, Stage};
use crate::units::{KIB, count, index};
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use sha1::{Digest, Sha1};
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

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
    let list = manifest.parts.clone();
    let parts = Parts::new(parts, list, digests, Arc::clone(&shared));
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
