//! Files of either side, and all of a volume by their paths.

use super::archive::Archived;
use super::side::Root;
use crate::inspect::files::{FilesError, Kind, Node};
use crate::observe::Observer;
use crate::tree::{NodeId, NodeKind, ROOT};
use crate::units::Timestamp;
use std::collections::BTreeMap;

/// A file of either side. What more there is to know of it is read when it is compared.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) kind: &'static str,
    pub(super) mode: u16,
    pub(super) owner: (u32, u32),
    pub(super) size: u64,
    pub(super) mtime: Timestamp,
    pub(super) device: (u32, u32),
    pub(super) from: From,
}

/// Where a file comes from.
#[derive(Clone, Debug)]
pub(super) enum From {
    /// An image.
    Node(Box<Node>),
    /// An archive.
    Tree(NodeId),
}

/// Extended attributes by their names.
pub(super) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

impl File {
    /// What the names of one file share; nothing shares a directory.
    pub(super) fn id(&self) -> Option<u64> {
        (self.kind != Kind::Directory.word()).then_some(match &self.from {
            From::Node(node) => node.id,
            From::Tree(id) => id.0.into(),
        })
    }

    /// What a symbolic link points to; empty of all else.
    pub(super) fn target(&self, root: Root<'_>) -> Result<Vec<u8>, FilesError> {
        match (root, &self.from) {
            (Root::Files(files), From::Node(node)) if node.kind == Kind::Symlink => {
                files.target(node)
            }
            (Root::Archived(archived), From::Tree(id)) => Ok(match archived.tree.node(*id).kind {
                NodeKind::Symlink { target } => archived.tree.target(target).to_vec(),
                _ => Vec::new(),
            }),
            _ => Ok(Vec::new()),
        }
    }

    pub(super) fn xattrs(&self, root: Root<'_>) -> Result<Xattrs, FilesError> {
        match (root, &self.from) {
            (Root::Files(files), From::Node(node)) => Ok(files.xattrs(node)?.into_iter().collect()),
            (Root::Archived(archived), From::Tree(id)) => {
                Ok(archived.tree.xattrs(*id).iter().cloned().collect())
            }
            _ => Ok(Xattrs::new()),
        }
    }
}

/// All files of a volume.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) files: BTreeMap<Vec<u8>, File>,
    /// What cannot be read, and why.
    pub(super) unread: BTreeMap<Vec<u8>, FilesError>,
}

impl Listed {
    /// Lists a volume; `None` when somebody said stop.
    pub(super) fn of(root: Root<'_>, observer: &dyn Observer) -> Option<Self> {
        let mut listed = Self::default();
        match root {
            Root::Nothing => {}
            Root::Files(files) => match files.root() {
                Ok(start) => {
                    for met in files.walk(start) {
                        if observer.cancelled() {
                            return None;
                        }
                        match met {
                            Ok(met) => drop(listed.files.insert(met.path, of_node(met.node))),
                            Err((path, e)) => drop(listed.unread.insert(path, e)),
                        }
                    }
                }
                Err(e) => drop(listed.unread.insert(Vec::new(), e)),
            },
            Root::Archived(archived) => {
                let sorted = archived.tree.sorted();
                let root = of_tree(archived, ROOT);
                listed.files.insert(Vec::new(), root);
                archived.tree.walk(&sorted, |path, id| {
                    listed.files.insert(path.to_vec(), of_tree(archived, id));
                });
            }
        }
        Some(listed)
    }

    /// Whether nobody knows if there is such a file: it, or a directory above it, cannot be read.
    pub(super) fn hides(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        let above = slashes.map(|(at, _)| &path[..at]);
        !self.unread.is_empty()
            && above
                .chain([&b""[..], path])
                .any(|path| self.unread.contains_key(path))
    }
}

fn of_node(node: Node) -> File {
    File {
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
        device: node.device.unwrap_or_default(),
        from: From::Node(Box::new(node)),
    }
}

fn of_tree(archived: &Archived, id: NodeId) -> File {
    let tree = &archived.tree;
    let node = tree.node(id);
    let mut file = File {
        kind: "directory",
        mode: node.meta.mode,
        owner: (node.meta.uid, node.meta.gid),
        size: 0,
        mtime: node.meta.mtime,
        device: (0, 0),
        from: From::Tree(id),
    };
    if node.implied {
        // As an image has it: as new as its newest file.
        file.mtime = tree.newest().unwrap_or_default();
    }
    match node.kind {
        NodeKind::Directory { .. } => {}
        NodeKind::File { size, .. } => {
            file.kind = "file";
            file.size = size;
        }
        NodeKind::Symlink { .. } => file.kind = "symlink",
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
