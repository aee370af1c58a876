//! Bitmaps and free counts, against what was found in use.

use super::report::Step;
use super::superblock::wide;
use super::{Checker, groups, inodes, usage};
use crate::ext4::checksum;
use crate::ext4::disk::group_desc::{BG_BLOCK_UNINIT, BG_INODE_UNINIT, GroupDesc};
use crate::ext4::disk::superblock::SUPERBLOCK_OFFSET;
use crate::units::{count, index, index32, lo32};

/// Compares both bitmaps and the counts of every group, then the totals.
pub(super) fn check(cx: &mut Checker) -> Step {
    let meta = cx.used.meta_by_group();
    let mut free_blocks = 0;
    let mut free_inodes = 0;
    let mut next = 0;
    for group in 0..cx.geo.groups {
        cx.cancel_point()?;
        let gd = cx.groups[index32(group)];
        free_blocks += check_blocks(cx, group, &gd, meta[index32(group)])?;
        let first = next;
        let end = (group + 1).saturating_mul(cx.geo.inodes_per_group);
        while cx.inodes.get(next).is_some_and(|i| i.ino <= end) {
            next += 1;
        }
        free_inodes += check_inodes(cx, group, &gd, first..next)?;
    }
    check_totals(cx, free_blocks, free_inodes)
}

/// How a bitmap differs from what it should be: the bits that are wrong, and the first of them.
struct Difference {
    bits: u64,
    first: u64,
    marked: bool,
}

/// Compares the first `len` bits of a bitmap, `expected` by word.
fn difference(bitmap: &[u8], len: u64, expected: impl Fn(usize) -> u64) -> Option<Difference> {
    let mut found: Option<Difference> = None;
    for n in 0..index(len.div_ceil(64)) {
        let left = len - count(n) * 64;
        let mask = if left < 64 { (1 << left) - 1 } else { u64::MAX };
        let is = usage::word(bitmap, n);
        let wrong = (is ^ expected(n)) & mask;
        if wrong != 0 {
            let bit = wrong.trailing_zeros();
            let first = count(n) * 64 + u64::from(bit);
            let new = Difference {
                bits: 0,
                first,
                marked: is >> bit & 1 == 1,
            };
            found.get_or_insert(new).bits += u64::from(wrong.count_ones());
        }
    }
    found
}

/// Whether all bits from `from` to the end of the block are set.
fn padded(bitmap: &[u8], from: u64) -> bool {
    (from..count(bitmap.len()) * 8).all(|n| usage::bit(bitmap, n))
}

/// The free blocks of a group.
fn check_blocks(cx: &mut Checker, group: u32, gd: &GroupDesc, meta: u64) -> Step<u64> {
    let len = cx.geo.group_len(group);
    let used = cx.used.in_group(index32(group));
    let free = len.saturating_sub(used);
    let place = format!("group {group} block bitmap");
    let descriptor = groups::offset(&cx.geo, group);
    let block = groups::block_bitmap(gd);
    if gd.bg_flags.get() & BG_BLOCK_UNINIT != 0 {
        if used != meta {
            let why = format!(
                "BLOCK_UNINIT, but {} blocks hold data",
                used.saturating_sub(meta)
            );
            cx.find(place, descriptor, why)?;
        }
    } else if cx.geo.contains(block, 1) {
        let bitmap = cx.block(block)?;
        let at = cx.geo.byte(block);
        let words = cx.used.words(index32(group)).unwrap_or_default();
        let diff = difference(&bitmap, len, |n| words.get(n).copied().unwrap_or(0));
        if let Some(d) = diff {
            let first = cx.geo.group_start(group) + d.first;
            let why = if d.marked {
                "marked but not in use"
            } else {
                "in use but not marked"
            };
            let why = format!(
                "block {first} is {why} ({} blocks of the group are wrong)",
                d.bits
            );
            cx.find(place.clone(), at + d.first / 8, why)?;
        }
        if !padded(&bitmap, len) {
            cx.find(
                place.clone(),
                at + len / 8,
                "bits past the end of the group are not set",
            )?;
        }
        let cover = index(cx.geo.blocks_per_group / 8);
        let crc = checksum::bitmap(cx.seed, &bitmap[..cover]);
        let is = groups::pair(gd.bg_block_bitmap_csum_hi, gd.bg_block_bitmap_csum_lo);
        check_csum(cx, &place, descriptor, "bg_block_bitmap_csum", is, crc)?;
    }
    let is = groups::pair(gd.bg_free_blocks_count_hi, gd.bg_free_blocks_count_lo);
    if u64::from(is) != free {
        let why = format!("bg_free_blocks_count is {is}, {free} blocks are free");
        cx.find(groups::name(group), descriptor, why)?;
    }
    Ok(free)
}

fn check_csum(cx: &mut Checker, place: &str, offset: u64, field: &str, is: u32, crc: u32) -> Step {
    // A descriptor of 32 bytes keeps only the low half.
    let mask = if cx.geo.desc_size < 64 {
        0xFFFF
    } else {
        u32::MAX
    };
    if cx.geo.checksums && is != crc & mask {
        let why = format!("{field} is 0x{is:08x}, the bitmap has 0x{:08x}", crc & mask);
        return cx.find(place, offset, why);
    }
    Ok(())
}

/// The free inodes of a group, whose inodes in use are `range` of the list.
fn check_inodes(
    cx: &mut Checker,
    group: u32,
    gd: &GroupDesc,
    range: std::ops::Range<usize>,
) -> Step<u64> {
    let per_group = u64::from(cx.geo.inodes_per_group);
    let mut words = vec![0u64; index(per_group.div_ceil(64))];
    let mut mark = |n: u64| {
        if let Some(word) = words.get_mut(index(n / 64)) {
            *word |= 1 << (n % 64);
        }
    };
    // The reserved inodes; with fewer than ten in a group they reach into the next.
    let reserved = u64::from(cx.sb.s_first_ino.get().saturating_sub(1));
    let reserved = reserved.saturating_sub(u64::from(group) * per_group);
    (0..reserved.min(per_group)).for_each(&mut mark);
    let infos = cx.inodes.get(range).unwrap_or_default();
    infos
        .iter()
        .for_each(|i| mark(u64::from(cx.geo.inode_place(i.ino).1)));
    let directories = infos
        .iter()
        .filter(|i| i.kind == inodes::KIND_DIRECTORY)
        .count();
    let used: u64 = words.iter().map(|w| u64::from(w.count_ones())).sum();
    let free = per_group - used;
    let place = format!("group {group} inode bitmap");
    let descriptor = groups::offset(&cx.geo, group);
    let block = groups::inode_bitmap(gd);
    if gd.bg_flags.get() & BG_INODE_UNINIT == 0 && cx.geo.contains(block, 1) {
        let bitmap = cx.block(block)?;
        let at = cx.geo.byte(block);
        if let Some(d) = difference(&bitmap, per_group, |n| words.get(n).copied().unwrap_or(0)) {
            let first = u64::from(group) * per_group + d.first + 1;
            let why = if d.marked {
                "marked but not in use"
            } else {
                "in use but not marked"
            };
            let why = format!(
                "inode {first} is {why} ({} inodes of the group are wrong)",
                d.bits
            );
            cx.find(place.clone(), at + d.first / 8, why)?;
        }
        if !padded(&bitmap, per_group) {
            let why = "bits past the inodes of the group are not set";
            cx.find(place.clone(), at + per_group / 8, why)?;
        }
        let crc = checksum::bitmap(cx.seed, &bitmap[..index(per_group / 8)]);
        let is = groups::pair(gd.bg_inode_bitmap_csum_hi, gd.bg_inode_bitmap_csum_lo);
        check_csum(cx, &place, descriptor, "bg_inode_bitmap_csum", is, crc)?;
    }
    let mut find = |why: String| cx.report.add(groups::name(group), descriptor, why);
    let is = groups::pair(gd.bg_free_inodes_count_hi, gd.bg_free_inodes_count_lo);
    if u64::from(is) != free {
        find(format!(
            "bg_free_inodes_count is {is}, {free} inodes are free"
        ))?;
    }
    let is = groups::pair(gd.bg_used_dirs_count_hi, gd.bg_used_dirs_count_lo);
    if u64::from(is) != count(directories) {
        find(format!(
            "bg_used_dirs_count is {is}, there are {directories} directories"
        ))?;
    }
    Ok(free)
}

fn check_totals(cx: &mut Checker, free_blocks: u64, free_inodes: u64) -> Step {
    let sb = cx.sb;
    let overhead = cx.used.meta_total() + cx.journal_blocks;
    let first = cx.geo.first_data_block;
    let mut find = |why: String| cx.report.add("superblock", SUPERBLOCK_OFFSET, why);
    let is = wide(
        sb.s_free_blocks_count_hi.get(),
        sb.s_free_blocks_count_lo.get(),
    );
    if is != free_blocks {
        find(format!(
            "s_free_blocks_count is {is}, {free_blocks} blocks are free"
        ))?;
    }
    let is = sb.s_free_inodes_count.get();
    if u64::from(is) != free_inodes {
        find(format!(
            "s_free_inodes_count is {is}, {free_inodes} inodes are free"
        ))?;
    }
    // 0: the kernel counts it at every mount, and since 5.18 it always does. tune2fs leaves it stale.
    // mke2fs leaves out block 0 of 1 KiB filesystems, the kernel adds it.
    let as_made = sb.s_mnt_count.get() == 0
        && sb.s_wtime == sb.s_mkfs_time
        && sb.s_lastcheck == sb.s_mkfs_time;
    let is = sb.s_overhead_clusters.get();
    if as_made && is != 0 && is != lo32(overhead) && is != lo32(overhead + first) {
        find(format!(
            "s_overhead_clusters is {is}, metadata and journal take {overhead}"
        ))?;
    }
    Ok(())
}
