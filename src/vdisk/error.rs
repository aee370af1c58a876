//! Why an image is not read or written.

use super::Format;
use std::io;

/// Why an image of a format cannot be read, or a disk not be written in it.
#[derive(Debug, thiserror::Error)]
pub enum VdiskError {
    /// The file cannot be opened or looked at.
    #[error(transparent)]
    Open(io::Error),
    /// A part of the file cannot be read.
    #[error("cannot read {what} at byte {offset}")]
    Read {
        /// The structure.
        what: &'static str,
        /// Its byte in the file.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A part of the file is not there.
    #[error(
        "{what} at byte {offset} ends past the file, which has {len} bytes: it was cut off or is damaged"
    )]
    CutOff {
        /// The structure.
        what: &'static str,
        /// Its byte in the file.
        offset: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// The file cannot be decompressed.
    #[error("cannot decompress it as {format}")]
    Unpack {
        /// What it begins as.
        format: Format,
        /// Why.
        source: io::Error,
    },
    /// A structure contradicts the specification, itself or the file.
    #[error("{structure} at byte {offset} is damaged: {field} {why}")]
    Bad {
        /// The structure, with its format.
        structure: &'static str,
        /// Its byte in the file.
        offset: u64,
        /// The field, as the specification names it.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The image is whole, and of a kind that is not read.
    #[error("{what}; {instead}")]
    Unsupported {
        /// What it is or has.
        what: String,
        /// What to do.
        instead: &'static str,
    },
    /// The format holds no disk of that size.
    #[error(
        "a disk of {size} bytes does not fit {format}, which ends at {max}; choose another format"
    )]
    TooLarge {
        /// Size of the disk.
        size: u64,
        /// The format.
        format: Format,
        /// The largest disk it holds.
        max: u64,
    },
}

impl VdiskError {
    /// A header, at byte 0, whose `field` contradicts something.
    pub(super) fn header(
        structure: &'static str,
        field: &'static str,
        why: impl Into<String>,
    ) -> Self {
        Self::Bad {
            structure,
            offset: 0,
            field,
            why: why.into(),
        }
    }
}

impl From<VdiskError> for io::Error {
    fn from(e: VdiskError) -> Self {
        match e {
            VdiskError::Open(source) => source,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}
