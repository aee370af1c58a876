//! What was read, as digests: for a record of what an image was made of.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::error::ArchiveError;
use super::oci::{Digest, Hasher, Hashing, ImageLayers, Taken};
use super::origin::Origin;
use crate::units::count;

/// A source of a root filesystem, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Its argument: a path, or a scheme, a path and a tag.
    pub name: String,
    /// `tar`, `folder`, `oci`, `oci-archive` or `docker-archive`; of what customises the image, the flag without
    /// its dashes: `overlay`, `file`, `ssh-key`, `cloud-init`, `grub`.
    pub kind: &'static str,
    /// `ALGORITHM:HEX`. Of a tar or another file: of its bytes as they were read, compressed if it is. Of an
    /// image: of its manifest, which names the layers by their digests, or with `docker-archive` of its
    /// configuration, the image's id. Of a folder, `treeSha256`: SHA-256 of a line for each name below it,
    /// the lines sorted as bytes, a NUL at the end of each:
    ///
    /// ```text
    /// TYPE MODE UID:GID CONTENT ATTRIBUTES PATH
    /// ```
    ///
    /// `TYPE` is `file`, `directory`, `symlink`, `hardlink` (all but the first name of a file), `char`,
    /// `block` or `fifo`; `MODE` four octal digits or more, of a symbolic link 0777; owners are those that the
    /// files get here, with an overlay 0:0, whoever gets them in the image; `CONTENT` the SHA-256 of a file, of
    /// where a link points (a hard link: to the first name), `MAJOR:MINOR` of a device, else `-`; `ATTRIBUTES`
    /// `-`, or the SHA-256 of `NAME=HEX` and a NUL for each extended attribute, sorted; `PATH` begins with
    /// no `/`. Times are not in it. A boot loader's files are listed as those of root, of mode 0644, by their
    /// paths below `/usr/lib`. A folder with more than 64 GiB of holes has none.
    pub digest: Option<String>,
    /// Bytes of a tar or another file.
    pub size: Option<u64>,
    /// The layers of an image, lowest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<InputLayer>,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputLayer {
    /// `ALGORITHM:HEX`, held against every byte: of the blob, or with `docker-archive` of the decompressed tar
    /// (its `diff_id`).
    pub digest: String,
    /// Bytes of the blob.
    pub size: u64,
}

impl Input {
    pub(crate) fn new(name: String, kind: &'static str) -> Self {
        Self {
            name,
            kind,
            digest: None,
            size: None,
            layers: Vec::new(),
        }
    }

    pub(super) fn of(origin: &Origin) -> Self {
        Self::new(origin.argument(), origin.kind())
    }

    /// The image that it was.
    pub(super) fn found(&mut self, image: &ImageLayers) {
        self.digest = Some(image.digest.to_string());
        let layers = image.layers.iter().filter_map(|l| {
            let digest = l.digest.as_ref().or(l.diff_id.as_ref())?.to_string();
            let size = l.size;
            Some(InputLayer { digest, size })
        });
        self.layers = layers.collect();
    }

    /// The tar that was read.
    pub(super) fn read(
        &mut self,
        receipt: &Receipt,
        cancelled: fn() -> bool,
    ) -> Result<(), ArchiveError> {
        let (digest, size) = receipt.finish(cancelled)?;
        (self.digest, self.size) = (Some(digest), Some(size));
        Ok(())
    }
}

/// A reader whose bytes are digested, on a thread of its own, while they pass.
pub(super) struct Digested(Arc<Mutex<State>>);

/// The other end of a [`Digested`].
pub(super) struct Receipt {
    archive: Arc<str>,
    state: Arc<Mutex<State>>,
}

struct State {
    hashing: Option<Hashing>,
    size: u64,
    digest: Option<Digest>,
}

impl State {
    fn take(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(hashing) = self.hashing.take() else {
            return Ok(0);
        };
        Ok(match hashing.take(out)? {
            Taken::Bytes(n, hashing) => {
                self.hashing = Some(hashing);
                self.size = self.size.saturating_add(count(n));
                n
            }
            Taken::End(digest) => {
                self.digest = Some(digest);
                0
            }
        })
    }
}

impl Digested {
    /// Of `reader`, which will give `len` bytes where that is known.
    pub(super) fn new(
        archive: Arc<str>,
        reader: Box<dyn Read + Send>,
        len: Option<u64>,
    ) -> Result<(Self, Receipt), ArchiveError> {
        let hasher = Hasher::Sha256(Sha256::new());
        let hashing =
            Hashing::start(reader, hasher, len.unwrap_or(u64::MAX)).map_err(|source| {
                ArchiveError::Thread {
                    archive: archive.clone(),
                    source,
                }
            })?;
        let state = Arc::new(Mutex::new(State {
            hashing: Some(hashing),
            size: 0,
            digest: None,
        }));
        let reader = Self(Arc::clone(&state));
        Ok((reader, Receipt { archive, state }))
    }
}

impl Read for Digested {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.take(out)
    }
}

impl Receipt {
    /// Digest and length of everything. What the decoder left, behind the compressed data, is read now.
    fn finish(&self, cancelled: fn() -> bool) -> Result<(String, u64), ArchiveError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = vec![0; 64 << 10];
        loop {
            if cancelled() {
                return Err(ArchiveError::Interrupted);
            }
            match state.take(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(source) => {
                    let (archive, offset) = (self.archive.clone(), state.size);
                    return Err(ArchiveError::Read {
                        archive,
                        offset,
                        source,
                    });
                }
            }
        }
        let digest = state.digest.as_ref().map(ToString::to_string);
        let archive = self.archive.clone();
        Ok((digest.ok_or(ArchiveError::Spent { archive })?, state.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_digested_too() {
        for len in [Some(3), None] {
            let (mut reader, receipt) =
                Digested::new("x".into(), Box::new(&b"abc"[..]), len).unwrap();
            let mut first = [0];
            assert_eq!(reader.read(&mut first).unwrap(), 1);
            // FIPS 180-4, the one-block example.
            let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(receipt.finish(|| false).unwrap(), (digest.to_owned(), 3));
            assert_eq!(receipt.finish(|| false).unwrap(), (digest.to_owned(), 3));
        }
    }
}
