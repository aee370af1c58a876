//! A reader of ext2, ext3 and ext4 filesystems, whoever made them.
//!
//! ```text
//! Reader::open ─► inode(nr) ─┬─► entries   the names in a directory
//!                            ├─► mapping   where its blocks lie, and the blocks that say so
//!                            ├─► content   its bytes, holes known
//!                            ├─► target    of a symbolic link
//!                            └─► xattrs    in the inode, in a block, in inodes of their own
//! ```
//!
//! Unlike the checker, it goes on past damage: what makes no sense is left out, and told by
//! [`Reader::warnings`]. What cannot be read at all is a [`ReadError`], which names inode, byte and field.
//!
//! The input may be hostile: nothing recurses, a block of an extent tree or block map is followed once, a
//! file maps no more blocks than the filesystem has, and a directory ends where too much of it is damaged.
//! Memory: a cache of [`CACHE_BYTES`], and what one call returns.
//!
//! The journal is not replayed: a filesystem that was not unmounted cleanly is read as it lies there, with
//! a warning.

mod bitmap;
mod cache;
mod content;
mod directory;
mod error;
mod inode;
mod mapping;
mod superblock;
mod xattr;

#[cfg(test)]
mod tests;

pub use cache::CACHE_BYTES;
pub use content::Content;
pub use directory::{Dirent, Entries};
pub use error::{ReadError, Warning};
pub use inode::{Inode, Kind};
pub use mapping::{Mapping, Run};
pub use xattr::Xattrs;

use crate::ext4::check::geometry::Geometry;
use crate::ext4::check::groups;
use crate::ext4::disk::group_desc::{BG_INODE_UNINIT, GroupDesc};
use crate::ext4::disk::superblock::Superblock;
use crate::read_at::ReadAt;
use crate::units::{count, index};
use cache::Cache;
use std::sync::{Arc, Mutex, PoisonError};

/// So many warnings are kept: who has more needs e2fsck.
const WARNINGS_MAX: usize = 1000;

/// An open filesystem. It may be used by several threads.
pub struct Reader {
    fs: Arc<dyn ReadAt>,
    sb: Superblock,
    geo: Geometry,
    cache: Cache,
    warnings: Mutex<Vec<Warning>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("geo", &self.geo).finish()
    }
}

impl Reader {
    /// Opens the filesystem `fs`, whose first byte is the first of the filesystem.
    ///
    /// # Errors
    /// When there is none, its superblock makes no sense, or it has features that nobody can read without
    /// knowing them.
    pub fn open(fs: Arc<dyn ReadAt>) -> Result<Self, ReadError> {
        let (sb, geo) = superblock::read(&*fs)?;
        let reader = Self {
            cache: Cache::new(geo.block_size),
            warnings: Mutex::default(),
            fs,
            sb,
            geo,
        };
        superblock::warn(&reader);
        Ok(reader)
    }

    /// The superblock.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.sb
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        self.geo.block_size
    }

    /// Bytes of an inode in its table: 128 in revision 0, whatever `s_inode_size` says.
    #[must_use]
    pub fn inode_size(&self) -> u64 {
        count(self.geo.inode_size)
    }

    /// Blocks of the filesystem.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.geo.blocks
    }

    /// Number of block groups.
    #[must_use]
    pub fn groups(&self) -> u32 {
        self.geo.groups
    }

    /// First block of a group.
    #[must_use]
    pub fn group_start(&self, group: u32) -> u64 {
        self.geo.group_start(group)
    }

    /// Blocks of a group; the last may be short.
    #[must_use]
    pub fn group_len(&self, group: u32) -> u64 {
        self.geo.group_len(group)
    }

    /// Whether the group begins with a superblock.
    #[must_use]
    pub fn has_super(&self, group: u32) -> bool {
        self.geo.has_super(group)
    }

    /// The block of the group's superblock or its copy, if it has one.
    #[must_use]
    pub fn super_block(&self, group: u32) -> u64 {
        self.geo.super_block(group)
    }

    /// Blocks of descriptors that follow the group's superblock, and blocks reserved after them for growth;
    /// under `meta_bg` see [`Self::meta_descriptors`] too.
    #[must_use]
    pub fn descriptor_blocks(&self, group: u32) -> (u64, u64) {
        if self.geo.has_super(group) && self.geo.has_gdt(group) {
            return (
                self.geo.gdt_blocks_after_super,
                self.geo.reserved_gdt_blocks,
            );
        }
        (0, 0)
    }

    /// Blocks with descriptors that lie apart from superblocks (`meta_bg`), copies included: the first group that
    /// each describes, and where it lies.
    pub fn meta_descriptors(&self) -> impl Iterator<Item = (u32, u64)> {
        let all = self.geo.gdt_blocks_after_super..self.geo.gdt_blocks;
        all.flat_map(move |n| {
            let copies = self.geo.gdt_copies(n).into_iter().map(|(_, block)| block);
            let blocks = std::iter::once(self.geo.gdt_block(n)).chain(copies);
            blocks.map(move |block| (groups::gdt_span(&self.geo, n).0, block))
        })
    }

    /// Blocks of a group's inode table.
    #[must_use]
    pub fn inode_table_blocks(&self) -> u64 {
        self.geo.itable_blocks
    }

    /// A group's descriptor; without `64bit` its second half is zero.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn group(&self, group: u32) -> Result<GroupDesc, ReadError> {
        let mut bytes = vec![0; self.geo.desc_size];
        let at = groups::offset(&self.geo, group);
        self.cached(at, &mut bytes, || {
            format!("the descriptor of group {group}")
        })?;
        Ok(groups::parse(&bytes))
    }

    /// Byte of a group's descriptor in the first table of them.
    #[must_use]
    pub fn group_offset(&self, group: u32) -> u64 {
        groups::offset(&self.geo, group)
    }

    /// How many of the blocks from `start` up to `end` nobody uses, by the block bitmaps.
    ///
    /// # Errors
    /// When a bitmap cannot be read.
    pub fn free_blocks(&self, start: u64, end: u64) -> Result<u64, ReadError> {
        bitmap::free(self, start, end)
    }

    /// Inodes in use, ascending: those with links, and those reserved that hold blocks. Groups whose table
    /// was never written are left out.
    pub fn inodes(&self) -> impl Iterator<Item = Result<Inode, ReadError>> {
        (0..self.geo.groups).flat_map(move |group| {
            let used = self.group(group).map(|desc| self.table_used(&desc));
            let (used, failed) = match used {
                Ok(used) => (used, None),
                Err(e) => (0, Some(Err(e))),
            };
            let first = group * self.geo.inodes_per_group + 1;
            let all = (first..first + used).map(|nr| self.inode(nr));
            let in_use = all.filter(|inode| inode.as_ref().map_or(true, Inode::in_use));
            failed.into_iter().chain(in_use)
        })
    }

    /// Inodes at the beginning of a group's table that may be in use.
    fn table_used(&self, desc: &GroupDesc) -> u32 {
        let all = self.geo.inodes_per_group;
        if !self.geo.group_checksums() {
            // Tables of ext2 and ext3 are read whole, but for those of which nothing is in use.
            return if self.is_unused(desc) { 0 } else { all };
        }
        if desc.bg_flags.get() & BG_INODE_UNINIT != 0 {
            return 0;
        }
        let unused = groups::pair(desc.bg_itable_unused_hi, desc.bg_itable_unused_lo);
        all.saturating_sub(unused)
    }

    /// Whether the inode bitmap of a group says that none is in use.
    fn is_unused(&self, desc: &GroupDesc) -> bool {
        let bitmap = groups::inode_bitmap(desc);
        let bytes = index(u64::from(self.geo.inodes_per_group).div_ceil(8));
        let block = self.block(bitmap, || format!("the inode bitmap in block {bitmap}"));
        block.is_ok_and(|bits| bits.iter().take(bytes).all(|&b| b == 0))
    }

    /// An inode by its number.
    ///
    /// # Errors
    /// When there is no such inode, or it cannot be read.
    pub fn inode(&self, nr: u32) -> Result<Inode, ReadError> {
        inode::read(self, nr)
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn entries(&self, directory: &Inode) -> Result<Entries, ReadError> {
        directory::read(self, directory)
    }

    /// Where the blocks of an inode lie. Data in the inode itself has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn mapping(&self, inode: &Inode) -> Result<Mapping, ReadError> {
        mapping::read(self, inode)
    }

    /// The bytes of a file, to be read at any place.
    ///
    /// # Errors
    /// When it cannot be read, and when it is encrypted.
    pub fn content(&self, inode: &Inode) -> Result<Content<'_>, ReadError> {
        Content::open(self, inode)
    }

    /// What a symbolic link points to.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn target(&self, link: &Inode) -> Result<Vec<u8>, ReadError> {
        content::target(self, link)
    }

    /// The extended attributes of an inode, by their full names, ACLs as the kernel shows them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn xattrs(&self, inode: &Inode) -> Result<Xattrs, ReadError> {
        xattr::read(self, inode)
    }

    /// What made no sense since this was last asked.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn warn(&self, structure: impl Into<String>, offset: u64, message: impl Into<String>) {
        let mut list = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < WARNINGS_MAX {
            list.push(Warning {
                structure: structure.into(),
                offset,
                message: message.into(),
            });
        }
    }

    /// Reads past the cache: data, of which there is too much to keep.
    fn read(
        &self,
        offset: u64,
        buf: &mut [u8],
        what: impl FnOnce() -> String,
    ) -> Result<(), ReadError> {
        let len = count(buf.len());
        self.fs
            .read_exact_at(offset, buf)
            .map_err(|source| ReadError::Read {
                what: what(),
                offset,
                len,
                source,
            })
    }

    /// Reads metadata, which lies within one block, through the cache.
    fn cached(
        &self,
        offset: u64,
        buf: &mut [u8],
        what: impl FnOnce() -> String,
    ) -> Result<(), ReadError> {
        let size = self.geo.block_size;
        let block = self.block(offset / size, what)?;
        let start = index(offset % size);
        // Descriptors and inodes have sizes that divide a block's.
        let bytes = block.get(start..start + buf.len());
        buf.copy_from_slice(bytes.unwrap_or_default());
        Ok(())
    }

    /// A block, through the cache.
    fn block(&self, nr: u64, what: impl FnOnce() -> String) -> Result<Arc<[u8]>, ReadError> {
        if let Some(block) = self.cache.get(nr) {
            return Ok(block);
        }
        let mut bytes = vec![0; index(self.geo.block_size)];
        self.read(self.geo.byte(nr), &mut bytes, what)?;
        Ok(self.cache.put(nr, bytes.into()))
    }
}
