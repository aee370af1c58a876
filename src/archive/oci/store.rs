//! Where an image's blobs lie, and reading them with their digests held against what they say.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::digest::{Digest, Hasher};
use super::error::ImageError;
use super::hashing::{Hashing, Taken};
use crate::archive::read_ahead::read_ahead;
use crate::units::count;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Bytes of an index, a manifest or a configuration. Registries accept manifests of 4 MiB
/// (distribution-spec, "Pushing Manifests"); containerd reads configurations of up to 8.
const METADATA_MAX: u64 = 8 << 20;

/// The files of an image, by their path in a layout or archive.
pub trait Store: Send + Sync {
    /// Opens the file at `path` (`index.json`, `blobs/sha256/…`) at its start; `None` if there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn open(&self, path: &str) -> io::Result<Option<Blob>>;
}

/// A file of an image, to be read from its start.
pub struct Blob {
    /// Its bytes.
    pub reader: Box<dyn Read + Send>,
    /// How many there are.
    pub len: u64,
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// An OCI layout in a folder. Blobs may be symbolic links, as build systems with a cache make them.
#[derive(Debug)]
pub(in crate::archive) struct Folder(pub(in crate::archive) PathBuf);

impl Store for Folder {
    fn open(&self, path: &str) -> io::Result<Option<Blob>> {
        // Opening a fifo would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.0.join(path), flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            opened => File::from(opened?),
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        read_ahead(&file, 0);
        Ok(Some(Blob {
            reader: Box::new(file),
            len: meta.len(),
        }))
    }
}

/// A path from a docker-archive is any text.
fn shown(path: &str) -> String {
    crate::display::display_path(path.as_bytes()).to_string()
}

/// A store and the name of the image in it.
#[derive(Clone)]
pub(in crate::archive) struct Named {
    pub(in crate::archive) image: Arc<str>,
    pub(in crate::archive) store: Arc<dyn Store>,
}

impl Named {
    pub(in crate::archive) fn find(&self, path: &str) -> Result<Option<Blob>, ImageError> {
        self.store.open(path).map_err(|source| ImageError::Read {
            image: self.image.clone(),
            blob: shown(path),
            source,
        })
    }

    pub(in crate::archive) fn open(&self, path: &str) -> Result<Blob, ImageError> {
        self.find(path)?.ok_or_else(|| ImageError::Missing {
            image: self.image.clone(),
            blob: shown(path),
        })
    }

    /// The whole of a small file; `None` if there is none.
    pub(in crate::archive) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(blob) = self.find(path)? else {
            return Ok(None);
        };
        self.limit(path, blob.len)?;
        let mut bytes = Vec::new();
        let mut limited = blob.reader.take(METADATA_MAX);
        limited
            .read_to_end(&mut bytes)
            .map_err(|source| ImageError::Read {
                image: self.image.clone(),
                blob: shown(path),
                source,
            })?;
        Ok(Some(bytes))
    }

    fn limit(&self, path: &str, size: u64) -> Result<(), ImageError> {
        if size <= METADATA_MAX {
            return Ok(());
        }
        Err(ImageError::TooLarge {
            image: self.image.clone(),
            blob: shown(path),
            size,
            limit: METADATA_MAX,
        })
    }

    /// The whole of a small blob, verified.
    pub(in crate::archive) fn read_verified(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Vec<u8>, ImageError> {
        let path = digest.path();
        if let Some(size) = size {
            self.limit(&path, size)?;
            self.check_size(&path, size)?;
        }
        let bytes = self.read(&path)?.ok_or_else(|| ImageError::Missing {
            image: self.image.clone(),
            blob: shown(&path),
        })?;
        self.check_bytes(&path, &bytes, digest)?;
        Ok(bytes)
    }

    pub(in crate::archive) fn check_bytes(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Digest,
    ) -> Result<(), ImageError> {
        let mut hasher = expected.hasher();
        hasher.update(bytes);
        self.check_digest(path, &hasher.finish(), expected)
    }

    fn check_digest(
        &self,
        blob: &str,
        found: &Digest,
        expected: &Digest,
    ) -> Result<(), ImageError> {
        if found == expected {
            return Ok(());
        }
        Err(ImageError::Digest {
            image: self.image.clone(),
            blob: shown(blob),
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }

    /// Whether a blob is there, whole; its length.
    pub(in crate::archive) fn check_size(&self, path: &str, size: u64) -> Result<(), ImageError> {
        let found = self.open(path)?.len;
        if found == size {
            return Ok(());
        }
        Err(ImageError::Size {
            image: self.image.clone(),
            blob: shown(path),
            expected: size,
            found,
        })
    }

    /// A check of the decompressed bytes of the blob at `path`.
    pub(in crate::archive) fn check(&self, path: &str, digest: Digest) -> Check {
        Check {
            hasher: digest.hasher(),
            digest,
            path: path.into(),
            store: self.clone(),
        }
    }

    /// A reader that fails at the end of the blob unless it was what `digest` says.
    pub(in crate::archive) fn verified(
        &self,
        path: &str,
        blob: Blob,
        digest: Option<Digest>,
    ) -> Box<dyn Read + Send> {
        let Some(digest) = digest else {
            return blob.reader;
        };
        Box::new(Verified {
            left: blob.len,
            len: blob.len,
            state: State::Start(blob.reader),
            digest,
            path: path.into(),
            store: self.clone(),
        })
    }
}

/// What decompressed bytes must add up to.
pub(in crate::archive) struct Check {
    hasher: Hasher,
    digest: Digest,
    path: String,
    store: Named,
}

impl Check {
    pub(in crate::archive) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Fails unless the bytes were what the digest says.
    pub(in crate::archive) fn finish(self) -> Result<(), ImageError> {
        let Self {
            hasher,
            digest,
            path,
            store,
        } = self;
        store.check_digest(&path, &hasher.finish(), &digest)
    }
}

/// How far a blob is.
enum State {
    /// Nothing was read.
    Start(Box<dyn Read + Send>),
    Under(Hashing),
    Compared,
}

struct Verified {
    left: u64,
    len: u64,
    state: State,
    digest: Digest,
    path: String,
    store: Named,
}

impl Verified {
    fn wrong_size(&self, found: u64) -> io::Error {
        io::Error::other(ImageError::Size {
            image: self.store.image.clone(),
            blob: shown(&self.path),
            expected: self.len,
            found,
        })
    }
}

impl Read for Verified {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let hashing = match std::mem::replace(&mut self.state, State::Compared) {
            State::Start(reader) => Hashing::start(reader, self.digest.hasher(), self.len)?,
            State::Under(hashing) => hashing,
            State::Compared => return Ok(0),
        };
        match hashing.take(out)? {
            Taken::Bytes(n, hashing) => {
                self.state = State::Under(hashing);
                let left = self.left.checked_sub(count(n));
                self.left = left.ok_or_else(|| self.wrong_size(self.len.saturating_add(1)))?;
                Ok(n)
            }
            Taken::End(_) if self.left > 0 => {
                Err(self.wrong_size(self.len.saturating_sub(self.left)))
            }
            Taken::End(found) => {
                let checked = self.store.check_digest(&self.path, &found, &self.digest);
                checked.map_err(io::Error::other)?;
                Ok(0)
            }
        }
    }
}
