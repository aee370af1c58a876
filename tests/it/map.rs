//! What lies where on a disk: the list of regions against dumpe2fs and debugfs, and on bytes of an enemy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use diskwright::ext4::{Builder, Format, Size};
use diskwright::image::Disk;
use diskwright::inspect::explain::explain;
use diskwright::inspect::map::{Kind, Map, Region, What, map};
use diskwright::partition::mbr_of;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::strategy;
use diskwright::units::SECTOR;
use proptest::prelude::*;

use super::common::image;
use super::common::member::Member;
use super::ext4_read::{SHAPES, filesystem};
use super::props_ext4::config;
use super::tools::{have, stdout};

fn open(path: &Path) -> Arc<dyn ReadAt> {
    Arc::new(FileAt::new(File::open(path).unwrap()).unwrap())
}

/// What is wrong with a list that should be sorted, disjoint and cover so many bytes.
fn gaps(regions: &[Region], size: u64) -> Vec<String> {
    let mut at = 0;
    let mut wrong = Vec::new();
    for r in regions {
        if r.at != at || r.len == 0 || r.kind != r.what.kind() {
            wrong.push(format!("{r:?} after byte {at}"));
        }
        at = r.end();
    }
    if at != size {
        wrong.push(format!("ends at {at} of {size}"));
    }
    wrong
}

/// Blocks of 4096 (or `size`) bytes that regions of some sort have.
fn blocks(map: &Map, size: u64, of: impl Fn(&Region) -> bool) -> BTreeSet<u64> {
    let mine = map.regions.iter().filter(|r| of(r));
    mine.flat_map(|r| r.at.div_ceil(size)..r.end() / size)
        .collect()
}

/// Numbers and ranges, as dumpe2fs lists them: `5-7, 9`.
fn ranges(text: &str) -> BTreeSet<u64> {
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse::<u64>().unwrap()..=to.parse().unwrap()
    };
    parts.flat_map(range).collect()
}

/// What dumpe2fs says of all groups: blocks by what they hold.
fn dumped(device: &str) -> BTreeMap<&'static str, BTreeSet<u64>> {
    let said = stdout("dumpe2fs", &[device]);
    let patterns = [
        ("superblock", r"(?:Primary|Backup) superblock at (\d+)"),
        ("descriptors", r"Group descriptors at (\d+-\d+)"),
        ("descriptors", r"Group descriptor at (\d+)"),
        ("reserved", r"Reserved GDT blocks at (\d+-\d+)"),
        ("block bitmap", r"Block bitmap at (\d+)"),
        ("inode bitmap", r"Inode bitmap at (\d+)"),
        ("inode table", r"Inode table at (\d+-\d+)"),
        ("free", r"Free blocks: ([\d, -]+)"),
    ];
    let mut found: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for (name, pattern) in patterns {
        let pattern = regex::Regex::new(pattern).unwrap();
        for hit in pattern.captures_iter(&said) {
            found.entry(name).or_default().extend(ranges(&hit[1]));
        }
    }
    found
}

/// Holds a map of a bare filesystem against dumpe2fs.
fn assert_dumped(shape: &str, image: &Path) {
    let map = map(&open(image)).unwrap();
    assert!(map.complete, "{shape}");
    assert_eq!(gaps(&map.regions, map.info.size), Vec::<String>::new());
    let size = map.info.filesystem.as_ref().unwrap().block_size;
    let dumped = dumped(image.to_str().unwrap());
    let none = BTreeSet::new();
    let theirs = |name: &str| dumped.get(name).unwrap_or(&none);
    // The superblock of a 1 KiB filesystem has block 1, of others the second KiB of block 0.
    let first = 1024 / size;
    let ours = |of: fn(What) -> bool| blocks(&map, size, |r| of(r.what));
    let mut supers = ours(|w| matches!(w, What::Superblock(_)));
    supers.insert(first);
    assert_eq!(&supers, theirs("superblock"), "{shape}");
    let descriptors = ours(|w| matches!(w, What::GroupDescriptors(_) | What::MetaDescriptors));
    assert_eq!(&descriptors, theirs("descriptors"), "{shape}");
    assert_eq!(
        &ours(|w| matches!(w, What::ReservedGdt(_))),
        theirs("reserved"),
        "{shape}"
    );
    assert_eq!(
        &ours(|w| matches!(w, What::BlockBitmap(_))),
        theirs("block bitmap"),
        "{shape}"
    );
    assert_eq!(
        &ours(|w| matches!(w, What::InodeBitmap(_))),
        theirs("inode bitmap"),
        "{shape}"
    );
    assert_eq!(
        &ours(|w| matches!(w, What::InodeTable(_))),
        theirs("inode table"),
        "{shape}"
    );
    let mut free = ours(|w| w == What::Ext4Free);
    if size == 1024 {
        // Before the first group.
        free.remove(&0);
    }
    // Of bigalloc, a cluster is taken as a whole, and debugfs's `fallocate` forgets to take one.
    if !shape.contains("bigalloc") {
        assert_eq!(&free, theirs("free"), "{shape}");
    }
}

#[test]
fn metadata_and_free_space_of_every_shape_lie_where_dumpe2fs_says() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for shape in SHAPES {
        let image = filesystem(folder.path(), shape);
        assert_dumped(shape, &image);
        assert_owners(shape, &image);
    }
}

/// Holds inodes, paths and places in files against debugfs.
fn assert_owners(shape: &str, image: &Path) {
    let disk = open(image);
    let map = map(&disk).unwrap();
    let size = map.info.filesystem.as_ref().unwrap().block_size;
    let owned = map.regions.iter().filter(|r| {
        let what = matches!(
            r.what,
            What::File(_)
                | What::Zero(_)
                | What::Directory(_)
                | What::Symlink(_)
                | What::BlockPointers(_)
        );
        what && r.what.inode() != Some(8)
    });
    let mut asked: BTreeMap<u64, &Region> = BTreeMap::new();
    for r in owned {
        asked.insert(r.at / size, r);
        asked.insert((r.end() - 1) / size, r);
    }
    let step = asked.len().div_ceil(40);
    let asked: BTreeMap<_, _> = asked.into_iter().step_by(step).collect();
    let device = image.to_str().unwrap();
    let list: Vec<String> = asked.keys().map(u64::to_string).collect();
    let said = stdout(
        "debugfs",
        &["-R", &format!("icheck {}", list.join(" ")), device],
    );
    let pair = |line: &str| {
        let (a, b) = line.split_once('\t')?;
        // debugfs puts a slash before the root's.
        Some((a.parse::<u64>().ok()?, b.replacen("//", "/", 1)))
    };
    let inodes: BTreeMap<u64, String> = said.lines().filter_map(pair).collect();
    assert_eq!(inodes.len(), asked.len(), "{shape}: {said}");
    let numbers: BTreeSet<&str> = inodes.values().map(String::as_str).collect();
    let numbers: Vec<&str> = numbers.into_iter().collect();
    let names = stdout(
        "debugfs",
        &["-R", &format!("ncheck {}", numbers.join(" ")), device],
    );
    let names: BTreeSet<(u64, String)> = names.lines().filter_map(pair).collect();
    let mut seen = 0;
    for (block, region) in asked {
        let inode = region.what.inode().unwrap();
        assert_eq!(
            inode.to_string(),
            inodes[&block],
            "{shape}: block {block}, {}",
            region.what
        );
        let told = explain(&disk, block * size).unwrap();
        assert_eq!(
            (told.block, told.inode),
            (Some(block), Some(inode)),
            "{shape}"
        );
        let path = told
            .path
            .unwrap_or_else(|| panic!("{shape}: inode {inode} has no path"));
        // debugfs names the root differently from release to release.
        let named = path == "/" || names.contains(&(inode.into(), path.clone()));
        assert!(named, "{shape}: inode {inode} is not {path}; {names:?}");
        if let Some(offset) = told.file_offset {
            let request = format!("bmap <{inode}> {}", offset / size);
            let answer = stdout("debugfs", &["-R", &request, device]);
            let physical = answer.split_whitespace().next();
            assert_eq!(
                physical,
                Some(block.to_string().as_str()),
                "{shape}: {request}"
            );
            seen += 1;
        }
    }
    assert!(seen > 5, "{shape}");
}

#[test]
fn an_image_of_ours_has_its_boot_code_and_its_root_where_they_were_put() {
    let folder = tempfile::tempdir().unwrap();
    let tar = image::write_tar(folder.path(), "t.tar", &super::common::features::members());
    for flags in [
        &["--boot", "none"][..],
        &["--boot", "none", "--scheme", "gpt"],
        &["--boot", "none", "--scheme", "none", "--size", "200M"],
        &["--boot", "none", "--features", "modern"],
    ] {
        let disk = folder.path().join("disk.img");
        image::build(&tar, &disk, flags);
        let map = map(&open(&disk)).unwrap();
        assert!(map.complete, "{flags:?}");
        assert_eq!(
            gaps(&map.regions, map.info.size),
            Vec::<String>::new(),
            "{flags:?}"
        );
        let offset = image::offset_of(&disk);
        let sb = map.at(offset + 1024).unwrap();
        assert_eq!(sb.what, What::Superblock(0), "{flags:?}");
        for kind in [Kind::Data, Kind::Directories, Kind::InodeTables, Kind::Free] {
            assert!(
                map.regions.iter().any(|r| r.kind == kind),
                "{flags:?}: {kind:?}"
            );
        }
        if !flags.contains(&"none") || flags.contains(&"gpt") {
            let tables = map
                .regions
                .iter()
                .filter(|r| r.kind == Kind::PartitionTable);
            assert_eq!(tables.count(), if flags.contains(&"gpt") { 5 } else { 1 });
        }
        // Of a window into the disk, dumpe2fs says the same as of the disk.
        let bare = folder.path().join("bare.img");
        let bytes = std::fs::read(&disk).unwrap();
        std::fs::write(&bare, &bytes[usize::try_from(offset).unwrap()..]).unwrap();
        if have("dumpe2fs") {
            assert_dumped(&format!("{flags:?}"), &bare);
        }
    }
}

#[test]
fn of_a_large_filesystem_with_nothing_in_it_little_is_read() {
    if !have("mke2fs") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.img");
    File::create(&path).unwrap().set_len(200 << 30).unwrap();
    for kind in ["ext2", "ext4"] {
        stdout("mke2fs", &["-q", "-F", "-t", kind, path.to_str().unwrap()]);
        let begun = std::time::Instant::now();
        let map = map(&open(&path)).unwrap();
        assert!(map.complete && map.regions.len() > 4000, "{kind}");
        // Tables of 3 GiB take a minute.
        assert!(
            begun.elapsed().as_secs() < 20,
            "{kind}: {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_volume_of_fat_without_a_partition_table_is_one() {
    if !have("mkfs.vfat") || !have("mcopy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fat.img");
    let (name, file) = (path.to_str().unwrap(), folder.path().join("a file"));
    std::fs::write(&file, vec![b'x'; 100_000]).unwrap();
    for bits in ["12", "16", "32"] {
        File::create(&path)
            .unwrap()
            .set_len(if bits == "12" { 4 << 20 } else { 48 << 20 })
            .unwrap();
        stdout("mkfs.vfat", &["-F", bits, name]);
        stdout("mcopy", &["-i", name, file.to_str().unwrap(), "::/"]);
        let disk = open(&path);
        let map = map(&disk).unwrap();
        assert_eq!(gaps(&map.regions, disk.len()), Vec::<String>::new());
        let data = map
            .regions
            .iter()
            .find(|r| matches!(r.what, What::FatFile(_)))
            .unwrap();
        assert!(
            (100_000..105_000).contains(&data.len),
            "FAT{bits}: {data:?}"
        );
        let told = explain(&disk, data.at + 77).unwrap();
        assert_eq!(
            (told.path.as_deref(), told.file_offset),
            (Some("/a file"), Some(77))
        );
        let tables = map
            .regions
            .iter()
            .filter(|r| matches!(r.what, What::FatTable(_)));
        assert_eq!(tables.count(), 2);
    }
}

#[test]
fn a_hole_of_the_file_under_data_is_zero() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = vec![b'x'; 1 << 20];
    data[200_000..900_000].fill(0);
    let tar = image::write_tar(folder.path(), "t.tar", &[Member::file("f", data).bytes()]);
    let disk = folder.path().join("disk.img");
    image::build(&tar, &disk, &["--boot", "none", "--scheme", "none"]);
    let map = map(&open(&disk)).unwrap();
    let of = |kind| {
        map.regions
            .iter()
            .filter(move |r| r.kind == kind)
            .map(|r| r.len)
    };
    assert!(of(Kind::Zero).sum::<u64>() >= 690_000, "{:?}", map.regions);
    assert!(of(Kind::Data).sum::<u64>() <= 360_000);
}

/// Each of these is several filesystems.
fn few() -> ProptestConfig {
    ProptestConfig {
        cases: config().cases / 4,
        ..config()
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn any_disk_is_covered_without_gaps_and_any_byte_explained(
        (layout, files, bytes) in (
            strategy::disk(),
            strategy::files(),
            prop::collection::vec(any::<prop::sample::Index>(), 40),
        ),
    ) {
        let mut disk = Disk::new(layout.size()).unwrap();
        disk.put_bytes(0, mbr_of(7, layout.sectors, &layout.partitions).unwrap()).unwrap();
        let mut made = 0;
        for p in &layout.partitions {
            let size = Size::Bytes(p.sectors * SECTOR);
            let mut fs = Builder::new(Format { size, ..Format::default() }).unwrap();
            files.put(&mut fs).unwrap();
            if let Ok(fs) = fs.finish() {
                disk.put(p.start.byte_offset(), fs).unwrap();
                made += 1;
            }
        }
        let disk: Arc<dyn ReadAt> = Arc::new(disk);
        let map = map(&disk).unwrap();
        prop_assert!(map.complete);
        prop_assert_eq!(gaps(&map.regions, disk.len()), Vec::<String>::new());
        let supers = map.regions.iter().filter(|r| r.what == What::Superblock(0)).count();
        prop_assert_eq!(supers, made);
        for at in bytes.iter().map(|i| i.index(usize::try_from(disk.len()).unwrap()) as u64).take(3) {
            explain(&disk, at).unwrap();
        }
    }

    #[test]
    fn damage_anywhere_leaves_a_list_without_gaps(
        (files, damage) in (
            strategy::files(),
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        ),
    ) {
        let size = Size::Bytes(6 << 20);
        let mut fs = Builder::new(Format { size, ..Format::default() }).unwrap();
        files.put(&mut fs).unwrap();
        let Ok(fs) = fs.finish() else { return Ok(()) };
        let mut bytes = vec![0; usize::try_from(fs.len()).unwrap()];
        fs.read_exact_at(0, &mut bytes).unwrap();
        // Where it hurts: what is not zero already.
        let used: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] != 0).collect();
        for (place, value) in damage {
            bytes[*place.get(&used)] = value;
        }
        let len = bytes.len() as u64;
        let disk: Arc<dyn ReadAt> = Arc::new(bytes);
        if let Ok(map) = map(&disk) {
            prop_assert_eq!(gaps(&map.regions, len), Vec::<String>::new());
            for r in map.regions.iter().step_by(map.regions.len().div_ceil(8)) {
                explain(&disk, r.at + r.len / 2).unwrap();
            }
        }
    }

    #[test]
    fn noise_has_a_map(bytes in prop::collection::vec(any::<u8>(), 0..5000), gpt in any::<bool>()) {
        let mut bytes = bytes;
        if gpt && bytes.len() > 512 {
            bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
            bytes[446] = 0x80;
        }
        let len = bytes.len() as u64;
        let disk: Arc<dyn ReadAt> = Arc::new(bytes);
        if let Ok(map) = map(&disk) {
            prop_assert_eq!(gaps(&map.regions, len), Vec::<String>::new());
        }
    }
}

/// Revision 0 has inodes of 128 bytes, and nothing where `s_inode_size` is.
#[test]
fn inodes_of_revision_0_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.img");
    let made = std::process::Command::new("mke2fs")
        .args(["-q", "-r", "0", "-O", "none", "-t", "ext2"])
        .arg(&path)
        .arg("4M")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1024 + 0x58..1024 + 0x5a].fill(0);
    let disk: Arc<dyn ReadAt> = Arc::new(bytes);
    let map = map(&disk).unwrap();
    let table = map
        .regions
        .iter()
        .find(|r| r.kind == Kind::InodeTables)
        .unwrap();
    let told = explain(&disk, table.at + 128).unwrap();
    assert_eq!(told.element.as_deref(), Some("inode 2"));
}
