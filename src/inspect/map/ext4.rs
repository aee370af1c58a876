//! What an ext2, ext3 or ext4 filesystem has where.

use super::claims::Claims;
use super::what::What;
use crate::ext4::disk::group_desc::GroupDesc;
use crate::ext4::disk::inode::{
    EXT4_EA_INODE_FL, EXT4_JOURNAL_INO, EXT4_RESIZE_INO, EXT4_ROOT_INO,
};
use crate::ext4::disk::superblock::{EXT4_GOOD_OLD_FIRST_INO, INCOMPAT_MMP, SUPERBLOCK_OFFSET};
use crate::ext4::read::{Inode, Kind, ReadError, Reader};
use crate::inspect::InspectError;
use crate::read_at::ReadAt;
use std::io;
use std::sync::Arc;

/// So many damaged inodes end the walk: the filesystem is lost anyway.
const MAX_DAMAGED: u32 = 1000;
/// Descriptor blocks of `meta_bg` that are shown: those of a filesystem of 256 TiB.
const MAX_META: usize = 3 << 20;

/// A filesystem and its place on the disk.
struct Volume<'a> {
    reader: Reader,
    fs: Arc<dyn ReadAt>,
    /// Its first byte on the disk.
    at: u64,
    /// Bytes of it that are there.
    len: u64,
    claims: &'a mut Claims,
}

/// Claims the filesystem `fs`, which lies at byte `at` of the disk.
pub(super) fn claim(
    fs: &Arc<dyn ReadAt>,
    at: u64,
    claims: &mut Claims,
) -> Result<(), InspectError> {
    let reader = match Reader::open(Arc::clone(fs)) {
        Ok(reader) => reader,
        Err(e) => {
            claims.complete = false;
            claims.add(at + SUPERBLOCK_OFFSET, 1024, What::Superblock(0));
            return failed(at, e);
        }
    };
    let size = reader.blocks().saturating_mul(reader.block_size());
    let mut volume = Volume {
        reader,
        fs: Arc::clone(fs),
        at,
        len: size.min(fs.len()),
        claims,
    };
    let claimed = volume.groups().and_then(|()| volume.inodes());
    let len = volume.len;
    claims.add(at, len, What::Ext4Free);
    claimed.or_else(|e| failed(at, e))
}

/// Damage makes a map incomplete; what cannot be read is an error.
fn failed(at: u64, error: ReadError) -> Result<(), InspectError> {
    match error {
        ReadError::Read { offset, source, .. } if source.kind() != io::ErrorKind::UnexpectedEof => {
            let offset = at.saturating_add(offset);
            Err(InspectError::Read { offset, source })
        }
        _ => Ok(()),
    }
}

impl Volume<'_> {
    /// Claims blocks, as far as they are there.
    fn blocks(&mut self, first: u64, blocks: u64, what: What) {
        let size = self.reader.block_size();
        let from = first.saturating_mul(size).min(self.len);
        let to = first
            .saturating_add(blocks)
            .saturating_mul(size)
            .min(self.len);
        self.claims.add(self.at + from, to - from, what);
    }

    fn groups(&mut self) -> Result<(), ReadError> {
        let mut boot = [0; 1024];
        if self.fs.read_exact_at(0, &mut boot).is_ok() && boot.iter().any(|&b| b != 0) {
            self.claims.add(self.at, SUPERBLOCK_OFFSET, What::Ext4Boot);
        }
        for group in 0..self.reader.groups() {
            let start = self.reader.group_start(group);
            // A filesystem may say that it is larger than what is there.
            if start.saturating_mul(self.reader.block_size()) >= self.len {
                self.claims.complete = false;
                break;
            }
            if self.reader.has_super(group) {
                let (gdt, reserved) = self.reader.descriptor_blocks(group);
                let start = self.reader.super_block(group);
                self.blocks(start, 1, What::Superblock(group));
                self.blocks(start + 1, gdt, What::GroupDescriptors(group));
                self.blocks(start + 1 + gdt, reserved, What::ReservedGdt(group));
            }
        }
        let meta = self.reader.meta_descriptors().map(|(_, block)| block);
        let meta: Vec<u64> = meta.take(MAX_META).collect();
        for block in meta {
            self.blocks(block, 1, What::MetaDescriptors);
        }
        let sb = self.reader.superblock();
        if sb.s_feature_incompat.get() & INCOMPAT_MMP != 0 {
            let block = sb.s_mmp_block.get();
            self.blocks(block, 1, What::Mmp);
        }
        for group in 0..self.reader.groups() {
            if self.reader.group_offset(group) >= self.len {
                break;
            }
            let desc = self.reader.group(group)?;
            let [blocks, inodes, table] = places(&desc);
            self.blocks(blocks, 1, What::BlockBitmap(group));
            self.blocks(inodes, 1, What::InodeBitmap(group));
            let len = self.reader.inode_table_blocks();
            self.blocks(table, len, What::InodeTable(group));
        }
        Ok(())
    }

    /// Claims the blocks of all inodes in use. One that is damaged is passed over.
    fn inodes(&mut self) -> Result<(), ReadError> {
        let mut damaged = 0;
        let orphans = self.reader.superblock().s_orphan_file_inum.get();
        // The iterator borrows the reader, claiming borrows all of it: a second handle on the same bytes.
        let reader = Reader::open(Arc::clone(&self.fs))?;
        for inode in reader.inodes() {
            let claimed = inode.and_then(|inode| self.inode(&inode, orphans));
            if let Err(e) = claimed {
                self.claims.complete = false;
                damaged += 1;
                if damaged > MAX_DAMAGED {
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    fn inode(&mut self, inode: &Inode, orphans: u32) -> Result<(), ReadError> {
        let nr = inode.nr;
        let xattrs = inode.xattr_block();
        if xattrs != 0 {
            self.blocks(xattrs, 1, What::Xattr(nr));
        }
        let mapping = self.reader.mapping(inode)?;
        let (data, nodes) = match nr {
            EXT4_RESIZE_INO => (What::ResizeInode, What::ResizeInode),
            EXT4_JOURNAL_INO => (What::Journal, What::BlockPointers(nr)),
            _ if nr == orphans => (What::OrphanFile, What::BlockPointers(nr)),
            _ if nr < EXT4_GOOD_OLD_FIRST_INO && nr != EXT4_ROOT_INO => {
                (What::System(nr), What::BlockPointers(nr))
            }
            _ => (ordinary(inode), What::BlockPointers(nr)),
        };
        for node in mapping.nodes {
            self.blocks(node, 1, nodes);
        }
        for run in mapping.runs {
            let what = match data {
                What::File(nr) if !run.written => What::Zero(nr),
                data => data,
            };
            self.blocks(run.physical, run.len, what);
        }
        Ok(())
    }
}

fn ordinary(inode: &Inode) -> What {
    let nr = inode.nr;
    match inode.kind() {
        Kind::Directory => What::Directory(nr),
        Kind::Symlink => What::Symlink(nr),
        _ if inode.flag(EXT4_EA_INODE_FL) => What::XattrValue(nr),
        _ => What::File(nr),
    }
}

/// Blocks of the block bitmap, the inode bitmap and the inode table.
fn places(desc: &GroupDesc) -> [u64; 3] {
    let wide = |hi: u32, lo: u32| u64::from(hi) << 32 | u64::from(lo);
    [
        wide(desc.bg_block_bitmap_hi.get(), desc.bg_block_bitmap_lo.get()),
        wide(desc.bg_inode_bitmap_hi.get(), desc.bg_inode_bitmap_lo.get()),
        wide(desc.bg_inode_table_hi.get(), desc.bg_inode_table_lo.get()),
    ]
}
