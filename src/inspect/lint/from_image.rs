//! Facts of an image.

use super::LintError;
use super::facts::{DiskFacts, Entry, Facts, LOADERS, Room, Sort, wanted};
use super::initrd::{self, NVME};
use super::kernels::kernels;
use super::names::names;
use crate::inspect::map::{self, Map, What};
use crate::inspect::{Data, Disk, Files, FilesError, InspectError, Kind, Met, Node};
use crate::read_at::ReadAt;
use crate::units::{count, index};
use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader, Read};
use std::sync::Arc;

/// Looks at the root filesystem of `disk`, which [`Disk::root`] chooses. `now` is in seconds since 1970.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn of_image(disk: &Arc<dyn ReadAt>, now: i64) -> Result<Facts, LintError> {
    let opened = Disk::of(Arc::clone(disk))?;
    let root = opened.root().ok_or(InspectError::NoRoot)?;
    let damaged = |e: &FilesError| LintError::Root {
        offset: root.offset,
        why: e.to_string(),
    };
    let files = root.files().map_err(damaged)?;
    let Files::Ext4(reader) = files else {
        return Err(InspectError::NoRoot.into());
    };
    let mut facts = Facts {
        now,
        ..Facts::default()
    };
    walk(files, &mut facts, &damaged)?;
    initrds(files, &mut facts);
    let map = map::map(disk)?;
    let (names, unknown) = names(disk, &map.info)?;
    facts.disk = Some(DiskFacts {
        size: map.info.size,
        core_img: map.regions.iter().any(|r| r.what == What::CoreImg),
        loaders: loaders(&opened),
        incompat: reader.superblock().s_feature_incompat.get(),
        made: reader.superblock().s_mkfs_time.get().into(),
        names,
        unknown,
        holes: holes(disk, &map)?,
    });
    Ok(facts)
}

/// Every file; what cannot be read is counted.
fn walk(
    files: &Files,
    facts: &mut Facts,
    damaged: &dyn Fn(&FilesError) -> LintError,
) -> Result<(), LintError> {
    let root = files.root().map_err(|e| damaged(&e))?;
    let mut room = Room::new();
    let mut read = HashMap::new();
    for met in files.walk(root).skip(1) {
        let Ok(met) = met else {
            facts.unread += 1;
            continue;
        };
        let fact = fact(files, &met, &mut read, &mut room)?;
        room.entry(&met.path, &fact.target)?;
        facts.entries.insert(met.path, fact);
    }
    Ok(())
}

/// Contents by file: hard links have one.
type Contents = HashMap<u64, Arc<[u8]>>;

fn fact(
    files: &Files,
    met: &Met,
    read: &mut Contents,
    room: &mut Room,
) -> Result<Entry, LintError> {
    let Met { path, node, .. } = met;
    let sort = match node.kind {
        Kind::File => Sort::File,
        Kind::Directory => Sort::Directory,
        Kind::Symlink => Sort::Link,
        _ => Sort::Other,
    };
    let mut content = None;
    if let Some(len) = wanted(path, node.size).filter(|_| sort == Sort::File) {
        content = read.get(&node.id).cloned();
        // Another of its names may be one of which less is looked at.
        if content.as_ref().is_none_or(|c| count(c.len()) < len) {
            room.content(len)?;
            content = beginning(files, node, path, len);
            if let Some(content) = &content {
                read.insert(node.id, Arc::clone(content));
            }
        }
    }
    let capability = sort == Sort::File
        && node.mode & 0o111 != 0
        && files
            .xattrs(node)
            .is_ok_and(|list| list.iter().any(|(name, _)| name == b"security.capability"));
    Ok(Entry {
        sort,
        mode: node.mode,
        size: node.size,
        mtime: node.mtime.sec,
        capability,
        target: match sort {
            Sort::Link => files.target(node).unwrap_or_default(),
            _ => Vec::new(),
        },
        content,
    })
}

/// The first bytes of a file, unless it is damaged.
fn beginning(files: &Files, node: &Node, path: &[u8], len: u64) -> Option<Arc<[u8]>> {
    let data = files.data(node, path).ok()?;
    let mut bytes = vec![0; index(len)];
    let n = data.read_at(0, &mut bytes).ok()?;
    bytes.truncate(n);
    Some(bytes.into())
}

/// A file from its beginning to its end.
struct Stream<'a> {
    data: Data<'a>,
    at: u64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.data.read_at(self.at, buf).map_err(io::Error::other)?;
        self.at += count(n);
        Ok(n)
    }
}

/// Looks into the initrds that kernels need.
fn initrds(files: &Files, facts: &mut Facts) {
    let mut budget = initrd::MOST;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for kernel in kernels(facts) {
        let path = kernel.initrd().filter(|_| kernel.needs_nvme(facts));
        let path = path.and_then(|path| facts.resolve(path.trim_start_matches('/')));
        let Some((path, _)) = path.filter(|(path, _)| seen.insert(path.clone())) else {
            continue;
        };
        let node = files.resolve(&path, true);
        let Ok(data) = node.and_then(|node| files.data(&node, &path)) else {
            continue;
        };
        let stream = BufReader::with_capacity(1 << 18, Stream { data, at: 0 });
        found.push((path, initrd::look(stream, NVME, &mut budget)));
    }
    facts.initrds.extend(found);
}

/// The fallback loaders on EFI system partitions; `None` where there is no such partition.
fn loaders(disk: &Disk) -> Option<Vec<&'static str>> {
    let partitions = disk.info().partitions.iter();
    let mut own = partitions.filter(|p| p.type_name == "EFI system" && p.fat.is_some());
    let first = own.next()?;
    let mut found = Vec::new();
    for p in std::iter::once(first).chain(own) {
        let files = disk.partition(p.number).and_then(|v| v.files().ok());
        let there = |loader: &&str| {
            let file = files.and_then(|f| f.resolve(loader.as_bytes(), true).ok());
            file.is_some_and(|node| node.kind == Kind::File)
        };
        found.extend(LOADERS.into_iter().filter(there));
    }
    Some(found)
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
