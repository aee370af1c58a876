//! An entry of an archive, decoded: what every kind of archive comes down to, and what a tree is made of.

use crate::units::Timestamp;

/// One member of an archive, without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as the archive has it: any bytes but NUL; not yet normalised.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, set-id bits and the sticky bit (07777); no file type.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last access, where the archive has it.
    pub atime: Option<Timestamp>,
    /// Last change of the inode, where the archive has it.
    pub ctime: Option<Timestamp>,
    /// Extended attributes: full name (`user.x`, `security.capability`) and value, in archive order,
    /// names unique (the last record of a name wins).
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// POSIX ACL in text form, from `SCHILY.acl.access`.
    pub acl_access: Option<Vec<u8>>,
    /// POSIX default ACL in text form, from `SCHILY.acl.default`.
    pub acl_default: Option<Vec<u8>>,
    /// Byte offset of the entry's header in the (decompressed) archive: where to point a person. 0 in a
    /// folder.
    pub offset: u64,
}

impl Entry {
    /// An entry of root's (0:0) without permissions, extras or a place in an archive, last changed at the
    /// beginning of 1970.
    #[must_use]
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            atime: None,
            ctime: None,
            xattrs: Vec::new(),
            acl_access: None,
            acl_default: None,
            offset: 0,
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; its data follows.
    File {
        /// Apparent size in bytes, holes counted.
        size: u64,
        /// The parts that hold data, sorted and disjoint, lengths above 0; `None` when it is dense.
        /// Their data follows in this order.
        data: Option<Vec<DataRun>>,
    },
    /// Another name for an earlier entry.
    HardLink {
        /// That entry's name, not yet normalised.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to, verbatim.
        target: Vec<u8>,
    },
    /// A directory.
    Directory,
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

/// A part of a sparse file that holds data; both in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRun {
    /// Offset in the file.
    pub offset: u64,
    /// Length, above 0.
    pub len: u64,
}
