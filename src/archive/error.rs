//! What can be wrong with an archive: what, where, why, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::detect::Compression;
use super::folder::FolderError;
use super::oci::ImageError;
use crate::display::display_path;

/// Where in an archive: what every message about an entry begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The archive's name as the user gave it, or `stdin`.
    pub archive: Arc<str>,
    /// Byte offset of the entry's header in the (decompressed) archive.
    pub offset: u64,
    /// The entry's name, once it is known.
    pub path: Option<Vec<u8>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            archive,
            offset,
            path,
        } = self;
        match path {
            Some(path) => {
                write!(
                    f,
                    "{archive}: entry '{}' (header at byte {offset})",
                    display_path(path)
                )
            }
            None => write!(f, "{archive}: header at byte {offset}"),
        }
    }
}

/// The part of an archive that ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A 512-byte header.
    Header,
    /// The body of a pax header or of a GNU long name.
    Extension,
    /// The map of a sparse file.
    SparseMap,
    /// A file's data.
    Data,
    /// The entry that a pax header or a long name announces.
    Announced,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "a header",
            Self::Extension => "an extended header",
            Self::SparseMap => "a sparse map",
            Self::Data => "the file's data",
            Self::Announced => "the entry that an extended header announces",
        })
    }
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive could not be opened.
    #[error("cannot open the archive {archive}")]
    Open {
        /// Its name.
        archive: Arc<str>,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed: a device, a network filesystem, a broken pipe.
    #[error("cannot read {archive} at byte {offset}")]
    Read {
        /// Its name.
        archive: Arc<str>,
        /// Byte offset in the file.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A filter could not be started.
    #[error("cannot start the filter `{command}`")]
    FilterStart {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A filter failed.
    #[error(
        "the filter `{command}` failed ({status}): mend the command; what it said itself stands above"
    )]
    Filter {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A filter for what is no single tar archive.
    #[error(
        "a filter takes one tar archive, not a folder, a container image or several layers: make one tar of \
         them first"
    )]
    FilterOfOther,
    /// No thread could be started for the decoder.
    #[error("cannot start a thread to decode {archive}")]
    Thread {
        /// Its name.
        archive: Arc<str>,
        /// What the system said.
        source: io::Error,
    },
    /// Not a single byte.
    #[error(
        "{archive} is empty (0 bytes): the command that should have written it has failed, or wrote \
         elsewhere"
    )]
    Empty {
        /// Its name.
        archive: Arc<str>,
    },
    /// Neither a tar archive nor a compressed one.
    #[error("{archive} is not a tar archive{}: it {looks}; {advice}", inside(*.compression))]
    NotTar {
        /// Its name.
        archive: Arc<str>,
        /// What the content came out of.
        compression: Compression,
        /// What it looks like: "looks like a qcow2 disk image".
        looks: String,
        /// What to do.
        advice: &'static str,
    },
    /// The compressed stream contradicts itself, a checksum included.
    #[error(
        "{archive}: damaged {compression} data near byte {offset} of the file: {why}; copy or make \
         the archive again"
    )]
    Corrupt {
        /// Its name.
        archive: Arc<str>,
        /// The compressor.
        compression: Compression,
        /// Byte offset in the compressed file.
        offset: u64,
        /// What the decoder said.
        why: String,
    },
    /// The compressed stream ends before its end.
    #[error(
        "{archive}: the {compression} data ends too early, at byte {offset} of the file: the archive \
         is cut short (disk full? interrupted copy?); copy or make it again"
    )]
    CompressedTruncated {
        /// Its name.
        archive: Arc<str>,
        /// The compressor.
        compression: Compression,
        /// Byte offset in the compressed file: its length.
        offset: u64,
    },
    /// The decoder would need more memory than an archive may ask for.
    #[error("{archive}: {}", window_message(*.compression, *.offset, *.window))]
    Window {
        /// Its name.
        archive: Arc<str>,
        /// The compressor.
        compression: Compression,
        /// Byte offset of the frame in the compressed file.
        offset: u64,
        /// The window it asks for, in bytes, where the decoder tells.
        window: Option<u64>,
    },
    /// A header whose checksum disagrees with its content.
    #[error(
        "{at}{}: the header's checksum is wrong: it says {stored}, its bytes add up to {computed:06o}; \
         the archive is damaged here, or the size of what precedes is; make it again",
        after.as_deref().unwrap_or_default()
    )]
    Checksum {
        /// Where.
        at: Box<Place>,
        /// The entry before, for the message.
        after: Option<String>,
        /// The field `chksum`, as text.
        stored: String,
        /// The unsigned sum of the header's bytes.
        computed: u32,
    },
    /// A field or record that cannot mean anything.
    #[error("{at}: {field}: {why}; make the archive again with a current tar")]
    Malformed {
        /// Where.
        at: Box<Place>,
        /// Which field (`header.size`, `pax mtime`, `sparse map`).
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than any filesystem or sane archive needs; guards memory.
    #[error("{at}: {field} is {size} bytes, the limit is {limit}: {why}")]
    TooLarge {
        /// Where.
        at: Box<Place>,
        /// Which field.
        field: &'static str,
        /// What it claims.
        size: u64,
        /// What is accepted.
        limit: u64,
        /// Why there is a limit, and what to do.
        why: &'static str,
    },
    /// The archive's file ends before the data that a header claims.
    #[error(
        "{at}: the entry claims {claimed} bytes of data, but only {left} bytes of the archive are \
         left: it is cut short (disk full? interrupted copy?) or the size is damaged; make it again"
    )]
    EntryLarger {
        /// Where.
        at: Box<Place>,
        /// Bytes of data that the header claims.
        claimed: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// The archive ends inside something.
    #[error(
        "{at}: the archive ends inside {part}: {expected} bytes expected, {found} found; it is cut \
         short, or was changed while it was read; copy or make it again"
    )]
    Truncated {
        /// Where.
        at: Box<Place>,
        /// Inside what.
        part: Part,
        /// Bytes that this part should have.
        expected: u64,
        /// Bytes of it that were there.
        found: u64,
    },
    /// A single block of zeros, then more.
    #[error(
        "{archive}: a single zero block at byte {offset}, followed by more data: an end marker is two \
         zero blocks, so a part of the archive was overwritten or archives were joined; make it again"
    )]
    LoneZeroBlock {
        /// Its name.
        archive: Arc<str>,
        /// Byte offset of the zero block in the (decompressed) archive.
        offset: u64,
    },
    /// A container image whose blobs do not fit together.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A folder that cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No room for a compressed or piped image while it is read.
    #[error("cannot unpack {archive} into a temporary file")]
    Unpack {
        /// Its name.
        archive: Arc<str>,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody said stop: see [`super::Options::cancelled`].
    #[error("interrupted")]
    Interrupted,
    /// The reader was used after it had failed, or its decoder died.
    #[error("{archive}: cannot read on after an error")]
    Spent {
        /// Its name.
        archive: Arc<str>,
    },
}

fn inside(compression: Compression) -> String {
    match compression {
        Compression::None => String::new(),
        c => format!(" inside its {c} compression"),
    }
}

fn window_message(compression: Compression, offset: u64, window: Option<u64>) -> String {
    let asks = window.map_or_else(
        || String::from("more memory than an archive may ask for (256 MiB)"),
        |w| format!("a window of {w} bytes, more than the 128 MiB that zstd itself accepts"),
    );
    let remedy = match compression {
        Compression::Zstd => "recompress it without --long and --ultra",
        _ => "recompress it with a smaller dictionary (xz -9 or less)",
    };
    format!("the {compression} data at byte {offset} of the file needs {asks}; {remedy}")
}
