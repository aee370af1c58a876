//! Files that one side alone has, and those that differ.

use super::DiffError;
use super::blocks::Blocks;
use super::side::{Root, Side};
use crate::display::{display_path, display_time};
use crate::hex::hex;
use crate::inspect::data;
use crate::inspect::files::{Files, Kind, Node};
use crate::observe::Observer;
use crate::tree::{NodeId, NodeKind, ROOT};
use crate::units::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// A file that one side alone has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// What it is.
    pub kind: &'static str,
    /// Size in bytes.
    pub size: u64,
}

/// A file that both have, and that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// What differs: field, what it is in the first, what in the second. Of content, the sizes.
    pub what: Vec<(&'static str, String, String)>,
}

/// What differs of files, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileChanges {
    /// In the second alone.
    pub added: Vec<Entry>,
    /// In the first alone.
    pub removed: Vec<Entry>,
    /// In both.
    pub changed: Vec<Changed>,
}

impl FileChanges {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A file of either side.
#[derive(Clone, Debug)]
struct File {
    kind: &'static str,
    mode: u16,
    owner: (u32, u32),
    size: u64,
    mtime: Timestamp,
    target: Vec<u8>,
    device: (u32, u32),
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: Bytes,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
enum Bytes {
    None,
    Node(Box<Node>),
    Digest([u8; 32]),
}

/// Compares the files of two sides.
///
/// Of two images, a file that lies at one place in both, in blocks that do not differ, is not read again.
pub(super) fn files(
    a: &Side,
    b: &Side,
    blocks: Option<&Blocks>,
    observer: &dyn Observer,
) -> Result<FileChanges, DiffError> {
    let (a_root, b_root) = (a.root()?, b.root()?);
    let offset = |side: &Side| Some(side.disk()?.1.root()?.offset);
    let place = offset(a).filter(|at| offset(b) == Some(*at));
    let untouched = |a: &File, b: &File| {
        let (Some(blocks), Some(place)) = (blocks, place) else {
            return false;
        };
        let (Root::Files(a_files), Root::Files(b_files)) = (&a_root, &b_root) else {
            return false;
        };
        let (a, b) = (runs(a_files, a), runs(b_files, b));
        let same = a == b && a.as_ref().is_some_and(|runs| !runs.is_empty());
        let mut runs = a.iter().flatten();
        same && runs.all(|(_, at, len, _)| blocks.untouched(place + at, *len))
    };
    let (left, mut right) = (list(&a_root, observer)?, list(&b_root, observer)?);
    let mut changes = FileChanges::default();
    let entry = |path: &[u8], file: &File| Entry {
        path: shown(path),
        kind: file.kind,
        size: file.size,
    };
    for (path, old) in left {
        if observer.cancelled() {
            return Err(DiffError::Interrupted);
        }
        let Some(new) = right.remove(&path) else {
            changes.removed.push(entry(&path, &old));
            continue;
        };
        let mut what = fields(&old, &new);
        let at_once = old.size == new.size && untouched(&old, &new);
        if old.kind == new.kind && !at_once && !same_bytes((&a_root, &old), (&b_root, &new), &path)?
        {
            what.push(("content", old.size.to_string(), new.size.to_string()));
        }
        if !what.is_empty() {
            let path = shown(&path);
            changes.changed.push(Changed { path, what });
        }
    }
    changes.added = right.iter().map(|(path, file)| entry(path, file)).collect();
    Ok(changes)
}

fn shown(path: &[u8]) -> String {
    format!("/{}", display_path(path))
}

/// Where a file lies in its filesystem, in bytes: in the file, on the volume, how many, whether written.
fn runs(files: &Files, file: &File) -> Option<Vec<(u64, u64, u64, bool)>> {
    let (Files::Ext4(reader), Bytes::Node(node)) = (files, &file.bytes) else {
        return None;
    };
    let size = reader.block_size();
    let mapping = reader.mapping(node.inode()?).ok()?;
    let runs = mapping.runs.into_iter();
    let bytes = runs.map(|r| (r.logical * size, r.physical * size, r.len * size, r.written));
    Some(bytes.collect())
}

/// Every field but the content.
fn fields(a: &File, b: &File) -> Vec<(&'static str, String, String)> {
    let mut what = Vec::new();
    let mut field = |name, a: String, b: String| {
        if a != b {
            what.push((name, a, b));
        }
    };
    field("kind", a.kind.into(), b.kind.into());
    field("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode));
    let owner = |f: &File| format!("{}:{}", f.owner.0, f.owner.1);
    field("owner", owner(a), owner(b));
    let time = |f: &File| format!("{}.{:09}", display_time(f.mtime), f.mtime.nsec);
    field("mtime", time(a), time(b));
    let target = |f: &File| display_path(&f.target).to_string();
    field("target", target(a), target(b));
    let device = |f: &File| format!("{}, {}", f.device.0, f.device.1);
    field("device", device(a), device(b));
    let xattrs = |f: &File| {
        let each = f.xattrs.iter();
        let each = each.map(|(name, value)| format!("{}={}", display_path(name), hex(value)));
        each.collect::<Vec<_>>().join(" ")
    };
    if a.xattrs != b.xattrs {
        field("xattrs", xattrs(a), xattrs(b));
    }
    what
}

fn same_bytes(
    (a_root, a): (&Root<'_>, &File),
    (b_root, b): (&Root<'_>, &File),
    path: &[u8],
) -> Result<bool, DiffError> {
    if a.kind != "file" || a.size != b.size {
        return Ok(a.size == b.size);
    }
    let fail = |source| DiffError::File {
        path: shown(path),
        source,
    };
    match (&a.bytes, &b.bytes) {
        (Bytes::Digest(a), Bytes::Digest(b)) => return Ok(a == b),
        (Bytes::None, _) | (_, Bytes::None) => return Ok(true),
        _ => {}
    }
    let digest = |root: &Root<'_>, file: &File| match (root, &file.bytes) {
        (_, Bytes::Digest(digest)) => Ok(*digest),
        (Root::Files(files), Bytes::Node(node)) => {
            let opened = files.data(node, path).map_err(fail)?;
            data::digest(&opened).map_err(fail)
        }
        _ => Ok([0; 32]),
    };
    if let (Root::Files(left), Root::Files(right), Bytes::Node(old), Bytes::Node(new)) =
        (a_root, b_root, &a.bytes, &b.bytes)
    {
        let old = left.data(old, path).map_err(fail)?;
        let new = right.data(new, path).map_err(fail)?;
        return data::same(&old, &new).map_err(fail);
    }
    Ok(digest(a_root, a)? == digest(b_root, b)?)
}

/// All files of a side, by path.
fn list(root: &Root<'_>, observer: &dyn Observer) -> Result<BTreeMap<Vec<u8>, File>, DiffError> {
    let mut all = BTreeMap::new();
    match root {
        Root::Nothing => {}
        Root::Files(files) => {
            let fail = |path: &[u8], source| DiffError::File {
                path: shown(path),
                source,
            };
            let start = files.root().map_err(|e| fail(b"", e))?;
            for met in files.walk(start) {
                if observer.cancelled() {
                    return Err(DiffError::Interrupted);
                }
                match met {
                    Ok(met) => {
                        let file = of_node(files, met.node).map_err(|e| fail(&met.path, e))?;
                        all.insert(met.path, file);
                    }
                    Err((path, e)) => {
                        observer.warn(&format!("{}: left out: {e}", shown(&path)));
                    }
                }
            }
        }
        Root::Archived(archived) => {
            let sorted = archived.tree.sorted();
            all.insert(Vec::new(), of_tree(archived, ROOT));
            archived.tree.walk(&sorted, |path, id| {
                all.insert(path.to_vec(), of_tree(archived, id));
            });
        }
    }
    Ok(all)
}

fn of_node(files: &Files, node: Node) -> Result<File, super::FilesError> {
    Ok(File {
        kind: node.kind.word(),
        mode: node.mode,
        owner: (node.uid, node.gid),
        // A directory's size is the filesystem's affair, a link's is its target's.
        size: if node.kind == Kind::File {
            node.size
        } else {
            0
        },
        mtime: node.mtime,
        target: match node.kind {
            Kind::Symlink => files.target(&node)?,
            _ => Vec::new(),
        },
        device: node.device.unwrap_or_default(),
        xattrs: files.xattrs(&node)?.into_iter().collect(),
        bytes: match node.kind {
            Kind::File => Bytes::Node(Box::new(node)),
            _ => Bytes::None,
        },
    })
}

fn of_tree(archived: &super::archive::Archived, id: NodeId) -> File {
    let tree = &archived.tree;
    let node = tree.node(id);
    let mut file = File {
        kind: "directory",
        mode: node.meta.mode,
        owner: (node.meta.uid, node.meta.gid),
        size: 0,
        mtime: node.meta.mtime,
        target: Vec::new(),
        device: (0, 0),
        xattrs: tree.xattrs(id).iter().cloned().collect(),
        bytes: Bytes::None,
    };
    if node.implied {
        // As an image has it: as new as its newest file.
        file.mtime = tree.newest().unwrap_or_default();
    }
    match node.kind {
        NodeKind::Directory { .. } => {}
        NodeKind::File { size, data } => {
            file.kind = "file";
            file.size = size;
            let digest = data.and_then(|data| archived.digest(data));
            file.bytes = digest.map_or(Bytes::None, Bytes::Digest);
        }
        NodeKind::Symlink { target } => {
            file.kind = "symlink";
            file.target = tree.target(target).to_vec();
        }
        NodeKind::CharDevice { major, minor } => {
            file.kind = "character device";
            file.device = (major, minor);
        }
        NodeKind::BlockDevice { major, minor } => {
            file.kind = "block device";
            file.device = (major, minor);
        }
        NodeKind::Fifo => file.kind = "fifo",
    }
    file
}
