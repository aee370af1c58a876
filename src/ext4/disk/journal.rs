//! The journal superblock: byte 0 of the journal file (inode 8). Big-endian, unlike all the rest.
//!
//! ```text
//! block 0                  s_first = 1                             s_maxlen
//! │ JournalSuperblock, 0 …  │ log: zeros, s_start 0 says "clean"    │
//! ```
//! Mirrors `journal_superblock_t` of Linux `include/linux/jbd2.h`. We write no journal features and
//! therefore no checksum: the kernel sets both at its first read-write mount, as mke2fs leaves it.

use zerocopy::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `h_magic`.
pub const JBD2_MAGIC_NUMBER: u32 = 0xC03B_3998;
/// `h_blocktype`: descriptor.
pub const JBD2_DESCRIPTOR_BLOCK: u32 = 1;
/// `h_blocktype`: commit.
pub const JBD2_COMMIT_BLOCK: u32 = 2;
/// `h_blocktype`: superblock without features.
pub const JBD2_SUPERBLOCK_V1: u32 = 3;
/// `h_blocktype`: superblock with features.
pub const JBD2_SUPERBLOCK_V2: u32 = 4;
/// `h_blocktype`: revoke.
pub const JBD2_REVOKE_BLOCK: u32 = 5;
/// Fewest blocks of a journal.
pub const JBD2_MIN_JOURNAL_BLOCKS: u32 = 1024;

/// `s_feature_incompat`: revoke blocks.
pub const JBD2_FEATURE_INCOMPAT_REVOKE: u32 = 0x1;
/// `s_feature_incompat`: 64-bit block numbers.
pub const JBD2_FEATURE_INCOMPAT_64BIT: u32 = 0x2;
/// `s_feature_incompat`: asynchronous commit.
pub const JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT: u32 = 0x4;
/// `s_feature_incompat`: checksums, version 2.
pub const JBD2_FEATURE_INCOMPAT_CSUM_V2: u32 = 0x8;
/// `s_feature_incompat`: checksums, version 3.
pub const JBD2_FEATURE_INCOMPAT_CSUM_V3: u32 = 0x10;
/// `s_feature_incompat`: fast commits.
pub const JBD2_FEATURE_INCOMPAT_FAST_COMMIT: u32 = 0x20;

/// `journal_superblock_t`, 1024 bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct JournalSuperblock {
    /// [`JBD2_MAGIC_NUMBER`].
    pub h_magic: U32,
    /// [`JBD2_SUPERBLOCK_V2`].
    pub h_blocktype: U32,
    /// 0 in a superblock.
    pub h_sequence: U32,
    /// Bytes of a block.
    pub s_blocksize: U32,
    /// Blocks of the journal, this one included.
    pub s_maxlen: U32,
    /// First block of the log.
    pub s_first: U32,
    /// First transaction expected.
    pub s_sequence: U32,
    /// Block of the first transaction; 0: the journal is clean.
    pub s_start: U32,
    /// Error of an abort.
    pub s_errno: U32,
    /// Features that may be ignored.
    pub s_feature_compat: U32,
    /// Features that forbid to read.
    pub s_feature_incompat: U32,
    /// Features that forbid to write.
    pub s_feature_ro_compat: U32,
    /// UUID of the filesystem.
    pub s_uuid: [u8; 16],
    /// Filesystems that share the journal, 1.
    pub s_nr_users: U32,
    /// Unused.
    pub s_dynsuper: U32,
    /// Unused.
    pub s_max_transaction: U32,
    /// Unused.
    pub s_max_trans_data: U32,
    /// 4: CRC32C, with checksums version 2 or 3.
    pub s_checksum_type: u8,
    /// Padding.
    pub s_padding2: [u8; 3],
    /// Blocks of the fast-commit area.
    pub s_num_fc_blks: U32,
    /// Block of the head of the log, when clean.
    pub s_head: U32,
    /// Padding.
    pub s_padding: [U32; 40],
    /// CRC32C of the struct with this field zero; 0 without checksum features.
    pub s_checksum: U32,
    /// UUIDs of the filesystems that share it.
    pub s_users: [[u8; 16]; 48],
}

const _: () = assert!(size_of::<JournalSuperblock>() == 1024);
const _: () = assert!(std::mem::offset_of!(JournalSuperblock, s_checksum) == 0xFC);
