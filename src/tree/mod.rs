//! Entries and edits in, one file tree out.
//!
//! The tree is an arena. Names lie in one buffer; a *dirent* ties a name in a directory to a node;
//! hard links are two dirents with one node. The last entry of a name wins. Parents are made when
//! missing, and followed, inside the tree, when they are symbolic links.
//!
//! It knows nothing of formats: what a regular file holds is a [`DataId`], whose meaning is the
//! business of whoever placed the data.

mod acl;
mod error;
mod insert;
mod layer;
mod lookup;
mod node;
mod notes;
mod order;
mod real;

pub use acl::{ACCESS, DEFAULT};
pub use error::TreeError;
pub use insert::Inserted;
pub use node::{DataId, Meta, Node, NodeId, NodeKind, XattrSetId};
pub use notes::Notes;
pub use order::{Child, Sorted};
pub use real::Real;

use crate::units::{Timestamp, count, count32, index, index32};
use acl::Attributes;
use hashbrown::HashTable;
use node::{Dirent, NO_DIRENT, Name};

/// The root directory.
pub const ROOT: NodeId = NodeId(0);

/// Links an inode can have: kernel `EXT4_LINK_MAX`. Directories may have more entries (`dir_nlink`).
pub const LINK_MAX: u32 = 65_000;

/// A file tree.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    dirents: Vec<Dirent>,
    /// Names and symbolic link targets, end to end.
    bytes: Vec<u8>,
    /// (directory, name) → dirent.
    names: HashTable<u32>,
    /// Randomly keyed, against hostile names; its order never reaches a byte of the image.
    hasher: hashbrown::DefaultHashBuilder,
    xattrs: Vec<Attributes>,
    /// Set of attributes → its place in `xattrs`.
    xattr_sets: HashTable<u32>,
    /// The directory that the last path led to: archives list directory by directory.
    last_parent: Option<(Vec<u8>, NodeId)>,
    /// Number of the layer under way, from 1; 0 before the first.
    layer: u16,
}

impl Tree {
    /// A tree with nothing but its root: 0755, root's.
    #[must_use]
    pub fn new() -> Self {
        let root = Node::new(
            Meta::directory(),
            NodeKind::Directory {
                parent: ROOT,
                entries: 0,
            },
            true,
        );
        Self {
            nodes: vec![root],
            dirents: Vec::new(),
            bytes: Vec::new(),
            names: HashTable::new(),
            hasher: hashbrown::DefaultHashBuilder::default(),
            xattrs: Vec::new(),
            xattr_sets: HashTable::new(),
            last_parent: None,
            layer: 0,
        }
    }

    /// The node with that id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[index32(id.0)]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[index32(id.0)]
    }

    /// Every node that was ever made, dead ones (links 0) too, in order of insertion.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(i, n)| (NodeId(count32(i)), n))
    }

    /// Number of nodes ever made: the size of a table keyed by [`NodeId`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.nodes.len()
    }

    /// Ties data to a regular file.
    pub fn set_data(&mut self, id: NodeId, id_of_data: DataId) {
        if let NodeKind::File { data, .. } = &mut self.node_mut(id).kind {
            *data = Some(id_of_data);
        }
    }

    /// The extended attributes of a node, in the order of its entry.
    #[must_use]
    pub fn xattrs(&self, id: NodeId) -> &[(Vec<u8>, Vec<u8>)] {
        self.node(id)
            .xattrs
            .map_or(&[], |set| &self.xattrs[index32(set.0)].xattrs)
    }

    /// The latest time that a file of the tree bears. Files that were replaced or removed do not count:
    /// the same tree has the same time whether it came in one archive or in layers.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let described = self.nodes.iter().filter(|n| n.links > 0 && !n.implied);
        described.map(|n| n.meta.mtime).max()
    }

    /// Where a symbolic link points.
    #[must_use]
    pub fn target(&self, name: Name) -> &[u8] {
        &self.bytes[index(name.offset)..index(name.offset) + usize::from(name.len)]
    }

    fn store(&mut self, bytes: &[u8]) -> Name {
        let offset = count(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        Name {
            offset,
            len: u16::try_from(bytes.len()).expect("callers bound names and targets"),
        }
    }

    fn add_node(&mut self, node: Node) -> Result<NodeId, TreeError> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| TreeError::TooManyNodes)?;
        let layer = self.layer;
        self.nodes.push(Node { layer, ..node });
        Ok(NodeId(id))
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod layer_tests;
#[cfg(test)]
mod tests;
