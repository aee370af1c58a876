//! Reading a GPT that somebody else may have damaged: both copies, and what is wrong with each.

use std::io::{self, Cursor, Read};
use std::ops::Range;

use gptman::{GPTHeader, GPTPartitionEntry};
use uuid::Uuid;

use super::gpt::PROTECTIVE;
use super::{PartitionError, read};
use crate::read_at::ReadAt;
use crate::units::{Lba, SECTOR, index};

/// More entries than any tool makes: a header that promises more is taken for damage.
const MAX_ENTRIES: u32 = 1024;
/// The only size of an entry in use, and the only one that is read.
const ENTRY: u32 = 128;

/// One of the two copies of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GptCopy {
    /// At LBA 1.
    Primary,
    /// At the end of the disk.
    Backup,
}

impl GptCopy {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary GPT",
            Self::Backup => "backup GPT",
        }
    }
}

/// A used entry of a GPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GptEntry {
    /// Place in the array, from 1.
    pub number: u32,
    /// `PartitionTypeGUID`.
    pub kind: Uuid,
    /// `UniquePartitionGUID`.
    pub guid: Uuid,
    /// First sector.
    pub start: Lba,
    /// Length in sectors of 512 bytes.
    pub sectors: u64,
    /// `PartitionName`; code units that are no UTF-16 replaced.
    pub name: String,
}

/// Something wrong with a table that can still be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GptFault {
    /// Byte of the disk.
    pub offset: u64,
    /// The structure at fault.
    pub structure: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Where a sound copy lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GptPlace {
    /// Which copy.
    pub copy: GptCopy,
    /// Sector of its header.
    pub header: Lba,
    /// First sector of its entries.
    pub entries: Lba,
    /// Their length in bytes.
    pub entries_len: u64,
}

/// A GPT as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GptFound {
    /// The copy that was read.
    pub copy: GptCopy,
    /// `DiskGUID`.
    pub disk_guid: Uuid,
    /// Where its copies lie, those that are sound.
    pub places: Vec<GptPlace>,
    /// Used entries by number, those that lie on the disk.
    pub entries: Vec<GptEntry>,
    /// Everything wrong with it; empty on a sound disk.
    pub faults: Vec<GptFault>,
}

/// A copy whose checksums hold.
struct Copy {
    header: GPTHeader,
    entries: Vec<GPTPartitionEntry>,
}

/// The GPT of a disk; `None` where there is none.
///
/// A disk has one when the MBR says so (an entry of type 0xEE), or when there are no partitions in the MBR
/// and one of the copies is sound.
///
/// # Errors
///
/// The MBR promises a GPT and neither copy can be read.
pub fn read_gpt(disk: &dyn ReadAt) -> Result<Option<GptFound>, PartitionError> {
    let sectors = disk.len() / SECTOR;
    let mbr = sector(disk, 0).and_then(|s| read(&s).ok());
    let promised = mbr
        .as_ref()
        .is_some_and(|entries| entries.iter().any(|p| p.kind == PROTECTIVE));
    if !promised && mbr.is_some_and(|entries| !entries.is_empty()) {
        return Ok(None);
    }
    let primary = copy(disk, 1, sectors);
    // A disk that was enlarged keeps its backup where the old end was.
    let end = sectors.saturating_sub(1);
    let backup_at = primary.as_ref().map_or(end, |p| p.header.backup_lba);
    let backup = copy(disk, backup_at, sectors);

    let mut faults = Vec::new();
    let mut fault = |lba: u64, structure, message| {
        faults.push(GptFault {
            offset: lba.saturating_mul(SECTOR),
            structure,
            message,
        });
    };
    let (which, chosen) = match (&primary, &backup) {
        (Ok(p), Ok(b)) => {
            if let Some(what) = disagreement(p, b) {
                let message = format!("{what} differs from the primary's");
                fault(backup_at, GptCopy::Backup.name(), message);
            }
            (GptCopy::Primary, p)
        }
        (Ok(p), Err(why)) => {
            let message = format!("{why}; the primary is sound: `sgdisk -e` writes a new backup");
            fault(backup_at, GptCopy::Backup.name(), message);
            (GptCopy::Primary, p)
        }
        (Err(why), Ok(b)) => {
            let message = format!("{why}; the backup is sound, and is read instead");
            fault(1, GptCopy::Primary.name(), message);
            (GptCopy::Backup, b)
        }
        (Err(_), Err(_)) if !promised => return Ok(None),
        (Err(primary), Err(backup)) => {
            return Err(PartitionError::NotGpt {
                primary: primary.clone(),
                backup: backup.clone(),
            });
        }
    };
    if !promised {
        let message =
            "sector 0 has no entry of type ee: tools that know no GPT take the disk for empty";
        fault(0, "protective MBR", message.to_owned());
    }
    if primary.is_ok() && backup_at != end {
        let message = format!("lies in sector {backup_at}, the disk ends with sector {end}");
        fault(backup_at, GptCopy::Backup.name(), message);
    }
    let entries = used(chosen, &mut fault);
    let both = [(GptCopy::Primary, &primary), (GptCopy::Backup, &backup)];
    let sound = both.into_iter().filter_map(|(copy, found)| {
        let header = &found.as_ref().ok()?.header;
        Some(GptPlace {
            copy,
            header: Lba(header.primary_lba),
            entries: Lba(header.partition_entry_lba),
            entries_len: u64::from(header.number_of_partition_entries) * u64::from(ENTRY),
        })
    });
    let places = sound.collect();
    Ok(Some(GptFound {
        copy: which,
        places,
        disk_guid: Uuid::from_bytes_le(chosen.header.disk_guid),
        entries,
        faults,
    }))
}

fn sector(disk: &dyn ReadAt, lba: u64) -> Option<[u8; 512]> {
    let mut buf = [0; 512];
    let at = lba.checked_mul(SECTOR)?;
    disk.read_exact_at(at, &mut buf).ok().map(|()| buf)
}

/// The copy whose header lies in sector `lba`, or what is wrong with it.
fn copy(disk: &dyn ReadAt, lba: u64, sectors: u64) -> Result<Copy, String> {
    let found = sector(disk, lba).ok_or_else(|| format!("sector {lba} cannot be read"))?;
    let header = GPTHeader::read_from(&mut Cursor::new(&found[..])).map_err(|e| match e {
        gptman::Error::InvalidSignature => "no header (it begins with `EFI PART`)".to_owned(),
        e => format!("header: {e}"),
    })?;
    let field = |name: &str, value: u64| Err(format!("header: {name} is {value}"));
    if header.primary_lba != lba {
        return field("MyLBA", header.primary_lba);
    }
    let (size, entries) = (
        header.size_of_partition_entry,
        header.number_of_partition_entries,
    );
    if size != ENTRY {
        return field("SizeOfPartitionEntry", size.into());
    }
    if !(1..=MAX_ENTRIES).contains(&entries) {
        return field("NumberOfPartitionEntries", entries.into());
    }
    if header.first_usable_lba > header.last_usable_lba || header.last_usable_lba >= sectors {
        return field("LastUsableLBA", header.last_usable_lba);
    }
    let mut bytes = vec![0; index(u64::from(entries) * u64::from(ENTRY))];
    let at = header.partition_entry_lba.checked_mul(SECTOR);
    if at.is_none_or(|at| disk.read_exact_at(at, &mut bytes).is_err()) {
        return field("PartitionEntryLBA", header.partition_entry_lba);
    }
    let parsed: Result<Vec<_>, _> = bytes
        .chunks_exact(index(u64::from(ENTRY)))
        // gptman 3.1 reads as many bytes as its struct has in memory, which are more than 128.
        .map(|entry| GPTPartitionEntry::read_from(&mut entry.chain(io::repeat(0))))
        .collect();
    let entries = parsed.map_err(|e| format!("entries: {e}"))?;
    let sum = header.generate_partition_entry_array_crc32(&entries);
    if sum != header.partition_entry_array_crc32 {
        return Err(format!(
            "entries: their CRC32 is {sum:#010x}, the header says {:#010x}",
            header.partition_entry_array_crc32
        ));
    }
    Ok(Copy { header, entries })
}

/// What the two copies say differently.
fn disagreement(primary: &Copy, backup: &Copy) -> Option<&'static str> {
    let (p, b) = (&primary.header, &backup.header);
    if p.disk_guid != b.disk_guid {
        return Some("DiskGUID");
    }
    if (p.first_usable_lba, p.last_usable_lba) != (b.first_usable_lba, b.last_usable_lba) {
        return Some("the range of usable sectors");
    }
    if b.backup_lba != 1 {
        return Some("AlternateLBA");
    }
    (primary.entries != backup.entries).then_some("a partition entry")
}

/// The used entries; of those that contradict another or the header, what is wrong.
fn used(copy: &Copy, fault: &mut impl FnMut(u64, &'static str, String)) -> Vec<GptEntry> {
    let header = &copy.header;
    let usable = header.first_usable_lba..header.last_usable_lba + 1;
    let mut entries: Vec<GptEntry> = Vec::new();
    for (number, e) in (1..).zip(&copy.entries).filter(|(_, e)| e.is_used()) {
        let mut wrong = |message| {
            let lba = header.partition_entry_lba + u64::from(number - 1) / 4;
            fault(lba, "GPT entry", message);
        };
        let range = e.starting_lba..e.ending_lba.saturating_add(1);
        if range.is_empty() || range.start < usable.start || range.end > usable.end {
            wrong(format!(
                "partition {number} is said to have sectors {} to {}; {} to {} are usable",
                e.starting_lba, e.ending_lba, usable.start, header.last_usable_lba
            ));
            continue;
        }
        let entry = GptEntry {
            number,
            kind: Uuid::from_bytes_le(e.partition_type_guid),
            guid: Uuid::from_bytes_le(e.unique_partition_guid),
            start: Lba(range.start),
            sectors: range.end - range.start,
            name: e.partition_name.as_str().to_owned(),
        };
        for other in &entries {
            if overlap(&range, &sectors_of(other)) {
                let message = format!("partitions {} and {number} overlap", other.number);
                wrong(message);
            }
            if other.guid == entry.guid {
                let message = format!("partitions {} and {number} have one GUID", other.number);
                wrong(message);
            }
        }
        entries.push(entry);
    }
    entries
}

fn sectors_of(entry: &GptEntry) -> Range<u64> {
    entry.start.0..entry.start.0 + entry.sectors
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::super::{GptLayout, GptPartition, ROOT_X86_64, gpt};
    use super::*;

    const SECTORS: u64 = 8192;

    fn partition(number: u32, start: u64) -> GptPartition<'static> {
        GptPartition {
            number,
            kind: ROOT_X86_64,
            guid: Uuid::from_u128(u128::from(number)),
            start: Lba(start),
            sectors: 2048,
            name: "root",
        }
    }

    fn disk() -> Vec<u8> {
        let made = gpt(&GptLayout {
            disk_guid: Uuid::from_u128(0xd15c),
            disk_sectors: SECTORS,
            partitions: &[partition(1, 4096), partition(15, 2048)],
        })
        .unwrap();
        let mut disk = vec![0; index(SECTORS * SECTOR)];
        disk[..made.front.len()].copy_from_slice(&made.front);
        let back = disk.len() - made.back.len();
        disk[back..].copy_from_slice(&made.back);
        disk
    }

    fn faults(disk: &Vec<u8>) -> Vec<String> {
        let found = read_gpt(disk).unwrap().unwrap();
        assert_eq!(found.entries.len(), 2);
        found.faults.iter().map(|f| f.message.clone()).collect()
    }

    #[test]
    fn a_sound_table_reads_back() {
        let found = read_gpt(&disk()).unwrap().unwrap();
        assert_eq!(found.faults, []);
        assert_eq!(found.copy, GptCopy::Primary);
        assert_eq!(found.disk_guid, Uuid::from_u128(0xd15c));
        let numbers: Vec<_> = found
            .entries
            .iter()
            .map(|e| (e.number, e.start.0, e.sectors))
            .collect();
        assert_eq!(numbers, [(1, 4096, 2048), (15, 2048, 2048)]);
        assert_eq!(found.entries[0].name, "root");
    }

    #[test]
    fn either_copy_serves_when_the_other_is_destroyed() {
        for at in [512, 512 + 16, 1024] {
            let mut disk = disk();
            disk[at] ^= 1;
            let found = read_gpt(&disk).unwrap().unwrap();
            assert_eq!((found.copy, found.entries.len()), (GptCopy::Backup, 2));
            assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
            assert_eq!(found.faults[0].structure, "primary GPT");
        }
        for back in [512, 33 * 512] {
            let mut disk = disk();
            let at = disk.len() - back;
            disk[at] ^= 1;
            let found = read_gpt(&disk).unwrap().unwrap();
            assert_eq!(found.copy, GptCopy::Primary);
            assert_eq!(found.faults[0].structure, "backup GPT");
        }
    }

    #[test]
    fn a_grown_disk_and_a_lost_protective_mbr_are_told() {
        let mut grown = disk();
        grown.resize(grown.len() + 4096, 0);
        assert!(faults(&grown)[0].contains("the disk ends with sector 8199"));
        let mut bare = disk();
        bare[..512].fill(0);
        assert!(faults(&bare)[0].contains("type ee"));
    }

    #[test]
    fn copies_that_are_sound_and_differ_are_told() {
        let mut mixed = disk();
        let other = gpt(&GptLayout {
            disk_guid: Uuid::from_u128(0xd15c),
            disk_sectors: SECTORS,
            partitions: &[partition(1, 4096), partition(14, 2048)],
        })
        .unwrap();
        let back = mixed.len() - other.back.len();
        mixed[back..].copy_from_slice(&other.back);
        assert!(faults(&mixed)[0].contains("a partition entry"));
    }

    #[test]
    fn hostile_fields_are_faults_not_panics() {
        // Fields of the header, made valid again by its checksum.
        for (at, value) in [
            (24, u64::MAX),
            (32, u64::MAX),
            (48, u64::MAX),
            (72, u64::MAX),
        ] {
            let mut disk = disk();
            disk[512 + at..512 + at + 8].copy_from_slice(&value.to_le_bytes());
            resum(&mut disk);
            assert!(!faults(&disk).is_empty(), "{at}");
        }
        for (at, value) in [(80, u32::MAX), (80, 0), (84, 0), (84, 129)] {
            let mut disk = disk();
            disk[512 + at..512 + at + 4].copy_from_slice(&value.to_le_bytes());
            resum(&mut disk);
            assert!(!faults(&disk).is_empty(), "{at}");
        }
        let mut none = disk();
        none[512..].fill(0);
        assert!(read_gpt(&none).is_err());
        none[..512].fill(0);
        assert_eq!(read_gpt(&none).unwrap(), None);
        assert_eq!(read_gpt(&vec![0; 100]).unwrap(), None);
    }

    fn resum(disk: &mut [u8]) {
        disk[528..532].fill(0);
        let header = &disk[512..512 + 92];
        let mut crc = !0_u32;
        for &byte in header {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
            }
        }
        disk[528..532].copy_from_slice(&(!crc).to_le_bytes());
    }
}
