//! The structs of VMDK as they lie in the file, with the names of VMware's *Virtual Disk Format 5.0*. Everything is
//! little-endian, every offset and size in sectors of 512 bytes.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `SPARSE_MAGICNUMBER`.
pub const MAGIC: [u8; 4] = *b"KDMV";
/// `COWDISK`'s: the sparse disk of ESX, another format.
pub const MAGIC_ESX: [u8; 4] = *b"COWD";

/// `SparseExtentHeader`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[allow(non_snake_case, reason = "the names of the specification")]
pub struct SparseExtentHeader {
    /// [`MAGIC`].
    pub magicNumber: [u8; 4],
    /// 1 to 3.
    pub version: U32,
    /// [`NEWLINE_TEST`] and the others.
    pub flags: U32,
    /// Sectors of the disk.
    pub capacity: U64,
    /// Sectors of a grain, a power of two above 8.
    pub grainSize: U64,
    /// Of the embedded descriptor; 0 where there is none.
    pub descriptorOffset: U64,
    /// Its length.
    pub descriptorSize: U64,
    /// Entries of a grain table: 512.
    pub numGTEsPerGT: U32,
    /// Of the redundant grain directory.
    pub rgdOffset: U64,
    /// Of the grain directory, or [`GD_AT_END`].
    pub gdOffset: U64,
    /// Sectors of metadata before the first grain.
    pub overHead: U64,
    /// Not closed.
    pub uncleanShutdown: u8,
    /// These four show whether a transfer as text has damaged the file: `\n`, space, `\r`, `\n`.
    pub singleEndLineChar: u8,
    /// See there.
    pub nonEndLineChar: u8,
    /// See there.
    pub doubleEndLineChar1: u8,
    /// See there.
    pub doubleEndLineChar2: u8,
    /// 0 none, 1 deflate.
    pub compressAlgorithm: U16,
    /// Zeros.
    pub pad: [u8; 433],
}

/// `flags`: the four characters for line ends are valid.
pub const NEWLINE_TEST: u32 = 1;
/// An entry of 1 in a grain table means a grain of zeros.
pub const ZEROED_GTE: u32 = 1 << 2;
/// Grains are compressed.
pub const COMPRESSED: u32 = 1 << 16;
/// There are markers between them.
pub const MARKERS: u32 = 1 << 17;

/// `gdOffset`: the footer has it.
pub const GD_AT_END: u64 = u64::MAX;
/// `compressAlgorithm`: RFC 1950 around RFC 1951.
pub const DEFLATE: u16 = 1;

/// What stands before a compressed grain.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GrainMarker {
    /// Sector of the disk.
    pub lba: U64,
    /// Bytes of compressed data, which follow at once.
    pub size: U32,
}

/// What stands before a table, a sector of its own.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Marker {
    /// Sectors of the table that follows.
    pub val: U64,
    /// 0: no grain.
    pub size: U32,
    /// [`MARKER_EOS`] and the others.
    pub kind: U32,
    /// Zeros.
    pub pad: [u8; 496],
}

/// End of stream.
pub const MARKER_EOS: u32 = 0;
/// Grain table.
pub const MARKER_GT: u32 = 1;
/// Grain directory.
pub const MARKER_GD: u32 = 2;
/// The header again, with what was not known at first.
pub const MARKER_FOOTER: u32 = 3;

const _: () = assert!(size_of::<SparseExtentHeader>() == 512 && size_of::<Marker>() == 512);
const _: () = assert!(size_of::<GrainMarker>() == 12);
