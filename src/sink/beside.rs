//! A small file beside an image: a map, a manifest. It appears whole or not at all, as the image does.

use super::raw::target::Target;
use super::raw::{RawOptions, SinkError};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file on its way. Dropped before [`Beside::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Beside {
    target: Target,
    file: File,
}

impl Beside {
    /// Makes a temporary beside `path`.
    ///
    /// # Errors
    /// As [`super::raw::RawFile::create`].
    pub fn create(path: &Path, options: RawOptions) -> Result<Self, SinkError> {
        let (target, file) = Target::create(path, options)?;
        Ok(Self { target, file })
    }

    /// The temporary's path, where it has one: what to remove when the process must end at once.
    #[must_use]
    pub fn temporary(&self) -> Option<&Path> {
        self.target.temporary()
    }

    /// Has it written.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), SinkError> {
        let mut out = io::BufWriter::new(&self.file);
        let written = write(&mut out).and_then(|()| out.flush());
        written.map_err(|source| SinkError::Write {
            path: self.target.path().to_owned(),
            source,
        })
    }

    /// Puts it under its name, which is given back.
    ///
    /// # Errors
    /// When it cannot be renamed, or the name was taken meanwhile.
    pub fn finish(self) -> Result<PathBuf, SinkError> {
        let path = self.target.path().to_owned();
        self.target.publish(&self.file)?;
        Ok(path)
    }
}
