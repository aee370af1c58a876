//! Why a tree is no filesystem.

use super::{DirectoryTooLarge, XattrError};
use crate::ext4::GeometryError;
use crate::tree::TreeError;

/// Why a filesystem cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It has no such shape.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Its own lost+found cannot be added.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The files do not fit the size asked for.
    #[error(
        "the tree does not fit a filesystem of {size} bytes: it needs {needed}, and {own} are the \
         filesystem's own; {missing} bytes are missing, those for larger tables among them; say a \
         `--size` larger by as much, or `--size fit`"
    )]
    Full {
        /// Size of the filesystem in bytes.
        size: u64,
        /// What of it the filesystem itself takes, in bytes: tables, journal, descriptors.
        own: u64,
        /// Bytes that the tree needs, in whole blocks.
        needed: u64,
        /// How much larger it must be, in bytes; its tables, which grow with it, are counted.
        missing: u64,
    },
    /// The files outnumber the inodes.
    #[error(
        "the tree needs {files} inodes, the filesystem has {inodes}; say `--inodes {files}` or more"
    )]
    TooManyFiles {
        /// Inodes needed.
        files: u64,
        /// Inodes there.
        inodes: u64,
    },
    /// A directory that ext4 cannot hold.
    #[error("{path}")]
    Directory {
        /// Its path.
        path: String,
        /// Why.
        source: DirectoryTooLarge,
    },
    /// Attributes that ext4 cannot hold.
    #[error("{path}")]
    Xattr {
        /// The file's path.
        path: String,
        /// Why.
        source: XattrError,
    },
    /// A symbolic link longer than a block.
    #[error(
        "{path}: the symbolic link's target has {len} bytes; it and its NUL must fit one block of \
         {block_size} bytes: say a larger `--block-size`"
    )]
    Symlink {
        /// Its path.
        path: String,
        /// Bytes of its target.
        len: usize,
        /// Bytes in a block.
        block_size: u64,
    },
    /// Past the last block that 32 bits count.
    #[error(
        "the tree needs more than the {} TiB that ext4 with blocks of {block_size} bytes reaches here",
        block_size / 256
    )]
    Unplaced {
        /// Bytes in a block.
        block_size: u64,
    },
}
