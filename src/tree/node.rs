//! What the arena holds.

use crate::units::Timestamp;

/// A node of the tree: an inode to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// The data of a regular file, by the number that its placement gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataId(pub u32);

/// A set of extended attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct XattrSetId(pub u32);

/// A range of the tree's byte buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    pub(super) offset: u64,
    pub(super) len: u16,
}

impl Name {
    /// Length in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Whether it is empty; no name or target of a tree is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Owner, mode and times of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permission, set-id and sticky bits (07777).
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
}

impl Meta {
    /// Root's, with the permissions `mode` (07777) and the times of [`Timestamp::default`].
    #[must_use]
    pub fn new(mode: u16) -> Self {
        Self {
            mode,
            ..Self::directory()
        }
    }

    /// The same, of that owner and group.
    #[must_use]
    pub fn owner(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }

    /// The same, with `time` for all three times.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Self {
        Self {
            mtime: time,
            atime: time,
            ctime: time,
            ..self
        }
    }

    /// A directory that no entry describes: 0755, root's. Its time stands for "none": the image gives it
    /// its own.
    #[must_use]
    pub fn directory() -> Self {
        let t = Timestamp::default();
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: t,
            atime: t,
            ctime: t,
        }
    }
}

/// One file of the tree, whatever its type.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Owner, mode and times.
    pub meta: Meta,
    /// What it is.
    pub kind: NodeKind,
    /// Names that lead to it; 0 when it was replaced. A directory has 1.
    pub links: u32,
    /// Extended attributes.
    pub xattrs: Option<XattrSetId>,
    /// Whether no entry described it: a parent made because it was missing.
    pub implied: bool,
    /// Of a directory: the last layer that described it or put something below it.
    pub(super) layer: u16,
    /// Of a directory: the last layer that has hidden what lower ones put into it.
    pub(super) cleared: u16,
    /// Of a directory: the dirent that was added to it last; [`NO_DIRENT`] when none was.
    pub(super) last: u32,
}

/// The end of a directory's list of dirents.
pub(super) const NO_DIRENT: u32 = u32::MAX;

impl Node {
    pub(super) fn new(meta: Meta, kind: NodeKind, implied: bool) -> Self {
        Self {
            meta,
            kind,
            links: 1,
            xattrs: None,
            implied,
            layer: 0,
            cleared: 0,
            last: NO_DIRENT,
        }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory { .. })
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Apparent size in bytes.
        size: u64,
        /// Its data; `None` when it has none.
        data: Option<DataId>,
    },
    /// A directory.
    Directory {
        /// The directory it lies in; the root is its own.
        parent: NodeId,
        /// Names in it.
        entries: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points: [`super::Tree::target`].
        target: Name,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dirent {
    pub(super) parent: NodeId,
    pub(super) child: NodeId,
    pub(super) name: Name,
    /// False once it was removed or its directory was.
    pub(super) live: bool,
    /// The layer whose entry it leads to.
    pub(super) layer: u16,
    /// The dirent added to the same directory before it.
    pub(super) previous: u32,
}
