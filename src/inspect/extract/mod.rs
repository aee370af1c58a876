//! Files out of an image: into a tar that says everything, or into a folder as an ordinary user.
//!
//! | file | what |
//! |---|---|
//! | `plan` | which files there are, and in which order they go |
//! | `tar` | a tar from which a build makes the same image again |
//! | `folder` | a folder, which nothing in the image can lead out of |

mod folder;
mod plan;
mod tar;

pub use folder::to_folder;
pub use tar::to_tar;

use super::files::FilesError;
use std::io;
use std::path::PathBuf;

/// What was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Names of files of any kind, directories too.
    pub names: u64,
    /// Bytes of data.
    pub data: u64,
    /// Files that could not be read, or that there is no place for; each was told as a warning.
    pub left_out: u64,
    /// Files in a folder whose owner is not that of the image.
    pub owners: u64,
    /// Attributes in a folder that could not be set.
    pub xattrs: u64,
}

/// Why files cannot be taken out.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The image cannot be read.
    #[error("{path} in the image cannot be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: FilesError,
    },
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Tar(#[source] io::Error),
    /// The folder is not empty, or no folder.
    #[error("{path} {is}; choose the path of a new folder, or of an empty one")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        is: &'static str,
    },
    /// The folder cannot be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody said stop.
    #[error("interrupted")]
    Interrupted,
}
