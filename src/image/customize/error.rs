//! Why an edit cannot be made.

use crate::archive::{ArchiveError, FolderError};
use crate::tree::TreeError;
use std::io;
use std::path::PathBuf;

/// An edit that cannot be made. Paths of the image begin with `/`.
#[derive(Debug, thiserror::Error)]
pub enum CustomizeError {
    /// A folder of the user's cannot be read.
    #[error("--overlay")]
    Overlay(#[source] ArchiveError),
    /// A file of the user's cannot be read to its end.
    #[error("--file")]
    File(#[source] FolderError),
    /// A file of the user's cannot be read.
    #[error("--{flag}: cannot read {}", .path.display())]
    Source {
        /// Who wanted it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the user's is not what the flag takes.
    #[error("--{flag}: {}: {why}", .path.display())]
    Content {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A path that the image cannot have.
    #[error("--{flag}: nothing can be put there")]
    Path {
        /// The flag.
        flag: &'static str,
        /// Why.
        source: TreeError,
    },
    /// Something else lies where an edit goes.
    #[error("--{flag}: {path} is {what} in the image; --remove it first")]
    InTheWay {
        /// The flag.
        flag: &'static str,
        /// The path.
        path: String,
        /// What lies there.
        what: &'static str,
    },
    /// A value that says nothing.
    #[error("--{flag} {value}: {why}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The image has no such user, group, unit, zone.
    #[error("--{flag}: the image has no {what} {name}{}", .near.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// The flag.
        flag: &'static str,
        /// What it has none of.
        what: &'static str,
        /// How it is called.
        name: String,
        /// What is there and called alike.
        near: Option<String>,
    },
    /// The image lacks what the edit is for.
    #[error("--{flag}: the image has no {path}: {hint}")]
    Missing {
        /// The flag.
        flag: &'static str,
        /// The file or folder.
        path: &'static str,
        /// What brings it.
        hint: &'static str,
    },
    /// A file of the image that an edit needs lies at a path that is not read.
    #[error(
        "--{flag}: {path} of the image lies elsewhere ({real}), where no build reads it: give the rootfs a \
         regular file there"
    )]
    Unread {
        /// The flag.
        flag: &'static str,
        /// Where it is looked for.
        path: String,
        /// Where it lies.
        real: String,
    },
}
