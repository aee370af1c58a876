//! The orphan file: blocks of inode numbers that a crash would leave to be deleted, each with a tail.
//!
//! ```text
//! 0                                  block size - 8
//! │ inode numbers, 0 where unused     │ ob_magic │ ob_checksum │
//! ```
//! Mirrors `struct ext4_orphan_block_tail` of Linux `fs/ext4/ext4.h`. After a clean unmount all
//! numbers are 0.

use super::Checker;
use super::extents::Mapped;
use super::inodes::Item;
use super::report::{Step, inode};
use crate::ext4::checksum;
use crate::ext4::disk::inode::{S_IFMT, S_IFREG};
use crate::ext4::disk::orphan::{EXT4_ORPHAN_BLOCK_MAGIC, OrphanBlockTail};
use crate::ext4::disk::superblock::{COMPAT_ORPHAN_FILE, SUPERBLOCK_OFFSET};
use zerocopy::FromBytes;

/// Whether `ino` is the orphan file.
pub(super) fn is(cx: &Checker, ino: u32) -> bool {
    cx.sb.s_feature_compat.get() & COMPAT_ORPHAN_FILE != 0 && ino == cx.sb.s_orphan_file_inum.get()
}

/// Checks the orphan file, whose inode is `item`.
pub(super) fn check(cx: &mut Checker, item: &Item, mapped: &Mapped) -> Step {
    cx.orphan_file = true;
    let blocks = item.size() / cx.geo.block_size;
    let sound = item.inode.i_mode.get() & S_IFMT == S_IFREG
        && mapped.unwritten == 0
        && mapped.data == blocks
        && mapped.mapped_end == blocks
        && item.size().is_multiple_of(cx.geo.block_size);
    if !sound {
        let why = format!("the orphan file is no regular file of {blocks} blocks without holes");
        cx.find(inode(item.ino), item.offset, why)?;
    }
    for block in mapped.runs.iter().flat_map(|r| r.disk..r.disk + r.len) {
        cx.cancel_point()?;
        check_block(cx, item, block)?;
    }
    Ok(())
}

fn check_block(cx: &mut Checker, item: &Item, block: u64) -> Step {
    let bytes = cx.block(block)?;
    let at = cx.geo.byte(block);
    let Ok((entries, tail)) = OrphanBlockTail::read_from_suffix(&bytes) else {
        return Ok(());
    };
    let crc = checksum::orphan_block(item.seed, block, entries);
    let why = if tail.ob_magic.get() != EXT4_ORPHAN_BLOCK_MAGIC {
        format!("ob_magic is 0x{:08x}, not 0x0b10ca04", tail.ob_magic)
    } else if cx.geo.checksums && tail.ob_checksum.get() != crc {
        format!("ob_checksum is 0x{:08x}, not 0x{crc:08x}", tail.ob_checksum)
    } else if entries.iter().any(|b| *b != 0) {
        "there are orphan inodes in it".into()
    } else {
        return Ok(());
    };
    cx.find(inode(item.ino), at, format!("orphan file block: {why}"))
}

/// That a filesystem with the feature has an orphan file, after all inodes were read.
pub(super) fn check_presence(cx: &mut Checker) -> Step {
    let has = cx.sb.s_feature_compat.get() & COMPAT_ORPHAN_FILE != 0;
    if has && !cx.orphan_file {
        let why = format!(
            "s_orphan_file_inum {} is no orphan file",
            cx.sb.s_orphan_file_inum
        );
        cx.find("superblock", SUPERBLOCK_OFFSET, why)?;
    }
    Ok(())
}
