//! Extent trees: sorted, disjoint, inside the filesystem, claimed once.
//!
//! The walk keeps its own stack, at most [`EXT4_MAX_EXTENT_DEPTH`] nodes deep, and follows a node
//! only when its block was free until then: trees that share nodes or loop end at once.

use zerocopy::FromBytes;

use super::Checker;
use super::inodes::Item;
use super::report::{Step, inode};
use super::usage;
use crate::ext4::checksum;
use crate::ext4::disk::extent::{
    EXT_INIT_MAX_LEN, EXT4_EXT_MAGIC, EXT4_EXT_ROOT_MAX, EXT4_MAX_EXTENT_DEPTH, Extent,
    ExtentHeader, ExtentIdx,
};
use crate::units::index;

/// One past the last block a file can have.
const FILE_BLOCKS_MAX: u64 = 1 << 32;

/// A run of blocks of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First block in the file.
    pub(super) file: u64,
    /// First block in the filesystem.
    pub(super) disk: u64,
    /// Blocks.
    pub(super) len: u64,
}

/// What a tree maps.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// Blocks of data.
    pub(super) data: u64,
    /// Blocks of the tree.
    pub(super) nodes: u64,
    /// One past the last file block that is written.
    pub(super) end: u64,
    /// One past the last file block that is mapped, unwritten ones included.
    pub(super) mapped_end: u64,
    /// Extents that are not initialised.
    pub(super) unwritten: u64,
    /// The extents, when asked for.
    pub(super) runs: Vec<Run>,
    /// Nothing was wrong.
    pub(super) sound: bool,
}

impl Mapped {
    /// Keeps a run, joined to the last where it continues that.
    pub(super) fn add_run(&mut self, file: u64, disk: u64, len: u64) {
        match self.runs.last_mut() {
            Some(r) if r.file + r.len == file && r.disk + r.len == disk => r.len += len,
            _ => self.runs.push(Run { file, disk, len }),
        }
    }
}

/// A node on the way down.
struct Node {
    bytes: Vec<u8>,
    /// Byte in the filesystem.
    offset: u64,
    entries: usize,
    depth: u16,
    next: usize,
    /// File blocks the parent's entry covers.
    lower: u64,
    upper: u64,
    is_root: bool,
}

impl Node {
    fn entry<T: FromBytes>(&self, n: usize) -> Option<T> {
        let start = 12 + n * 12;
        T::read_from_bytes(self.bytes.get(start..start + 12)?).ok()
    }

    /// First file block of entry `n`, which stands first in both kinds of entry.
    fn first_block(&self, n: usize) -> Option<u64> {
        self.entry::<ExtentIdx>(n)
            .map(|e| u64::from(e.ei_block.get()))
    }
}

/// Walks the tree in the inode's `i_block`, claims its blocks, and keeps the extents if asked to.
pub(super) fn walk(cx: &mut Checker, item: &Item, keep: bool) -> Step<Mapped> {
    let mut mapped = Mapped {
        sound: true,
        ..Mapped::default()
    };
    let root = Node {
        bytes: item.inode.i_block.to_vec(),
        offset: item.offset + 0x28,
        entries: 0,
        depth: 0,
        next: 0,
        lower: 0,
        upper: FILE_BLOCKS_MAX,
        is_root: true,
    };
    let mut stack = Vec::new();
    push(cx, item, &mut mapped, &mut stack, root, None)?;
    while let Some(top) = stack.last_mut() {
        let n = top.next;
        top.next += 1;
        if n >= top.entries {
            stack.pop();
        } else if top.depth == 0 {
            let (ext, offset) = (top.entry::<Extent>(n), top.offset + 12 + usage::at(n) * 12);
            if let Some(ext) = ext {
                leaf_entry(cx, item, &mut mapped, ext, offset, keep)?;
            }
        } else {
            let upper = if n + 1 < top.entries {
                top.first_block(n + 1)
            } else {
                None
            };
            let upper = upper.unwrap_or(top.upper);
            let (depth, offset) = (top.depth, top.offset);
            if let Some(idx) = top.entry::<ExtentIdx>(n) {
                descend(
                    cx,
                    item,
                    &mut mapped,
                    &mut stack,
                    idx,
                    upper,
                    (depth, offset),
                )?;
            }
        }
    }
    Ok(mapped)
}

fn descend(
    cx: &mut Checker,
    item: &Item,
    mapped: &mut Mapped,
    stack: &mut Vec<Node>,
    idx: ExtentIdx,
    upper: u64,
    (depth, offset): (u16, u64),
) -> Step {
    let block = u64::from(idx.ei_leaf_hi.get()) << 32 | u64::from(idx.ei_leaf_lo.get());
    if !claim(cx, item, mapped, (block, 1), offset, "an extent node")? {
        return Ok(());
    }
    mapped.nodes += 1;
    let node = Node {
        bytes: cx.block(block)?,
        offset: cx.geo.byte(block),
        entries: 0,
        depth: 0,
        next: 0,
        lower: u64::from(idx.ei_block.get()),
        upper,
        is_root: false,
    };
    push(cx, item, mapped, stack, node, Some(depth - 1))
}

/// Checks the header, checksum and order of a node, then puts it on the stack.
fn push(
    cx: &mut Checker,
    item: &Item,
    mapped: &mut Mapped,
    stack: &mut Vec<Node>,
    mut node: Node,
    depth: Option<u16>,
) -> Step {
    let head = ExtentHeader::read_from_prefix(&node.bytes).map(|(h, _)| h);
    let head = head.expect("a node is a block or the 60 bytes of i_block");
    let (entries, max) = (head.eh_entries.get(), head.eh_max.get());
    let fit = if node.is_root {
        u64::from(EXT4_EXT_ROOT_MAX)
    } else {
        (cx.geo.block_size - 12) / 12
    };
    let is = head.eh_depth.get();
    let why = if head.eh_magic.get() != EXT4_EXT_MAGIC {
        Some(format!("eh_magic is 0x{:04x}, not 0xf30a", head.eh_magic))
    } else if is > EXT4_MAX_EXTENT_DEPTH || depth.is_some_and(|d| d != is) {
        Some(format!("eh_depth {is} is wrong"))
    } else if u64::from(max) != fit || entries > max {
        Some(format!("eh_entries {entries} of eh_max {max}, {fit} fit"))
    } else if entries == 0 && !(node.is_root && is == 0) {
        Some("eh_entries is 0".into())
    } else {
        None
    };
    if let Some(why) = why {
        mapped.sound = false;
        return cx.find(
            inode(item.ino),
            node.offset,
            format!("extent header: {why}"),
        );
    }
    if cx.geo.checksums && !node.is_root {
        let tail = 12 + 12 * usize::from(max);
        let crc = checksum::extent_block(item.seed, &node.bytes, tail);
        if node.bytes.get(tail..tail + 4) != Some(&crc.to_le_bytes()) {
            let why = format!("extent node: et_checksum is not 0x{crc:08x}");
            cx.find(inode(item.ino), node.offset, why)?;
        }
    }
    node.depth = is;
    node.entries = usize::from(entries);
    let mut end = node.lower;
    for n in 0..node.entries {
        let Some(first) = node.first_block(n) else {
            break;
        };
        let len = entry_len(&node, n);
        let wrong_start = n == 0 && !node.is_root && first != node.lower;
        if first < end || first.saturating_add(len) > node.upper || wrong_start {
            mapped.sound = false;
            let range = format!("{} to {}", node.lower, node.upper);
            let why = format!(
                "extent entry {n} (file block {first}, {len} blocks) overlaps its neighbour or \
                 leaves its parent's range {range}"
            );
            return cx.find(inode(item.ino), node.offset + 12 + usage::at(n) * 12, why);
        }
        end = first + len;
    }
    stack.push(node);
    Ok(())
}

/// File blocks an entry covers at least: an index entry's next must only be higher.
fn entry_len(node: &Node, n: usize) -> u64 {
    if node.depth > 0 {
        return 1;
    }
    node.entry::<Extent>(n)
        .map_or(0, |e| length(e.ee_len.get()).0)
}

/// Blocks of an extent and whether they are written.
fn length(ee_len: u16) -> (u64, bool) {
    if ee_len > EXT_INIT_MAX_LEN {
        (u64::from(ee_len - EXT_INIT_MAX_LEN), false)
    } else {
        (u64::from(ee_len), true)
    }
}

fn leaf_entry(
    cx: &mut Checker,
    item: &Item,
    mapped: &mut Mapped,
    ext: Extent,
    offset: u64,
    keep: bool,
) -> Step {
    let (len, written) = length(ext.ee_len.get());
    let first = u64::from(ext.ee_block.get());
    let start = u64::from(ext.ee_start_hi.get()) << 32 | u64::from(ext.ee_start_lo.get());
    if len == 0 {
        mapped.sound = false;
        let why = format!("extent at file block {first}: ee_len is 0");
        return cx.find(inode(item.ino), offset, why);
    }
    if !claim(cx, item, mapped, (start, len), offset, "an extent")? {
        return Ok(());
    }
    mapped.data += len;
    mapped.mapped_end = mapped.mapped_end.max(first + len);
    if written {
        mapped.end = mapped.end.max(first + len);
    } else {
        mapped.unwritten += 1;
    }
    if keep {
        mapped.add_run(first, start, len);
    }
    Ok(())
}

/// Claims blocks for an inode; whether they are in the filesystem and were free.
pub(super) fn claim(
    cx: &mut Checker,
    item: &Item,
    mapped: &mut Mapped,
    (start, len): (u64, u64),
    offset: u64,
    what: &str,
) -> Step<bool> {
    let why = if !cx.geo.contains(start, len) {
        format!("{what}, blocks {start}+{len}, lies outside the filesystem")
    } else if let Some(double) = cx.used.claim(start, len) {
        format!(
            "{what} uses block {double}, which belongs to {}",
            cx.used.owner(double)
        )
    } else {
        return Ok(true);
    };
    mapped.sound = false;
    cx.find(inode(item.ino), offset, why)?;
    Ok(false)
}

/// The block of the filesystem that holds block `file` of a directory.
pub(super) fn lookup(runs: &[Run], file: u64) -> Option<u64> {
    let after = runs.partition_point(|r| r.file <= file);
    let run = runs.get(after.checked_sub(1)?)?;
    let into = file - run.file;
    (into < run.len).then(|| run.disk + into)
}

/// Whether the runs cover blocks 0 to `blocks` without a hole.
pub(super) fn covers(runs: &[Run], blocks: u64) -> bool {
    let mut at = 0;
    for run in runs {
        if run.file != at {
            return false;
        }
        at += run.len;
    }
    at == blocks
}

/// The part of `all` that belongs to one directory.
pub(super) fn slice(all: &[Run], start: u64, end: u64) -> &[Run] {
    all.get(index(start)..index(end)).unwrap_or_default()
}
