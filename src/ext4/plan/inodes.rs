//! Inode numbers, in canonical order.

use crate::entry::{Entry, EntryKind};
use crate::ext4::disk::inode::EXT4_ROOT_INO;
use crate::ext4::features::Features;
use crate::tree::{NodeId, ROOT, Sorted, Tree};
use crate::units::{Timestamp, index32};

const LOST_FOUND: &[u8] = b"lost+found";

/// The directory lost+found, where e2fsck puts what it finds, if the root of `tree` lacks it.
#[must_use]
pub fn lost_found(tree: &Tree, time: Timestamp) -> Option<Entry> {
    let there = tree
        .child(ROOT, LOST_FOUND)
        .is_some_and(|n| tree.node(n).is_directory());
    (!there).then(|| Entry {
        mode: 0o700,
        mtime: time,
        ..Entry::new(LOST_FOUND, EntryKind::Directory)
    })
}

/// The first inode that is not reserved.
pub(super) const LOST_FOUND_INO: u32 = 11;

/// The first inode behind lost+found's and, where there is one, the orphan file's.
pub(super) fn first(features: Features) -> u32 {
    LOST_FOUND_INO + 1 + u32::from(features.orphan_file())
}

/// The nodes in the order of their inodes: lost+found, as mke2fs has it, then the tree as it is walked.
pub(super) fn in_order(tree: &Tree, sorted: &Sorted) -> Vec<NodeId> {
    let mut seen = vec![false; tree.capacity()];
    let mut nodes = Vec::with_capacity(tree.capacity());
    seen[index32(ROOT.0)] = true;
    let mut add = |node: NodeId| {
        if !std::mem::replace(&mut seen[index32(node.0)], true) {
            nodes.push(node);
        }
    };
    if let Some(node) = tree.child(ROOT, LOST_FOUND) {
        add(node);
    }
    tree.walk(sorted, |_, node| add(node));
    nodes
}

/// The inode number of each node; 0 for those that are not among `nodes`.
pub(super) fn numbers(tree: &Tree, nodes: &[NodeId], features: Features) -> Vec<u32> {
    let mut numbers = vec![0; tree.capacity()];
    numbers[index32(ROOT.0)] = EXT4_ROOT_INO;
    let behind = (first(features)..).zip(nodes.get(1..).unwrap_or_default());
    let lost_found = nodes.first().map(|node| (LOST_FOUND_INO, node));
    for (number, node) in lost_found.into_iter().chain(behind) {
        numbers[index32(node.0)] = number;
    }
    numbers
}
