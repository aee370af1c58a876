//! Newtypes for every address space, and named conversions where a value must lose bits.
//!
//! | type | unit | counts from |
//! |---|---|---|
//! | [`Lba`] | 512-byte sector | start of the disk |
//! | [`BlockNr`] | filesystem block | start of the filesystem |
//! | [`GroupNr`] | block group | start of the filesystem |
//! | [`InodeNr`] | inode | 1, as on disk |
//!
//! Plain `u64` is kept for byte counts and byte offsets, which every layer shares.

use std::fmt;

/// Bytes in a disk sector. EC2, qemu and every BIOS present 512-byte logical sectors.
pub const SECTOR: u64 = 512;
/// 2^10 bytes.
pub const KIB: u64 = 1 << 10;
/// 2^20 bytes.
pub const MIB: u64 = 1 << 20;
/// 2^30 bytes.
pub const GIB: u64 = 1 << 30;
/// 2^40 bytes.
pub const TIB: u64 = 1 << 40;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// The address `count` units on.
            #[must_use]
            pub const fn plus(self, count: $int) -> Self {
                Self(self.0 + count)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

address!(
    /// A 512-byte logical block address on the disk.
    Lba(u64)
);
address!(
    /// A block of the filesystem, counted from its start.
    BlockNr(u64)
);
address!(
    /// A block group of the filesystem.
    GroupNr(u32)
);
address!(
    /// An inode number as on disk: 1 is the bad-blocks inode, 2 the root directory.
    InodeNr(u32)
);

impl Lba {
    /// Byte offset of the sector on the disk.
    #[must_use]
    pub const fn byte_offset(self) -> u64 {
        self.0 * SECTOR
    }
}

/// A point in time: seconds since 1970 (negative before) and nanoseconds (0 to 999,999,999) after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded towards the past.
    pub sec: i64,
    /// Nanoseconds after `sec`.
    pub nsec: u32,
}

impl Timestamp {
    /// A time of whole seconds.
    #[must_use]
    pub const fn from_secs(sec: i64) -> Self {
        Self { sec, nsec: 0 }
    }
}

/// A `u64` that counts things in memory. The crate refuses to build where they could not be counted.
#[must_use]
#[inline]
pub fn index(n: u64) -> usize {
    usize::try_from(n).expect("usize has 64 bits: asserted at compile time")
}

/// A `usize` as `u64`.
#[must_use]
#[inline]
pub fn count(n: usize) -> u64 {
    u64::try_from(n).expect("usize has 64 bits: asserted at compile time")
}

/// A `usize` known to fit 32 bits (a table whose keys are `u32`).
#[must_use]
#[inline]
pub fn count32(n: usize) -> u32 {
    u32::try_from(n).expect("tables keyed by u32 are bounded by their insertion")
}

/// A `u32` as `usize`.
#[must_use]
#[inline]
pub fn index32(n: u32) -> usize {
    index(u64::from(n))
}

const _: () = assert!(usize::BITS == 64, "diskwright needs a 64-bit host");

/// The low 16 bits.
#[must_use]
#[inline]
pub const fn lo16(n: u32) -> u16 {
    let b = n.to_le_bytes();
    u16::from_le_bytes([b[0], b[1]])
}

/// The high 16 bits.
#[must_use]
#[inline]
pub const fn hi16(n: u32) -> u16 {
    let b = n.to_le_bytes();
    u16::from_le_bytes([b[2], b[3]])
}

/// The low 32 bits.
#[must_use]
#[inline]
pub const fn lo32(n: u64) -> u32 {
    let b = n.to_le_bytes();
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

/// The high 32 bits.
#[must_use]
#[inline]
pub const fn hi32(n: u64) -> u32 {
    let b = n.to_le_bytes();
    u32::from_le_bytes([b[4], b[5], b[6], b[7]])
}

/// The low 8 bits.
#[must_use]
#[inline]
pub const fn lo8(n: u64) -> u8 {
    n.to_le_bytes()[0]
}
