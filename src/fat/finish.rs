//! What fatfs 0.3 leaves out or writes unlike others read it.
//!
//! Fields have the names of Microsoft's "FAT: General Overview of On-Disk Format", 1.03.

use super::map::{ENTRY, Layout, u16_at, u32_at};
use super::sparse::Sparse;
use super::volume::FatSpec;
use crate::units::{SECTOR, count, index, lo32};

const ATTR: usize = 0x0b;
const ATTR_LONG_NAME: u8 = 0x0f;
const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
/// High and low half of an entry's first cluster.
const FST_CLUS: [usize; 2] = [0x14, 0x1a];
/// Time and date of an entry's last write.
const WRT: std::ops::Range<usize> = 0x16..0x1a;

type Entry = [u8; 32];

/// Completes a volume that fatfs wrote.
pub(super) fn finish(disk: &mut Sparse, layout: &Layout, spec: &FatSpec<'_>) {
    // A partition beyond 2 TiB has no such count.
    let hidden = u32::try_from(spec.start.0).unwrap_or(0).to_le_bytes();
    disk.put(0x1c, &hidden);
    if layout.bits == 32 {
        let backup = u16_at(disk, 0x32) * SECTOR;
        disk.put(backup + 0x1c, &hidden);
        fs_info(disk, layout, backup);
    }
    root(disk, layout);
}

/// `FSI_Free_Count` and `FSI_Nxt_Free`, and the copy of the sector beside the copy of the boot sector.
fn fs_info(disk: &mut Sparse, layout: &Layout, backup: u64) {
    let used = layout.used(disk);
    let free = layout.clusters - count(used.len());
    let next = (2..).zip(&used).find(|(nr, used)| nr != *used);
    let next = next.map_or(2 + count(used.len()), |(nr, _)| nr);
    let at = u16_at(disk, 0x30) * SECTOR;
    let mut sector = [0; 512];
    disk.get(at, &mut sector);
    sector[0x1e8..0x1ec].copy_from_slice(&lo32(free).to_le_bytes());
    sector[0x1ec..0x1f0].copy_from_slice(&lo32(next).to_le_bytes());
    disk.put(at, &sector);
    disk.put(backup + at, &sector);
}

/// The label gets the time that the files have; directories are gone through.
fn root(disk: &mut Sparse, layout: &Layout) {
    let places = if layout.bits == 32 {
        places(disk, layout, u32_at(disk, 0x2c))
    } else {
        vec![(layout.root, layout.root_len)]
    };
    let mut entries = read(disk, &places);
    let first = entries
        .iter()
        .find(|e| is_used(e) && e[ATTR] & ATTR_VOLUME_ID == 0);
    if let Some(time) = first.map(|e| e[WRT].to_vec())
        && let Some(label) = entries.iter_mut().find(|e| e[ATTR] == ATTR_VOLUME_ID)
    {
        label[WRT].copy_from_slice(&time);
    }
    write(disk, &places, &entries);
    directories(disk, layout, &entries, true);
}

/// Every directory that `entries` name, and those below them: `.` and `..` must be the first two entries,
/// without the long names that fatfs gives them, and `..` names cluster 0 where it means the root.
fn directories(disk: &mut Sparse, layout: &Layout, entries: &[Entry], in_root: bool) {
    for e in entries {
        if !is_used(e) || e[ATTR] & ATTR_DIRECTORY == 0 || e[0] == b'.' {
            continue;
        }
        let [high, low] = FST_CLUS.map(|at| u64::from(u16::from_le_bytes([e[at], e[at + 1]])));
        let places = places(disk, layout, high << 16 | low);
        let found = read(disk, &places);
        let followed = found.iter().skip(1).map(Some).chain([None]);
        let mut kept: Vec<Entry> = found
            .iter()
            .zip(followed)
            .filter(|(e, next)| e[ATTR] != ATTR_LONG_NAME || next.is_none_or(|n| n[0] != b'.'))
            .map(|(e, _)| *e)
            .collect();
        if in_root && let Some(parent) = kept.get_mut(1) {
            for at in FST_CLUS {
                parent[at..at + 2].fill(0);
            }
        }
        kept.resize(found.len(), [0; 32]);
        write(disk, &places, &kept);
        directories(disk, layout, &kept, false);
    }
}

/// An entry of a file, directory or label: no long name, not the end.
fn is_used(e: &Entry) -> bool {
    e[0] != 0 && e[ATTR] != ATTR_LONG_NAME
}

fn places(disk: &Sparse, layout: &Layout, first: u64) -> Vec<(u64, u64)> {
    let chain = layout.chain(disk, first).into_iter();
    chain.map(|nr| (layout.place(nr), layout.cluster)).collect()
}

fn read(disk: &Sparse, places: &[(u64, u64)]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for &(start, len) in places {
        for at in (start..start + len).step_by(index(ENTRY)) {
            let mut entry = [0; 32];
            disk.get(at, &mut entry);
            entries.push(entry);
        }
    }
    entries
}

fn write(disk: &mut Sparse, places: &[(u64, u64)], entries: &[Entry]) {
    let slots = places
        .iter()
        .flat_map(|&(start, len)| (start..start + len).step_by(index(ENTRY)));
    for (at, entry) in slots.zip(entries) {
        disk.put(at, entry);
    }
}
