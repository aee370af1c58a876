//! Every inode in use: its fields, its blocks, its xattrs.

use super::directory::Directory;
use super::extents::{self, Mapped};
use super::report::{Step, inode};
use super::superblock::wide;
use super::{Checker, block_map, groups, journal, orphan_file, resize_inode, usage, xattr};
use crate::ext4::checksum;
use crate::ext4::disk::inode as disk;
use crate::ext4::disk::inode::Inode;
use crate::ext4::disk::superblock::{
    COMPAT_DIR_INDEX, COMPAT_EXT_ATTR, COMPAT_RESIZE_INODE, INCOMPAT_EXTENTS, RO_COMPAT_LARGE_FILE,
};
use crate::units::{MIB, count, index, index32, lo8, lo16};

/// `i_mode >> 12` of a regular file.
pub(super) const KIND_FILE: u8 = 8;
/// `i_mode >> 12` of a directory.
pub(super) const KIND_DIRECTORY: u8 = 4;
/// `i_mode >> 12` of a symbolic link.
pub(super) const KIND_SYMLINK: u8 = 10;
/// `i_mode >> 12` of fifos, character devices, block devices and sockets.
pub(super) const KIND_SPECIALS: [u8; 4] = [1, 2, 6, 12];

/// Flags that this checker can interpret: what `chattr` sets, INDEX, HUGE_FILE, EXTENTS.
const FLAGS_KNOWN: u32 = 0x220F_D4FB;

/// What later steps need of an inode in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InodeInfo {
    pub(super) ino: u32,
    /// `i_mode >> 12`.
    pub(super) kind: u8,
    /// `i_links_count`.
    pub(super) links: u16,
    /// Links counted in directories.
    pub(super) counted: u32,
    /// The directory that holds a directory; 0 until one is found.
    pub(super) parent: u32,
}

/// One inode being checked.
pub(super) struct Item<'b> {
    pub(super) ino: u32,
    pub(super) inode: Inode,
    /// All bytes of the inode.
    pub(super) raw: &'b [u8],
    /// Byte in the filesystem.
    pub(super) offset: u64,
    /// Checksum seed.
    pub(super) seed: u32,
}

impl Item<'_> {
    pub(super) fn size(&self) -> u64 {
        wide(self.inode.i_size_high.get(), self.inode.i_size_lo.get())
    }

    pub(super) fn flag(&self, flag: u32) -> bool {
        self.inode.i_flags.get() & flag != 0
    }

    pub(super) fn file_acl(&self) -> u64 {
        let hi = u32::from(self.inode.l_i_file_acl_high.get());
        wide(hi, self.inode.i_file_acl_lo.get())
    }

    /// Word `n` of `i_block`.
    pub(super) fn block_word(&self, n: usize) -> u32 {
        let b = self.inode.i_block.get(n * 4..n * 4 + 4).unwrap_or_default();
        <[u8; 4]>::try_from(b).map_or(0, u32::from_le_bytes)
    }
}

/// Byte of an inode in the filesystem, if its group's table is known.
pub(super) fn offset(cx: &Checker, ino: u32) -> u64 {
    let (group, place) = cx.geo.inode_place(ino);
    let table = cx.groups.get(index32(group)).map_or(0, groups::inode_table);
    let into = u64::from(place) * count(cx.geo.inode_size);
    cx.geo.byte(table).saturating_add(into)
}

/// Inodes in use, with the reserved ones.
pub(super) fn used(cx: &Checker) -> u64 {
    let first = cx.sb.s_first_ino.get();
    let free = count(cx.inodes.iter().filter(|i| i.ino >= first).count());
    free + u64::from(first.saturating_sub(1))
}

/// Scans the used part of every inode table.
pub(super) fn check(cx: &mut Checker) -> Step {
    for group in 0..cx.geo.groups {
        cx.cancel_point()?;
        if cx
            .itable_sound
            .get(index32(group))
            .is_some_and(|sound| *sound)
        {
            check_table(cx, group)?;
        }
    }
    Ok(())
}

fn check_table(cx: &mut Checker, group: u32) -> Step {
    let table = cx.geo.byte(groups::inode_table(&cx.groups[index32(group)]));
    let len = groups::itable_used(cx, group);
    let size = cx.geo.inode_size;
    let mut buf = vec![0; len.min(index(MIB))];
    let mut ino = group * cx.geo.inodes_per_group;
    for start in (0..len).step_by(index(MIB)) {
        let chunk = &mut buf[..(len - start).min(index(MIB))];
        cx.read(table + usage::at(start), chunk)?;
        for (n, raw) in chunk.chunks_exact(size).enumerate() {
            ino += 1;
            let offset = table + usage::at(start + n * size);
            check_raw(cx, ino, raw, offset)?;
        }
    }
    Ok(())
}

fn check_raw(cx: &mut Checker, ino: u32, raw: &[u8], offset: u64) -> Step {
    let mut whole = [0; size_of::<Inode>()];
    let len = raw.len().min(whole.len());
    whole[..len].copy_from_slice(&raw[..len]);
    let head: Inode = zerocopy::transmute!(whole);
    if head.i_links_count.get() == 0 && raw.iter().all(|b| *b == 0) {
        return Ok(());
    }
    let seed = checksum::inode_seed(cx.seed, ino, head.i_generation.get());
    let item = Item {
        ino,
        inode: head,
        raw,
        offset,
        seed,
    };
    if cx.geo.checksums {
        let crc = checksum::inode(seed, raw);
        let is = u32::from(head.i_checksum_hi.get()) << 16 | u32::from(head.l_i_checksum_lo.get());
        // Without extra fields only the low half is stored: mke2fs leaves unused inodes so.
        let mask = if head.i_extra_isize.get() >= 4 {
            u32::MAX
        } else {
            0xFFFF
        };
        if is & mask != crc & mask {
            let why = format!("i_checksum is 0x{is:08x}, the inode has 0x{crc:08x}");
            cx.find(inode(ino), offset, why)?;
        }
    }
    if ino == disk::EXT4_BAD_INO {
        // It lists blocks to stay away from and has neither type nor links.
        block_map::walk(cx, &item, false)?;
        return Ok(());
    }
    if head.i_links_count.get() == 0 {
        return check_free(cx, &item);
    }
    let kind = lo8(u64::from(head.i_mode.get() >> 12));
    let links = head.i_links_count.get();
    cx.inodes.push(InodeInfo {
        ino,
        kind,
        links,
        counted: 0,
        parent: 0,
    });
    check_fields(cx, &item)?;
    if ino == disk::EXT4_RESIZE_INO && cx.sb.s_feature_compat.get() & COMPAT_RESIZE_INODE != 0 {
        return resize_inode::check(cx, &item);
    }
    let xattr_blocks = xattr::check(cx, &item)?;
    let mapped = check_content(cx, &item)?;
    check_sectors(cx, &item, &mapped, xattr_blocks)?;
    if ino == cx.sb.s_journal_inum.get() {
        journal::check(cx, &item, &mapped)?;
    }
    if orphan_file::is(cx, ino) {
        orphan_file::check(cx, &item, &mapped)?;
    }
    Ok(())
}

/// An inode without links: the kernel sets `i_dtime` when it deletes a file.
fn check_free(cx: &mut Checker, item: &Item) -> Step {
    if item.inode.i_mode.get() != 0 && item.inode.i_dtime.get() == 0 {
        let why = "the inode has no links and was never deleted: i_dtime is 0";
        cx.find(inode(item.ino), item.offset, why)?;
    }
    Ok(())
}

/// Fields that mean the same in every type.
fn check_fields(cx: &mut Checker, item: &Item) -> Step {
    let i = &item.inode;
    let features = (cx.sb.s_feature_compat.get(), cx.sb.s_feature_incompat.get());
    let mut find = |why: String| cx.report.add(inode(item.ino), item.offset, why);
    if i.i_dtime.get() != 0 {
        find(format!(
            "i_dtime is {} although the inode has links",
            i.i_dtime
        ))?;
    }
    let flags = i.i_flags.get();
    if flags & !FLAGS_KNOWN != 0 {
        find(format!(
            "i_flags 0x{flags:x} has 0x{:x}, which no feature allows",
            flags & !FLAGS_KNOWN
        ))?;
    }
    if item.flag(disk::EXT4_EXTENTS_FL) && features.1 & INCOMPAT_EXTENTS == 0 {
        find("i_flags: EXTENTS_FL without the extents feature".into())?;
    }
    if item.flag(disk::EXT4_INDEX_FL) && features.0 & COMPAT_DIR_INDEX == 0 {
        find("i_flags: INDEX_FL without the dir_index feature".into())?;
    }
    if i.i_obso_faddr.get() != 0 {
        find(format!("i_obso_faddr is {}", i.i_obso_faddr))?;
    }
    let extra = i.i_extra_isize.get();
    let least = cx.sb.s_min_extra_isize.get().max(4);
    let room = lo16(u32::try_from(cx.geo.inode_size).unwrap_or(0)).saturating_sub(128);
    // 0: an inode from before the filesystem had such fields.
    if extra != 0 && extra < least || extra > room || !extra.is_multiple_of(4) {
        find(format!(
            "i_extra_isize is {extra}, not between {least} and {room}"
        ))?;
    }
    let times = [
        ("i_ctime_extra", i.i_ctime_extra, 8),
        ("i_mtime_extra", i.i_mtime_extra, 12),
        ("i_atime_extra", i.i_atime_extra, 16),
        ("i_crtime_extra", i.i_crtime_extra, 24),
    ];
    for (name, value, end) in times {
        if extra >= end && value.get() >> 2 >= 1_000_000_000 {
            find(format!("{name} has {} nanoseconds", value.get() >> 2))?;
        }
    }
    let index_fl = disk::EXT4_INDEX_FL;
    if item.flag(index_fl) && i.i_mode.get() & disk::S_IFMT != disk::S_IFDIR {
        find("i_flags: INDEX_FL on what is no directory".into())?;
    }
    if item.file_acl() != 0 && features.0 & COMPAT_EXT_ATTR == 0 {
        find("i_file_acl is set without the ext_attr feature".into())?;
    }
    Ok(())
}

/// What the inode holds, by its type.
fn check_content(cx: &mut Checker, item: &Item) -> Step<Mapped> {
    match item.inode.i_mode.get() & disk::S_IFMT {
        disk::S_IFREG => check_file(cx, item),
        disk::S_IFDIR => check_directory(cx, item),
        disk::S_IFLNK => check_symlink(cx, item),
        disk::S_IFCHR | disk::S_IFBLK => check_special(cx, item, true),
        disk::S_IFIFO | disk::S_IFSOCK => check_special(cx, item, false),
        _ => {
            let why = format!("i_mode 0{:o} has no file type", item.inode.i_mode);
            cx.find(inode(item.ino), item.offset, why)?;
            Ok(Mapped::default())
        }
    }
}

fn check_extents(cx: &mut Checker, item: &Item, keep: bool) -> Step<Mapped> {
    if item.flag(disk::EXT4_EXTENTS_FL) {
        return extents::walk(cx, item, keep);
    }
    block_map::walk(cx, item, keep)
}

fn check_file(cx: &mut Checker, item: &Item) -> Step<Mapped> {
    let is_journal = item.ino == cx.sb.s_journal_inum.get();
    let keep = is_journal || orphan_file::is(cx, item.ino);
    let mapped = check_extents(cx, item, keep)?;
    let blocks = item.size().div_ceil(cx.geo.block_size);
    if mapped.end > blocks || blocks > 1 << 32 {
        let (size, end) = (item.size(), mapped.end);
        let why = format!("i_size {size} is {blocks} blocks, the extents end at block {end}");
        cx.find(inode(item.ino), item.offset, why)?;
    }
    if !item.flag(disk::EXT4_EXTENTS_FL) && blocks > block_map::reach(&cx.geo) {
        let why = format!("i_size {} is more than a block map reaches", item.size());
        cx.find(inode(item.ino), item.offset, why)?;
    }
    let large = cx.sb.s_feature_ro_compat.get() & RO_COMPAT_LARGE_FILE != 0;
    if item.size() >= 1 << 31 && !large {
        let why = format!("i_size {} needs the large_file feature", item.size());
        cx.find(inode(item.ino), item.offset, why)?;
    }
    Ok(mapped)
}

fn check_directory(cx: &mut Checker, item: &Item) -> Step<Mapped> {
    let mapped = check_extents(cx, item, true)?;
    let blocks = item.size() / cx.geo.block_size;
    let whole = item.size().is_multiple_of(cx.geo.block_size) && blocks > 0;
    let complete = mapped.unwritten == 0 && extents::covers(&mapped.runs, blocks);
    if mapped.sound && !(whole && complete) {
        let why = format!(
            "i_size {} and the extents ({} blocks up to block {}) do not describe a directory \
             without holes",
            item.size(),
            mapped.data,
            mapped.mapped_end,
        );
        cx.find(inode(item.ino), item.offset, why)?;
    }
    let first_run = count(cx.runs.len());
    cx.runs.extend_from_slice(&mapped.runs);
    cx.directories.push(Directory {
        ino: item.ino,
        seed: item.seed,
        offset: item.offset,
        blocks,
        whole: whole && complete && mapped.sound,
        indexed: item.flag(disk::EXT4_INDEX_FL),
        first_run,
        end_run: count(cx.runs.len()),
        dotdot: 0,
    });
    Ok(mapped)
}

fn check_symlink(cx: &mut Checker, item: &Item) -> Step<Mapped> {
    let size = item.size();
    if item.flag(disk::EXT4_EXTENTS_FL) || size >= count(item.inode.i_block.len()) {
        let mapped = check_extents(cx, item, true)?;
        let mut target = Vec::new();
        if let ([run], true) = (mapped.runs.as_slice(), mapped.data == 1 && mapped.end == 1) {
            target = cx.block(run.disk)?;
        }
        let len = target.iter().position(|b| *b == 0).map(count);
        if mapped.sound && (len != Some(size) || size == 0) {
            let why = format!("a symlink of {size} bytes is not in one block that ends with NUL");
            cx.find(inode(item.ino), item.offset, why)?;
        }
        return Ok(mapped);
    }
    let target = &item.inode.i_block;
    let len = target.iter().position(|b| *b == 0).unwrap_or(target.len());
    // Behind the NUL, Linux leaves what is left of the extent header that every new inode gets.
    if count(len) != size || size == 0 || size >= 60 {
        let why = format!("i_size {size} is not the length of the target in i_block ({len})");
        cx.find(inode(item.ino), item.offset, why)?;
    }
    Ok(Mapped {
        sound: true,
        ..Mapped::default()
    })
}

/// Devices, whose number is in word 0 (old encoding) or 1 (new) of `i_block`; fifos and sockets.
fn check_special(cx: &mut Checker, item: &Item, device: bool) -> Step<Mapped> {
    let used = if device { 2 } else { 0 };
    let both = item.block_word(0) != 0 && item.block_word(1) != 0;
    let rest = (used..disk::EXT4_N_BLOCKS).any(|n| item.block_word(n) != 0);
    let wide_old = device && item.block_word(0) >> 16 != 0;
    if both || rest || wide_old {
        let why = "i_block is not a device number in one of its two encodings, or not empty";
        cx.find(inode(item.ino), item.offset, why)?;
    }
    if item.size() != 0 || item.flag(disk::EXT4_EXTENTS_FL) {
        let why = format!(
            "a device, fifo or socket has i_size {} or extents",
            item.size()
        );
        cx.find(inode(item.ino), item.offset, why)?;
    }
    Ok(Mapped {
        sound: true,
        ..Mapped::default()
    })
}

fn check_sectors(cx: &mut Checker, item: &Item, mapped: &Mapped, xattr_blocks: u64) -> Step {
    let hi = u32::from(item.inode.l_i_blocks_high.get());
    let is = wide(hi, item.inode.i_blocks_lo.get());
    let unit = if item.flag(disk::EXT4_HUGE_FILE_FL) {
        1
    } else {
        cx.geo.block_size / 512
    };
    let blocks = mapped.data + mapped.nodes + xattr_blocks;
    if mapped.sound && is != blocks * unit {
        let why = format!(
            "i_blocks is {is}, the inode has {blocks} blocks ({})",
            blocks * unit
        );
        cx.find(inode(item.ino), item.offset, why)?;
    }
    Ok(())
}
