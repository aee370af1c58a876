//! The resize inode (7), in full: every entry that the kernel walks when it grows the filesystem.
//!
//! ```text
//! i_block[13] ─► DIND block: slot (gdt_blocks + i) % slots ─► i-th reserved GDT block of group 0:
//!                            the same block of every backup group, ascending, then zeros
//! ```
//! e2fsck compares only the first `s_reserved_gdt_blocks / 4` entries. Linux `fs/ext4/resize.c`
//! (`verify_reserved_gdb`, `add_new_gdb`, `reserve_backup_gdb`) refuses to grow on any other.

use super::Checker;
use super::extents::{self, Mapped};
use super::inodes::Item;
use super::report::{Step, inode};
use super::superblock::wide;
use crate::ext4::disk::inode::{EXT4_DIND_BLOCK, EXT4_N_BLOCKS, S_IFMT, S_IFREG};
use crate::units::{count, index};

/// Checks the inode, claims the DIND block and compares every entry.
pub(super) fn check(cx: &mut Checker, item: &Item) -> Step {
    let slots = cx.geo.block_size / 4;
    let size = (slots * slots + slots + 12) * cx.geo.block_size;
    let copies: Vec<u64> = cx
        .geo
        .gdt_backup_groups()
        .map(|g| cx.geo.group_start(g))
        .collect();
    let reserved = cx.geo.reserved_gdt_blocks;
    let sectors = (1 + reserved * (1 + count(copies.len()))) * (cx.geo.block_size / 512);
    let i = &item.inode;
    let mut find = |why: String| cx.report.add(inode(item.ino), item.offset, why);
    if i.i_mode.get() & S_IFMT != S_IFREG || i.i_links_count.get() != 1 {
        find("the resize inode is no regular file with one link".into())?;
    }
    if i.i_flags.get() != 0 || item.file_acl() != 0 {
        find("the resize inode has flags or xattrs".into())?;
    }
    if item.size() != size {
        find(format!(
            "i_size is {}, the resize inode has {size}",
            item.size()
        ))?;
    }
    let is = wide(u32::from(i.l_i_blocks_high.get()), i.i_blocks_lo.get());
    if is != sectors {
        find(format!("i_blocks is {is}, the resize inode has {sectors}"))?;
    }
    if (0..EXT4_N_BLOCKS).any(|n| n != EXT4_DIND_BLOCK && item.block_word(n) != 0) {
        find("i_block has entries beside the double indirect block".into())?;
    }
    let dind = u64::from(item.block_word(EXT4_DIND_BLOCK));
    let mut mapped = Mapped::default();
    if !extents::claim(
        cx,
        item,
        &mut mapped,
        (dind, 1),
        item.offset,
        "the DIND block",
    )? {
        return Ok(());
    }
    let first = cx.geo.first_data_block + 1 + cx.geo.gdt_blocks;
    let table = cx.block(dind)?;
    let mut expected = vec![0; index(slots)];
    for n in 0..reserved {
        expected[index((cx.geo.gdt_blocks + n) % slots)] = first + n;
    }
    compare(cx, "DIND", dind, &table, &expected)?;
    for block in first..first + reserved {
        cx.cancel_point()?;
        let table = cx.block(block)?;
        let into = block - cx.geo.first_data_block;
        let mut expected: Vec<u64> = copies.iter().map(|start| start + into).collect();
        expected.resize(index(slots), 0);
        compare(cx, "reserved GDT", block, &table, &expected)?;
    }
    Ok(())
}

/// Reports the first entry of a table that is not the expected one.
fn compare(cx: &mut Checker, what: &str, block: u64, table: &[u8], expected: &[u64]) -> Step {
    let entries = table
        .chunks_exact(4)
        .map(|b| <[u8; 4]>::try_from(b).unwrap_or_default());
    let entries = entries.map(|b| u64::from(u32::from_le_bytes(b)));
    for ((n, is), expected) in (0u64..).zip(entries).zip(expected) {
        if is != *expected {
            let place = format!("resize inode {what} block {block}");
            let why = format!("entry {n} is block {is}, the kernel wants {expected}");
            return cx.find(place, cx.geo.byte(block) + n * 4, why);
        }
    }
    Ok(())
}
