//! Inodes.

use super::{extents, resize};
use crate::ext4::block_size::INODE;
use crate::ext4::checksum;
use crate::ext4::disk::inode::{
    EXT4_EXTENTS_FL, EXT4_INDEX_FL, EXT4_JOURNAL_INO, EXT4_LINK_MAX, EXT4_RESIZE_INO, EXTRA_ISIZE,
    Inode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, TIMES,
};
use crate::ext4::extent_tree;
use crate::ext4::fixed::SystemFile;
use crate::ext4::geometry::group_nr;
use crate::ext4::plan::xattr::Holder;
use crate::ext4::plan::{FAST_SYMLINK_MAX, Plan};
use crate::tree::{Meta, NodeId, NodeKind};
use crate::units::{SECTOR, Timestamp, count, hi16, hi32, index, index32, lo16, lo32};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

/// The checksum seed of an inode, where there are checksums; generations are 0.
pub(super) fn seed(plan: &Plan, inode: u32) -> Option<u32> {
    Some(checksum::inode_seed(plan.sums()?, inode, 0))
}

/// The checksum seed of a node's inode.
pub(super) fn seed_of(plan: &Plan, node: NodeId) -> Option<u32> {
    seed(plan, plan.numbers[index32(node.0)])
}

/// Block `into` of the inode table of `group`.
pub(super) fn table_block(plan: &Plan, group: u64, into: u64, out: &mut [u8]) {
    let g = &plan.geometry;
    let first = group * g.inodes_per_group + into * g.block_size.inodes() + 1;
    for (nr, slot) in (first..).zip(out.chunks_exact_mut(index(INODE))) {
        if nr > plan.used_inodes() {
            break;
        }
        let nr = group_nr(nr);
        let inode = match (nr, plan.node_of(nr)) {
            (EXT4_RESIZE_INO, _) => resize_inode(plan),
            (EXT4_JOURNAL_INO, _) if g.journal_blocks > 0 => system_inode(plan, &plan.journal),
            (_, Some(node)) => tree_inode(plan, node),
            _ if Some(nr) == plan.orphan_inode() => system_inode(plan, &plan.orphan_file),
            // Reserved and unused: zero in full, which counts as a valid checksum.
            _ => continue,
        };
        slot.copy_from_slice(inode.as_bytes());
        if let Some(seed) = seed(plan, nr) {
            let sum = checksum::inode(seed, slot);
            slot[0x7C..0x7E].copy_from_slice(&lo16(sum).to_le_bytes());
            slot[0x82..0x84].copy_from_slice(&hi16(sum).to_le_bytes());
        }
    }
}

/// A time as ext4 stores it: 32 bits of seconds, then two more and the nanoseconds.
fn time(t: Timestamp) -> (U32, U32) {
    let sec = t.sec.clamp(*TIMES.start(), *TIMES.end());
    // Two's complement: the low word read as signed, plus the epoch times 2^32, is the time.
    let low = lo32(u64::from_le_bytes(sec.to_le_bytes()));
    let signed = i64::from(i32::from_le_bytes(low.to_le_bytes()));
    let epoch = u32::try_from((sec - signed) >> 32).expect("clamped to four epochs");
    let nsec = t.nsec.min(999_999_999);
    (U32::new(low), U32::new(epoch | nsec << 2))
}

fn blank(plan: &Plan, mode: u16, meta: &Meta) -> Inode {
    let clamp = |t: Timestamp| time(t.min(plan.identity.time));
    let mut i = Inode::new_zeroed();
    i.i_mode = U16::new(mode | meta.mode & 0o7777);
    i.i_uid = U16::new(lo16(meta.uid));
    i.l_i_uid_high = U16::new(hi16(meta.uid));
    i.i_gid = U16::new(lo16(meta.gid));
    i.l_i_gid_high = U16::new(hi16(meta.gid));
    (i.i_atime, i.i_atime_extra) = clamp(meta.atime);
    (i.i_ctime, i.i_ctime_extra) = clamp(meta.ctime);
    (i.i_mtime, i.i_mtime_extra) = clamp(meta.mtime);
    (i.i_crtime, i.i_crtime_extra) = clamp(meta.mtime);
    i.i_extra_isize = U16::new(EXTRA_ISIZE);
    i.i_links_count = U16::new(1);
    i
}

fn set_size(i: &mut Inode, bytes: u64) {
    i.i_size_lo = U32::new(lo32(bytes));
    i.i_size_high = U32::new(hi32(bytes));
}

/// `i_blocks`, in sectors.
fn set_blocks(plan: &Plan, i: &mut Inode, blocks: u64) {
    let sectors = blocks * (plan.geometry.block() / SECTOR);
    i.i_blocks_lo = U32::new(lo32(sectors));
    i.l_i_blocks_high = U16::new(lo16(hi32(sectors)));
}

fn system_meta(plan: &Plan) -> Meta {
    let t = plan.identity.time;
    Meta {
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: t,
        atime: t,
        ctime: t,
    }
}

fn resize_inode(plan: &Plan) -> Inode {
    let mut i = blank(plan, S_IFREG, &system_meta(plan));
    set_size(&mut i, resize::size(plan.geometry.block_size));
    set_blocks(plan, &mut i, resize::blocks(&plan.geometry));
    // EXT4_DIND_BLOCK is slot 13.
    i.i_block[52..56].copy_from_slice(&lo32(plan.resize_dind).to_le_bytes());
    i
}

/// The inode of the journal or the orphan file.
fn system_inode(plan: &Plan, file: &SystemFile) -> Inode {
    let mut i = blank(plan, S_IFREG, &system_meta(plan));
    let block_size = plan.geometry.block_size;
    let extents = extents::system_extents(file);
    let blocks: u64 = extents.iter().map(|e| u64::from(e.len)).sum();
    set_size(&mut i, blocks * block_size.bytes());
    let tree = extent_tree::blocks(extents.len(), block_size);
    set_blocks(plan, &mut i, blocks + tree);
    i.i_flags = U32::new(EXT4_EXTENTS_FL);
    i.i_block = extents::root(&extents, file.node, block_size);
    i
}

fn tree_inode(plan: &Plan, node: NodeId) -> Inode {
    let n = plan.tree.node(node);
    let mut meta = n.meta;
    if n.implied {
        // A parent that no entry describes is as new as the image.
        let t = plan.identity.time;
        (meta.mtime, meta.atime, meta.ctime) = (t, t, t);
    }
    let mut i = blank(plan, file_type(&n.kind), &meta);
    i.i_links_count = U16::new(lo16(n.links));
    let mut blocks = 0;
    match n.kind {
        NodeKind::File { size, .. } => {
            set_size(&mut i, size);
            blocks += set_extents(plan, node, &mut i);
        }
        NodeKind::Directory { .. } => {
            let children = plan.tree.children(&plan.sorted, node);
            let subdirs = children
                .filter(|c| plan.tree.node(c.node).is_directory())
                .count();
            let links = 2 + lo32(count(subdirs));
            // dir_nlink: 1 stands for "more than can be counted".
            i.i_links_count = U16::new(if links > EXT4_LINK_MAX {
                1
            } else {
                lo16(links)
            });
            if plan.htrees.contains_key(&node) {
                i.i_flags = U32::new(EXT4_INDEX_FL);
            }
            let size = plan.content(node).map_or(0, |id| {
                plan.placement
                    .extents(id)
                    .iter()
                    .map(|e| u64::from(e.len))
                    .sum::<u64>()
                    * plan.geometry.block()
            });
            set_size(&mut i, size);
            blocks += set_extents(plan, node, &mut i);
        }
        NodeKind::Symlink { target } => {
            let target = plan.tree.target(target);
            set_size(&mut i, count(target.len()));
            if target.len() <= FAST_SYMLINK_MAX {
                i.i_block[..target.len()].copy_from_slice(target);
            } else {
                blocks += set_extents(plan, node, &mut i);
            }
        }
        NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
            device(&mut i, major, minor);
        }
        NodeKind::Fifo => {}
    }
    let bearer = n.xattrs.map(|set| (set, Holder::of(&n.kind)));
    if let Some(body) = bearer.and_then(|b| plan.xattr_bodies.get(&b)) {
        i.i_xattr_area.copy_from_slice(body.as_slice());
    }
    if let Some(&nr) = plan.xattr_block_of.get(&node) {
        let at = plan.xattr_blocks[index32(nr)].nr;
        i.i_file_acl_lo = U32::new(lo32(at));
        i.l_i_file_acl_high = U16::new(lo16(hi32(at)));
        blocks += 1;
    }
    set_blocks(plan, &mut i, blocks);
    i
}

/// Fills in the extents of a node's content; how many blocks they and their tree take.
fn set_extents(plan: &Plan, node: NodeId, i: &mut Inode) -> u64 {
    let list = plan
        .content(node)
        .map_or(&[][..], |id| plan.placement.extents(id));
    let first = plan.extent_nodes.get(&node).copied().unwrap_or(0);
    i.i_flags = U32::new(i.i_flags.get() | EXT4_EXTENTS_FL);
    let block_size = plan.geometry.block_size;
    i.i_block = extents::root(list, first, block_size);
    let data: u64 = list.iter().map(|e| u64::from(e.len)).sum();
    data + extent_tree::blocks(list.len(), block_size)
}

fn file_type(kind: &NodeKind) -> u16 {
    match kind {
        NodeKind::File { .. } => S_IFREG,
        NodeKind::Directory { .. } => S_IFDIR,
        NodeKind::Symlink { .. } => S_IFLNK,
        NodeKind::CharDevice { .. } => S_IFCHR,
        NodeKind::BlockDevice { .. } => S_IFBLK,
        NodeKind::Fifo => S_IFIFO,
    }
}

/// The old encoding in slot 0 where it is enough, else the new one in slot 1 (kernel
/// `old_encode_dev`, `new_encode_dev`).
fn device(i: &mut Inode, major: u32, minor: u32) {
    if major < 256 && minor < 256 {
        i.i_block[..4].copy_from_slice(&(major << 8 | minor).to_le_bytes());
    } else {
        let new = minor & 0xFF | (major & 0xFFF) << 8 | (minor & 0xF_FF00) << 12;
        i.i_block[4..8].copy_from_slice(&new.to_le_bytes());
    }
}

/// The block that holds the target of a long symbolic link, ended by a NUL.
pub(super) fn symlink_block(plan: &Plan, node: NodeId, out: &mut [u8]) {
    if let NodeKind::Symlink { target } = plan.tree.node(node).kind {
        let target = plan.tree.target(target);
        out[..target.len()].copy_from_slice(target);
    }
}
