//! A small file that goes with an image: a map, a block map.

use super::raw::target::Target;
use super::raw::{RawOptions, SinkError};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Such a file under way; it appears whole or not at all.
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

    /// Writes what `content` says.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(
        &mut self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), SinkError> {
        let mut out = io::BufWriter::new(&self.file);
        let written = content(&mut out).and_then(|()| out.flush());
        written.map_err(|e| self.target.failed(e))
    }

    /// Puts it under its name, which it gives back.
    ///
    /// # Errors
    /// When it cannot be renamed, or the name was taken meanwhile.
    pub fn finish(self) -> Result<PathBuf, SinkError> {
        let path = self.target.path.clone();
        self.target.publish(&self.file)?;
        Ok(path)
    }
}
