//! The structs of VHD as they lie in the file, with the names of Microsoft's specification. Everything is big-endian.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `cookie` of the footer.
pub const COOKIE: [u8; 8] = *b"conectix";
/// `cookie` of the dynamic header.
pub const DYNAMIC_COOKIE: [u8; 8] = *b"cxsparse";

/// Hard Disk Footer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Footer {
    /// [`COOKIE`].
    pub cookie: [u8; 8],
    /// Bit 1 is always set.
    pub features: U32,
    /// 1.0: 0x00010000.
    pub file_format_version: U32,
    /// Byte of the dynamic header; all ones in a fixed disk.
    pub data_offset: U64,
    /// Seconds since 2000-01-01T00:00:00Z.
    pub time_stamp: U32,
    /// Who made it: by this, readers tell whether the size or the geometry counts.
    pub creator_application: [u8; 4],
    /// Its version.
    pub creator_version: U32,
    /// `Wi2k` or `Mac `.
    pub creator_host_os: [u8; 4],
    /// Size of the disk in bytes when it was made.
    pub original_size: U64,
    /// Size of the disk in bytes.
    pub current_size: U64,
    /// The disk as cylinders, heads and sectors.
    pub disk_geometry: Geometry,
    /// [`FIXED`], [`DYNAMIC`] or [`DIFFERENCING`].
    pub disk_type: U32,
    /// Ones' complement of the sum of all bytes but these.
    pub checksum: U32,
    /// A UUID.
    pub unique_id: [u8; 16],
    /// 1 where a machine was suspended.
    pub saved_state: u8,
    /// Zeros.
    pub reserved: [u8; 427],
}

/// Disk Geometry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: U16,
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors_per_track: u8,
}

/// `disk_type` of a fixed disk.
pub const FIXED: u32 = 2;
/// Of a dynamic one.
pub const DYNAMIC: u32 = 3;
/// Of one that holds what differs from a parent.
pub const DIFFERENCING: u32 = 4;

/// Dynamic Disk Header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DynamicHeader {
    /// [`DYNAMIC_COOKIE`].
    pub cookie: [u8; 8],
    /// All ones.
    pub data_offset: U64,
    /// Byte of the block allocation table.
    pub table_offset: U64,
    /// 1.0: 0x00010000.
    pub header_version: U32,
    /// Blocks of the disk.
    pub max_table_entries: U32,
    /// Bytes in a block, a power of two.
    pub block_size: U32,
    /// As the footer's.
    pub checksum: U32,
    /// Of the parent of a differencing disk, as what follows.
    pub parent_unique_id: [u8; 16],
    /// Its time.
    pub parent_time_stamp: U32,
    /// Zeros.
    pub reserved: U32,
    /// Its name in UTF-16.
    pub parent_unicode_name: [[u8; 2]; 256],
    /// Where it may be found.
    pub parent_locators: [[u8; 24]; 8],
    /// Zeros.
    pub reserved_end: [u8; 256],
}

/// Of the block allocation table: nothing is stored.
pub const UNUSED: u32 = u32::MAX;

/// Ones' complement of the sum of all bytes, where `checksum` of the struct is zero.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    // At most 1024 bytes: the sum does not wrap.
    !bytes.iter().map(|b| u32::from(*b)).sum::<u32>()
}

const _: () = assert!(size_of::<Footer>() == 512 && size_of::<DynamicHeader>() == 1024);
