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

/// Linux's longest path, with its NUL: what nests deeper no program can open.
pub(crate) const PATH_MAX: usize = 4096;

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

/// Year, month and day of a day, counted from 1970-01-01, in the Gregorian calendar, which is taken to hold
/// for ever. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
#[must_use]
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day of a date, counted from 1970-01-01: the inverse of [`civil`].
#[must_use]
pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (19_783, (2024, 3, 1)),
            (-25_567, (1900, 1, 1)),
        ] {
            assert_eq!(civil(days), date);
        }
        for days in (-800_000..800_000).step_by(13) {
            let (year, month, day) = civil(days);
            assert_eq!(day_of(year, month, day), days);
        }
    }
}
