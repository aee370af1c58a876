//! Sizes: which cluster size a volume gets, whether files fit, how large it must be for them.

use std::collections::BTreeMap;

use super::FatFile;
use crate::units::{KIB, MIB, SECTOR, count};

/// From so many clusters on a volume is FAT32 (Microsoft's specification, "FAT type determination"); it
/// also says to stay away from the limit, for there are drivers that are off by one.
const FAT32_CLUSTERS: u64 = 65_525 + 16;
/// Larger clusters waste more than they gain; the page size of most readers.
const CLUSTER_MAX: u64 = 4 * KIB;
/// Bytes of a directory entry, and characters that each further one adds to a long name.
const ENTRY: u64 = 32;
const NAME_IN_ENTRY: u64 = 13;
/// fatfs makes this many entries in the root directory of FAT12 and FAT16.
pub(super) const ROOT_ENTRIES: u64 = 512;

/// Bytes in a cluster of a volume of `size` bytes: the largest that still makes it FAT32, which UEFI
/// wants of a system partition (13.3); below some 33 MiB no size does, and a sector makes it FAT16
/// (below 2 MiB FAT12), which firmware reads as well.
pub(super) fn cluster_size(size: u64) -> u64 {
    let mut cluster = CLUSTER_MAX;
    while cluster > SECTOR && clusters(size, cluster) < FAT32_CLUSTERS {
        cluster /= 2;
    }
    cluster
}

/// Clusters of a volume, at least: with the largest tables that they may need.
fn clusters(size: u64, cluster: u64) -> u64 {
    let most = size / cluster;
    // Two FATs of 32-bit entries, and a root directory or the reserved sectors, twice over.
    let overhead = 2 * ((most + 2) * 4).next_multiple_of(SECTOR) + 2 * ROOT_ENTRIES * ENTRY;
    size.saturating_sub(overhead) / cluster
}

/// The least size in whole MiB that holds `files`.
pub(super) fn needed(files: &[FatFile<'_>]) -> u64 {
    let mut size = MIB;
    while !fits(files, size) {
        // Files alone say where to begin.
        let data: u64 = files.iter().map(|f| count(f.data.len())).sum();
        size = (size + MIB).max(data / MIB * MIB);
    }
    size
}

/// Whether `files` and their directories have room in a volume of `size` bytes.
pub(super) fn fits(files: &[FatFile<'_>], size: u64) -> bool {
    let cluster = cluster_size(size);
    let mut entries: BTreeMap<&str, u64> = BTreeMap::from([("", 1)]);
    let mut used = 0;
    for file in files {
        used += count(file.data.len()).div_ceil(cluster);
        let mut path = file.path;
        loop {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            *entries.entry(parent).or_insert(2) += 1 + count(name.len()).div_ceil(NAME_IN_ENTRY);
            if parent.is_empty() {
                break;
            }
            // Counted once for every file below it: an upper bound is enough.
            path = parent;
        }
    }
    let directories = entries.values().map(|n| (n * ENTRY).div_ceil(cluster));
    used += directories.sum::<u64>();
    entries[""] <= ROOT_ENTRIES && used <= clusters(size, cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_as_large_as_fat32_allows() {
        for (mib, cluster) in [
            (1, 512),
            (32, 512),
            (33, 512),
            (64, 512),
            (66, 1024),
            (124, 1024),
            (260, 4096),
            (1024, 4096),
        ] {
            assert_eq!(cluster_size(mib * MIB), cluster, "{mib} MiB");
        }
    }

    #[test]
    fn the_needed_size_grows_with_the_files() {
        let data = vec![1; 5 << 20];
        let file = |path| FatFile { path, data: &data };
        assert_eq!(needed(&[]), MIB);
        let one = needed(&[file("EFI/BOOT/BOOTX64.EFI")]);
        assert_eq!(one, 6 * MIB);
        assert!(needed(&[file("EFI/BOOT/BOOTX64.EFI"), file("a")]) > one);
        assert!(fits(&[file("a")], one) && !fits(&[file("a")], one - MIB));
    }
}
