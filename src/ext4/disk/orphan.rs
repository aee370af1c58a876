//! The orphan file (`orphan_file`): the inodes that are deleted and still open, by number.
//!
//! ```text
//! block of the file: │ inode numbers, 4 bytes each; 0 is free │ OrphanBlockTail │
//! ```
//! Mirrors `struct ext4_orphan_block_tail` of Linux `fs/ext4/ext4.h`.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `ob_magic`.
pub const EXT4_ORPHAN_BLOCK_MAGIC: u32 = 0x0B10_CA04;

/// `struct ext4_orphan_block_tail`, the last 8 bytes of every block.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct OrphanBlockTail {
    /// [`EXT4_ORPHAN_BLOCK_MAGIC`].
    pub ob_magic: U32,
    /// CRC32C, seeded with the inode's seed, of the block's number (64 bits) and the inode numbers.
    pub ob_checksum: U32,
}

const _: () = assert!(size_of::<OrphanBlockTail>() == 8);
