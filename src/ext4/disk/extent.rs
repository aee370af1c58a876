//! The extent tree: where the blocks of a file lie.
//!
//! ```text
//! i_block (60 bytes)            block (4096 bytes)
//! ┌────────┬───┬───┬───┬───┐    ┌────────┬───┬───┬ … ┬───┬──────────┐
//! │ header │ 4 of 12 bytes │ ─► │ header │ up to 340 of 12 │ tail (4) │
//! └────────┴───┴───┴───┴───┘    └────────┴───┴───┴ … ┴───┴──────────┘
//! depth > 0: ExtentIdx           depth 0: Extent
//! ```
//! Mirrors Linux `fs/ext4/ext4_extents.h`. We always write `eh_generation` and `ei_unused` as zero:
//! no kernel reads them.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `eh_magic`.
pub const EXT4_EXT_MAGIC: u16 = 0xF30A;
/// Deepest legal tree (`EXT4_MAX_EXTENT_DEPTH`).
pub const EXT4_MAX_EXTENT_DEPTH: u16 = 5;
/// Longest initialised extent in blocks; `ee_len` beyond means unwritten, `ee_len - 32768` blocks.
pub const EXT_INIT_MAX_LEN: u16 = 32_768;
/// Entries in the root, in `i_block`.
pub const EXT4_EXT_ROOT_MAX: u16 = 4;

/// `struct ext4_extent_header`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct ExtentHeader {
    /// [`EXT4_EXT_MAGIC`].
    pub eh_magic: U16,
    /// Entries in use.
    pub eh_entries: U16,
    /// Entries that fit.
    pub eh_max: U16,
    /// 0 in a leaf.
    pub eh_depth: U16,
    /// Unused.
    pub eh_generation: U32,
}

/// `struct ext4_extent_idx`: a child node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct ExtentIdx {
    /// First file block the child covers.
    pub ei_block: U32,
    /// Block of the child, low half.
    pub ei_leaf_lo: U32,
    /// Block of the child, high half.
    pub ei_leaf_hi: U16,
    /// Unused.
    pub ei_unused: U16,
}

/// `struct ext4_extent`: a run of blocks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Extent {
    /// First file block.
    pub ee_block: U32,
    /// Blocks; see [`EXT_INIT_MAX_LEN`].
    pub ee_len: U16,
    /// First block on disk, high half.
    pub ee_start_hi: U16,
    /// First block on disk, low half.
    pub ee_start_lo: U32,
}

/// `struct ext4_extent_tail`, at byte `12 + 12 * eh_max` of a node that is a block.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct ExtentTail {
    /// CRC32C of the block before it, seeded with the inode's seed.
    pub et_checksum: U32,
}

const _: () = assert!(size_of::<ExtentHeader>() == 12);
const _: () = assert!(size_of::<ExtentIdx>() == 12);
const _: () = assert!(size_of::<Extent>() == 12);
const _: () = assert!(size_of::<ExtentTail>() == 4);
