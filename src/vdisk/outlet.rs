//! The end of a forward pass: a file that gets holes, or a pipe.

use super::Forward;
use crate::units::{KIB, count, index};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Small pieces are gathered up to so many bytes.
const GATHER: usize = 256 << 10;
/// As few zeros are not worth a hole.
const FILL: u64 = 64 * KIB;

/// Takes bytes forward.
#[derive(Debug)]
pub struct Outlet {
    file: Arc<File>,
    holes: bool,
    /// Where `gathered` begins.
    at: u64,
    gathered: Vec<u8>,
    hasher: Option<Sha256>,
}

impl Outlet {
    /// Into an empty file, from its first byte; zeros become holes.
    #[must_use]
    pub fn file(file: Arc<File>) -> Self {
        Self::new(file, true)
    }

    /// Into a file that ends at byte `at`, from there on.
    #[must_use]
    pub(crate) fn file_from(file: Arc<File>, at: u64) -> Self {
        Self {
            at,
            ..Self::file(file)
        }
    }

    /// Into something that takes one byte after the other.
    #[must_use]
    pub fn pipe(file: File) -> Self {
        Self::new(Arc::new(file), false)
    }

    fn new(file: Arc<File>, holes: bool) -> Self {
        Self {
            file,
            holes,
            at: 0,
            gathered: Vec::with_capacity(GATHER),
            hasher: None,
        }
    }

    /// Digests what goes through.
    #[must_use]
    pub fn hashing(mut self) -> Self {
        self.hasher = Some(Sha256::new());
        self
    }

    /// Everything was given: the length, and the SHA-256 if it was asked for.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(mut self) -> io::Result<(u64, Option<[u8; 32]>)> {
        self.flush()?;
        if self.holes {
            self.file.set_len(self.at)?;
        }
        Ok((self.at, self.hasher.map(|h| h.finalize().into())))
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.gathered);
        self.write(&bytes)?;
        self.gathered = bytes;
        self.gathered.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.holes {
            true => self.file.write_all_at(bytes, self.at)?,
            false => (&*self.file).write_all(bytes)?,
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.at += count(bytes.len());
        Ok(())
    }
}

impl Forward for Outlet {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.gathered.len() + bytes.len() > GATHER {
            self.flush()?;
        }
        if bytes.len() > GATHER {
            return self.write(bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut left = len;
        if self.holes && len >= FILL && self.hasher.is_none() {
            self.flush()?;
            self.at += len;
            left = 0;
        }
        while left > 0 {
            let part = left.min(FILL);
            self.bytes(&ZEROS[..index(part)])?;
            left -= part;
        }
        Ok(())
    }
}
