//! The metadata of a filesystem in the order of its blocks.

use super::{Plan, accounts};
use crate::ext4::extent_tree;
use crate::ext4::fixed::SystemFile;
use crate::ext4::geometry::super_groups;
use crate::ext4::place::as_extents;
use crate::tree::NodeId;
use crate::units::{count32, index};

/// Blocks that the plan renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First block.
    pub start: u64,
    /// Blocks.
    pub len: u64,
    /// What they are.
    pub kind: PieceKind,
}

/// A structure of the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// The superblock, or the backup at the start of a group.
    Superblock {
        /// The group.
        group: u64,
    },
    /// Group descriptors, the first or a backup.
    GroupDescriptors,
    /// The reserved descriptor blocks behind the primary ones: pointers to their backups.
    ReservedGdt,
    /// Block bitmaps of this group and those after it.
    BlockBitmap {
        /// The group.
        group: u64,
    },
    /// Inode bitmaps of this group and those after it.
    InodeBitmap {
        /// The group.
        group: u64,
    },
    /// The part of a group's inode table that is in use.
    InodeTable {
        /// The group.
        group: u64,
    },
    /// Blocks of a directory.
    Directory {
        /// Its node.
        node: NodeId,
        /// The first of them in the directory.
        logical: u32,
    },
    /// The target of a long symbolic link.
    Symlink {
        /// Its node.
        node: NodeId,
    },
    /// Extended attributes.
    Xattr {
        /// Number of the block in the plan.
        index: u32,
    },
    /// Nodes of an extent tree.
    ExtentTree {
        /// The file's node.
        node: NodeId,
    },
    /// The indirect block of the resize inode.
    ResizeDind,
    /// The extent tree of the journal.
    JournalExtents,
    /// The superblock of the journal.
    JournalSuperblock,
    /// Blocks of the orphan file.
    OrphanFile,
    /// The extent tree of the orphan file.
    OrphanExtents,
}

impl PieceKind {
    /// The structure's name, as `plan` and `dump` print it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Superblock { .. } => "superblock",
            Self::GroupDescriptors => "group descriptors",
            Self::ReservedGdt => "reserved group descriptors",
            Self::BlockBitmap { .. } => "block bitmap",
            Self::InodeBitmap { .. } => "inode bitmap",
            Self::InodeTable { .. } => "inode table",
            Self::Directory { .. } => "directory",
            Self::Symlink { .. } => "symbolic link",
            Self::Xattr { .. } => "extended attributes",
            Self::ExtentTree { .. } => "extent tree",
            Self::ResizeDind => "resize inode",
            Self::JournalExtents => "extent tree of the journal",
            Self::JournalSuperblock => "journal superblock",
            Self::OrphanFile => "orphan file",
            Self::OrphanExtents => "extent tree of the orphan file",
        }
    }
}

/// All pieces, by block.
pub(super) fn pieces(plan: &Plan) -> Vec<Piece> {
    let mut list = Vec::new();
    let mut add = |start, len, kind| {
        if len > 0 {
            list.push(Piece { start, len, kind });
        }
    };
    let g = &plan.geometry;
    for group in super_groups(g.groups) {
        let start = g.group_start(group);
        add(start, 1, PieceKind::Superblock { group });
        add(start + 1, g.gdt_blocks, PieceKind::GroupDescriptors);
    }
    add(
        g.first_block() + 1 + g.gdt_blocks,
        g.reserved_gdt_blocks,
        PieceKind::ReservedGdt,
    );
    add(plan.resize_dind, 1, PieceKind::ResizeDind);
    let tree = |f: &SystemFile| extent_tree::blocks(as_extents(&f.runs).len(), g.block_size);
    let (journal, orphan) = (&plan.journal, &plan.orphan_file);
    if let Some(run) = journal.runs.first() {
        add(run.start, 1, PieceKind::JournalSuperblock);
        add(journal.node, tree(journal), PieceKind::JournalExtents);
    }
    for run in &orphan.runs {
        add(run.start, run.end - run.start, PieceKind::OrphanFile);
    }
    add(orphan.node, tree(orphan), PieceKind::OrphanExtents);
    for group in 0..g.groups {
        let at = index(group);
        if !accounts::blocks_uninit(plan, group) {
            add(
                plan.tables.block_bitmap[at],
                1,
                PieceKind::BlockBitmap { group },
            );
        }
        let used = accounts::used_inodes(plan, group);
        if used > 0 {
            add(
                plan.tables.inode_bitmap[at],
                1,
                PieceKind::InodeBitmap { group },
            );
            let blocks = used.div_ceil(g.block_size.inodes());
            add(
                plan.tables.inode_table[at],
                blocks,
                PieceKind::InodeTable { group },
            );
        }
    }
    for (&node, &id) in &plan.own_data {
        for e in plan.placement.extents(id) {
            let kind = if plan.tree.node(node).is_directory() {
                PieceKind::Directory {
                    node,
                    logical: e.logical,
                }
            } else {
                PieceKind::Symlink { node }
            };
            add(e.start, u64::from(e.len), kind);
        }
    }
    for (i, block) in plan.xattr_blocks.iter().enumerate() {
        add(block.nr, 1, PieceKind::Xattr { index: count32(i) });
    }
    for (&node, &at) in &plan.extent_nodes {
        let extents = plan
            .content(node)
            .map_or(0, |id| plan.placement.extents(id).len());
        add(
            at,
            extent_tree::blocks(extents, g.block_size),
            PieceKind::ExtentTree { node },
        );
    }
    list.sort_unstable_by_key(|p| p.start);
    debug_assert!(
        list.windows(2).all(|w| w[0].start + w[0].len <= w[1].start),
        "pieces overlap"
    );
    list.shrink_to_fit();
    list
}
