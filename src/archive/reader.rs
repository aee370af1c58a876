//! The door of this folder: opens an archive, gives its entries and their data.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::detect::Compression;
use super::digested::{Digested, Receipt};
use super::error::ArchiveError;
use super::input::Input;
use super::oci::Check;
use super::read_ahead::read_ahead;
use super::tar::TarReader;
use crate::display::display_path;
use crate::entry::Entry;
use crate::pool::Pool;

/// Reads an archive once, front to back.
///
/// ```no_run
/// # fn main() -> Result<(), diskwright::archive::ArchiveError> {
/// use diskwright::archive::ArchiveReader;
/// let mut archive = ArchiveReader::open("rootfs.tar.zst".as_ref())?;
/// while let Some(entry) = archive.next_entry()? {
///     println!("{}", diskwright::display::display_path(&entry.path));
///     while let Some(data) = archive.next_data()? {
///         assert!(!data.is_empty());
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Memory: 7 buffers of 1 MiB and the decoder's window (zstd at most 128 MiB, usually 2 to 8), and the
/// buffers of which the caller holds slices: each slice keeps its whole buffer alive.
///
/// After an error every call fails with [`ArchiveError::Spent`].
pub struct ArchiveReader {
    tar: TarReader,
}

impl fmt::Debug for ArchiveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveReader")
            .field("compression", &self.compression())
            .finish()
    }
}

impl ArchiveReader {
    /// Opens a file, a pipe or a device; `-` is stdin, unless that is a terminal. Reads the first MiB to
    /// learn what it is.
    ///
    /// # Errors
    /// When it cannot be opened or read, is empty, or is no archive.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        Opened::new(path)?.start()
    }

    /// Reads from `reader`, to be called `name` in messages. `compressed_len` is the number of bytes it
    /// will give, where that is known: for progress, and to refuse sizes beyond it.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or is no archive.
    pub fn from_reader(
        name: &str,
        reader: Box<dyn Read + Send>,
        compressed_len: Option<u64>,
    ) -> Result<Self, ArchiveError> {
        Self::start(name.into(), reader, compressed_len)
    }

    /// Reads a layer of an image, `len` bytes long; see [`Input::layer`].
    pub(super) fn layer(
        name: Arc<str>,
        reader: Box<dyn Read + Send>,
        len: u64,
        check: Option<Check>,
        pool: &Pool,
    ) -> Result<Self, ArchiveError> {
        Ok(Self {
            tar: TarReader::new(Input::layer(name, reader, len, check, pool)?),
        })
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> &Arc<str> {
        self.tar.input().name()
    }

    fn start(
        name: Arc<str>,
        reader: Box<dyn Read + Send>,
        total: Option<u64>,
    ) -> Result<Self, ArchiveError> {
        Ok(Self {
            tar: TarReader::new(Input::start(name, reader, total)?),
        })
    }

    /// The next entry; what is left of the data of the one before is skipped. `None` at the end of the
    /// archive, once the compressed stream has been read and verified to its own end.
    ///
    /// # Errors
    /// Whatever is wrong with the archive from here to that entry.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.tar.next_entry()
    }

    /// The next piece of the entry's data, not empty; `None` at its end and for what has no data. Of a
    /// sparse file: its runs, one after the other (a piece may span runs).
    ///
    /// # Errors
    /// When the archive ends or turns out damaged.
    pub fn next_data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        self.tar.next_data()
    }

    /// Bytes of the (compressed) file read so far, and its length where it is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.tar.input().progress()
    }

    /// What was odd and still understood since the last call; one sentence each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.tar.take_warnings()
    }

    /// From now on reading ends when `cancelled` says so.
    pub(super) fn stop_when(&mut self, cancelled: fn() -> bool) {
        self.tar.input.stop_when(cancelled);
    }

    /// How the archive is compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.tar.input().compression()
    }
}

/// An archive that was opened and not looked at.
pub(super) struct Opened {
    pub(super) name: Arc<str>,
    pub(super) file: File,
    /// Bytes from its cursor on, of a regular file.
    pub(super) total: Option<u64>,
}

impl Opened {
    /// A file, a pipe or a device; `-` is stdin.
    pub(super) fn new(path: &Path) -> Result<Self, ArchiveError> {
        let name: Arc<str> = match path.as_os_str().as_encoded_bytes() {
            b"-" => "stdin".into(),
            name => display_path(name).to_string().into(),
        };
        match open_file(path) {
            Ok((file, total)) => Ok(Self { name, file, total }),
            Err(source) => Err(ArchiveError::Open {
                archive: name,
                source,
            }),
        }
    }

    pub(super) fn start(self) -> Result<ArchiveReader, ArchiveError> {
        ArchiveReader::start(self.name, Box::new(self.file), self.total)
    }

    /// The same, its bytes digested while they pass.
    pub(super) fn start_digested(self) -> Result<(ArchiveReader, Receipt), ArchiveError> {
        let (reader, receipt) = Digested::new(self.name.clone(), Box::new(self.file), self.total)?;
        let archive = ArchiveReader::start(self.name, Box::new(reader), self.total)?;
        Ok((archive, receipt))
    }
}

/// The file, and how many bytes it has from its cursor on if it is a regular one.
fn open_file(path: &Path) -> io::Result<(File, Option<u64>)> {
    let mut file = if path.as_os_str() == "-" {
        // Not `Stdin`: its buffer would cost a copy.
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let why = "it is a terminal: name the archive, or let a pipe or `<` bring it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        File::from(stdin.as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Ok((file, None));
    }
    let start = file.stream_position()?;
    read_ahead(&file, start);
    Ok((file, Some(meta.len().saturating_sub(start))))
}
