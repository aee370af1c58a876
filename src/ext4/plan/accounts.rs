//! What every group descriptor says of its group.

use super::bitmap;
use super::{Plan, group_inodes};
use crate::ext4::checksum;
use crate::ext4::disk::group_desc::{BG_BLOCK_UNINIT, BG_INODE_UNINIT, BG_INODE_ZEROED, GroupDesc};
use crate::ext4::geometry::group_nr;
use crate::units::{hi16, hi32, index, index32, lo16, lo32};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

/// Inodes in use of `group`, counted from its first: used ones always come first.
#[must_use]
pub(crate) fn used_inodes(plan: &Plan, group: u64) -> u64 {
    let range = group_inodes(&plan.geometry, group);
    plan.used_inodes().clamp(range.start, range.end) - range.start
}

/// Whether the bitmap of `group` is left for the kernel to make (`EXT4_BG_BLOCK_UNINIT`): nothing in it
/// but a backup, no inode in use (making the first one, kernel and mke2fs make both bitmaps), and not the
/// last group, whose bitmap has a padded end.
#[must_use]
pub(crate) fn blocks_uninit(plan: &Plan, group: u64) -> bool {
    let g = &plan.geometry;
    let start = g.group_start(group);
    let blocks = start..start + g.group_blocks(group);
    g.features.uninit()
        && group + 1 < g.groups
        && used_inodes(plan, group) == 0
        && plan.used.count_in(&blocks) == g.super_blocks(group)
}

/// The descriptors of all groups.
pub(super) fn groups(plan: &Plan) -> Vec<GroupDesc> {
    let directories = directories(plan);
    (0..plan.geometry.groups)
        .map(|n| desc(plan, n, directories[index(n)]))
        .collect()
}

fn directories(plan: &Plan) -> Vec<u64> {
    let mut counts = vec![0; index(plan.geometry.groups)];
    counts[0] = 1;
    for &node in &plan.inodes {
        if plan.tree.node(node).is_directory() {
            let inode = u64::from(plan.numbers[index32(node.0)]) - 1;
            counts[index(inode / plan.geometry.inodes_per_group)] += 1;
        }
    }
    counts
}

fn desc(plan: &Plan, group: u64, directories: u64) -> GroupDesc {
    let g = &plan.geometry;
    let at = index(group);
    let start = g.group_start(group);
    let blocks = start..start + g.group_blocks(group);
    let free_blocks = lo32(blocks.end - blocks.start - plan.used.count_in(&blocks));
    let used_inodes = used_inodes(plan, group);
    let free_inodes = lo32(g.inodes_per_group - used_inodes);
    let directories = lo32(directories);
    let features = g.features;
    let seed = plan.sums();

    // The tables are zero where they hold nothing: the kernel need not zero them at first mount.
    let mut flags = 0;
    if features.uninit() {
        flags |= BG_INODE_ZEROED;
    }
    let mut inode_csum = 0;
    if features.uninit() && used_inodes == 0 {
        flags |= BG_INODE_UNINIT;
    } else if let Some(seed) = seed {
        let bytes = bitmap::inodes(plan, group);
        inode_csum = checksum::bitmap(seed, &bytes[..index(g.inodes_per_group / 8)]);
    }
    let mut block_csum = 0;
    if blocks_uninit(plan, group) {
        flags |= BG_BLOCK_UNINIT;
    } else if let Some(seed) = seed {
        let bytes = bitmap::blocks(plan, group);
        block_csum = checksum::bitmap(seed, &bytes[..index(g.blocks_per_group / 8)]);
    }
    let (bb, ib, it) = (
        plan.tables.block_bitmap[at],
        plan.tables.inode_bitmap[at],
        plan.tables.inode_table[at],
    );
    let mut d = GroupDesc::new_zeroed();
    d.bg_block_bitmap_lo = U32::new(lo32(bb));
    d.bg_block_bitmap_hi = U32::new(hi32(bb));
    d.bg_inode_bitmap_lo = U32::new(lo32(ib));
    d.bg_inode_bitmap_hi = U32::new(hi32(ib));
    d.bg_inode_table_lo = U32::new(lo32(it));
    d.bg_inode_table_hi = U32::new(hi32(it));
    d.bg_free_blocks_count_lo = U16::new(lo16(free_blocks));
    d.bg_free_blocks_count_hi = U16::new(hi16(free_blocks));
    d.bg_free_inodes_count_lo = U16::new(lo16(free_inodes));
    d.bg_free_inodes_count_hi = U16::new(hi16(free_inodes));
    d.bg_used_dirs_count_lo = U16::new(lo16(directories));
    d.bg_used_dirs_count_hi = U16::new(hi16(directories));
    let unused = if features.uninit() { free_inodes } else { 0 };
    d.bg_itable_unused_lo = U16::new(lo16(unused));
    d.bg_itable_unused_hi = U16::new(hi16(unused));
    d.bg_flags = U16::new(flags);
    d.bg_block_bitmap_csum_lo = U16::new(lo16(block_csum));
    d.bg_block_bitmap_csum_hi = U16::new(hi16(block_csum));
    d.bg_inode_bitmap_csum_lo = U16::new(lo16(inode_csum));
    d.bg_inode_bitmap_csum_hi = U16::new(hi16(inode_csum));
    let bytes = &d.as_bytes()[..index(features.descriptor())];
    let sum = match seed {
        Some(seed) => checksum::group_desc(seed, group_nr(group), bytes),
        None if features.gdt_csum() => {
            checksum::group_desc_crc16(&plan.identity.uuid, group_nr(group), bytes)
        }
        None => 0,
    };
    d.bg_checksum = U16::new(sum);
    d
}
