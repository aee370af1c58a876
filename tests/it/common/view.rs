//! A filesystem through `ext4-view`, somebody else's reader.
//!
//! It shows no link counts, inode numbers, change times, device numbers and extended attributes: of hard links each name
//! is held against the one file, the rest is left to `verify`, e2fsck and debugfs.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::Arc;

use diskwright::entry::{DataRun, EntryKind};
use diskwright::ext4::Filesystem;
use diskwright::read_at::ReadAt;
use diskwright::strategy::{File, Files};
use diskwright::tree::{Node, NodeId, NodeKind, ROOT, Tree};
use diskwright::units::Timestamp;
use ext4_view::{Ext4, Ext4Read, FileType};

/// The most of a file that is read in one go; of longer ones only what is data, and its edges.
const WHOLE: u64 = 1 << 20;

/// ext4-view seeks block by block: data behind so many bytes is left to `verify` and e2fsck.
const REACH: u64 = 64 << 20;

/// What was read stays read: the reader looks up every name from the root.
struct Device(Arc<dyn ReadAt>, HashMap<u64, Vec<u8>>);

/// Bytes that are read, and kept, at a time.
const CHUNK: u64 = 1024;

impl Ext4Read for Device {
    fn read(&mut self, start: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let chunk = match self.1.entry(at / CHUNK) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let len = CHUNK.min(self.0.len().saturating_sub(at / CHUNK * CHUNK));
                    let mut bytes = vec![0; usize::try_from(len).unwrap()];
                    self.0.read_exact_at(at / CHUNK * CHUNK, &mut bytes)?;
                    new.insert(bytes)
                }
            };
            let from = usize::try_from(at % CHUNK).unwrap();
            let part = chunk.get(from..).filter(|part| !part.is_empty());
            let part = part.ok_or("a read past the end")?;
            let (now, later) = rest.split_at_mut(part.len().min(rest.len()));
            now.copy_from_slice(&part[..now.len()]);
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}

/// Where a tree, as it was put in, and what is read differ.
pub fn differences(device: Arc<dyn ReadAt>, fs: &Filesystem, files: &Files) -> Vec<String> {
    let view = match Ext4::load(Box::new(Device(device, HashMap::new()))) {
        Ok(view) => view,
        Err(e) => return vec![e.to_string()],
    };
    let tree = fs.plan().tree();
    let mut compare = Compare {
        view,
        tree,
        // No file shows a later time.
        newest: tree.newest().unwrap_or_default(),
        written: written(files),
        found: Vec::new(),
    };
    let sorted = tree.sorted();
    compare.node(b"/", ROOT);
    let mut folders = vec![(b"/".to_vec(), ROOT)];
    tree.walk(&sorted, |path, node| {
        let path = [b"/", path].concat();
        compare.node(&path, node);
        if tree.node(node).is_directory() {
            folders.push((path, node));
        }
    });
    for (path, node) in folders {
        let names = tree.children(&sorted, node).map(|c| c.name.to_vec());
        compare.names(&path, names.collect());
    }
    compare.found
}

/// The entry that each node's data is from.
fn written(files: &Files) -> HashMap<NodeId, File> {
    let mut tree = Tree::new();
    let mut written = HashMap::new();
    for file in &files.0 {
        let node = tree.insert(&file.entry).unwrap().node.unwrap();
        if matches!(file.entry.kind, EntryKind::File { .. }) {
            written.insert(node, file.clone());
        }
    }
    written
}

struct Compare<'a> {
    view: Ext4,
    tree: &'a Tree,
    newest: Timestamp,
    written: HashMap<NodeId, File>,
    found: Vec<String>,
}

impl Compare<'_> {
    fn say(&mut self, path: &[u8], what: impl std::fmt::Display) {
        self.found.push(format!("{}: {what}", path.escape_ascii()));
    }

    fn names(&mut self, path: &[u8], ours: BTreeSet<Vec<u8>>) {
        let listed = self.view.read_dir(path).and_then(|entries| {
            let names = entries.map(|e| Ok(e?.file_name().as_ref().to_vec()));
            names.collect::<Result<BTreeSet<_>, _>>()
        });
        match listed {
            Ok(mut theirs) => {
                theirs.remove(&b"."[..]);
                theirs.remove(&b".."[..]);
                if theirs != ours {
                    self.say(path, "lists other names");
                }
            }
            Err(e) => self.say(path, e),
        }
    }

    fn node(&mut self, path: &[u8], id: NodeId) {
        let node = *self.tree.node(id);
        let theirs = match self.view.symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(e) => return self.say(path, e),
        };
        let meta = node.meta;
        let time = |t: Timestamp| {
            let t = if node.implied { self.newest } else { t };
            let t = t.min(self.newest);
            (t.sec, t.nsec)
        };
        let seen = |t: ext4_view::Timestamp| (t.seconds(), t.nanoseconds());
        let ours = (
            (kind(&node), meta.mode, meta.uid, meta.gid),
            [time(meta.atime), time(meta.mtime), time(meta.mtime)],
        );
        let theirs = (
            (
                theirs.file_type(),
                theirs.mode(),
                theirs.uid(),
                theirs.gid(),
            ),
            [
                theirs.accessed(),
                theirs.modified(),
                theirs.created().unwrap(),
            ]
            .map(seen),
        );
        if ours != theirs {
            self.say(path, format!("{theirs:?} instead of {ours:?}"));
        }
        match node.kind {
            // ext4-view 1.0.0 takes targets for paths, whose components end at 255 bytes; Linux does not.
            NodeKind::Symlink { target }
                if self
                    .tree
                    .target(target)
                    .split(|&b| b == b'/')
                    .any(|c| c.len() > 255) => {}
            NodeKind::Symlink { target } => match self.view.read_link(path) {
                Ok(theirs) if theirs.as_ref() as &[u8] == self.tree.target(target) => {}
                Ok(theirs) => self.say(path, format!("leads to {}", theirs.display())),
                Err(e) => self.say(path, e),
            },
            NodeKind::File { size, .. } => self.file(path, id, size),
            _ => {}
        }
    }

    fn file(&mut self, path: &[u8], id: NodeId, size: u64) {
        let written = self.written[&id].clone();
        let whole = [DataRun {
            offset: 0,
            len: size,
        }];
        let runs = match &written.entry.kind {
            EntryKind::File {
                data: Some(runs), ..
            } => &runs[..],
            _ => &whole,
        };
        let mut parts = vec![(0, size.min(WHOLE))];
        if size > WHOLE {
            let edges = runs
                .iter()
                .map(|r| (r.offset.saturating_sub(9), r.offset + r.len + 9));
            parts.extend(edges.map(|(from, to)| (from, to.min(size))));
            parts.push((size - 9, size));
            parts.retain(|&(_, to)| to <= REACH);
        }
        let pattern = written.data().unwrap();
        for (from, to) in parts {
            let seen = match self.read(path, from, usize::try_from(to - from).unwrap()) {
                Ok(seen) => seen,
                Err(e) => return self.say(path, e),
            };
            let mut ours = vec![0; seen.len()];
            for run in runs {
                for at in run.offset.max(from)..(run.offset + run.len).min(to) {
                    ours[usize::try_from(at - from).unwrap()] = pattern.byte(at);
                }
            }
            if let Some(at) = (0..ours.len()).find(|&at| ours[at] != seen[at]) {
                self.say(path, format!("other data from byte {}", from + at as u64));
            }
        }
    }

    fn read(&self, path: &[u8], from: u64, len: usize) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut file = self.view.open(path)?;
        file.seek_to(from)?;
        let (mut bytes, mut at) = (vec![0; len], 0);
        while at < len {
            match file.read_bytes(&mut bytes[at..])? {
                0 => return Err(format!("ends at byte {}", from + at as u64).into()),
                n => at += n,
            }
        }
        Ok(bytes)
    }
}

fn kind(node: &Node) -> FileType {
    match node.kind {
        NodeKind::File { .. } => FileType::Regular,
        NodeKind::Directory { .. } => FileType::Directory,
        NodeKind::Symlink { .. } => FileType::Symlink,
        NodeKind::CharDevice { .. } => FileType::CharacterDevice,
        NodeKind::BlockDevice { .. } => FileType::BlockDevice,
        NodeKind::Fifo => FileType::Fifo,
    }
}
