//! The canonical order: children of every directory by name, bytewise.

use super::{NodeId, Tree};
use crate::units::{count32, index32};

/// A live name of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// The name.
    pub name: &'a [u8],
    /// What it leads to.
    pub node: NodeId,
}

/// The tree's names, sorted by directory and then by name.
#[derive(Debug)]
pub struct Sorted {
    /// Live dirents.
    order: Vec<u32>,
    /// For each node, where its children begin in `order`; one more at the end.
    starts: Vec<u32>,
}

impl Tree {
    /// Sorts what is in the tree now.
    #[must_use]
    pub fn sorted(&self) -> Sorted {
        let live = self.dirents.iter().enumerate().filter(|(_, d)| d.live);
        let mut order: Vec<u32> = live.map(|(i, _)| count32(i)).collect();
        order.sort_unstable_by(|&a, &b| {
            let (a, b) = (&self.dirents[index32(a)], &self.dirents[index32(b)]);
            a.parent
                .cmp(&b.parent)
                .then_with(|| self.target(a.name).cmp(self.target(b.name)))
        });
        let mut starts = vec![0; self.capacity() + 1];
        for &d in &order {
            starts[index32(self.dirents[index32(d)].parent.0) + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        Sorted { order, starts }
    }

    /// The children of `directory` by name.
    #[must_use]
    pub fn children<'a>(
        &'a self,
        sorted: &'a Sorted,
        directory: NodeId,
    ) -> impl DoubleEndedIterator<Item = Child<'a>> + ExactSizeIterator {
        let at = index32(directory.0);
        let range = index32(sorted.starts[at])..index32(sorted.starts[at + 1]);
        sorted.order[range].iter().map(|&d| {
            let d = &self.dirents[index32(d)];
            Child {
                name: self.target(d.name),
                node: d.child,
            }
        })
    }

    /// Child number `nth` of `directory` by name; there must be so many.
    #[must_use]
    pub fn nth_child<'a>(&'a self, sorted: &'a Sorted, directory: NodeId, nth: u32) -> Child<'a> {
        let d = sorted.order[index32(sorted.starts[index32(directory.0)] + nth)];
        let d = &self.dirents[index32(d)];
        Child {
            name: self.target(d.name),
            node: d.child,
        }
    }

    /// Calls `visit` for every name in canonical order: a directory, then what is in it, depth first.
    /// The path is relative to the root, without a leading `/`; the root itself is not visited.
    pub fn walk(&self, sorted: &Sorted, mut visit: impl FnMut(&[u8], NodeId)) {
        let mut path: Vec<u8> = Vec::new();
        // Each directory under way: its id, the next child's index, and the path's length before it.
        let mut stack: Vec<(NodeId, u32, usize)> = vec![(super::ROOT, 0, 0)];
        while let Some((dir, next, base)) = stack.pop() {
            let at = index32(dir.0);
            if sorted.starts[at] + next == sorted.starts[at + 1] {
                path.truncate(base);
                continue;
            }
            let child = self.nth_child(sorted, dir, next);
            stack.push((dir, next + 1, base));
            let here = path.len();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(child.name);
            visit(&path, child.node);
            if self.node(child.node).is_directory() {
                stack.push((child.node, 0, here));
            } else {
                path.truncate(here);
            }
        }
    }
}
