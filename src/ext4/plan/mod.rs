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
use super::fit::Need;
use super::fixed::{Fixed, SystemFile};
use super::formatter::{Formatter, Shape};
use super::geometry::Geometry;
use super::options::Options;
use super::place::Placement;
use super::tables::{Tables, supers};
use crate::acl::text::NoNames;
use crate::tree::{DataId, NodeId, NodeKind, Sorted, Tree};
use crate::units::{InodeNr, Timestamp, count, index32};
use attributes::XattrBlock;
use behind::{Places, behind};
use directory::{Layout, Room};
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
    /// The nodes by inode number: lost+found, then from [`Plan::first_inode`] on; the root has number 2.
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
    pub(super) journal: SystemFile,
    pub(super) orphan_file: SystemFile,
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
        self.geometry.blocks * self.geometry.block()
    }

    /// Blocks in use, its own among them.
    #[must_use]
    pub fn used_blocks(&self) -> u64 {
        self.used.len()
    }

    /// Inodes in use: the ten reserved ones, those of the tree and the orphan file's.
    #[must_use]
    pub fn used_inodes(&self) -> u64 {
        10 + count(self.inodes.len()) + u64::from(self.geometry.features.orphan_file())
    }

    /// Bytes that `df` shows as available: what is free, less root's reserve and the kernel's.
    #[must_use]
    pub fn available(&self) -> u64 {
        let g = &self.geometry;
        let free = g.blocks - self.used_blocks();
        free.saturating_sub(g.reserved_blocks + g.kernel_reserve()) * g.block()
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
        let nth = match inode {
            inodes::LOST_FOUND_INO => 0,
            _ => inode.checked_sub(self.first_inode())?.checked_add(1)?,
        };
        self.inodes.get(index32(nth)).copied()
    }

    /// The seed of all checksums, where there are any.
    pub(crate) fn sums(&self) -> Option<u32> {
        let seed = super::checksum::fs_seed(&self.identity.uuid);
        self.geometry.features.metadata_csum().then_some(seed)
    }

    /// The inode of the orphan file, where there is one: the first that mke2fs finds free.
    pub(crate) fn orphan_inode(&self) -> Option<u32> {
        let there = self.geometry.features.orphan_file();
        there.then_some(inodes::LOST_FOUND_INO + 1)
    }

    /// The inode after lost+found's and the orphan file's.
    pub(crate) fn first_inode(&self) -> u32 {
        inodes::first(self.geometry.features)
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
        warn: &mut dyn FnMut(String),
    ) -> Result<Plan, PlanError> {
        plan(self, tree, identity, warn)
    }
}

/// What the steps hand on.
struct Steps<'a> {
    options: &'a Options,
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
    warn: &mut dyn FnMut(String),
) -> Result<Plan, PlanError> {
    let Formatter {
        options,
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
    let inodes = inodes::in_order(&tree, &sorted);
    let mut s = Steps {
        options: &options,
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
    s.place_symlinks()?;
    let mut xattrs = s.encode_xattrs(warn)?;
    for block in &mut xattrs.blocks {
        match s.alloc.take(1) {
            Some(run) => block.nr = run.start,
            None => s.alloc.miss(1),
        }
    }
    let extent_nodes = s.place_extent_trees();

    let own_inodes = 10 + u64::from(options.features.orphan_file());
    let tree_inodes = own_inodes + count(s.inodes.len());
    let missing = s.alloc.missing();
    let (geometry, places, mut used) = match shape {
        Shape::Sized(fixed) => {
            let mut f = *fixed;
            s.release_lost_found(&mut f);
            if missing > 0 {
                return Err(f.full(missing, tree_inodes)?);
            }
            let places = Places {
                tables: f.tables,
                resize_dind: f.resize_dind,
                journal: f.journal,
                orphan_file: f.orphan_file,
            };
            (f.geometry, places, f.blocks)
        }
        Shape::Fitted {
            descriptor_blocks,
            fit,
        } => {
            let unplaced = || PlanError::Unplaced {
                block_size: options.block_size.bytes(),
            };
            let dind = s.alloc.take(1).filter(|_| missing == 0);
            let resize_dind = dind.ok_or_else(unplaced)?.start;
            let least = tree_inodes + tree_inodes / 10;
            let need = Need {
                content: s.alloc.taken().len(),
                inodes: options.inodes.unwrap_or(least).max(tree_inodes + 1),
                fit,
                descriptor_blocks,
                options,
            };
            let (g, places) = behind(&mut s.alloc, &need, resize_dind)?;
            (g, places, supers(&g))
        }
    };
    if tree_inodes > geometry.inodes() {
        return Err(PlanError::TooManyFiles {
            files: tree_inodes,
            inodes: geometry.inodes(),
        });
    }
    let numbers = inodes::numbers(&s.tree, &s.inodes, geometry.features);
    for run in s.alloc.taken().iter() {
        used.insert(run);
    }
    let mut plan = Plan {
        geometry,
        tables: places.tables,
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
        resize_dind: places.resize_dind,
        journal: places.journal,
        orphan_file: places.orphan_file,
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
        let room = Room::new(self.options.block_size, self.options.features);
        let lost_found_blocks = self.options.block_size.lost_found();
        let seed = self.identity.hash_seed_words();
        for node in self.nodes() {
            if !self.tree.node(node).is_directory() {
                continue;
            }
            let least = if Some(node) == lost_found {
                lost_found_blocks
            } else {
                1
            };
            let layout = Layout::new(&self.tree, &self.sorted, node, &seed, least, room).map_err(
                |source| PlanError::Directory {
                    path: self.path(node),
                    source,
                },
            )?;
            let preset = match fixed {
                Some(f) if node == crate::tree::ROOT => f.root..f.root + 1,
                Some(f) if Some(node) == lost_found => {
                    f.lost_found..f.lost_found + lost_found_blocks
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
        let kept = fixed.lost_found..fixed.lost_found + self.options.block_size.lost_found();
        fixed
            .blocks
            .remove((kept.start + len).min(kept.end)..kept.end);
    }

    fn place_symlinks(&mut self) -> Result<(), PlanError> {
        let block = self.options.block_size.bytes();
        for node in self.nodes() {
            let NodeKind::Symlink { target } = self.tree.node(node).kind else {
                continue;
            };
            if target.len() <= FAST_SYMLINK_MAX {
                continue;
            }
            // `ext4_symlink`: a target and its NUL have one block.
            if count(target.len()) >= block {
                return Err(PlanError::Symlink {
                    path: self.path(node),
                    len: target.len(),
                    block_size: block,
                });
            }
            let id = self.placement.add_behind(&mut self.alloc, 0..0, 1);
            self.own_data.insert(node, id);
        }
        Ok(())
    }

    fn place_extent_trees(&mut self) -> HashMap<NodeId, u64> {
        let mut first = HashMap::new();
        for node in self.nodes() {
            let data = match self.tree.node(node).kind {
                NodeKind::File { data, .. } => data,
                _ => self.own_data.get(&node).copied(),
            };
            let Some(data) = data else { continue };
            let blocks =
                extent_tree::blocks(self.placement.extents(data).len(), self.options.block_size);
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
