//! Extended attributes: after the inode's fields, or in a block of their own (`i_file_acl`).
//!
//! ```text
//! in the inode (byte 160 on)              block
//! 0    4                         96      0        32                               4096
//! │ mg │ entry name │ entry … 0000 … val │ header │ entry name │ entry name │ 0000 … val val │
//!      └ e_value_offs counts from here   └ e_value_offs counts from here
//! ```
//! Entries grow up, values down; four zero bytes end the entries. Both are padded to 4 bytes.
//! Entries of a block are sorted by (`e_name_index`, `e_name_len`, name): the kernel stops a search
//! early. Mirrors Linux `fs/ext4/xattr.h`. We always write `e_value_inum` as zero (no `ea_inode`:
//! GRUB refuses it).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `h_magic`, in the inode and in a block.
pub const EXT4_XATTR_MAGIC: u32 = 0xEA02_0000;
/// Most inodes that may share a block.
pub const EXT4_XATTR_REFCOUNT_MAX: u32 = 1024;

/// `e_name_index`: `user.`
pub const EXT4_XATTR_INDEX_USER: u8 = 1;
/// `e_name_index`: `system.posix_acl_access`, the name is empty.
pub const EXT4_XATTR_INDEX_POSIX_ACL_ACCESS: u8 = 2;
/// `e_name_index`: `system.posix_acl_default`, the name is empty.
pub const EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT: u8 = 3;
/// `e_name_index`: `trusted.`
pub const EXT4_XATTR_INDEX_TRUSTED: u8 = 4;
/// `e_name_index`: `security.`
pub const EXT4_XATTR_INDEX_SECURITY: u8 = 6;
/// `e_name_index`: `system.`
pub const EXT4_XATTR_INDEX_SYSTEM: u8 = 7;
/// `e_name_index`: `system.richacl`.
pub const EXT4_XATTR_INDEX_RICHACL: u8 = 8;
/// `e_name_index`: encryption context.
pub const EXT4_XATTR_INDEX_ENCRYPTION: u8 = 9;
/// `e_name_index`: `gnu.`, the Hurd's.
pub const EXT4_XATTR_INDEX_HURD: u8 = 10;

/// `a_version` of an ACL on disk (`EXT4_ACL_VERSION`); the xattr wire format has 2.
pub const EXT4_ACL_VERSION: u32 = 1;
/// `e_tag` of an ACL entry: the owner.
pub const ACL_USER_OBJ: u16 = 0x01;
/// `e_tag` of an ACL entry: a user; `e_id` follows.
pub const ACL_USER: u16 = 0x02;
/// `e_tag` of an ACL entry: the group.
pub const ACL_GROUP_OBJ: u16 = 0x04;
/// `e_tag` of an ACL entry: a group; `e_id` follows.
pub const ACL_GROUP: u16 = 0x08;
/// `e_tag` of an ACL entry: the mask.
pub const ACL_MASK: u16 = 0x10;
/// `e_tag` of an ACL entry: all others.
pub const ACL_OTHER: u16 = 0x20;

/// `struct ext4_xattr_ibody_header`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct IbodyHeader {
    /// [`EXT4_XATTR_MAGIC`].
    pub h_magic: U32,
}

/// `struct ext4_xattr_header`, at byte 0 of a block.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct XattrHeader {
    /// [`EXT4_XATTR_MAGIC`].
    pub h_magic: U32,
    /// Inodes that share the block.
    pub h_refcount: U32,
    /// Blocks, 1.
    pub h_blocks: U32,
    /// Hash over the entries' hashes; 0: not to be shared.
    pub h_hash: U32,
    /// CRC32C over the block's number (64 bits) and its bytes with this field zero.
    pub h_checksum: U32,
    /// 0.
    pub h_reserved: [U32; 3],
}

/// `struct ext4_xattr_entry`; the name follows, padded to 4 bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct XattrEntry {
    /// Bytes of the name, without its prefix.
    pub e_name_len: u8,
    /// `EXT4_XATTR_INDEX_*`.
    pub e_name_index: u8,
    /// Byte of the value.
    pub e_value_offs: U16,
    /// Inode of the value under `ea_inode`; 0: here.
    pub e_value_inum: U32,
    /// Bytes of the value.
    pub e_value_size: U32,
    /// Hash of name and value; may be 0 in an inode.
    pub e_hash: U32,
}

const _: () = assert!(size_of::<IbodyHeader>() == 4);
const _: () = assert!(size_of::<XattrHeader>() == 32);
const _: () = assert!(size_of::<XattrEntry>() == 16);
