//! The GUID partition table (UEFI specification 2.10, section 5.3), written through `gptman`.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use gptman::{GPT, GPTPartitionEntry};
use mbrman::{CHS, MBRHeader, MBRPartitionEntry};
use uuid::{Uuid, uuid};

use super::PartitionError;
use crate::read_at::sought;
use crate::units::{Lba, SECTOR, count, index};

/// Partition type "BIOS boot": core.img for machines with a BIOS.
pub const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// Partition type "EFI system": a FAT with loaders for UEFI.
pub const EFI_SYSTEM: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Partition type "Linux filesystem data".
pub const LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Partition type "root (x86-64)" of the Discoverable Partitions Specification.
pub const ROOT_X86_64: Uuid = uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
/// Partition type "root (64-bit ARM)" of the same.
pub const ROOT_ARM64: Uuid = uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae");

/// Sectors in front that the table takes: protective MBR, header, 128 entries of 128 bytes.
pub const GPT_FRONT: u64 = 34;
/// Sectors at the end of the disk that its backup takes: the entries, then the header.
pub const GPT_BACK: u64 = 33;
/// UTF-16 code units that an entry holds for the partition's name.
const NAME_UNITS: usize = 36;
/// Type byte of the one entry of a protective MBR.
pub(super) const PROTECTIVE: u8 = 0xee;

/// A partition to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GptPartition<'a> {
    /// Place in the array, from 1: the number in `/dev/sda1` and GRUB's `gpt1`.
    pub number: u32,
    /// `PartitionTypeGUID`.
    pub kind: Uuid,
    /// `UniquePartitionGUID`: PARTUUID.
    pub guid: Uuid,
    /// First sector.
    pub start: Lba,
    /// Length in sectors of 512 bytes.
    pub sectors: u64,
    /// `PartitionName`: PARTLABEL, at most 36 UTF-16 code units.
    pub name: &'a str,
}

/// What a GPT says.
#[derive(Clone, Copy, Debug)]
pub struct GptLayout<'a> {
    /// `DiskGUID`.
    pub disk_guid: Uuid,
    /// Size of the disk in sectors of 512 bytes.
    pub disk_sectors: u64,
    /// Its partitions, in any order.
    pub partitions: &'a [GptPartition<'a>],
}

/// The two ends of a disk with a GPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpt {
    /// The first [`GPT_FRONT`] sectors: protective MBR, header, entries.
    pub front: Vec<u8>,
    /// The last [`GPT_BACK`] sectors: entries, header.
    pub back: Vec<u8>,
}

/// Both copies of the table, behind a protective MBR.
///
/// # Errors
///
/// Partitions overlap, lie outside of the sectors that the table leaves, share a number or GUID, or have
/// too long a name.
pub fn gpt(layout: &GptLayout<'_>) -> Result<Gpt, PartitionError> {
    let disk_sectors = layout.disk_sectors;
    if disk_sectors < GPT_FRONT + GPT_BACK + 1 {
        return Err(PartitionError::DiskTooSmall {
            sectors: disk_sectors,
        });
    }
    let mut ends = Ends::new(disk_sectors);
    let mut table = GPT::new_from(&mut ends, SECTOR, layout.disk_guid.to_bytes_le())
        .map_err(PartitionError::Gpt)?;
    for p in layout.partitions {
        let (first, last) = (
            table.header.first_usable_lba,
            table.header.last_usable_lba + 1,
        );
        let end = p.start.0.checked_add(p.sectors);
        if p.sectors == 0 || p.start.0 < first || end.is_none_or(|end| end > last) {
            return Err(PartitionError::OutsideDisk {
                start: p.start,
                sectors: p.sectors,
                disk_sectors,
            });
        }
        let free = (1..=table.header.number_of_partition_entries).contains(&p.number)
            && table[p.number].is_unused();
        if !free {
            return Err(PartitionError::Number { number: p.number });
        }
        if p.name.encode_utf16().count() > NAME_UNITS {
            return Err(PartitionError::Name {
                name: p.name.to_owned(),
            });
        }
        table[p.number] = GPTPartitionEntry {
            partition_type_guid: p.kind.to_bytes_le(),
            unique_partition_guid: p.guid.to_bytes_le(),
            starting_lba: p.start.0,
            ending_lba: p.start.0 + (p.sectors - 1),
            attribute_bits: 0,
            partition_name: p.name.into(),
        };
    }
    table.write_into(&mut ends).map_err(PartitionError::Gpt)?;
    ends.front[..512].copy_from_slice(&protective(disk_sectors)?);
    Ok(Gpt {
        front: ends.front,
        back: ends.back,
    })
}

/// Sector 0 of a disk with a GPT: one entry that keeps tools which know no GPT from taking the disk for
/// empty (UEFI 5.2.3). No signature, no boot code, not active.
fn protective(disk_sectors: u64) -> Result<[u8; 512], PartitionError> {
    let mut header = MBRHeader::new([0; 4]);
    header.partition_1 = MBRPartitionEntry {
        boot: 0,
        first_chs: CHS::new(0, 0, 2),
        sys: PROTECTIVE,
        // FF FF FF: an end that CHS cannot name.
        last_chs: CHS::new(1023, 255, 63),
        starting_lba: 1,
        sectors: u32::try_from(disk_sectors - 1).unwrap_or(u32::MAX),
    };
    let mut sector = [0; 512];
    header
        .write_into(&mut Cursor::new(&mut sector[..]))
        .map_err(PartitionError::Encode)?;
    Ok(sector)
}

/// A disk of which only the two ends can be written.
struct Ends {
    front: Vec<u8>,
    back: Vec<u8>,
    len: u64,
    at: u64,
}

impl Ends {
    fn new(sectors: u64) -> Self {
        Self {
            front: vec![0; index(GPT_FRONT * SECTOR)],
            back: vec![0; index(GPT_BACK * SECTOR)],
            len: sectors * SECTOR,
            at: 0,
        }
    }

    /// The bytes from the cursor on, up to the end of the piece it is in; `None` between the ends.
    fn here(&mut self) -> Option<&mut [u8]> {
        let back = self.len - count(self.back.len());
        match self.at.checked_sub(back) {
            Some(inside) => self.back.get_mut(index(inside)..),
            None => self.front.get_mut(index(self.at)..),
        }
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(here) = self.here() else {
            return Ok(0);
        };
        let n = buf.len().min(here.len());
        buf[..n].copy_from_slice(&here[..n]);
        self.at += count(n);
        Ok(n)
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(here) = self.here() else {
            return Ok(0);
        };
        let n = buf.len().min(here.len());
        here[..n].copy_from_slice(&buf[..n]);
        self.at += count(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.len)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(sectors: u64) -> GptPartition<'static> {
        GptPartition {
            number: 1,
            kind: ROOT_X86_64,
            guid: Uuid::from_u128(7),
            start: Lba(2048),
            sectors,
            name: "root",
        }
    }

    fn make(disk_sectors: u64, partitions: &[GptPartition<'_>]) -> Result<Gpt, PartitionError> {
        gpt(&GptLayout {
            disk_guid: Uuid::from_u128(1),
            disk_sectors,
            partitions,
        })
    }

    #[test]
    fn type_guids_are_mixed_endian_on_disk() {
        let boot = GptPartition {
            kind: BIOS_BOOT,
            ..root(8)
        };
        let made = make(8192, &[boot]).unwrap();
        assert_eq!(&made.front[1024..1040], b"Hah!IdontNeedEFI");
    }

    #[test]
    fn headers_name_each_other() {
        let made = make(8192, &[root(2048)]).unwrap();
        let u64_at = |b: &[u8], at: usize| u64::from_le_bytes(b[at..at + 8].try_into().unwrap());
        let (first, last) = (&made.front[512..], &made.back[32 * 512..]);
        assert_eq!((u64_at(first, 24), u64_at(first, 32)), (1, 8191));
        assert_eq!((u64_at(last, 24), u64_at(last, 32)), (8191, 1));
        assert_eq!((u64_at(first, 40), u64_at(first, 48)), (34, 8158));
        assert_eq!((u64_at(first, 72), u64_at(last, 72)), (2, 8159));
        assert_eq!(made.front[1024..], made.back[..32 * 512]);
    }

    #[test]
    fn protective_entry_saturates_at_32_bits() {
        let small = make(8192, &[]).unwrap().front;
        assert_eq!(
            small[0x1be..0x1ce],
            [
                0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0x1f, 0, 0
            ]
        );
        let large = make(1 << 33, &[]).unwrap().front;
        assert_eq!(large[0x1ca..0x1ce], [0xff; 4]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let good = root(2048);
        for bad in [
            GptPartition {
                start: Lba(33),
                ..good
            },
            GptPartition {
                sectors: 8158 + 1 - 2048 + 1,
                ..good
            },
            GptPartition { sectors: 0, ..good },
            GptPartition {
                sectors: u64::MAX,
                ..good
            },
            GptPartition { number: 0, ..good },
            GptPartition {
                number: 129,
                ..good
            },
            GptPartition {
                name: "a name of more than thirty-six letters",
                ..good
            },
        ] {
            assert!(make(8192, &[bad]).is_err(), "{bad:?}");
        }
        let overlap = GptPartition {
            number: 2,
            guid: Uuid::from_u128(8),
            start: Lba(2049),
            ..good
        };
        assert!(make(8192, &[good, overlap]).is_err());
        let twin = GptPartition {
            number: 2,
            start: Lba(4096),
            ..good
        };
        assert!(make(8192, &[good, twin]).is_err(), "the same GUID twice");
        assert!(make(8192, &[good, good]).is_err(), "the same number twice");
        assert!(make(67, &[]).is_err());
        make(8192, &[root(8158 + 1 - 2048)]).unwrap();
    }
}
