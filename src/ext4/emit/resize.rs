//! The resize inode: room for group descriptors, kept as a file so that nobody else takes it.
//!
//! ```text
//! inode 7: i_block[13] ─► double indirect block ─► reserved GDT block n of group 0
//!                          slot of descriptor n      ─► the same block of every group with a backup
//! ```
//! Layout of `lib/ext2fs/res_gdt.c`; the kernel (`fs/ext4/resize.c`) checks all of it when it grows,
//! e2fsck a quarter.

use crate::ext4::block_size::BlockSize;
use crate::ext4::geometry::Geometry;
use crate::ext4::plan::Plan;
use crate::units::{index, lo32};

/// `i_size`: a map of double indirect blocks in full.
pub(super) fn size(block_size: BlockSize) -> u64 {
    let n = block_size.pointers();
    (n * n + n + 12) * block_size.bytes()
}

fn put(out: &mut [u8], slot: u64, block: u64) {
    let at = index(slot) * 4;
    out[at..at + 4].copy_from_slice(&lo32(block).to_le_bytes());
}

/// Blocks that belong to the inode: the double indirect one, the reserved ones and their backups.
pub(super) fn blocks(g: &Geometry) -> u64 {
    let backups = crate::units::count(g.backups().count());
    1 + g.reserved_gdt_blocks * (1 + backups)
}

/// The double indirect block: the slot of a descriptor block is its number.
pub(super) fn dind(plan: &Plan, out: &mut [u8]) {
    let g = &plan.geometry;
    for i in 0..g.reserved_gdt_blocks {
        let nr = g.gdt_blocks + i;
        put(out, nr % g.block_size.pointers(), g.first_block() + 1 + nr);
    }
}

/// The reserved descriptor block at `block` of group 0: where its backups lie.
pub(super) fn reserved_gdt(plan: &Plan, block: u64, out: &mut [u8]) {
    let g = &plan.geometry;
    for (slot, group) in (0..).zip(g.backups()) {
        put(out, slot, group * g.blocks_per_group + block);
    }
}
