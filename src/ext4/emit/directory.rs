//! Directory blocks: entries, and the nodes of an htree.

use crate::ext4::checksum;
use crate::ext4::disk::dirent::{
    DirEntry2, DirEntryTail, EXT4_FT_BLKDEV, EXT4_FT_CHRDEV, EXT4_FT_DIR, EXT4_FT_DIR_CSUM,
    EXT4_FT_FIFO, EXT4_FT_REG_FILE, EXT4_FT_SYMLINK,
};
use crate::ext4::disk::htree::{
    DX_HASH_HALF_MD4, DX_NODE_ENTRIES_OFFSET, DX_ROOT_ENTRIES_OFFSET, DX_ROOT_INFO_OFFSET,
    DxCountLimit, DxEntry, DxRootInfo,
};
use crate::ext4::plan::Plan;
use crate::ext4::plan::directory::{Layout, Leaf, Levels, Room, rec_len};
use crate::tree::{Child, NodeId, NodeKind};
use crate::units::{count, index, index32, lo8, lo16, lo32};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

/// Block `logical` of the directory `node`.
pub(super) fn block(plan: &Plan, node: NodeId, logical: u64, out: &mut [u8]) {
    let seed = super::inode::seed_of(plan, node);
    let room = Room::new(plan.geometry.block_size, plan.geometry.features);
    let at = index(logical);
    match plan.htrees.get(&node) {
        Some(Layout::Htree {
            order,
            leaves,
            levels,
        }) => {
            let index = Index {
                leaves,
                levels,
                room,
                seed,
            };
            match levels.locate(at).expect("the directory has that block") {
                (0, _) => index.root(dots(plan, node), out),
                (level, nth) if level <= levels.of_nodes() => index.node(level, nth, out),
                (_, nth) => {
                    let from = index32(leaves[nth].first);
                    let to = leaves
                        .get(nth + 1)
                        .map_or(order.len(), |l| index32(l.first));
                    let mut writer = Entries::new(out, room.linear);
                    for &child in &order[from..to] {
                        writer.child(plan, plan.tree.nth_child(&plan.sorted, node, child));
                    }
                    writer.finish();
                    seal(seed, room, out);
                }
            }
        }
        _ => {
            let mut writer = Entries::new(out, room.linear);
            if at == 0 {
                let (own, parent) = dots(plan, node);
                writer.add(own, b".", EXT4_FT_DIR);
                writer.add(parent, b"..", EXT4_FT_DIR);
                plan.tree
                    .children(&plan.sorted, node)
                    .for_each(|c| writer.child(plan, c));
            }
            writer.finish();
            seal(seed, room, out);
        }
    }
}

/// Inode numbers of a directory and of its parent.
fn dots(plan: &Plan, node: NodeId) -> (u32, u32) {
    let number = |n: NodeId| plan.numbers[index32(n.0)];
    let parent = match plan.tree.node(node).kind {
        NodeKind::Directory { parent, .. } => parent,
        _ => node,
    };
    (number(node), number(parent))
}

fn file_type(kind: &NodeKind) -> u8 {
    match kind {
        NodeKind::File { .. } => EXT4_FT_REG_FILE,
        NodeKind::Directory { .. } => EXT4_FT_DIR,
        NodeKind::Symlink { .. } => EXT4_FT_SYMLINK,
        NodeKind::CharDevice { .. } => EXT4_FT_CHRDEV,
        NodeKind::BlockDevice { .. } => EXT4_FT_BLKDEV,
        NodeKind::Fifo => EXT4_FT_FIFO,
    }
}

fn short(n: usize) -> u16 {
    lo16(lo32(count(n)))
}

fn narrow(n: usize) -> U16 {
    U16::new(short(n))
}

/// Writes entries one after the other; the last one is stretched to the tail.
struct Entries<'a> {
    out: &'a mut [u8],
    /// Where the tail begins.
    end: usize,
    at: usize,
    last: Option<usize>,
}

impl<'a> Entries<'a> {
    fn new(out: &'a mut [u8], end: usize) -> Self {
        Self {
            out,
            end,
            at: 0,
            last: None,
        }
    }

    fn add(&mut self, inode: u32, name: &[u8], file_type: u8) {
        let len = rec_len(name);
        let head = DirEntry2 {
            inode: U32::new(inode),
            rec_len: narrow(len),
            name_len: lo8(count(name.len())),
            file_type,
        };
        self.out[self.at..self.at + 8].copy_from_slice(head.as_bytes());
        self.out[self.at + 8..self.at + 8 + name.len()].copy_from_slice(name);
        self.last = Some(self.at);
        self.at += len;
    }

    fn child(&mut self, plan: &Plan, child: Child<'_>) {
        let kind = &plan.tree.node(child.node).kind;
        self.add(
            plan.numbers[index32(child.node.0)],
            child.name,
            file_type(kind),
        );
    }

    fn finish(self) {
        let at = self.last.unwrap_or(0);
        let len = narrow(self.end - at);
        self.out[at + 4..at + 6].copy_from_slice(len.as_bytes());
    }
}

/// The checksum tail of a block of entries, where there are checksums.
fn seal(seed: Option<u32>, room: Room, out: &mut [u8]) {
    let Some(seed) = seed else { return };
    let tail = DirEntryTail {
        det_reserved_zero1: U32::new(0),
        det_rec_len: U16::new(12),
        det_reserved_zero2: 0,
        det_reserved_ft: EXT4_FT_DIR_CSUM,
        det_checksum: U32::new(checksum::dirent_block(seed, out)),
    };
    out[room.linear..].copy_from_slice(tail.as_bytes());
}

/// The nodes of an htree.
struct Index<'a> {
    leaves: &'a [Leaf],
    levels: &'a Levels,
    room: Room,
    seed: Option<u32>,
}

impl Index<'_> {
    fn root(&self, (own, parent): (u32, u32), out: &mut [u8]) {
        let mut writer = Entries::new(out, self.room.linear);
        writer.add(own, b".", EXT4_FT_DIR);
        writer.add(parent, b"..", EXT4_FT_DIR);
        // To readers without htree the rest of the block is part of "..".
        out[12 + 4..12 + 6].copy_from_slice(narrow(self.room.block - 12).as_bytes());
        let info = DxRootInfo {
            reserved_zero: U32::new(0),
            hash_version: DX_HASH_HALF_MD4,
            info_length: 8,
            indirect_levels: lo8(count(self.levels.of_nodes())),
            unused_flags: 0,
        };
        out[DX_ROOT_INFO_OFFSET..DX_ROOT_INFO_OFFSET + 8].copy_from_slice(info.as_bytes());
        self.slots(0, 0, DX_ROOT_ENTRIES_OFFSET, self.room.root_limit, out);
    }

    fn node(&self, level: usize, nth: usize, out: &mut [u8]) {
        // An unused entry that covers the block, for readers without htree.
        out[4..6].copy_from_slice(narrow(self.room.block).as_bytes());
        let limit = self.room.node_limit;
        self.slots(level, nth, DX_NODE_ENTRIES_OFFSET, limit, out);
    }

    /// The slots of a node: hash and file block of each child. The first slot's hash is implied; count
    /// and limit stand there.
    fn slots(&self, level: usize, nth: usize, at: usize, limit: usize, out: &mut [u8]) {
        let mut used = 0;
        let children = self.levels.children(level, nth);
        for (slot, (leaf, block)) in out[at..].chunks_exact_mut(8).zip(children) {
            let entry = DxEntry {
                hash: U32::new(self.leaves[leaf].hash),
                block: U32::new(lo32(count(block))),
            };
            slot.copy_from_slice(entry.as_bytes());
            used += 1;
        }
        let head = DxCountLimit {
            limit: narrow(limit),
            count: narrow(used),
        };
        out[at..at + 4].copy_from_slice(head.as_bytes());
        let tail = at + limit * 8;
        let (used, limit) = (short(used), short(limit));
        let sum = self
            .seed
            .and_then(|seed| checksum::dx_node(seed, out, at, used, limit));
        if let Some(sum) = sum {
            out[tail + 4..tail + 8].copy_from_slice(&sum.to_le_bytes());
        }
    }
}
