//! One regular file, its holes known.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::FolderError;
use super::data::{Reading, runs};
use crate::display::display_path;
use crate::entry::{DataRun, EntryKind};

/// Reads a regular file once.
pub(crate) struct SingleFile {
    /// Bytes of it.
    pub(crate) size: u64,
    /// Its mode, type bits left out.
    pub(crate) mode: u16,
    runs: Option<Vec<DataRun>>,
    reading: Reading,
    buffer: BytesMut,
}

impl SingleFile {
    /// Opens it, links followed; `None` when it is no regular file.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        // Before it is opened: that of a fifo waits for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Ok(None);
        }
        let shown = display_path(path.as_os_str().as_encoded_bytes()).to_string();
        let size = meta.len();
        let found = runs(&file, size, &shown).map_err(io::Error::other)?;
        let whole = DataRun {
            offset: 0,
            len: size,
        };
        let reading = Reading {
            file,
            path: shown,
            runs: found.clone().unwrap_or_else(|| vec![whole]).into_iter(),
            run: DataRun { offset: 0, len: 0 },
        };
        Ok(Some(Self {
            size,
            mode: u16::try_from(meta.permissions().mode() & 0o7777).unwrap_or_default(),
            runs: found,
            reading,
            buffer: BytesMut::new(),
        }))
    }

    /// What kind of entry it is.
    pub(crate) fn kind(&self) -> EntryKind {
        EntryKind::File {
            size: self.size,
            data: self.runs.clone(),
        }
    }

    /// The next piece and its place in the file; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Bytes)>, FolderError> {
        let piece = self.reading.next(&mut self.buffer)?;
        // Read, not asked for: files of /proc say that they have no length.
        if piece.is_none() && self.longer()? {
            return Err(FolderError::Changed {
                path: self.reading.path.clone(),
                what: "became longer",
            });
        }
        Ok(piece)
    }

    /// Whether there is a byte behind the end.
    fn longer(&self) -> Result<bool, FolderError> {
        loop {
            match self.reading.file.read_at(&mut [0], self.size) {
                Ok(n) => return Ok(n > 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.reading.path.clone();
                    return Err(FolderError::Read { path, source });
                }
            }
        }
    }
}
