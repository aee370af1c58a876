//! Where the blocks of a file lie: extent trees (Linux `fs/ext4/ext4_extents.h`) and the block maps of ext2
//! and ext3.

use super::{Inode, Kind, ReadError, Reader};
use crate::ext4::disk::extent::{
    EXT_INIT_MAX_LEN, EXT4_EXT_MAGIC, EXT4_MAX_EXTENT_DEPTH, Extent, ExtentHeader, ExtentIdx,
};
use crate::ext4::disk::inode::{
    EXT4_EXTENTS_FL, EXT4_IND_BLOCK, EXT4_INLINE_DATA_FL, EXT4_N_BLOCKS,
};
use crate::units::{count, index};
use std::collections::HashSet;
use zerocopy::FromBytes;

/// A run of blocks, one after the other in the file and on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First block in the file.
    pub logical: u64,
    /// First block in the filesystem.
    pub physical: u64,
    /// Blocks, above 0.
    pub len: u64,
    /// Whether it holds data: blocks set aside by `fallocate(2)` read as zeros.
    pub written: bool,
}

/// Where an inode's blocks lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Its blocks, ascending in the file, none there twice. What lies between is a hole.
    pub runs: Vec<Run>,
    /// Blocks of the extent tree or block map itself, in the order met.
    pub nodes: Vec<u64>,
}

/// A mapping being read.
struct Walk<'a> {
    reader: &'a Reader,
    inode: &'a Inode,
    mapping: Mapping,
    /// Nodes followed: a tree that shares nodes or loops ends.
    seen: HashSet<u64>,
    /// Blocks mapped.
    total: u64,
}

/// Reads the mapping of an inode.
pub(super) fn read(reader: &Reader, inode: &Inode) -> Result<Mapping, ReadError> {
    let mut walk = Walk {
        reader,
        inode,
        mapping: Mapping::default(),
        seen: HashSet::new(),
        total: 0,
    };
    if inode.flag(EXT4_INLINE_DATA_FL) || is_elsewhere(inode) {
        return Ok(walk.mapping);
    }
    if inode.flag(EXT4_EXTENTS_FL) {
        walk.extents()?;
    } else {
        walk.block_map()?;
    }
    Ok(walk.mapping)
}

/// Whether `i_block` holds something else than blocks.
fn is_elsewhere(inode: &Inode) -> bool {
    match inode.kind() {
        Kind::Symlink => is_fast_symlink(inode),
        Kind::File | Kind::Directory => false,
        // The list of bad blocks has no type.
        Kind::Unknown => inode.nr >= 11,
        _ => true,
    }
}

/// Whether the target of a symbolic link stands in `i_block`.
pub(super) fn is_fast_symlink(link: &Inode) -> bool {
    !link.flag(EXT4_EXTENTS_FL) && link.size() < count(link.disk.i_block.len())
}

/// A node of an extent tree.
struct Node {
    bytes: Vec<u8>,
    /// Byte in the filesystem.
    offset: u64,
    entries: usize,
    next: usize,
    depth: u16,
}

impl Node {
    fn entry<T: FromBytes>(&self, n: usize) -> Option<T> {
        let start = 12 + n * 12;
        T::read_from_bytes(self.bytes.get(start..start + 12)?).ok()
    }
}

/// A table of a block map.
struct Table {
    words: Vec<u32>,
    next: usize,
    /// Levels of tables below: 0 when the words are data blocks.
    below: usize,
    /// Byte in the filesystem.
    offset: u64,
}

impl Walk<'_> {
    fn warn(&self, offset: u64, message: impl Into<String>) {
        self.reader.warn(self.inode.name(), offset, message);
    }

    /// Adds a run, or says why it cannot be one; `at` is the byte of the field that has it.
    fn add(&mut self, run: Run, at: u64) -> Result<(), ReadError> {
        let geo = &self.reader.geo;
        let end = self.mapping.runs.last().map_or(0, |r| r.logical + r.len);
        if run.len == 0 || run.logical < end || run.logical + run.len > 1 << 32 {
            let why = format!(
                "ee_block {}, ee_len {} is out of order",
                run.logical, run.len
            );
            self.warn(at, why);
            return Ok(());
        }
        if !geo.contains(run.physical, run.len) {
            let (first, len) = (run.physical, run.len);
            self.warn(
                at,
                format!("blocks {first}+{len} lie outside the filesystem"),
            );
            return Ok(());
        }
        self.total += run.len;
        // The superblock may say anything; the end of an image may be missing.
        let there = geo
            .blocks
            .min(self.reader.fs.len().div_ceil(geo.block_size));
        if self.total > there {
            let why = format!("it maps more than the {there} blocks there are");
            return Err(self.inode.damaged(why));
        }
        match self.mapping.runs.last_mut() {
            Some(last)
                if last.logical + last.len == run.logical
                    && last.physical + last.len == run.physical
                    && last.written == run.written =>
            {
                last.len += run.len;
            }
            _ => self.mapping.runs.push(run),
        }
        Ok(())
    }

    /// The bytes of a block of the tree or map, which is followed once; `at` is where its number stands.
    fn follow(&mut self, block: u64, at: u64) -> Result<Option<Vec<u8>>, ReadError> {
        if !self.reader.geo.contains(block, 1) {
            self.warn(at, format!("block {block} lies outside the filesystem"));
            return Ok(None);
        }
        if !self.seen.insert(block) {
            self.warn(at, format!("block {block} is there twice"));
            return Ok(None);
        }
        let mut bytes = vec![0; index(self.reader.geo.block_size)];
        let read = self
            .reader
            .read(self.reader.geo.byte(block), &mut bytes, || {
                format!(
                    "block {block}, where blocks of {} are listed",
                    self.inode.name()
                )
            });
        read?;
        self.mapping.nodes.push(block);
        Ok(Some(bytes))
    }

    fn extents(&mut self) -> Result<(), ReadError> {
        let root = self.inode.disk.i_block.to_vec();
        let mut stack = Vec::new();
        stack.extend(self.node(root, self.inode.offset + 0x28, None));
        while let Some(top) = stack.last_mut() {
            let n = top.next;
            top.next += 1;
            if n >= top.entries {
                stack.pop();
                continue;
            }
            let at = top.offset + 12 + count(n) * 12;
            if top.depth == 0 {
                if let Some(extent) = top.entry::<Extent>(n) {
                    self.add(run(extent), at)?;
                }
            } else if let Some(idx) = top.entry::<ExtentIdx>(n) {
                let depth = top.depth - 1;
                let hi = u64::from(idx.ei_leaf_hi.get()) << 32;
                let child = hi | u64::from(idx.ei_leaf_lo.get());
                if let Some(bytes) = self.follow(child, at)? {
                    let offset = self.reader.geo.byte(child);
                    stack.extend(self.node(bytes, offset, Some(depth)));
                }
            }
        }
        Ok(())
    }

    /// A node by its header, if that makes sense; but for the root, its depth is known.
    fn node(&self, bytes: Vec<u8>, offset: u64, depth: Option<u16>) -> Option<Node> {
        let (head, rest) = ExtentHeader::read_from_prefix(&bytes).ok()?;
        let entries = usize::from(head.eh_entries.get());
        let is = head.eh_depth.get();
        let deep = depth.map_or(is > EXT4_MAX_EXTENT_DEPTH, |depth| depth != is);
        if head.eh_magic.get() != EXT4_EXT_MAGIC || deep || entries > rest.len() / 12 {
            let (magic, max) = (head.eh_magic.get(), head.eh_max.get());
            self.warn(
                offset,
                format!(
                    "no node of an extent tree: eh_magic 0x{magic:04x}, eh_entries {entries}, eh_max {max}, \
                     eh_depth {is}"
                ),
            );
            return None;
        }
        Some(Node {
            bytes,
            offset,
            entries,
            next: 0,
            depth: is,
        })
    }

    fn block_map(&mut self) -> Result<(), ReadError> {
        let per_block = self.reader.geo.block_size / 4;
        // File block that the next word stands for, and the tables on the way to it.
        let mut logical = 0;
        let mut stack = Vec::new();
        for n in 0..EXT4_N_BLOCKS {
            stack.push(Table {
                words: vec![self.inode.word(n)],
                next: 0,
                below: (n + 1).saturating_sub(EXT4_IND_BLOCK),
                offset: self.inode.offset + 0x28 + count(n) * 4,
            });
            while let Some(top) = stack.last_mut() {
                let Some(&word) = top.words.get(top.next) else {
                    stack.pop();
                    continue;
                };
                let at = top.offset + count(top.next) * 4;
                top.next += 1;
                let (block, below) = (u64::from(word), top.below);
                let covers = (0..below).fold(1, |n: u64, _| n * per_block);
                if block == 0 {
                    logical += covers;
                } else if below == 0 {
                    let run = Run {
                        logical,
                        physical: block,
                        len: 1,
                        written: true,
                    };
                    self.add(run, at)?;
                    logical += 1;
                } else if let Some(bytes) = self.follow(block, at)? {
                    stack.push(Table {
                        words: words(&bytes),
                        next: 0,
                        below: below - 1,
                        offset: self.reader.geo.byte(block),
                    });
                } else {
                    logical += covers;
                }
            }
        }
        Ok(())
    }
}

fn run(extent: Extent) -> Run {
    let len = extent.ee_len.get();
    let written = len <= EXT_INIT_MAX_LEN;
    let len = if written { len } else { len - EXT_INIT_MAX_LEN };
    Run {
        logical: u64::from(extent.ee_block.get()),
        physical: u64::from(extent.ee_start_hi.get()) << 32 | u64::from(extent.ee_start_lo.get()),
        len: u64::from(len),
        written,
    }
}

fn words(block: &[u8]) -> Vec<u32> {
    let word = |b: &[u8]| <[u8; 4]>::try_from(b).map_or(0, u32::from_le_bytes);
    block.chunks_exact(4).map(word).collect()
}
