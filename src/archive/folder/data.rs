//! The data of the files of a folder.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::vec::IntoIter;

use bytes::{Bytes, BytesMut};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::FolderError;
use crate::entry::DataRun;
use crate::units::{count, index};

/// Small files share a buffer of this size, large ones come in pieces of it.
const BUFFER: usize = 1 << 20;

/// A piece smaller than this is not worth a call when more is to come.
const PIECE: usize = 64 << 10;

/// Runs of one sparse file, as many as the tar reader takes.
const RUNS_MAX: usize = 1 << 20;

/// A file under way.
pub(super) struct Reading {
    pub(super) file: File,
    pub(super) path: String,
    pub(super) runs: IntoIter<DataRun>,
    pub(super) run: DataRun,
}

impl Reading {
    /// The next piece and its place in the file; `None` at the end.
    pub(super) fn next(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<(u64, Bytes)>, FolderError> {
        while self.run.len == 0 {
            match self.runs.next() {
                Some(run) => self.run = run,
                None => return Ok(None),
            }
        }
        let left = usize::try_from(self.run.len).unwrap_or(usize::MAX);
        if buffer.capacity() < left.min(PIECE) {
            *buffer = BytesMut::with_capacity(BUFFER);
        }
        buffer.resize(left.min(buffer.capacity()), 0);
        let n = loop {
            match self.file.read_at(buffer, self.run.offset) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(FolderError::Read {
                        path: self.path.clone(),
                        source,
                    });
                }
                Ok(0) => {
                    return Err(FolderError::Changed {
                        path: self.path.clone(),
                        what: "became shorter",
                    });
                }
                Ok(n) => break n,
            }
        };
        let at = self.run.offset;
        self.run.offset = at.saturating_add(count(n));
        self.run.len = self.run.len.saturating_sub(count(n));
        let rest = buffer.split_off(n);
        let piece = std::mem::replace(buffer, rest).freeze();
        buffer.clear();
        Ok(Some((at, piece)))
    }
}

/// The parts of a file that hold data; `None` where the filesystem cannot tell, or it is all data.
pub(super) fn runs(
    file: &File,
    size: u64,
    path: &str,
) -> Result<Option<Vec<DataRun>>, FolderError> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(size),
            // No data from here on.
            Err(Errno::NXIO) => break,
            Err(_) => return Ok(None),
        };
        let Ok(end) = seek(file, SeekFrom::Hole(start)) else {
            return Ok(None);
        };
        let end = end.min(size);
        if end > start {
            let len = end.saturating_sub(start);
            runs.push(DataRun { offset: start, len });
        }
        if runs.len() > RUNS_MAX {
            return Err(FolderError::TooManyRuns {
                path: path.into(),
                limit: count(RUNS_MAX),
            });
        }
        at = end.max(start.saturating_add(1));
    }
    let dense = matches!(runs[..], [DataRun { offset: 0, len }] if index(len) == index(size));
    Ok((!dense).then_some(runs))
}
