//! The structs of qcow2 as they lie in the file, with the names of qemu's `docs/interop/qcow2.txt`. Everything
//! is big-endian.

use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `magic`: `QFI\xfb`.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";

/// The header of version 2, with which one of version 3 begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// 2 or 3.
    pub version: U32,
    /// Byte of the backing file's name, 0 where there is none.
    pub backing_file_offset: U64,
    /// Its length in bytes.
    pub backing_file_size: U32,
    /// A cluster has 2 to the power of this many bytes.
    pub cluster_bits: U32,
    /// Size of the disk in bytes.
    pub size: U64,
    /// 0 none, 1 AES, 2 LUKS.
    pub crypt_method: U32,
    /// Entries of the active L1 table.
    pub l1_size: U32,
    /// Its byte.
    pub l1_table_offset: U64,
    /// Byte of the refcount table.
    pub refcount_table_offset: U64,
    /// Its length in clusters.
    pub refcount_table_clusters: U32,
    /// Snapshots in the image.
    pub nb_snapshots: U32,
    /// Byte of the snapshot table.
    pub snapshots_offset: U64,
}

/// What version 3 adds.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct HeaderV3 {
    /// [`DIRTY`] and the others; who does not know one must not read the image.
    pub incompatible_features: U64,
    /// Of no importance to who only reads.
    pub compatible_features: U64,
    /// To be cleared by who does not know them.
    pub autoclear_features: U64,
    /// A refcount has 2 to the power of this many bits.
    pub refcount_order: U32,
    /// Bytes of the header, this struct included.
    pub header_length: U32,
}

/// Byte of `compression_type`, where the header is longer than [`HeaderV3`]: 0 deflate, 1 zstd.
pub const COMPRESSION_TYPE: u64 = 104;

/// `incompatible_features`: refcounts may be wrong, which a reader does not mind.
pub const DIRTY: u64 = 1;
/// Structures are damaged.
pub const CORRUPT: u64 = 1 << 1;
/// The data is in another file.
pub const EXTERNAL_DATA_FILE: u64 = 1 << 2;
/// `compression_type` counts.
pub const COMPRESSION: u64 = 1 << 3;
/// Clusters have subclusters.
pub const EXTENDED_L2: u64 = 1 << 4;

/// Of an L1 or L2 entry: the refcount is 1.
pub const COPIED: u64 = 1 << 63;
/// Of an L2 entry: what it names is compressed.
pub const COMPRESSED: u64 = 1 << 62;
/// Of an L2 entry: the cluster reads as zeros.
pub const ZERO: u64 = 1;
/// Of an L1 or L2 entry: the byte in the file.
pub const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

const _: () = assert!(size_of::<Header>() == 72 && size_of::<HeaderV3>() == 32);
