//! Group descriptors: where the metadata of a group lies, and that nothing else lies there.

use zerocopy::{FromBytes, FromZeros};

use super::geometry::Geometry;
use super::report::Step;
use super::superblock::wide;
use super::usage::Meta;
use super::{Checker, usage};
use crate::ext4::checksum;
use crate::ext4::disk::group_desc::{BG_BLOCK_UNINIT, BG_INODE_UNINIT, BG_INODE_ZEROED, GroupDesc};
use crate::ext4::disk::superblock::INCOMPAT_FLEX_BG;
use crate::units::{index, index32, lo32};

/// The block of the block bitmap.
pub(in crate::ext4) fn block_bitmap(gd: &GroupDesc) -> u64 {
    wide(gd.bg_block_bitmap_hi.get(), gd.bg_block_bitmap_lo.get())
}

/// The block of the inode bitmap.
pub(in crate::ext4) fn inode_bitmap(gd: &GroupDesc) -> u64 {
    wide(gd.bg_inode_bitmap_hi.get(), gd.bg_inode_bitmap_lo.get())
}

/// The first block of the inode table.
pub(in crate::ext4) fn inode_table(gd: &GroupDesc) -> u64 {
    wide(gd.bg_inode_table_hi.get(), gd.bg_inode_table_lo.get())
}

/// A count from its halves.
pub(in crate::ext4) fn pair(
    hi: zerocopy::little_endian::U16,
    lo: zerocopy::little_endian::U16,
) -> u32 {
    u32::from(hi.get()) << 16 | u32::from(lo.get())
}

/// Byte of a group's descriptor in the primary table.
pub(in crate::ext4) fn offset(geo: &Geometry, group: u32) -> u64 {
    let size = usage::at(geo.desc_size);
    let per_block = geo.block_size / size;
    let group = u64::from(group);
    geo.byte(geo.gdt_block(group / per_block)) + group % per_block * size
}

/// Group number of the first descriptor in block `n`, and how many bytes of the block are in use.
pub(in crate::ext4) fn gdt_span(geo: &Geometry, n: u64) -> (u32, usize) {
    let size = usage::at(geo.desc_size);
    let first = n * (geo.block_size / size);
    let left = u64::from(geo.groups).saturating_sub(first);
    (lo32(first), index((left * size).min(geo.block_size)))
}

/// The checksum that a descriptor should have, where descriptors have any.
pub(super) fn desc_checksum(cx: &Checker, group: u32, raw: &[u8]) -> Option<u16> {
    if cx.geo.checksums {
        return Some(checksum::group_desc(cx.seed, group, raw));
    }
    let crc16 = || checksum::group_desc_crc16(&cx.sb.s_uuid, group, raw);
    cx.geo.gdt_csum.then(crc16)
}

/// A descriptor of 32 or 64 bytes.
pub(in crate::ext4) fn parse(bytes: &[u8]) -> GroupDesc {
    let mut whole = [0; 64];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    GroupDesc::read_from_bytes(&whole).unwrap_or_else(|_| GroupDesc::new_zeroed())
}

/// Reads the descriptors, claims superblocks, descriptors, bitmaps and inode tables.
pub(super) fn check(cx: &mut Checker) -> Step {
    for n in 0..cx.geo.gdt_blocks {
        let (first, len) = gdt_span(&cx.geo, n);
        if !cx.geo.contains(cx.geo.gdt_block(n), 1) {
            let why = "the last group is too short for its descriptors";
            return cx.find(name(first), cx.geo.byte(cx.geo.gdt_block(n)), why);
        }
        let mut bytes = vec![0; len];
        cx.read(cx.geo.byte(cx.geo.gdt_block(n)), &mut bytes)?;
        for (group, raw) in (first..).zip(bytes.chunks_exact(cx.geo.desc_size)) {
            cx.groups.push(parse(raw));
            let is = cx.groups[index32(group)].bg_checksum.get();
            if let Some(crc) = desc_checksum(cx, group, raw)
                && is != crc
            {
                let why = format!("bg_checksum is 0x{is:04x}, the descriptor has 0x{crc:04x}");
                cx.find(name(group), offset(&cx.geo, group), why)?;
            }
        }
    }
    for group in 0..cx.geo.groups {
        if cx.geo.has_super(group) {
            claim_super(cx, group)?;
        }
    }
    for n in cx.geo.gdt_blocks_after_super..cx.geo.gdt_blocks {
        let (first, _) = gdt_span(&cx.geo, n);
        claim(cx, first, cx.geo.gdt_block(n), 1, Meta::Descriptors(first))?;
        for (group, block) in cx.geo.gdt_copies(n) {
            claim(cx, group, block, 1, Meta::Descriptors(group))?;
        }
    }
    for group in 0..cx.geo.groups {
        check_group(cx, group)?;
    }
    Ok(())
}

/// Claims a superblock and what follows it.
fn claim_super(cx: &mut Checker, group: u32) -> Step {
    let start = cx.geo.group_start(group);
    let (gdt, reserved) = if cx.geo.has_gdt(group) {
        (cx.geo.gdt_blocks_after_super, cx.geo.reserved_gdt_blocks)
    } else {
        (0, 0)
    };
    if !cx.geo.contains(start, 1 + gdt + reserved) {
        let why = "the last group is too short for its superblock and descriptors";
        return cx.find(name(group), cx.geo.byte(start), why);
    }
    claim(cx, group, start, 1, Meta::Superblock(group))?;
    claim(cx, group, start + 1, gdt, Meta::Descriptors(group))?;
    let after = start + 1 + gdt;
    claim(cx, group, after, reserved, Meta::ReservedDescriptors(group)).map(|_| ())
}

/// A descriptor as the place of a finding.
pub(in crate::ext4) fn name(group: u32) -> String {
    format!("group {group} descriptor")
}

fn check_group(cx: &mut Checker, group: u32) -> Step {
    let gd = cx.groups[index32(group)];
    let itable = cx.geo.itable_blocks;
    claim(cx, group, block_bitmap(&gd), 1, Meta::BlockBitmap(group))?;
    claim(cx, group, inode_bitmap(&gd), 1, Meta::InodeBitmap(group))?;
    let sound = claim(cx, group, inode_table(&gd), itable, Meta::InodeTable(group))?;
    cx.itable_sound.push(sound);

    let known = BG_BLOCK_UNINIT | BG_INODE_UNINIT | BG_INODE_ZEROED;
    let flags = gd.bg_flags.get();
    let mut find = |why: String| cx.report.add(name(group), offset(&cx.geo, group), why);
    if flags & !known != 0 {
        find(format!("bg_flags 0x{flags:x} has unknown bits"))?;
    }
    if flags & (BG_BLOCK_UNINIT | BG_INODE_UNINIT) != 0 && !cx.geo.group_checksums() {
        find(format!(
            "bg_flags 0x{flags:x} says uninitialised without metadata_csum or gdt_csum"
        ))?;
    }
    if flags & BG_BLOCK_UNINIT != 0 && group + 1 == cx.geo.groups {
        find("bg_flags: the last group may not be BLOCK_UNINIT, its bitmap has padding".into())?;
    }
    if flags & BG_INODE_UNINIT != 0 && group == 0 {
        find("bg_flags: group 0 holds the reserved inodes and may not be INODE_UNINIT".into())?;
    }
    let unused = pair(gd.bg_itable_unused_hi, gd.bg_itable_unused_lo);
    if unused > cx.geo.inodes_per_group {
        find(format!(
            "bg_itable_unused {unused} exceeds the inodes of a group"
        ))?;
    }
    if flags & BG_INODE_UNINIT != 0 && unused != cx.geo.inodes_per_group {
        find(format!(
            "bg_itable_unused is {unused} although the group is INODE_UNINIT"
        ))?;
    }
    Ok(())
}

/// Claims metadata; whether it lies in the filesystem and alone.
fn claim(cx: &mut Checker, group: u32, start: u64, len: u64, what: Meta) -> Step<bool> {
    let at = offset(&cx.geo, group);
    let flex = cx.sb.s_feature_incompat.get() & INCOMPAT_FLEX_BG != 0;
    let (first, end) = (cx.geo.group_start(group), cx.geo.group_start(group));
    let end = end + cx.geo.group_len(group);
    if !cx.geo.contains(start, len) {
        let why = format!("{what}, blocks {start}+{len}, lies outside the filesystem");
        cx.find(name(group), at, why)?;
        return Ok(false);
    }
    if !flex && (start < first || start + len > end) {
        let why = format!("{what}, blocks {start}+{len}, lies outside its group");
        cx.find(name(group), at, why)?;
    }
    let before = cx.used.meta_len();
    let Some(double) = cx.used.claim_meta(start, len, what) else {
        return Ok(true);
    };
    let owner = cx.used.meta_before(before, double);
    let owner = owner.map_or_else(|| "other metadata".into(), |m| m.to_string());
    let why = format!("{what} overlaps {owner} at block {double}");
    cx.find(name(group), at, why)?;
    Ok(false)
}

/// Bytes of an inode table that may hold inodes in use.
pub(super) fn itable_used(cx: &Checker, group: u32) -> usize {
    let gd = &cx.groups[index32(group)];
    if gd.bg_flags.get() & BG_INODE_UNINIT != 0 {
        return 0;
    }
    let unused = pair(gd.bg_itable_unused_hi, gd.bg_itable_unused_lo);
    let unused = if cx.geo.group_checksums() { unused } else { 0 };
    index(u64::from(cx.geo.inodes_per_group.saturating_sub(unused))) * cx.geo.inode_size
}
