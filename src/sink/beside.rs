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

    /// Puts it under its name; what [`RawOptions::force`] replaces is kept aside.
    ///
    /// # Errors
    /// When it cannot be renamed, or the name was taken meanwhile; what was there is still there.
    pub fn place(self) -> Result<Placed, SinkError> {
        let mut placed = Placed {
            path: self.target.path.clone(),
            before: self.target.put_aside()?,
        };
        match self.target.publish(&self.file) {
            Ok(()) => Ok(placed),
            Err(e) => {
                placed.restore();
                Err(e)
            }
        }
    }
}

/// A file under its name, and what it replaced, until [`Self::keep`] or [`Self::undo`].
#[derive(Debug)]
#[must_use]
pub struct Placed {
    path: PathBuf,
    before: Option<PathBuf>,
}

impl Placed {
    /// It stays; what was there before is gone.
    pub fn keep(self) {
        if let Some(before) = &self.before {
            // It was to be replaced, and is: a name too many is no failure.
            let _ = std::fs::remove_file(before);
        }
    }

    /// What was there before, file or nothing, is there again.
    pub fn undo(mut self) {
        if self.before.is_none() {
            // The failure that led here is what matters.
            let _ = std::fs::remove_file(&self.path);
        }
        self.restore();
    }

    fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            // Two names of one file stay two: rename(2). So it is removed as well.
            let _ = std::fs::rename(&before, &self.path);
            let _ = std::fs::remove_file(&before);
        }
    }
}
