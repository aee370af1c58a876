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
        "the tree does not fit a filesystem of {size} bytes; one of {needed} holds it: {tree} for files and \
         directories, {journal} for the journal and {tables} for tables; {} bytes are missing: say a \
         `--size` larger by as much, or `--size fit`", needed - size
    )]
    Full {
        /// Size of the filesystem in bytes.
        size: u64,
        /// Size in bytes of one that is large enough; its tables and journal, which grow with it, are
        /// counted.
        needed: u64,
        /// What of that the tree takes, in whole blocks.
        tree: u64,
        /// What of it the journal takes.
        journal: u64,
        /// The rest: inode tables, bitmaps, descriptors.
        tables: u64,
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
