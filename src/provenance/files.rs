//! Every file of an image, a record each.

use crate::hex::hex;
use crate::image::Digests;
use crate::tree::{NodeId, NodeKind, Tree};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The files of an image.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The tree that is in it.
    pub tree: &'a Tree,
    /// The digests of what its files hold.
    pub digests: &'a Digests,
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRecord<'a> {
    /// Its path, from `/`. Bytes that are no UTF-8 are replaced; then `path_hex` has all of them.
    pub path: Cow<'a, str>,
    /// The bytes of a path that is no UTF-8, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// `file`, `directory`, `symlink`, `hardlink`, `char`, `block` or `fifo`. A hard link is a further name of
    /// a file, and has nothing but its target.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Permission, set-id and sticky bits in octal, four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Bytes of a file, with its holes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of a file, in hex. A file of terabytes of holes has none: see [`Digests::of`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a symbolic link points; of a hard link the file's first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `major:minor` of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Extended attributes by name, values in hex.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
}

impl Files<'_> {
    /// Calls `visit` for every name in canonical order: directories before what is in them.
    pub fn each(&self, mut visit: impl FnMut(FileRecord<'_>)) {
        let mut named: HashMap<NodeId, String> = HashMap::new();
        let mut path = String::from("/");
        self.tree.walk(&self.tree.sorted(), |bytes, id| {
            path.truncate(1);
            path.push_str(&String::from_utf8_lossy(bytes));
            let mut record = self.record(id);
            record.path = Cow::Borrowed(&path);
            record.path_hex = std::str::from_utf8(bytes).is_err().then(|| hex(bytes));
            let node = self.tree.node(id);
            if node.links > 1 && !node.is_directory() {
                if let Some(first) = named.get(&id) {
                    record = FileRecord {
                        kind: "hardlink",
                        target: Some(first.clone()),
                        path: record.path,
                        path_hex: record.path_hex,
                        ..FileRecord::empty()
                    };
                } else {
                    named.insert(id, path.clone());
                }
            }
            visit(record);
        });
    }

    fn record(&self, id: NodeId) -> FileRecord<'static> {
        let node = self.tree.node(id);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut record = FileRecord {
            mode: Some(format!("{:04o}", node.meta.mode)),
            uid: Some(node.meta.uid),
            gid: Some(node.meta.gid),
            ..FileRecord::empty()
        };
        let xattrs = self.tree.xattrs(id).iter();
        record.xattrs = xattrs
            .map(|(name, value)| (text(name), hex(value)))
            .collect();
        match node.kind {
            NodeKind::File { size, .. } => {
                record.kind = "file";
                record.size = Some(size);
                record.sha256 = self.digests.of(node.kind).map(|digest| hex(&digest));
            }
            NodeKind::Directory { .. } => record.kind = "directory",
            NodeKind::Symlink { target } => {
                record.kind = "symlink";
                record.target = Some(text(self.tree.target(target)));
            }
            NodeKind::CharDevice { major, minor } => {
                record.kind = "char";
                record.device = Some(format!("{major}:{minor}"));
            }
            NodeKind::BlockDevice { major, minor } => {
                record.kind = "block";
                record.device = Some(format!("{major}:{minor}"));
            }
            NodeKind::Fifo => record.kind = "fifo",
        }
        record
    }
}

impl FileRecord<'_> {
    fn empty() -> Self {
        Self {
            path: Cow::Borrowed(""),
            path_hex: None,
            kind: "",
            mode: None,
            uid: None,
            gid: None,
            size: None,
            sha256: None,
            target: None,
            device: None,
            xattrs: BTreeMap::new(),
        }
    }
}
