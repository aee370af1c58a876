//! The htree of a large directory: blocks that look like empty directory blocks to old readers.
//!
//! ```text
//! root (file block 0)                                node (depth 2 and more)
//! 0    12    24        32                  4088      0         8                     4088
//! │ "."│ ".."│ info    │ entries (507)     │ tail │  │ fake    │ entries (510)       │ tail │
//!        └ rec_len 4084: covers all the rest          dirent, rec_len 4096, inode 0
//!
//! entries: the first slot is count and limit, then the block of hashes below the second's; from
//! the second on: hash, block. The first slot's block is at byte 4 of it.
//! ```
//! Mirrors `dx_root`, `dx_node`, `dx_entry`, `dx_countlimit`, `dx_tail` of Linux `fs/ext4/namei.c`.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `hash_version`: legacy.
pub const DX_HASH_LEGACY: u8 = 0;
/// `hash_version`: half MD4, mke2fs's default. The superblock says whether bytes are signed.
pub const DX_HASH_HALF_MD4: u8 = 1;
/// `hash_version`: TEA.
pub const DX_HASH_TEA: u8 = 2;
/// Byte of `dx_root_info` in the root block, after "." and "..".
pub const DX_ROOT_INFO_OFFSET: usize = 24;
/// Byte of the first entry slot in the root block.
pub const DX_ROOT_ENTRIES_OFFSET: usize = 32;
/// Byte of the first entry slot in any other node.
pub const DX_NODE_ENTRIES_OFFSET: usize = 8;
/// Bit 0 of a hash in an entry: the leaf before ends with the same hash (a collision runs on).
pub const DX_COLLISION: u32 = 1;

/// `struct dx_root_info`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DxRootInfo {
    /// 0.
    pub reserved_zero: U32,
    /// `DX_HASH_*`.
    pub hash_version: u8,
    /// 8.
    pub info_length: u8,
    /// Levels of nodes below the root: 0 when the root points at leaves.
    pub indirect_levels: u8,
    /// 0.
    pub unused_flags: u8,
}

/// `struct dx_entry`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DxEntry {
    /// Lowest hash of the child.
    pub hash: U32,
    /// File block of the child.
    pub block: U32,
}

/// `struct dx_countlimit`, in place of the first entry's hash.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DxCountLimit {
    /// Slots that fit, this one included.
    pub limit: U16,
    /// Slots in use, this one included.
    pub count: U16,
}

/// `struct dx_tail`, after the last slot that fits, under `metadata_csum`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DxTail {
    /// 0.
    pub dt_reserved: U32,
    /// CRC32C of the block up to the last slot in use, then of this tail with a zero checksum.
    pub dt_checksum: U32,
}

const _: () = assert!(size_of::<DxRootInfo>() == 8);
const _: () = assert!(size_of::<DxEntry>() == 8);
const _: () = assert!(size_of::<DxCountLimit>() == 4);
const _: () = assert!(size_of::<DxTail>() == 8);
