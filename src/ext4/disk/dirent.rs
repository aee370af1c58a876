//! A directory block: entries that chain through `rec_len` to the checksum tail.
//!
//! ```text
//! 0              12                                  4084     4096
//! │ head "."     │ head ".." │ head name pad │ … ───► │ tail   │
//!   8 + name, rounded up to 4; the last entry's rec_len reaches the tail
//! ```
//! Mirrors `struct ext4_dir_entry_2` and `ext4_dir_entry_tail` of Linux `fs/ext4/ext4.h`.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `file_type`: unknown.
pub const EXT4_FT_UNKNOWN: u8 = 0;
/// `file_type`: regular file.
pub const EXT4_FT_REG_FILE: u8 = 1;
/// `file_type`: directory.
pub const EXT4_FT_DIR: u8 = 2;
/// `file_type`: character device.
pub const EXT4_FT_CHRDEV: u8 = 3;
/// `file_type`: block device.
pub const EXT4_FT_BLKDEV: u8 = 4;
/// `file_type`: fifo.
pub const EXT4_FT_FIFO: u8 = 5;
/// `file_type`: socket.
pub const EXT4_FT_SOCK: u8 = 6;
/// `file_type`: symbolic link.
pub const EXT4_FT_SYMLINK: u8 = 7;
/// `det_reserved_ft`: the checksum tail.
pub const EXT4_FT_DIR_CSUM: u8 = 0xDE;
/// Longest name in bytes.
pub const EXT4_NAME_LEN: usize = 255;

/// The head of `struct ext4_dir_entry_2`; the name follows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DirEntry2 {
    /// Inode number; 0: the entry is unused.
    pub inode: U32,
    /// Bytes to the next entry, a multiple of 4.
    pub rec_len: U16,
    /// Bytes of the name.
    pub name_len: u8,
    /// `EXT4_FT_*`.
    pub file_type: u8,
}

/// `struct ext4_dir_entry_tail`, the last 12 bytes of a leaf block under `metadata_csum`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DirEntryTail {
    /// 0, as an unused entry's inode.
    pub det_reserved_zero1: U32,
    /// 12.
    pub det_rec_len: U16,
    /// 0.
    pub det_reserved_zero2: u8,
    /// [`EXT4_FT_DIR_CSUM`].
    pub det_reserved_ft: u8,
    /// CRC32C of the block before the tail, seeded with the inode's seed.
    pub det_checksum: U32,
}

const _: () = assert!(size_of::<DirEntry2>() == 8);
const _: () = assert!(size_of::<DirEntryTail>() == 12);
