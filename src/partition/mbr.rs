//! The master boot record: one active Linux partition, written and read through `mbrman`.

use std::io::Cursor;

use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

use crate::units::Lba;

/// Where the first partition starts: 1 MiB, the alignment of fdisk, sfdisk and parted, which leaves
/// 2047 sectors for core.img.
pub const FIRST_PARTITION: Lba = Lba(2048);

/// Partition type "Linux": any Linux filesystem.
pub const LINUX: u8 = 0x83;

/// The largest disk an MBR describes: its entries count sectors of 512 bytes in 32 bits.
pub const MAX_DISK_SECTORS: u64 = (1 << 32) - 1;

/// The geometry that BIOSes translate large disks to and that fdisk assumes.
const HEADS: u8 = 255;
/// Sectors per track of that geometry.
const SECTORS_PER_TRACK: u8 = 63;
/// Cylinders that the 10 bits of a CHS address can name.
const CYLINDERS: u16 = 1024;

/// What an MBR with a single partition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MbrLayout {
    /// The number at 0x1B8 from which PARTUUIDs derive; 0 would mean "none".
    pub disk_signature: u32,
    /// Size of the disk in sectors of 512 bytes.
    pub disk_sectors: u64,
    /// First sector of the partition.
    pub start: Lba,
    /// Length of the partition in sectors.
    pub sectors: u64,
}

/// A used primary entry of an MBR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// 1 to 4, as in `/dev/sda1` and GRUB's `msdos1`.
    pub number: u32,
    /// First sector.
    pub start: Lba,
    /// Length in sectors of 512 bytes.
    pub sectors: u64,
    /// The type byte (`sys`): 0x83 is Linux, 0xEE the protective entry of a GPT.
    pub kind: u8,
    /// Marked active (0x80).
    pub active: bool,
}

/// Why a partition table cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The disk is larger than an MBR can describe.
    #[error(
        "the disk has {sectors} sectors of 512 bytes, but an MBR ends at 2 TiB \
         ({MAX_DISK_SECTORS} sectors): choose a smaller --size"
    )]
    DiskTooLarge {
        /// Its size in sectors.
        sectors: u64,
    },
    /// The partition does not lie between the MBR and the end of the disk.
    #[error(
        "a partition of {sectors} sectors from sector {start} does not fit a disk of \
         {disk_sectors} sectors behind its MBR"
    )]
    OutsideDisk {
        /// First sector asked for.
        start: Lba,
        /// Length asked for, in sectors.
        sectors: u64,
        /// Size of the disk in sectors.
        disk_sectors: u64,
    },
    /// Two partitions that share sectors.
    #[error("partition {number} shares sectors with one before it")]
    Overlap {
        /// The later of the two.
        number: u32,
    },
    /// An entry that an MBR does not have, has already, or takes for unused.
    #[error(
        "an MBR has partitions 1 to 4, each once, of types other than 0: partition {number} is none"
    )]
    NotPrimary {
        /// Its number.
        number: u32,
    },
    /// A signature of zero: Windows and libfdisk take it for "no signature" and make up another.
    #[error("the disk signature is 0, which means none: PARTUUIDs need another number")]
    NoSignature,
    /// Sector 0 is no MBR.
    #[error("sector 0 holds no MBR (byte 0x1fe must be 55 aa, boot flags 00 or 80)")]
    NotMbr(#[source] mbrman::Error),
    /// The disk has no room for a GPT and its backup.
    #[error(
        "a disk of {sectors} sectors of 512 bytes has no room for a GPT: choose a larger --size"
    )]
    DiskTooSmall {
        /// Its size in sectors.
        sectors: u64,
    },
    /// A partition number that is taken, or that the array does not have.
    #[error("partition number {number} is taken, or not between 1 and 128")]
    Number {
        /// The number.
        number: u32,
    },
    /// A partition name that the entry has no room for.
    #[error("the partition name '{name}' is longer than 36 UTF-16 code units")]
    Name {
        /// The name.
        name: String,
    },
    /// The MBR promises a GPT, and there is none.
    #[error(
        "sector 0 says that the disk has a GPT, but neither copy can be read: primary: {primary}; \
         backup: {backup}"
    )]
    NotGpt {
        /// What is wrong with the primary.
        primary: String,
        /// What is wrong with the backup.
        backup: String,
    },
    /// gptman refused a table of ours.
    #[error("the GPT cannot be made")]
    Gpt(#[source] gptman::Error),
    /// mbrman refused to encode a table of ours.
    #[error("the MBR cannot be encoded")]
    Encode(#[source] mbrman::Error),
}

/// Sector 0 of a disk with one active Linux partition; the boot code is zero.
///
/// CHS fields hold what fdisk writes: the address in a 255 × 63 geometry, or 1023/254/63 beyond it.
///
/// # Errors
///
/// The disk exceeds [`MAX_DISK_SECTORS`], the partition lies outside of it, or the signature is 0.
pub fn mbr(layout: &MbrLayout) -> Result<[u8; 512], PartitionError> {
    let partition = PartitionInfo {
        number: 1,
        start: layout.start,
        sectors: layout.sectors,
        kind: LINUX,
        active: true,
    };
    mbr_of(layout.disk_signature, layout.disk_sectors, &[partition])
}

/// Sector 0 of a disk with these primary partitions, in any order; the boot code is zero. What it makes,
/// [`read`] reads.
///
/// ```
/// use diskwright::partition::{FIRST_PARTITION, LINUX, PartitionInfo, mbr_of, read};
/// use diskwright::units::Lba;
///
/// # fn main() -> Result<(), diskwright::partition::PartitionError> {
/// let boot = PartitionInfo { number: 1, start: FIRST_PARTITION, sectors: 8192, kind: LINUX, active: true };
/// let data = PartitionInfo { number: 2, start: Lba(10_240), active: false, ..boot };
/// let sector0 = mbr_of(0x1234_5678, 20_480, &[boot, data])?;
/// assert_eq!(read(&sector0)?, [boot, data]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`mbr`]; and when two partitions share sectors or a number, or a number is not 1 to 4.
pub fn mbr_of(
    disk_signature: u32,
    disk_sectors: u64,
    partitions: &[PartitionInfo],
) -> Result<[u8; 512], PartitionError> {
    if disk_signature == 0 {
        return Err(PartitionError::NoSignature);
    }
    let disk = u32::try_from(disk_sectors).map_err(|_| PartitionError::DiskTooLarge {
        sectors: disk_sectors,
    })?;
    let mut header = MBRHeader::new(disk_signature.to_le_bytes());
    let mut placed: Vec<(u32, u32)> = Vec::new();
    for p in partitions {
        let (start, sectors) = (p.start, p.sectors);
        let first = u32::try_from(start.0).ok().filter(|&first| first > 0);
        let count = u32::try_from(sectors).ok().filter(|&count| count > 0);
        let run = first.zip(count).filter(|(first, count)| {
            let end = first.checked_add(*count);
            end.is_some_and(|end| end <= disk)
        });
        let (first, count) = run.ok_or(PartitionError::OutsideDisk {
            start,
            sectors,
            disk_sectors,
        })?;
        let last = first + (count - 1);
        if placed.iter().any(|&(f, l)| first <= l && f <= last) {
            return Err(PartitionError::Overlap { number: p.number });
        }
        placed.push((first, last));
        let entry = match p.number {
            1 => &mut header.partition_1,
            2 => &mut header.partition_2,
            3 => &mut header.partition_3,
            4 => &mut header.partition_4,
            number => return Err(PartitionError::NotPrimary { number }),
        };
        if entry.is_used() || p.kind == 0 {
            return Err(PartitionError::NotPrimary { number: p.number });
        }
        *entry = MBRPartitionEntry {
            boot: if p.active { BOOT_ACTIVE } else { BOOT_INACTIVE },
            first_chs: chs(first),
            sys: p.kind,
            last_chs: chs(last),
            starting_lba: first,
            sectors: count,
        };
    }
    let mut sector = [0; 512];
    header
        .write_into(&mut Cursor::new(&mut sector[..]))
        .map_err(PartitionError::Encode)?;
    Ok(sector)
}

/// The used primary entries of the MBR in `sector0`, in their order.
///
/// # Errors
///
/// The sector does not end in 55 AA, or a boot flag is neither 0x00 nor 0x80.
pub fn read(sector0: &[u8; 512]) -> Result<Vec<PartitionInfo>, PartitionError> {
    let header =
        MBRHeader::read_from(&mut Cursor::new(&sector0[..])).map_err(PartitionError::NotMbr)?;
    let used = (1..)
        .zip([
            &header.partition_1,
            &header.partition_2,
            &header.partition_3,
            &header.partition_4,
        ])
        .filter(|(_, entry)| entry.is_used())
        .map(|(number, entry)| PartitionInfo {
            number,
            start: Lba(u64::from(entry.starting_lba)),
            sectors: u64::from(entry.sectors),
            kind: entry.sys,
            active: entry.is_active(),
        });
    Ok(used.collect())
}

/// The disk signature in `sector0` (0x1B8).
#[must_use]
pub fn signature(sector0: &[u8; 512]) -> u32 {
    u32::from_le_bytes([
        sector0[0x1b8],
        sector0[0x1b9],
        sector0[0x1ba],
        sector0[0x1bb],
    ])
}

/// The PARTUUID that Linux and libblkid derive for partition `number` of a disk with an MBR.
///
/// The number is hexadecimal in both (kernel `block/partitions/msdos.c` `set_info`: `%08x-%02x`).
#[must_use]
pub fn partuuid(signature: u32, number: u32) -> String {
    format!("{signature:08x}-{number:02x}")
}

/// The CHS address of a sector as fdisk writes it: saturated where 10 bits of cylinder do not reach.
fn chs(lba: u32) -> CHS {
    CHS::from_lba_exact(lba, CYLINDERS, HEADS, SECTORS_PER_TRACK)
        .unwrap_or_else(|_| CHS::new(CYLINDERS - 1, HEADS - 1, SECTORS_PER_TRACK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(disk_sectors: u64) -> MbrLayout {
        MbrLayout {
            disk_signature: 0x1234_5678,
            disk_sectors,
            start: FIRST_PARTITION,
            sectors: disk_sectors - 2048,
        }
    }

    #[test]
    fn entry_is_what_sfdisk_writes() {
        // `sfdisk` 2.38.1 on files of 10 MiB and 20 GiB: start=2048, type=83, bootable.
        let small = mbr(&layout(20480)).unwrap();
        assert_eq!(small[0x1b8..0x1be], [0x78, 0x56, 0x34, 0x12, 0, 0]);
        assert_eq!(
            small[0x1be..0x1ce],
            [
                0x80, 0x20, 0x21, 0, 0x83, 0x46, 5, 1, 0, 8, 0, 0, 0, 0x48, 0, 0
            ]
        );
        let large = mbr(&layout(20 << 21)).unwrap();
        assert_eq!(
            large[0x1be..0x1ce],
            [
                0x80, 0x20, 0x21, 0, 0x83, 0xfe, 0xff, 0xff, 0, 8, 0, 0, 0, 0xf8, 0x7f, 2
            ]
        );
        assert!(small[..0x1b8].iter().all(|&b| b == 0), "no boot code");
        assert_eq!(small[0x1fe..], [0x55, 0xaa]);
    }

    #[test]
    fn reads_back_what_it_wrote_up_to_the_last_sector_an_mbr_can_name() {
        let layout = layout(MAX_DISK_SECTORS);
        let sector = mbr(&layout).unwrap();
        assert_eq!(
            read(&sector).unwrap(),
            [PartitionInfo {
                number: 1,
                start: layout.start,
                sectors: layout.sectors,
                kind: LINUX,
                active: true
            }]
        );
        assert_eq!(signature(&sector), 0x1234_5678);
    }

    #[test]
    fn refuses_what_does_not_fit_and_says_where_an_mbr_ends() {
        let err = mbr(&layout(MAX_DISK_SECTORS + 1)).unwrap_err().to_string();
        assert!(err.contains("2 TiB"), "{err}");
        let good = layout(20480);
        for bad in [
            MbrLayout {
                sectors: good.sectors + 1,
                ..good
            },
            MbrLayout {
                sectors: u64::MAX,
                ..good
            },
            MbrLayout { sectors: 0, ..good },
            MbrLayout {
                start: Lba(0),
                ..good
            },
            MbrLayout {
                disk_signature: 0,
                ..good
            },
        ] {
            assert!(mbr(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn four_partitions_read_back_and_no_two_share_a_sector_or_a_number() {
        let part = |number, start, sectors| PartitionInfo {
            number,
            start: Lba(start),
            sectors,
            kind: LINUX,
            active: number == 2,
        };
        let all = [
            part(1, 63, 1),
            part(2, 64, 36),
            part(3, 1000, 24),
            part(4, 100, 900),
        ];
        assert_eq!(read(&mbr_of(7, 1024, &all).unwrap()).unwrap(), all);
        for bad in [
            part(2, 99, 1),
            part(1, 500, 1),
            part(5, 500, 1),
            part(0, 500, 1),
            PartitionInfo {
                kind: 0,
                ..part(3, 500, 1)
            },
        ] {
            let list = [part(1, 63, 1), part(4, 64, 36), bad];
            assert!(mbr_of(7, 1024, &list).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn foreign_sectors_are_errors_not_panics() {
        assert!(read(&[0; 512]).is_err());
        assert!(read(&[0xff; 512]).is_err());
        let mut garbage = [0xa5; 512];
        garbage[0x1fe..].copy_from_slice(&[0x55, 0xaa]);
        assert!(read(&garbage).is_err(), "boot flag a5");
    }

    #[test]
    fn partuuid_numbers_are_hexadecimal() {
        assert_eq!(partuuid(0x00ab_cdef, 1), "00abcdef-01");
        assert_eq!(partuuid(0x1234_5678, 10), "12345678-0a");
    }
}
