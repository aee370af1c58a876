//! The journal inode, its superblock, and the copy of the inode in the superblock.

use zerocopy::FromBytes;

use super::Checker;
use super::extents::Mapped;
use super::inodes::Item;
use super::report::{Step, inode};
use crate::ext4::checksum;
use crate::ext4::disk::inode::{S_IFMT, S_IFREG};
use crate::ext4::disk::journal as disk;
use crate::ext4::disk::journal::JournalSuperblock;
use crate::ext4::disk::superblock::{
    COMPAT_HAS_JOURNAL, EXT3_JNL_BACKUP_BLOCKS, SUPERBLOCK_OFFSET,
};

/// Checks the journal whose inode is `item`.
pub(super) fn check(cx: &mut Checker, item: &Item, mapped: &Mapped) -> Step {
    // As the kernel counts (`ext4_calculate_overhead`): without the blocks of its extent tree.
    cx.journal_blocks = mapped.data;
    let blocks = item.size() / cx.geo.block_size;
    let sound = item.inode.i_mode.get() & S_IFMT == S_IFREG
        && mapped.unwritten == 0
        && mapped.data == blocks
        && mapped.mapped_end == blocks;
    if !sound {
        let why = format!("the journal is no regular file of {blocks} blocks without holes");
        cx.find(inode(item.ino), item.offset, why)?;
    }
    check_backup(cx, item)?;
    if !mapped.sound || mapped.data == 0 {
        return Ok(());
    }
    let Some(run) = mapped.runs.first().filter(|r| r.file == 0) else {
        let why = "the first block of the journal is a hole";
        return cx.find(inode(item.ino), item.offset, why);
    };
    let block = run.disk;
    let bytes = cx.block(block)?;
    let Ok((jsb, _)) = JournalSuperblock::read_from_prefix(&bytes) else {
        return Ok(());
    };
    check_superblock(cx, &jsb, &bytes, block, blocks)
}

fn check_backup(cx: &mut Checker, item: &Item) -> Step {
    let sb = &cx.sb;
    let copy = &sb.s_jnl_blocks;
    let same = (0..15).all(|n| copy[n].get() == item.block_word(n))
        && copy[15] == item.inode.i_size_high
        && copy[16] == item.inode.i_size_lo;
    let kind = sb.s_jnl_backup_type;
    if kind != EXT3_JNL_BACKUP_BLOCKS || !same {
        let why = format!(
            "s_jnl_blocks (s_jnl_backup_type {kind}) is not a copy of the journal inode {}",
            item.ino
        );
        cx.find("superblock", SUPERBLOCK_OFFSET, why)?;
    }
    Ok(())
}

fn check_superblock(
    cx: &mut Checker,
    jsb: &JournalSuperblock,
    bytes: &[u8],
    block: u64,
    blocks: u64,
) -> Step {
    let block_size = cx.geo.block_size;
    let at = cx.geo.byte(block);
    let mut find = |why: String| cx.report.add("journal superblock", at, why);
    let types = [disk::JBD2_SUPERBLOCK_V1, disk::JBD2_SUPERBLOCK_V2];
    if jsb.h_magic.get() != disk::JBD2_MAGIC_NUMBER || !types.contains(&jsb.h_blocktype.get()) {
        return find(format!(
            "h_magic 0x{:08x}, h_blocktype {}",
            jsb.h_magic, jsb.h_blocktype
        ));
    }
    if u64::from(jsb.s_blocksize.get()) != block_size {
        find(format!(
            "s_blocksize is {}, the filesystem has {block_size}",
            jsb.s_blocksize
        ))?;
    }
    if u64::from(jsb.s_maxlen.get()) != blocks {
        find(format!(
            "s_maxlen is {}, the journal has {blocks} blocks",
            jsb.s_maxlen
        ))?;
    }
    if jsb.s_first.get() != 1 {
        find(format!("s_first is {}, not 1", jsb.s_first))?;
    }
    if jsb.s_start.get() != 0 {
        find(format!(
            "s_start is {}: the journal is not clean",
            jsb.s_start
        ))?;
    }
    if jsb.s_errno.get() != 0 {
        find(format!(
            "s_errno is {}: the journal was aborted",
            jsb.s_errno
        ))?;
    }
    if jsb.s_nr_users.get() > 1 {
        find(format!("s_nr_users is {}", jsb.s_nr_users))?;
    }
    if jsb.h_blocktype.get() == disk::JBD2_SUPERBLOCK_V1 {
        // It has no feature words.
        return Ok(());
    }
    let incompat = jsb.s_feature_incompat.get();
    if incompat & !0x3F != 0 || jsb.s_feature_ro_compat.get() != 0 {
        find(format!(
            "s_feature_incompat 0x{incompat:x} has unknown bits"
        ))?;
    }
    let summed = disk::JBD2_FEATURE_INCOMPAT_CSUM_V2 | disk::JBD2_FEATURE_INCOMPAT_CSUM_V3;
    let Some(Ok(bytes)) = bytes.get(..1024).map(<&[u8; 1024]>::try_from) else {
        return Ok(());
    };
    let crc = checksum::journal_superblock(bytes);
    if incompat & summed != 0 && jsb.s_checksum.get() != crc {
        find(format!(
            "s_checksum is 0x{:08x}, not 0x{crc:08x}",
            jsb.s_checksum
        ))?;
    }
    Ok(())
}

/// That a filesystem with `has_journal` has one, after all inodes were read.
pub(super) fn check_presence(cx: &mut Checker) -> Step {
    let sb = cx.sb;
    let has = sb.s_feature_compat.get() & COMPAT_HAS_JOURNAL != 0;
    let mut find = |why: String| cx.report.add("superblock", SUPERBLOCK_OFFSET, why);
    let inum = sb.s_journal_inum.get();
    if has && sb.s_journal_uuid != [0; 16] {
        find("s_journal_uuid is set: e2fsck would look for an external journal".into())?;
    }
    if has && sb.s_journal_dev.get() != 0 {
        find(format!("s_journal_dev is {}", sb.s_journal_dev))?;
    }
    if has != (inum != 0) {
        find(format!(
            "s_journal_inum is {inum}, has_journal is {}",
            u8::from(has)
        ))?;
    }
    if has && cx.journal_blocks == 0 {
        find(format!("s_journal_inum {inum} is no journal with blocks"))?;
    }
    Ok(())
}
