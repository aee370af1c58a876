//! Facts of a root filesystem that is no image yet.

use super::LintError;
use super::facts::{Entry, Facts, Sort, wanted};
use crate::archive::{Item, Rootfs};
use crate::entry::EntryKind;
use crate::tree::{NodeId, NodeKind, Tree};
use crate::units::{count, index};
use std::collections::HashMap;

/// Reads a root filesystem to its end. `now` is in seconds since 1970.
///
/// # Errors
/// When it cannot be read.
pub fn of_rootfs(rootfs: &mut Rootfs, now: i64) -> Result<Facts, LintError> {
    let mut tree = Tree::new();
    let mut contents: HashMap<NodeId, Vec<u8>> = HashMap::new();
    while let Some(item) = rootfs.next_item()? {
        match item {
            Item::Layer => tree.begin_layer()?,
            Item::Whiteout(path) => drop(tree.whiteout(&path)?),
            Item::Opaque(path) => drop(tree.opaque(&path)?),
            Item::Entry(entry) => {
                let node = tree.insert(&entry)?.node;
                let EntryKind::File { size, data } = &entry.kind else {
                    continue;
                };
                let path = entry.path.strip_prefix(b"./").unwrap_or(&entry.path);
                let Some(node) = node.filter(|_| wanted(path, *size)) else {
                    continue;
                };
                let mut content = Vec::new();
                while let Some(piece) = rootfs.next_data()? {
                    content.extend_from_slice(&piece);
                }
                // What is looked at is text, modules and initrds: nobody stores them with holes.
                if data.is_none() || count(content.len()) == *size {
                    content.truncate(index(*size));
                    contents.insert(node, content);
                }
            }
        }
    }
    let mut facts = Facts {
        now,
        ..Facts::default()
    };
    let sorted = tree.sorted();
    tree.walk(&sorted, |path, id| {
        let node = tree.node(id);
        let (sort, size, target) = match node.kind {
            NodeKind::File { size, .. } => (Sort::File, size, Vec::new()),
            NodeKind::Directory { .. } => (Sort::Directory, 0, Vec::new()),
            NodeKind::Symlink { target } => (Sort::Link, 0, tree.target(target).to_vec()),
            _ => (Sort::Other, 0, Vec::new()),
        };
        let xattrs = tree.xattrs(id);
        let entry = Entry {
            sort,
            mode: node.meta.mode,
            size,
            mtime: node.meta.mtime.sec,
            capability: xattrs
                .iter()
                .any(|(name, _)| name == b"security.capability"),
            target,
            // Of a hard link every name.
            content: contents.get(&id).cloned(),
        };
        facts.entries.insert(path.to_vec(), entry);
    });
    Ok(facts)
}
