//! Which clusters of a volume belong to whom, ours or not.
//!
//! The volume may be hostile: a cluster is followed once, a chain ends where it leaves the volume or meets
//! another, and what is kept is bounded.

use super::table::Window;
use super::{FatReadError, FatReader, Run};
use crate::units::{PATH_MAX, count, index, index32, lo32};

/// More clusters are not looked through.
const MAX_CLUSTERS: u64 = 16 << 20;
/// Bytes of paths that are kept: what leads further counts as lost.
const MAX_PATHS: u64 = 128 << 20;

/// A file or directory and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatItem {
    /// Path from the root, `/EFI/BOOT/BOOTX64.EFI`; empty for the root itself.
    pub path: String,
    /// A directory.
    pub directory: bool,
    /// First cluster; 0 for an empty file and for the root of FAT12 and FAT16.
    pub cluster: u32,
    /// Runs of its clusters, in order. The last may reach past the file's end.
    pub runs: Vec<Run>,
}

/// What the table and the directories of a volume say.
#[derive(Clone, Debug)]
pub struct Chains {
    /// Root first, then as the directories have them.
    pub items: Vec<FatItem>,
    /// Runs of clusters in use that no item has; [`Run::offset`] counts from the first of them.
    pub lost: Vec<Run>,
    /// Whether all of it was read: false where chains cross or leave the volume.
    pub sound: bool,
}

struct Walk<'a> {
    reader: &'a FatReader,
    table: Window,
    seen: Vec<u8>,
    sound: bool,
}

/// Follows all chains of a volume; `None` where it has more clusters than are looked through.
///
/// # Errors
///
/// The volume cannot be read.
pub fn chains(reader: &FatReader) -> Result<Option<Chains>, FatReadError> {
    if reader.clusters() > MAX_CLUSTERS {
        return Ok(None);
    }
    let mut walk = Walk {
        reader,
        table: Window::whole(reader)?,
        seen: vec![0; index((reader.clusters() + 2).div_ceil(8))],
        sound: true,
    };
    let root = reader.root();
    let mut items = vec![FatItem {
        path: String::new(),
        directory: true,
        cluster: root.cluster,
        runs: match root.cluster {
            0 => reader.runs(&root)?,
            first => walk.chain(first)?,
        },
    }];
    let (mut next, mut room) = (0, MAX_PATHS);
    while let Some(item) = items.get(next) {
        next += 1;
        if !item.directory {
            continue;
        }
        let path = item.path.clone();
        for (name, entry) in reader.entries_in(&item.runs)? {
            let len = count(path.len() + 1 + name.len());
            // Deeper than any path may be, or more than is kept: what lies there counts as lost.
            let left = room.checked_sub(len + count(size_of::<FatItem>()));
            let (Some(left), true) = (left, len < count(PATH_MAX)) else {
                walk.sound = false;
                continue;
            };
            room = left;
            items.push(FatItem {
                path: format!("{path}/{name}"),
                directory: entry.directory,
                cluster: entry.cluster,
                runs: walk.chain(entry.cluster)?,
            });
        }
    }
    let lost = walk.lost()?;
    Ok(Some(Chains {
        items,
        lost,
        sound: walk.sound,
    }))
}

impl Walk<'_> {
    /// The runs of the chain that begins with a cluster, up to where it is damaged or meets another.
    fn chain(&mut self, first: u32) -> Result<Vec<Run>, FatReadError> {
        let mut runs = Vec::new();
        // An empty file has none.
        if first == 0 {
            return Ok(runs);
        }
        let mut chain = self.reader.chain(first, &mut self.table);
        loop {
            match chain.next() {
                Ok(Some(nr)) if meet(&mut self.seen, nr) => self.reader.push(&mut runs, nr),
                Ok(None) => return Ok(runs),
                Ok(Some(_)) | Err(FatReadError::Chain { .. }) => {
                    self.sound = false;
                    return Ok(runs);
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn lost(&mut self) -> Result<Vec<Run>, FatReadError> {
        let mut runs = Vec::new();
        for nr in 2..lo32(self.reader.clusters() + 2) {
            let met = self.seen[index32(nr / 8)] & 1 << (nr % 8) != 0;
            if !met && self.reader.next(nr, &mut self.table)? != 0 {
                self.reader.push(&mut runs, nr);
            }
        }
        Ok(runs)
    }
}

/// Marks a cluster of the volume; whether it was not met before.
fn meet(seen: &mut [u8], nr: u32) -> bool {
    let (byte, bit) = (index32(nr / 8), 1_u8 << (nr % 8));
    let new = seen[byte] & bit == 0;
    seen[byte] |= bit;
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::{FatFile, FatSpec, probe, volume};
    use crate::read_at::ReadAt;
    use crate::units::{Lba, MIB, Timestamp, count};
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    fn esp(size: u64) -> Vec<u8> {
        let spec = FatSpec {
            size,
            start: Lba(0),
            id: 1,
            label: b"ESP        ",
            time: Timestamp::from_secs(1 << 30),
        };
        let data = vec![7; 100_000];
        let file = |path| FatFile { path, data: &data };
        let made = volume(
            &spec,
            &[file("EFI/BOOT/BOOTX64.EFI"), file("a long name.cfg")],
        )
        .unwrap();
        let mut bytes = vec![0; index(size)];
        made.bytes.read_exact_at(0, &mut bytes).unwrap();
        bytes
    }

    fn found(disk: &[u8]) -> Chains {
        let reader = FatReader::open(Arc::new(disk.to_vec())).unwrap();
        chains(&reader).unwrap().unwrap()
    }

    #[test]
    fn every_cluster_in_use_belongs_to_a_path() {
        for size in [4 * MIB, 32 * MIB, 100 * MIB] {
            let disk = esp(size);
            let found = found(&disk);
            assert!(found.sound && found.lost.is_empty(), "{found:?}");
            let paths: Vec<_> = found.items.iter().map(|i| i.path.as_str()).collect();
            for path in [
                "",
                "/EFI",
                "/EFI/BOOT",
                "/EFI/BOOT/BOOTX64.EFI",
                "/a long name.cfg",
            ] {
                assert!(paths.contains(&path), "{paths:?}");
            }
            let file = found
                .items
                .iter()
                .find(|i| i.path.ends_with(".EFI"))
                .unwrap();
            let len: u64 = file.runs.iter().map(|r| r.len).sum();
            assert!(len >= 100_000 && disk[index(file.runs[0].at)] == 7);
        }
    }

    #[test]
    fn damage_ends_a_chain_and_nothing_else() {
        let sound = esp(4 * MIB);
        let info = probe(&sound, 0).unwrap().unwrap();
        for byte in 0..200 {
            let mut disk = sound.clone();
            let at = index(info.fat_at) + byte;
            disk[at] ^= 0x55;
            let found = found(&disk);
            assert!((1..=6).contains(&found.items.len()));
        }
        for byte in 0..count(512) {
            let mut disk = sound.clone();
            let at = index(info.root_at() + byte);
            disk[at] ^= 0xff;
            found(&disk);
        }
    }

    /// A disk that counts the bytes read of it.
    struct Counted(Vec<u8>, AtomicU64);

    impl ReadAt for Counted {
        fn len(&self) -> u64 {
            count(self.0.len())
        }

        fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.1.fetch_add(count(buf.len()), Relaxed);
            self.0.read_exact_at(offset, buf)
        }
    }

    #[test]
    fn a_chain_that_leaps_has_the_table_read_once() {
        let mut disk = esp(100 * MIB);
        let info = probe(&disk, 0).unwrap().unwrap();
        let width = usize::from(info.bits / 8);
        // Every cluster is in it, each 5000 behind the last.
        let mut order: Vec<u32> = (2..lo32(info.clusters + 2)).collect();
        order.sort_by_key(|nr| (nr % 5000, *nr));
        for pair in order.windows(2) {
            let at = index(info.fat_at) + index32(pair[0]) * width;
            disk[at..at + width].copy_from_slice(&pair[1].to_le_bytes()[..width]);
        }
        let counted = Arc::new(Counted(disk, AtomicU64::new(0)));
        let volume = Arc::clone(&counted);
        let reader = FatReader::open(volume).unwrap();
        let found = chains(&reader).unwrap().unwrap();
        assert!(found.items.iter().any(|i| i.runs.len() > 1000));
        let read = counted.1.load(Relaxed);
        assert!(read < 4 * MIB, "{read} bytes of {} entries", info.clusters);
    }
}
