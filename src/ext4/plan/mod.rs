//! Everything's place: the sums that turn a placed tree into a filesystem.
//!
//! In order: inode numbers, spread of directories, blocks for directories, long symbolic links,
//! attributes and extent trees, then (when fitted) the geometry, the resize inode, the journal, bitmaps
//! and inode tables, and at last the groups' accounts. Nothing is written here; [`super::emit`] renders
//! any block of a [`Plan`].

pub(super) mod accounts;
mod acl;
mod attributes;
mod behind;
pub(super) mod bitmap;
pub(super) mod directory;
mod error;
mod inodes;
mod pieces;
pub(super) mod xattr;

pub use directory::DirectoryTooLarge;
pub use error::PlanError;
pub use inodes::lost_found;
pub use pieces::{Piece, PieceKind};
pub use xattr::XattrError;

use super::alloc::Allocator;
use super::block_set::BlockSet;
use super::disk::group_desc::GroupDesc;
use super::extent_tree;
use super::formatter::{Fixed, Formatter, LOST_FOUND_BLOCKS, Shape};
use super::geometry::{BLOCK, Geometry, Need};
use super::place::Placement;
use super::tables::{Tables, supers};
use crate::acl::text::NoNames;
use crate::tree::{DataId, NodeId, NodeKind, Sorted, Tree};
use crate::units::{InodeNr, Timestamp, count, index32};
use attributes::XattrBlock;
use behind::behind;
use directory::Layout;
use std::collections::HashMap;
use std::ops::Range;

/// The longest symbolic link target that an inode holds itself.
pub(crate) const FAST_SYMLINK_MAX: usize = 59;

/// What makes a filesystem this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `s_uuid`.
    pub uuid: [u8; 16],
    /// `s_hash_seed`.
    pub hash_seed: [u8; 16],
    /// `s_volume_name`, padded with zeros.
    pub label: [u8; 16],
    /// When it was made; no file shows a later time.
    pub time: Timestamp,
}

impl Identity {
    /// `s_hash_seed` as the hash takes it.
    #[must_use]
    pub fn hash_seed_words(&self) -> [u32; 4] {
        let b = &self.hash_seed;
        [0, 4, 8, 12].map(|i| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]))
    }
}

/// A filesystem, decided to the last block.
#[derive(Debug)]
pub struct Plan {
    pub(crate) geometry: Geometry,
    pub(crate) tables: Tables,
    pub(crate) identity: Identity,
    pub(crate) tree: Tree,
    pub(crate) sorted: Sorted,
    pub(crate) placement: Placement,
    /// The node of each inode from 11 on; the root has number 2.
    pub(crate) inodes: Vec<NodeId>,
    /// Inode number by node; 0 for nodes that nothing leads to.
    pub(crate) numbers: Vec<u32>,
    /// Blocks of directories and long symbolic links, by node.
    pub(crate) own_data: HashMap<NodeId, DataId>,
    /// Directories that are htrees.
    pub(crate) htrees: HashMap<NodeId, Layout>,
    /// First block of the extent trees that do not fit their inode, by node.
    pub(crate) extent_nodes: HashMap<NodeId, u64>,
    /// Attributes that stand in the inode.
    pub(crate) xattr_bodies: HashMap<attributes::Bearer, Box<[u8; xattr::BODY]>>,
    pub(crate) xattr_blocks: Vec<XattrBlock>,
    pub(crate) xattr_block_of: HashMap<NodeId, u32>,
    pub(crate) resize_dind: u64,
    pub(crate) journal: Vec<Range<u64>>,
    pub(crate) journal_node: u64,
    pub(crate) used: BlockSet,
    pub(crate) groups: Vec<GroupDesc>,
    pub(crate) pieces: Vec<Piece>,
}

impl Plan {
    /// The filesystem's shape.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The tree it holds.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.geometry.blocks * BLOCK
    }

    /// Blocks in use, its own among them.
    #[must_use]
    pub fn used_blocks(&self) -> u64 {
        self.used.len()
    }

    /// Inodes in use: the ten reserved ones and those of the tree.
    #[must_use]
    pub fn used_inodes(&self) -> u64 {
        10 + count(self.inodes.len())
    }

    /// Bytes that `df` shows as available: what is free, less root's reserve and the kernel's.
    #[must_use]
    pub fn available(&self) -> u64 {
        let g = &self.geometry;
        let free = g.blocks - self.used_blocks();
        free.saturating_sub(g.reserved_blocks + g.kernel_reserve()) * BLOCK
    }

    /// The inode number of a node that something leads to.
    #[must_use]
    pub fn inode(&self, node: NodeId) -> Option<InodeNr> {
        self.numbers
            .get(index32(node.0))
            .filter(|&&n| n != 0)
            .map(|&n| InodeNr(n))
    }

    /// The node of an inode of the tree.
    pub(crate) fn node_of(&self, inode: u32) -> Option<NodeId> {
        if inode == super::disk::inode::EXT4_ROOT_INO {
            return Some(crate::tree::ROOT);
        }
        self.inodes.get(index32(inode.checked_sub(11)?)).copied()
    }

    /// The blocks of a node's content, whatever its kind.
    pub(crate) fn content(&self, node: NodeId) -> Option<DataId> {
        match self.tree.node(node).kind {
            NodeKind::File { data, .. } => data,
            _ => self.own_data.get(&node).copied(),
        }
    }
}

impl Formatter {
    /// Plans everything else.
    ///
    /// # Errors
    /// When the tree does not fit, or holds what ext4 cannot.
    pub fn finish(
        self,
        tree: Tree,
        identity: &Identity,
        inodes: Option<u32>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Plan, PlanError> {
        plan(self, tree, identity, inodes, warn)
    }
}

/// What the steps hand on.
struct Steps<'a> {
    alloc: Allocator,
    placement: Placement,
    tree: Tree,
    sorted: Sorted,
    identity: &'a Identity,
    inodes: Vec<NodeId>,
    own_data: HashMap<NodeId, DataId>,
    htrees: HashMap<NodeId, Layout>,
}

fn plan(
    formatter: Formatter,
    mut tree: Tree,
    identity: &Identity,
    wanted_inodes: Option<u32>,
    warn: &mut dyn FnMut(String),
) -> Result<Plan, PlanError> {
    let Formatter {
        shape,
        mut alloc,
        placement,
    } = formatter;
    if let Some(entry) = lost_found(&tree, identity.time) {
        for id in tree.insert(&entry)?.dropped {
            let gone = placement.extents(id).iter();
            gone.for_each(|e| alloc.give_back(e.blocks()));
        }
    }
    let sorted = tree.sorted();
    // Those of a tree that was made by hand; an image has settled its own, with names.
    tree.settle_acls(&sorted, &NoNames, warn)?;
    let (inodes, numbers) = inodes::number(&tree, &sorted);
    let mut s = Steps {
        alloc,
        placement,
        tree,
        sorted,
        identity,
        inodes,
        own_data: HashMap::new(),
        htrees: HashMap::new(),
    };
    let fixed = match &shape {
        Shape::Sized(fixed) => Some(fixed),
        Shape::Fitted { .. } => None,
    };
    s.place_directories(fixed.map(|f| &**f))?;
    s.place_symlinks();
    let mut xattrs = s.encode_xattrs(warn)?;
    for block in &mut xattrs.blocks {
        match s.alloc.take(1) {
            Some(run) => block.nr = run.start,
            None => s.alloc.miss(1),
        }
    }
    let extent_nodes = s.place_extent_trees();

    let tree_inodes = 10 + count(s.inodes.len());
    let missing = s.alloc.missing();
    let (geometry, tables, resize_dind, journal, journal_node, mut used) = match shape {
        Shape::Sized(fixed) => {
            let mut f = *fixed;
            s.release_lost_found(&mut f);
            if missing > 0 {
                let size = f.geometry.blocks * BLOCK;
                let missing = f.enough(missing, tree_inodes)? - size;
                return Err(PlanError::Full { size, missing });
            }
            (
                f.geometry,
                f.tables,
                f.resize_dind,
                f.journal,
                f.journal_node,
                f.blocks,
            )
        }
        Shape::Fitted {
            descriptor_blocks,
            available,
        } => {
            let dind = s.alloc.take(1).filter(|_| missing == 0);
            let dind = dind.ok_or(PlanError::Unplaced)?.start;
            let least = tree_inodes + tree_inodes / 10;
            let (g, b) = behind(
                &mut s.alloc,
                Need {
                    content: 0,
                    reach: 0,
                    inodes: wanted_inodes.map_or(least, u64::from).max(tree_inodes + 1),
                    available,
                    descriptor_blocks,
                },
            )?;
            (g, b.tables, dind, b.journal, b.journal_node, supers(&g))
        }
    };
    if tree_inodes > geometry.inodes() {
        return Err(PlanError::TooManyFiles {
            files: tree_inodes,
            inodes: geometry.inodes(),
        });
    }
    for run in s.alloc.taken().iter() {
        used.insert(run);
    }
    let mut plan = Plan {
        geometry,
        tables,
        identity: *identity,
        tree: s.tree,
        sorted: s.sorted,
        placement: s.placement,
        inodes: s.inodes,
        numbers,
        own_data: s.own_data,
        htrees: s.htrees,
        extent_nodes,
        xattr_bodies: xattrs.bodies,
        xattr_blocks: xattrs.blocks,
        xattr_block_of: xattrs.block_of,
        resize_dind,
        journal,
        journal_node,
        used,
        groups: Vec::new(),
        pieces: Vec::new(),
    };
    plan.groups = accounts::groups(&plan);
    plan.pieces = pieces::pieces(&plan);
    Ok(plan)
}

impl Steps<'_> {
    /// The root and every inode of the tree.
    fn nodes(&self) -> Vec<NodeId> {
        std::iter::once(crate::tree::ROOT)
            .chain(self.inodes.iter().copied())
            .collect()
    }

    fn path(&self, node: NodeId) -> String {
        self.tree.shown_path(&self.sorted, node)
    }

    fn place_directories(&mut self, fixed: Option<&Fixed>) -> Result<(), PlanError> {
        let lost_found = self.inodes.first().copied();
        let seed = self.identity.hash_seed_words();
        for node in self.nodes() {
            if !self.tree.node(node).is_directory() {
                continue;
            }
            let least = if Some(node) == lost_found {
                LOST_FOUND_BLOCKS
            } else {
                1
            };
            let layout =
                Layout::new(&self.tree, &self.sorted, node, &seed, least).map_err(|source| {
                    PlanError::Directory {
                        path: self.path(node),
                        source,
                    }
                })?;
            let preset = match fixed {
                Some(f) if node == crate::tree::ROOT => f.root..f.root + 1,
                Some(f) if Some(node) == lost_found => {
                    f.lost_found..f.lost_found + LOST_FOUND_BLOCKS
                }
                _ => 0..0,
            };
            let id = self
                .placement
                .add_behind(&mut self.alloc, preset, layout.blocks());
            self.own_data.insert(node, id);
            if layout.is_htree() {
                self.htrees.insert(node, layout);
            }
        }
        Ok(())
    }

    /// Gives back the blocks that mke2fs keeps for lost+found and the archive's own has no use for.
    fn release_lost_found(&self, fixed: &mut Fixed) {
        let id = self.inodes.first().and_then(|n| self.own_data.get(n));
        let extents = id.map_or(&[][..], |&id| self.placement.extents(id));
        let len: u64 = extents.iter().map(|e| u64::from(e.len)).sum();
        let kept = fixed.lost_found..fixed.lost_found + LOST_FOUND_BLOCKS;
        fixed
            .blocks
            .remove((kept.start + len).min(kept.end)..kept.end);
    }

    fn place_symlinks(&mut self) {
        for node in self.nodes() {
            if let NodeKind::Symlink { target } = self.tree.node(node).kind
                && target.len() > FAST_SYMLINK_MAX
            {
                let id = self.placement.add_behind(&mut self.alloc, 0..0, 1);
                self.own_data.insert(node, id);
            }
        }
    }

    fn place_extent_trees(&mut self) -> HashMap<NodeId, u64> {
        let mut first = HashMap::new();
        for node in self.nodes() {
            let data = match self.tree.node(node).kind {
                NodeKind::File { data, .. } => data,
                _ => self.own_data.get(&node).copied(),
            };
            let Some(data) = data else { continue };
            let blocks = extent_tree::blocks(self.placement.extents(data).len());
            if blocks > 0 {
                match self.alloc.take_contiguous(blocks) {
                    Some(at) => {
                        first.insert(node, at);
                    }
                    None => self.alloc.miss(blocks),
                }
            }
        }
        first
    }
}

/// Inode numbers in group `group`: first and one past the last, as counted from 0.
pub(crate) fn group_inodes(g: &Geometry, group: u64) -> Range<u64> {
    group * g.inodes_per_group..(group + 1) * g.inodes_per_group
}
