//! MBR, GPT and FAT: structures without a struct of ours. Names are those of the UEFI specification (sections
//! 5.2.3, 5.3.2 and 5.3.3), of GRUB's `include/grub/i386/pc/boot.h`, and of Microsoft's FAT specification.

use super::Explanation;
use super::fields::{Show, Spec, table};
use crate::fat::{FatInfo, FatReadError, FatReader, Run, chains, probe};
use crate::inspect::map::{Region, What};
use crate::read_at::{ReadAt, Window};
use crate::units::{SECTOR, index};
use std::io;
use std::sync::Arc;

table!(BOOT_IMG {
    0x00 + 3 "jump": Bytes,
    0x03 + 0x57 "BIOS parameter block": Bytes,
    0x5a + 2 "kernel_address": Number,
    0x5c + 8 "kernel_sector": Number,
    0x64 + 1 "boot_drive": Number,
    0x66 + 2 "drive_check": Bytes,
});

table!(MBR {
    0x1b8 + 4 "UniqueMBRDiskSignature": Number,
    0x1bc + 2 "Unknown": Number,
    0x1fe + 2 "Signature": Number,
});

table!(MBR_ENTRY {
    0 + 1 "BootIndicator": Number,
    1 + 3 "StartingCHS": Bytes,
    4 + 1 "OSType": Number,
    5 + 3 "EndingCHS": Bytes,
    8 + 4 "StartingLBA": Number,
    12 + 4 "SizeInLBA": Number,
});

table!(GPT_HEADER {
    0 + 8 "Signature": Text,
    8 + 4 "Revision": Number,
    12 + 4 "HeaderSize": Number,
    16 + 4 "HeaderCRC32": Number,
    20 + 4 "Reserved": Number,
    24 + 8 "MyLBA": Number,
    32 + 8 "AlternateLBA": Number,
    40 + 8 "FirstUsableLBA": Number,
    48 + 8 "LastUsableLBA": Number,
    56 + 16 "DiskGUID": Guid,
    72 + 8 "PartitionEntryLBA": Number,
    80 + 4 "NumberOfPartitionEntries": Number,
    84 + 4 "SizeOfPartitionEntry": Number,
    88 + 4 "PartitionEntryArrayCRC32": Number,
});

table!(GPT_ENTRY {
    0 + 16 "PartitionTypeGUID": Guid,
    16 + 16 "UniquePartitionGUID": Guid,
    32 + 8 "StartingLBA": Number,
    40 + 8 "EndingLBA": Number,
    48 + 8 "Attributes": Number,
    56 + 72 "PartitionName": Utf16,
});

table!(BPB {
    0 + 3 "BS_jmpBoot": Bytes,
    3 + 8 "BS_OEMName": Text,
    11 + 2 "BPB_BytsPerSec": Number,
    13 + 1 "BPB_SecPerClus": Number,
    14 + 2 "BPB_RsvdSecCnt": Number,
    16 + 1 "BPB_NumFATs": Number,
    17 + 2 "BPB_RootEntCnt": Number,
    19 + 2 "BPB_TotSec16": Number,
    21 + 1 "BPB_Media": Number,
    22 + 2 "BPB_FATSz16": Number,
    24 + 2 "BPB_SecPerTrk": Number,
    26 + 2 "BPB_NumHeads": Number,
    28 + 4 "BPB_HiddSec": Number,
    32 + 4 "BPB_TotSec32": Number,
    510 + 2 "Signature_word": Number,
});

table!(BPB_16 {
    36 + 1 "BS_DrvNum": Number,
    38 + 1 "BS_BootSig": Number,
    39 + 4 "BS_VolID": Number,
    43 + 11 "BS_VolLab": Text,
    54 + 8 "BS_FilSysType": Text,
});

table!(BPB_32 {
    36 + 4 "BPB_FATSz32": Number,
    40 + 2 "BPB_ExtFlags": Number,
    42 + 2 "BPB_FSVer": Number,
    44 + 4 "BPB_RootClus": Number,
    48 + 2 "BPB_FSInfo": Number,
    50 + 2 "BPB_BkBootSec": Number,
    64 + 1 "BS_DrvNum": Number,
    66 + 1 "BS_BootSig": Number,
    67 + 4 "BS_VolID": Number,
    71 + 11 "BS_VolLab": Text,
    82 + 8 "BS_FilSysType": Text,
});

table!(FAT_ENTRY {
    0 + 11 "DIR_Name": Text,
    11 + 1 "DIR_Attr": Number,
    12 + 1 "DIR_NTRes": Number,
    13 + 1 "DIR_CrtTimeTenth": Number,
    14 + 2 "DIR_CrtTime": Number,
    16 + 2 "DIR_CrtDate": Number,
    18 + 2 "DIR_LstAccDate": Number,
    20 + 2 "DIR_FstClusHI": Number,
    22 + 2 "DIR_WrtTime": Number,
    24 + 2 "DIR_WrtDate": Number,
    26 + 2 "DIR_FstClusLO": Number,
    28 + 4 "DIR_FileSize": Number,
});

/// Explains a byte of a region outside of ext4; its partition begins at `start`.
pub(super) fn explain(
    disk: &Arc<dyn ReadAt>,
    start: u64,
    region: &Region,
    e: &mut Explanation,
) -> io::Result<()> {
    match region.what {
        What::BootSector => e.take(BOOT_IMG, 0, &read(disk, 0)?),
        What::Mbr => {
            let sector = read(disk, 0)?;
            e.take(MBR, 0, &sector);
            if let Some(n) = e
                .offset
                .checked_sub(0x1be)
                .map(|at| at / 16)
                .filter(|n| *n < 4)
            {
                e.element = Some(format!("entry {}", n + 1));
                let at = 0x1be + 16 * n;
                e.take(MBR_ENTRY, at, &sector[index(at)..]);
            }
        }
        What::GptHeader { .. } => e.take(GPT_HEADER, region.at, &read(disk, region.at)?),
        What::GptEntries { .. } => {
            let n = (e.offset - region.at) / 128;
            e.element = Some(format!("entry {}", n + 1));
            let at = region.at + n * 128;
            e.take(
                GPT_ENTRY,
                at,
                &read(disk, at / SECTOR * SECTOR)?[index(at % SECTOR)..],
            );
        }
        What::CoreImg => {
            let n = (e.offset - region.at) / SECTOR;
            e.element = Some(match n {
                0 => "diskboot.img".to_owned(),
                n => format!("sector {n} behind diskboot.img"),
            });
        }
        What::FatReserved | What::FatTable(_) | What::FatDirectory(_) | What::FatFile(_) => {
            if let Some(info) = probe(disk, start)? {
                fat(disk, start, region, &info, e)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn fat(
    disk: &Arc<dyn ReadAt>,
    start: u64,
    region: &Region,
    info: &FatInfo,
    e: &mut Explanation,
) -> io::Result<()> {
    let inside = e.offset - start;
    match region.what {
        What::FatReserved if inside < SECTOR => {
            let sector = read(disk, start)?;
            e.element = Some("boot sector".into());
            e.take(BPB, start, &sector);
            if e.field.is_none() {
                e.take(
                    if info.bits == 32 { BPB_32 } else { BPB_16 },
                    start,
                    &sector,
                );
            }
        }
        What::FatReserved => e.element = Some(format!("reserved sector {}", inside / SECTOR)),
        What::FatTable(_) => {
            let at = (inside - info.fat_at) % info.fat_len;
            e.element = Some(format!(
                "entry of cluster {}",
                at * 8 / u64::from(info.bits)
            ));
        }
        _ => {
            let volume = Window::new(Arc::clone(disk), start, disk.len().saturating_sub(start));
            let found = FatReader::open(Arc::new(volume)).and_then(|reader| chains(&reader));
            let found = match found {
                Err(FatReadError::Read { source, .. }) => return Err(source),
                found => found.ok().flatten(),
            };
            let items = found.iter().flat_map(|f| &f.items);
            let runs = items.flat_map(|item| item.runs.iter().map(move |run| (item, run)));
            let within = |run: &Run| (run.at..run.at + run.len).contains(&inside);
            let Some((item, run)) = runs.into_iter().find(|(_, run)| within(run)) else {
                return Ok(());
            };
            let path = if item.path.is_empty() {
                "/"
            } else {
                &item.path
            };
            e.path = Some(path.to_owned());
            let place = run.offset + (inside - run.at);
            if !item.directory {
                e.file_offset = Some(place);
                return Ok(());
            }
            e.element = Some(format!("entry {}", place / 32));
            let entry = e.offset / 32 * 32;
            let sector = read(disk, entry / SECTOR * SECTOR)?;
            e.take(FAT_ENTRY, entry, &sector[index(entry % SECTOR)..]);
        }
    }
    Ok(())
}

/// The sector at a byte.
fn read(disk: &dyn ReadAt, at: u64) -> io::Result<Vec<u8>> {
    let mut sector = vec![0; index(SECTOR.min(disk.len().saturating_sub(at)))];
    disk.read_exact_at(at, &mut sector)?;
    sector.resize(index(SECTOR), 0);
    Ok(sector)
}
