//! Why a folder cannot be read.

use std::io;

/// Why a folder cannot be read as a root filesystem. `path` is that of the file, printable.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system does not let us.
    #[error(
        "cannot read {path}: permission denied; run as who may read all of the folder (root, \
         `unshare -r`, `podman unshare`) and set owners with `--owner 0:0` where they are not the \
         image's"
    )]
    Denied {
        /// The file.
        path: String,
    },
    /// Any other error of the filesystem.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody writes to the folder.
    #[error(
        "{path} {what} while it was read; stop what writes to the folder, or give a snapshot of it"
    )]
    Changed {
        /// The file.
        path: String,
        /// What happened to it.
        what: &'static str,
    },
    /// A sparse file in too many pieces.
    #[error("{path} has more than {limit} runs of data; copy it with `cp --sparse=never`")]
    TooManyRuns {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
}
