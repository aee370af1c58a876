//! What a reader cannot read, and what it read past.

use std::io;

/// Something that made no sense and was left out.
pub type Warning = crate::ext4::check::Finding;

/// Why a filesystem, or something in it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No superblock.
    #[error(
        "no ext2, ext3 or ext4 filesystem: at byte 1080 stands 0x{found:04x} where superblock.s_magic is \
         0xef53"
    )]
    NotExt {
        /// What stands in place of `s_magic`.
        found: u16,
    },
    /// The image could not be read.
    #[error("cannot read {what}: {len} bytes at byte {offset} of the filesystem")]
    Read {
        /// What lies there.
        what: String,
        /// First byte.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Why.
        source: io::Error,
    },
    /// A structure makes no sense, and nothing can be had without it.
    #[error("{structure} (byte {offset}): {message}; `e2fsck -fn` tells more")]
    Damaged {
        /// What it is: "superblock", "inode 12".
        structure: String,
        /// Where it lies, in bytes from the start of the filesystem.
        offset: u64,
        /// The field, and what is wrong with it.
        message: String,
    },
    /// There is something in it that this reader does not know.
    #[error("the filesystem has {names}, which this reader does not know")]
    Unsupported {
        /// Features, as mke2fs names them, or bits.
        names: String,
    },
    /// The content is encrypted, and so are the names in a directory.
    #[error(
        "inode {ino} is encrypted (i_flags has ENCRYPT_FL): only a mounted filesystem with its key shows it"
    )]
    Encrypted {
        /// The inode.
        ino: u32,
    },
    /// It is of another kind than was asked for.
    #[error("inode {ino} is {is}, not {wanted}")]
    Kind {
        /// The inode.
        ino: u32,
        /// What it is.
        is: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
}
