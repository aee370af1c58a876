//! Inode numbers, in canonical order.

use crate::entry::{Entry, EntryKind};
use crate::tree::{NodeId, ROOT, Sorted, Tree};
use crate::units::{Timestamp, count32, index32};

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

/// Numbers the nodes: lost+found is 11 as mke2fs has it, then the tree as it is walked. Returns the
/// nodes from 11 on, and the number of each node.
pub(super) fn number(tree: &Tree, sorted: &Sorted) -> (Vec<NodeId>, Vec<u32>) {
    let mut numbers = vec![0; tree.capacity()];
    let mut nodes = Vec::with_capacity(tree.capacity());
    numbers[index32(ROOT.0)] = 2;
    let mut add = |node: NodeId| {
        let slot = &mut numbers[index32(node.0)];
        if *slot == 0 {
            *slot = 11 + count32(nodes.len());
            nodes.push(node);
        }
    };
    if let Some(node) = tree.child(ROOT, LOST_FOUND) {
        add(node);
    }
    tree.walk(sorted, |_, node| add(node));
    (nodes, numbers)
}
