//! The htree of a directory: nodes level by level, and the hash range of every leaf.

use zerocopy::FromBytes;

use super::directory::{Directory, rec_len};
use super::extents::{self, Run};
use super::report::{Step, inode};
use super::superblock::chars;
use super::{Checker, usage};
use crate::ext4::checksum;
use crate::ext4::dirhash::{Chars, half_md4, legacy, tea};
use crate::ext4::disk::dirent::DirEntry2;
use crate::ext4::disk::htree as disk;
use crate::ext4::disk::htree::{DxCountLimit, DxEntry, DxRootInfo};
use crate::ext4::disk::superblock::INCOMPAT_LARGEDIR;
use crate::units::index;

/// What a block of an indexed directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing points at it.
    Unseen,
    /// The root or a node.
    Node,
    /// Entries, with hashes in a range.
    Leaf(Range),
}

/// Hashes a leaf may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    lower: u32,
    /// The next entry's hash with its collision bit; `None` at the end.
    upper: Option<u32>,
    hash: Hash,
}

/// How names of a directory become hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hash {
    version: u8,
    seed: [u32; 4],
    chars: Chars,
}

impl Range {
    /// The hash of `name` if it is outside the range.
    pub(super) fn miss(&self, name: &[u8]) -> Option<u32> {
        let Hash {
            version,
            seed,
            chars,
        } = self.hash;
        let hash = match version {
            disk::DX_HASH_LEGACY => legacy(name, chars),
            disk::DX_HASH_TEA => tea(name, &seed, chars).0,
            _ => half_md4(name, &seed, chars).0,
        };
        let below = |upper: u32| {
            let (bound, collides) = (upper & !disk::DX_COLLISION, upper & disk::DX_COLLISION != 0);
            hash < bound || (hash == bound && collides)
        };
        let inside = hash >= self.lower & !disk::DX_COLLISION && self.upper.is_none_or(below);
        (!inside).then_some(hash)
    }
}

/// A node still to be read.
#[derive(Clone, Copy)]
struct Pending {
    file: u64,
    lower: u32,
    upper: Option<u32>,
}

/// Reads the index; `None` when it is too damaged to say what the blocks are.
pub(super) fn read(cx: &mut Checker, dir: &Directory, runs: &[Run]) -> Step<Option<Vec<Slot>>> {
    let Some(block) = extents::lookup(runs, 0) else {
        return Ok(None);
    };
    let root = cx.block(block)?;
    let offset = cx.geo.byte(block) + usage::at(disk::DX_ROOT_INFO_OFFSET);
    let info = DxRootInfo::read_from_prefix(&root[disk::DX_ROOT_INFO_OFFSET..]).map(|(i, _)| i);
    let info = info.expect("a block has at least 1024 bytes");
    let large = cx.sb.s_feature_incompat.get() & INCOMPAT_LARGEDIR != 0;
    let levels_max = if large { 2 } else { 1 };
    if info.reserved_zero.get() != 0
        || info.info_length != 8
        || info.unused_flags != 0
        || info.hash_version > disk::DX_HASH_TEA
        || info.indirect_levels > levels_max
    {
        let (version, levels) = (info.hash_version, info.indirect_levels);
        let why = format!(
            "dx_root_info: hash_version {version}, indirect_levels {levels} or its \
                           constants are wrong"
        );
        cx.find(inode(dir.ino), offset, why)?;
        return Ok(None);
    }
    let hash = Hash {
        version: info.hash_version,
        seed: cx.sb.s_hash_seed.map(zerocopy::little_endian::U32::get),
        chars: chars(&cx.sb),
    };
    let mut slots = vec![Slot::Unseen; index(dir.blocks)];
    let Some(first) = slots.first_mut() else {
        return Ok(None);
    };
    *first = Slot::Node;
    let mut level = vec![Pending {
        file: 0,
        lower: 0,
        upper: None,
    }];
    for below in (0..=info.indirect_levels).rev() {
        let mut children = Vec::new();
        for node in level {
            for child in read_node(cx, dir, runs, node)? {
                let slot = slots.get_mut(index(child.file));
                let Some(slot) = slot.filter(|s| **s == Slot::Unseen) else {
                    let at = extents::lookup(runs, node.file).map_or(0, |b| cx.geo.byte(b));
                    let why = format!(
                        "an htree entry of block {} points at block {}, past the end or twice",
                        node.file, child.file,
                    );
                    cx.find(inode(dir.ino), at, why)?;
                    continue;
                };
                *slot = Slot::Node;
                if below == 0 {
                    *slot = Slot::Leaf(Range {
                        lower: child.lower,
                        upper: child.upper,
                        hash,
                    });
                } else {
                    children.push(child);
                }
            }
        }
        level = children;
    }
    Ok(Some(slots))
}

/// Checks one node; its children.
fn read_node(cx: &mut Checker, dir: &Directory, runs: &[Run], node: Pending) -> Step<Vec<Pending>> {
    let Some(block) = extents::lookup(runs, node.file) else {
        return Ok(Vec::new());
    };
    let bytes = cx.block(block)?;
    let is_root = node.file == 0;
    let slots = if is_root {
        disk::DX_ROOT_ENTRIES_OFFSET
    } else {
        disk::DX_NODE_ENTRIES_OFFSET
    };
    let tail = if cx.geo.checksums { 8 } else { 0 };
    let fit = (bytes.len() - slots - tail) / 8;
    let at = cx.geo.byte(block) + usage::at(slots);
    let mut find = |into: usize, why: String| {
        let why = format!("htree block {}: {why}", node.file);
        cx.report.add(inode(dir.ino), at + usage::at(into), why)
    };
    let head = DxCountLimit::read_from_prefix(&bytes[slots..]).map(|(h, _)| h);
    let head = head.expect("a block has at least 1024 bytes");
    let (used, limit) = (head.count.get(), head.limit.get());
    if usize::from(limit) != fit || used == 0 || used > limit {
        find(0, format!("count {used} of limit {limit}, {fit} fit"))?;
        return Ok(Vec::new());
    }
    if !is_root && !is_empty_dirent(&bytes) {
        find(
            0,
            "it does not look like an empty directory block to old readers".into(),
        )?;
    }
    if cx.geo.checksums {
        let crc = checksum::dx_node(dir.seed, &bytes, slots, used, limit);
        let stored = slots + usize::from(limit) * 8 + 4;
        let stored = bytes.get(stored..stored + 4);
        if stored != crc.map(u32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice) {
            find(0, format!("dt_checksum is not 0x{:08x}", crc.unwrap_or(0)))?;
        }
    }
    let entry = |n: usize| DxEntry::read_from_prefix(bytes.get(slots + n * 8..)?).ok();
    let entries: Vec<DxEntry> = (0..usize::from(used))
        .filter_map(entry)
        .map(|e| e.0)
        .collect();
    let hash = |n: usize| entries.get(n).map(|e| e.hash.get());
    let mut children = Vec::with_capacity(entries.len());
    let mut previous = node.lower;
    for (n, e) in entries.iter().enumerate() {
        let lower = if n == 0 { node.lower } else { e.hash.get() };
        if lower < previous || node.upper.is_some_and(|u| lower > u) {
            find(
                n * 8,
                format!("entry {n}: hash 0x{lower:08x} is out of order"),
            )?;
        }
        previous = lower;
        let upper = hash(n + 1).or(node.upper);
        let file = u64::from(e.block.get() & 0x0FFF_FFFF);
        children.push(Pending { file, lower, upper });
    }
    Ok(children)
}

/// A node begins with an unused entry that spans the block.
fn is_empty_dirent(bytes: &[u8]) -> bool {
    let head = DirEntry2::read_from_prefix(bytes).map(|(h, _)| h);
    head.is_ok_and(|h| h.inode.get() == 0 && rec_len(h.rec_len.get(), bytes.len()) == bytes.len())
}
