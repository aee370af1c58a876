//! Extent trees: in the inode, and in blocks when they outgrow it.

use crate::ext4::block_size::BlockSize;
use crate::ext4::checksum;
use crate::ext4::disk::extent::{
    EXT4_EXT_MAGIC, EXT4_EXT_ROOT_MAX, Extent, ExtentHeader, ExtentIdx,
};
use crate::ext4::extent_tree::levels;
use crate::ext4::fixed::SystemFile;
use crate::ext4::place::{FileExtent, as_extents};
use crate::ext4::plan::Plan;
use crate::tree::NodeId;
use crate::units::{count, hi32, index, lo16, lo32};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

const ENTRY: usize = 12;

fn header(out: &mut [u8], entries: usize, max: usize, depth: usize) {
    let narrow = |n: usize| U16::new(lo16(lo32(count(n))));
    let header = ExtentHeader {
        eh_magic: U16::new(EXT4_EXT_MAGIC),
        eh_entries: narrow(entries),
        eh_max: narrow(max),
        eh_depth: narrow(depth),
        eh_generation: U32::new(0),
    };
    out[..ENTRY].copy_from_slice(header.as_bytes());
}

fn leaf(out: &mut [u8], extents: &[FileExtent], max: usize) {
    header(out, extents.len(), max, 0);
    for (slot, e) in out[ENTRY..].chunks_exact_mut(ENTRY).zip(extents) {
        let raw = Extent {
            ee_block: U32::new(e.logical),
            ee_len: U16::new(lo16(e.len)),
            ee_start_hi: U16::new(lo16(hi32(e.start))),
            ee_start_lo: U32::new(lo32(e.start)),
        };
        slot.copy_from_slice(raw.as_bytes());
    }
}

/// `children`: first file block and block number of each.
fn node(out: &mut [u8], children: &[(u32, u64)], max: usize, depth: usize) {
    header(out, children.len(), max, depth);
    for (slot, &(logical, block)) in out[ENTRY..].chunks_exact_mut(ENTRY).zip(children) {
        let raw = ExtentIdx {
            ei_block: U32::new(logical),
            ei_leaf_lo: U32::new(lo32(block)),
            ei_leaf_hi: U16::new(lo16(hi32(block))),
            ei_unused: U16::new(0),
        };
        slot.copy_from_slice(raw.as_bytes());
    }
}

/// The tree of `extents` whose blocks begin at `first`, level by level from the leaves up.
struct ExtentTree<'a> {
    extents: &'a [FileExtent],
    levels: Vec<usize>,
    first: u64,
    /// Entries of a full node.
    max: usize,
}

impl<'a> ExtentTree<'a> {
    fn new(extents: &'a [FileExtent], first: u64, block_size: BlockSize) -> Self {
        Self {
            extents,
            levels: levels(extents.len(), block_size),
            first,
            max: block_size.extents(),
        }
    }

    /// The nodes of `level`, as their parents point to them.
    fn pointers(&self, level: usize) -> impl Iterator<Item = (u32, u64)> + '_ {
        let before: usize = self.levels[..level].iter().sum();
        // How many extents a full node of this level has below it.
        let span: usize = self
            .max
            .pow(u32::try_from(level + 1).expect("trees have five levels"));
        (0..self.levels[level]).map(move |n| {
            (
                self.extents[n * span].logical,
                self.first + count(before + n),
            )
        })
    }

    fn root(&self, out: &mut [u8]) {
        let max = usize::from(EXT4_EXT_ROOT_MAX);
        match self.levels.len() {
            0 => leaf(out, self.extents, max),
            depth => {
                let children: Vec<_> = self.pointers(depth - 1).collect();
                node(out, &children, max, depth);
            }
        }
    }

    fn block(&self, into: usize, out: &mut [u8]) {
        let mut n = into;
        let mut level = 0;
        while n >= self.levels[level] {
            n -= self.levels[level];
            level += 1;
        }
        let below = n * self.max;
        if level == 0 {
            let end = self.extents.len().min(below + self.max);
            leaf(out, &self.extents[below..end], self.max);
        } else {
            let children: Vec<_> = self
                .pointers(level - 1)
                .skip(below)
                .take(self.max)
                .collect();
            node(out, &children, self.max, level);
        }
    }
}

/// `i_block` of a file with `extents`, whose tree begins at block `first` when the inode cannot hold it.
pub(super) fn root(extents: &[FileExtent], first: u64, block_size: BlockSize) -> [u8; 60] {
    let mut out = [0; 60];
    ExtentTree::new(extents, first, block_size).root(&mut out);
    out
}

/// Block `into` of the extent tree of a node.
pub(super) fn node_block(plan: &Plan, node: NodeId, into: u64, out: &mut [u8]) {
    let (Some(data), Some(&first)) = (plan.content(node), plan.extent_nodes.get(&node)) else {
        return;
    };
    let block_size = plan.geometry.block_size;
    ExtentTree::new(plan.placement.extents(data), first, block_size).block(index(into), out);
    seal(super::inode::seed_of(plan, node), block_size, out);
}

/// Block `into` of the extent tree of a system file.
pub(super) fn system_node_block(
    plan: &Plan,
    file: &SystemFile,
    inode: u32,
    into: u64,
    out: &mut [u8],
) {
    let block_size = plan.geometry.block_size;
    ExtentTree::new(&system_extents(file), file.node, block_size).block(index(into), out);
    seal(super::inode::seed(plan, inode), block_size, out);
}

fn seal(seed: Option<u32>, block_size: BlockSize, out: &mut [u8]) {
    let Some(seed) = seed else { return };
    let tail = ENTRY + ENTRY * block_size.extents();
    let sum = checksum::extent_block(seed, out, tail);
    out[tail..tail + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The extents of a system file.
pub(super) fn system_extents(file: &SystemFile) -> Vec<FileExtent> {
    as_extents(&file.runs)
        .into_iter()
        .map(|(logical, run)| FileExtent {
            logical: lo32(logical),
            len: lo32(run.end - run.start),
            start: run.start,
        })
        .collect()
}
