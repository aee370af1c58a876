//! Facts of an image.

use super::LintError;
use super::facts::{DiskFacts, Entry, Facts, Sort, wanted};
use crate::ext4::disk::inode::EXT4_ROOT_INO;
use crate::ext4::read::{Inode, Kind, ReadError, Reader};
use crate::fat::{FatReader, chains};
use crate::inspect::map::{self, Map, What};
use crate::inspect::{Info, InspectError};
use crate::read_at::{ReadAt, Window};
use crate::units::index;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Looks at the root filesystem of `disk`: the first ext filesystem that has `/etc`, else the first. `now` is
/// in seconds since 1970.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn of_image(disk: &Arc<dyn ReadAt>, now: i64) -> Result<Facts, LintError> {
    let map = map::map(disk)?;
    let mut roots = Vec::new();
    let whole =
        (map.info.scheme == "none" && map.info.filesystem.is_some()).then_some((0, map.info.size));
    let parts = map
        .info
        .partitions
        .iter()
        .filter(|p| p.filesystem.is_some());
    for (at, len) in whole
        .into_iter()
        .chain(parts.map(|p| p.bytes(map.info.size)))
    {
        let fs: Arc<dyn ReadAt> = Arc::new(Window::new(Arc::clone(disk), at, len));
        roots.push(Reader::open(fs)?);
    }
    let has_etc = |reader: &Reader| {
        let root = reader
            .inode(EXT4_ROOT_INO)
            .and_then(|root| reader.entries(&root));
        root.is_ok_and(|entries| entries.find(b"etc").is_some())
    };
    let chosen = roots.iter().find(|r| has_etc(r)).or(roots.first());
    let reader = chosen.ok_or(LintError::Inspect(InspectError::NoRoot))?;
    let mut facts = Facts {
        now,
        ..Facts::default()
    };
    files(reader, &mut facts)?;
    facts.disk = Some(DiskFacts {
        size: map.info.size,
        core_img: map.regions.iter().any(|r| r.what == What::CoreImg),
        esp: esp(disk, &map.info),
        incompat: reader.superblock().s_feature_incompat.get(),
        made: reader.superblock().s_mkfs_time.get().into(),
        names: names(&map.info),
        holes: holes(disk, &map)?,
    });
    Ok(facts)
}

/// Every file; a directory is entered once, what cannot be read is left out.
fn files(reader: &Reader, facts: &mut Facts) -> Result<(), ReadError> {
    let mut queue = VecDeque::from([(Vec::new(), EXT4_ROOT_INO)]);
    let mut seen = HashSet::from([EXT4_ROOT_INO]);
    while let Some((folder, ino)) = queue.pop_front() {
        let directory = reader.inode(ino)?;
        let Ok(entries) = reader.entries(&directory) else {
            continue;
        };
        for entry in entries.iter() {
            let Ok(inode) = reader.inode(entry.ino) else {
                continue;
            };
            let mut path: Vec<u8> = folder.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            if inode.kind() == Kind::Directory && seen.insert(entry.ino) {
                queue.push_back((path.clone(), entry.ino));
            }
            let fact = fact(reader, &inode, &path);
            facts.entries.insert(path, fact);
        }
    }
    Ok(())
}

fn fact(reader: &Reader, inode: &Inode, path: &[u8]) -> Entry {
    let sort = match inode.kind() {
        Kind::File => Sort::File,
        Kind::Directory => Sort::Directory,
        Kind::Symlink => Sort::Link,
        _ => Sort::Other,
    };
    let read = sort == Sort::File && wanted(path, inode.size());
    let content = read.then(|| {
        let mut bytes = vec![0; index(inode.size())];
        let content = reader.content(inode).ok()?;
        let n = content.read_at(0, &mut bytes).ok()?;
        bytes.truncate(n);
        Some(bytes)
    });
    let capability = sort == Sort::File
        && inode.permissions() & 0o111 != 0
        && reader
            .xattrs(inode)
            .is_ok_and(|list| list.iter().any(|(name, _)| name == b"security.capability"));
    let target = match sort {
        Sort::Link => reader.target(inode).unwrap_or_default(),
        _ => Vec::new(),
    };
    Entry {
        sort,
        mode: inode.permissions(),
        size: inode.size(),
        mtime: inode.mtime().sec,
        capability,
        target,
        content: content.flatten(),
    }
}

/// Paths on the EFI system partition; `None` where there is none.
fn esp(disk: &Arc<dyn ReadAt>, info: &Info) -> Option<Vec<String>> {
    let own = info
        .partitions
        .iter()
        .filter(|p| p.type_name == "EFI system" && p.fat.is_some());
    let mut paths = None;
    for p in own {
        let (offset, len) = p.bytes(info.size);
        let volume = Window::new(Arc::clone(disk), offset, len);
        let reader = FatReader::open(Arc::new(volume));
        let found = reader.and_then(|reader| chains(&reader)).ok().flatten();
        let list = paths.get_or_insert_with(Vec::new);
        for item in found.iter().flat_map(|f| &f.items) {
            list.push(item.path.to_uppercase());
        }
    }
    paths
}

fn names(info: &Info) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |kind: &str, value: &str| names.push(format!("{kind}={value}").to_lowercase());
    if let Some(f) = &info.filesystem {
        add("UUID", &f.uuid.to_string());
        add("LABEL", &f.label);
    }
    for p in &info.partitions {
        add("PARTUUID", &p.partuuid);
        p.label.iter().for_each(|l| add("PARTLABEL", l));
        if let Some(f) = &p.filesystem {
            add("UUID", &f.uuid.to_string());
            add("LABEL", &f.label);
        }
        if let Some(f) = &p.fat {
            add("UUID", &f.uuid);
            add("LABEL", &f.label);
        }
    }
    names
}

/// Bytes that something uses in holes of the image file.
fn holes(disk: &Arc<dyn ReadAt>, map: &Map) -> Result<u64, InspectError> {
    let mut total = 0;
    let mut at = 0;
    // Of an image in very many pieces the first are enough to say that there are some.
    for _ in 0..100_000 {
        let hole = disk
            .hole(at)
            .map_err(|source| InspectError::Read { offset: at, source })?;
        if hole.is_empty() {
            break;
        }
        let first = map.regions.partition_point(|r| r.end() <= hole.start);
        let within = map.regions[first..].iter().take_while(|r| r.at < hole.end);
        let used = within.filter(|r| {
            use map::Kind::{Free, Unknown, Unpartitioned};
            !matches!(r.kind, Free | Unpartitioned | Unknown)
        });
        total += used
            .map(|r| r.end().min(hole.end) - r.at.max(hole.start))
            .sum::<u64>();
        at = hole.end;
    }
    Ok(total)
}
