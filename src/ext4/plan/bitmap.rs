//! Block and inode bitmaps: bit n of byte n / 8 stands for block or inode n of the group.

use crate::ext4::plan::{Plan, accounts};
use crate::units::index;

/// Sets bits `from..to`.
fn set(bytes: &mut [u8], from: u64, to: u64) {
    let (from, to) = (index(from), index(to));
    let (first, last) = (from.div_ceil(8), to / 8);
    if first > last {
        // Both ends in one byte.
        (from..to).for_each(|n| bytes[n / 8] |= 1 << (n % 8));
        return;
    }
    (from..first * 8).for_each(|n| bytes[n / 8] |= 1 << (n % 8));
    bytes[first..last].fill(0xFF);
    (last * 8..to).for_each(|n| bytes[n / 8] |= 1 << (n % 8));
}

/// The block bitmap of `group`; blocks past its end count as used.
pub(crate) fn blocks(plan: &Plan, group: u64) -> Vec<u8> {
    let g = &plan.geometry;
    let mut bytes = vec![0; index(g.block())];
    let start = g.group_start(group);
    let len = g.group_blocks(group);
    for run in plan.used.parts_in(&(start..start + len)) {
        set(&mut bytes, run.start - start, run.end - start);
    }
    set(&mut bytes, len, g.blocks_per_group.max(len));
    // Bits that no block of a smaller group has are set too, as mke2fs leaves them.
    set(&mut bytes, g.blocks_per_group, g.block_size.bits());
    bytes
}

/// The inode bitmap of `group`; the bits of inodes that it has not are set.
pub(crate) fn inodes(plan: &Plan, group: u64) -> Vec<u8> {
    let g = &plan.geometry;
    let mut bytes = vec![0; index(g.block())];
    set(&mut bytes, 0, accounts::used_inodes(plan, group));
    set(&mut bytes, g.inodes_per_group, g.block_size.bits());
    bytes
}
