//! The group descriptor table (GDT): one 64-byte descriptor a group, in the block after the
//! superblock's, and copied after each backup superblock.
//!
//! ```text
//! 0        4        8        C    E    10   12   14       18   1A   1C   1E   20
//! │ b.bitm │ i.bitm │ itable │frB │frI │dirs│flag│ excl.  │bcs │ics │itun│csum│ 32 bytes of high halves
//! ```
//! Mirrors `struct ext4_group_desc` of Linux `fs/ext4/ext4.h` with `64bit`.
//! We always write as zero: both halves of `bg_exclude_bitmap` (snapshots were never merged) and
//! `bg_reserved`.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `bg_flags`: the inode table and bitmap are not in use; every inode of the group is free.
pub const BG_INODE_UNINIT: u16 = 0x1;
/// `bg_flags`: the block bitmap is not written; only the group's own metadata is in use.
pub const BG_BLOCK_UNINIT: u16 = 0x2;
/// `bg_flags`: the inode table is zeroed, the kernel need not do it after the first mount.
pub const BG_INODE_ZEROED: u16 = 0x4;

/// `struct ext4_group_desc`, 64 bytes; without `64bit` only the first 32 exist.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct GroupDesc {
    /// Block of the block bitmap, low half.
    pub bg_block_bitmap_lo: U32,
    /// Block of the inode bitmap, low half.
    pub bg_inode_bitmap_lo: U32,
    /// First block of the inode table, low half.
    pub bg_inode_table_lo: U32,
    /// Free blocks, low half.
    pub bg_free_blocks_count_lo: U16,
    /// Free inodes, low half.
    pub bg_free_inodes_count_lo: U16,
    /// Directories, low half.
    pub bg_used_dirs_count_lo: U16,
    /// `BG_*` flags.
    pub bg_flags: U16,
    /// Unused.
    pub bg_exclude_bitmap_lo: U32,
    /// Checksum of the block bitmap, low half; 0 under [`BG_BLOCK_UNINIT`].
    pub bg_block_bitmap_csum_lo: U16,
    /// Checksum of the inode bitmap, low half; 0 under [`BG_INODE_UNINIT`].
    pub bg_inode_bitmap_csum_lo: U16,
    /// Inodes at the end of the table that were never used, low half.
    pub bg_itable_unused_lo: U16,
    /// Checksum of this descriptor, low 16 bits.
    pub bg_checksum: U16,
    /// Block of the block bitmap, high half.
    pub bg_block_bitmap_hi: U32,
    /// Block of the inode bitmap, high half.
    pub bg_inode_bitmap_hi: U32,
    /// First block of the inode table, high half.
    pub bg_inode_table_hi: U32,
    /// Free blocks, high half.
    pub bg_free_blocks_count_hi: U16,
    /// Free inodes, high half.
    pub bg_free_inodes_count_hi: U16,
    /// Directories, high half.
    pub bg_used_dirs_count_hi: U16,
    /// Inodes never used, high half.
    pub bg_itable_unused_hi: U16,
    /// Unused.
    pub bg_exclude_bitmap_hi: U32,
    /// Checksum of the block bitmap, high half.
    pub bg_block_bitmap_csum_hi: U16,
    /// Checksum of the inode bitmap, high half.
    pub bg_inode_bitmap_csum_hi: U16,
    /// Unused.
    pub bg_reserved: U32,
}

const _: () = assert!(size_of::<GroupDesc>() == 64);
const _: () = assert!(std::mem::offset_of!(GroupDesc, bg_checksum) == 0x1E);
const _: () = assert!(std::mem::offset_of!(GroupDesc, bg_block_bitmap_csum_hi) == 0x38);
