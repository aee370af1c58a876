//! The inode: 256 bytes in the inode table of its group.
//!
//! ```text
//! 0                       40 (0x28)               100 (0x64)   128 (0x80)      160 (0xA0)     256
//! │ mode, owner, size, …  │ i_block: 60 bytes      │ …          │ extra fields  │ i_xattr_area │
//!                           extent root, or
//!                           block map, or
//!                           symlink target, or
//!                           device number
//! ```
//! Inode `n` lies in group `(n - 1) / s_inodes_per_group`, at place `(n - 1) % s_inodes_per_group`.
//! Mirrors `struct ext4_inode` of Linux `fs/ext4/ext4.h`, with the `osd2.linux2` names.
//! We always write as zero: `i_dtime` (nothing was deleted), `l_i_version` and `i_version_hi`
//! (counters of mounts to come), `i_generation` (NFS handles), `i_obso_faddr`, `i_projid` (quota).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Seconds since 1970 that 34 bits hold: 1901 to 2446.
pub const TIMES: std::ops::RangeInclusive<i64> = -0x8000_0000..=0x3_7FFF_FFFF;

/// Inode number of the bad-block list.
pub const EXT4_BAD_INO: u32 = 1;
/// Inode number of the root directory.
pub const EXT4_ROOT_INO: u32 = 2;
/// Inode number of user quota.
pub const EXT4_USR_QUOTA_INO: u32 = 3;
/// Inode number of group quota.
pub const EXT4_GRP_QUOTA_INO: u32 = 4;
/// Inode number of the boot loader.
pub const EXT4_BOOT_LOADER_INO: u32 = 5;
/// Inode number of the undelete directory.
pub const EXT4_UNDEL_DIR_INO: u32 = 6;
/// Inode number of the reserved GDT blocks.
pub const EXT4_RESIZE_INO: u32 = 7;
/// Inode number of the journal.
pub const EXT4_JOURNAL_INO: u32 = 8;

/// `i_mode`: mask of the file type.
pub const S_IFMT: u16 = 0xF000;
/// `i_mode`: fifo.
pub const S_IFIFO: u16 = 0x1000;
/// `i_mode`: character device.
pub const S_IFCHR: u16 = 0x2000;
/// `i_mode`: directory.
pub const S_IFDIR: u16 = 0x4000;
/// `i_mode`: block device.
pub const S_IFBLK: u16 = 0x6000;
/// `i_mode`: regular file.
pub const S_IFREG: u16 = 0x8000;
/// `i_mode`: symbolic link.
pub const S_IFLNK: u16 = 0xA000;
/// `i_mode`: socket.
pub const S_IFSOCK: u16 = 0xC000;

/// `i_flags`: synchronous writes.
pub const EXT4_SYNC_FL: u32 = 0x8;
/// `i_flags`: may not change (`chattr +i`).
pub const EXT4_IMMUTABLE_FL: u32 = 0x10;
/// `i_flags`: may only grow (`chattr +a`).
pub const EXT4_APPEND_FL: u32 = 0x20;
/// `i_flags`: encrypted.
pub const EXT4_ENCRYPT_FL: u32 = 0x800;
/// `i_flags`: the directory has an htree.
pub const EXT4_INDEX_FL: u32 = 0x1000;
/// `i_flags`: `i_blocks` counts filesystem blocks.
pub const EXT4_HUGE_FILE_FL: u32 = 0x4_0000;
/// `i_flags`: `i_block` is an extent root.
pub const EXT4_EXTENTS_FL: u32 = 0x8_0000;
/// `i_flags`: fs-verity.
pub const EXT4_VERITY_FL: u32 = 0x10_0000;
/// `i_flags`: holds the value of a large xattr.
pub const EXT4_EA_INODE_FL: u32 = 0x20_0000;
/// `i_flags`: data in the inode.
pub const EXT4_INLINE_DATA_FL: u32 = 0x1000_0000;
/// `i_flags`: case-folded directory.
pub const EXT4_CASEFOLD_FL: u32 = 0x4000_0000;

/// Most links a file may have (`EXT4_LINK_MAX`); a directory beyond stores 1 (`dir_nlink`).
pub const EXT4_LINK_MAX: u32 = 65_000;
/// Bytes of the inode before `i_extra_isize`.
pub const EXT4_GOOD_OLD_INODE_SIZE: u16 = 128;
/// `i_extra_isize` that we write: all fields up to `i_projid`.
pub const EXTRA_ISIZE: u16 = 32;
/// Place of the indirect block in a block-mapped `i_block`.
pub const EXT4_IND_BLOCK: usize = 12;
/// Place of the double indirect block in a block-mapped `i_block`.
pub const EXT4_DIND_BLOCK: usize = 13;
/// Place of the triple indirect block in a block-mapped `i_block`.
pub const EXT4_TIND_BLOCK: usize = 14;
/// Words in `i_block`.
pub const EXT4_N_BLOCKS: usize = 15;

/// `struct ext4_inode` and the 96 bytes after it where small xattrs lie: 256 bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Inode {
    /// Type and permissions.
    pub i_mode: U16,
    /// Owner, low half.
    pub i_uid: U16,
    /// Size in bytes, low half.
    pub i_size_lo: U32,
    /// Access time, seconds.
    pub i_atime: U32,
    /// Change time, seconds.
    pub i_ctime: U32,
    /// Modification time, seconds.
    pub i_mtime: U32,
    /// Deletion time; 0 while in use.
    pub i_dtime: U32,
    /// Group, low half.
    pub i_gid: U16,
    /// Links.
    pub i_links_count: U16,
    /// 512-byte sectors of data and metadata blocks, low half.
    pub i_blocks_lo: U32,
    /// `EXT4_*_FL`.
    pub i_flags: U32,
    /// Version, low half.
    pub l_i_version: U32,
    /// Extent root, block map, symlink target or device number.
    pub i_block: [u8; 60],
    /// Generation, part of the checksum seed.
    pub i_generation: U32,
    /// Block of xattrs, low half.
    pub i_file_acl_lo: U32,
    /// Size in bytes, high half.
    pub i_size_high: U32,
    /// Unused.
    pub i_obso_faddr: U32,
    /// Sectors, high half.
    pub l_i_blocks_high: U16,
    /// Block of xattrs, high half.
    pub l_i_file_acl_high: U16,
    /// Owner, high half.
    pub l_i_uid_high: U16,
    /// Group, high half.
    pub l_i_gid_high: U16,
    /// Checksum, low half.
    pub l_i_checksum_lo: U16,
    /// Unused.
    pub l_i_reserved: U16,
    /// Bytes of the fields from here on.
    pub i_extra_isize: U16,
    /// Checksum, high half.
    pub i_checksum_hi: U16,
    /// `nsec << 2 | epoch` of `i_ctime`.
    pub i_ctime_extra: U32,
    /// `nsec << 2 | epoch` of `i_mtime`.
    pub i_mtime_extra: U32,
    /// `nsec << 2 | epoch` of `i_atime`.
    pub i_atime_extra: U32,
    /// Creation time, seconds.
    pub i_crtime: U32,
    /// `nsec << 2 | epoch` of `i_crtime`.
    pub i_crtime_extra: U32,
    /// Version, high half.
    pub i_version_hi: U32,
    /// Project of quota.
    pub i_projid: U32,
    /// In-inode xattrs: an `IbodyHeader` and entries, or zeros.
    pub i_xattr_area: [u8; 96],
}

const _: () = assert!(size_of::<Inode>() == 256);
const _: () = assert!(std::mem::offset_of!(Inode, i_block) == 0x28);
const _: () = assert!(std::mem::offset_of!(Inode, l_i_checksum_lo) == 0x7C);
const _: () = assert!(std::mem::offset_of!(Inode, i_checksum_hi) == 0x82);
const _: () = assert!(std::mem::offset_of!(Inode, i_xattr_area) == 0xA0);
