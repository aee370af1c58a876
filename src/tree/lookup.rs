//! Paths: splitting them, following them.

use super::{NodeId, NodeKind, ROOT, Tree, TreeError};
use crate::display::display_path;
use crate::units::{count32, index32};
use std::hash::BuildHasher;

/// Symbolic links that one path may lead through: the kernel's `MAXSYMLINKS`.
pub(super) const SYMLINK_MAX: u32 = 40;

/// The longest name: `EXT4_NAME_LEN`.
const NAME_MAX: usize = 255;

/// The longest path: Linux's `PATH_MAX` less its NUL. tar knows no limit, but no program could open
/// such a file, and folders nested half a million deep would cost their depth squared.
const PATH_MAX: usize = 4095;

/// Splits a path as tar writes it: leading `/` and `./`, doubled and trailing `/` say nothing.
///
/// # Errors
/// A component `..`, or one over 255 bytes; a path over 4095 bytes.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, TreeError> {
    if path.len() > PATH_MAX {
        return Err(TreeError::PathTooLong {
            name: display_path(&path[..64]).to_string(),
            len: path.len(),
        });
    }
    let mut parts = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                return Err(TreeError::DotDot {
                    path: display_path(path).to_string(),
                });
            }
            p if p.len() > NAME_MAX => {
                return Err(TreeError::NameTooLong {
                    path: display_path(path).to_string(),
                    len: p.len(),
                });
            }
            p => parts.push(p),
        }
    }
    Ok(parts)
}

/// What following the parents of a path led to.
pub(super) enum Parent {
    /// A directory.
    Directory(NodeId),
    /// A component that is there and is no directory.
    NotDirectory,
    /// A component that is not there.
    Missing,
}

impl Tree {
    /// The dirent of `name` in `parent`.
    pub(super) fn dirent(&self, parent: NodeId, name: &[u8]) -> Option<u32> {
        self.names
            .find(self.hasher.hash_one((parent, name)), |&d| {
                let d = &self.dirents[index32(d)];
                d.parent == parent && self.target(d.name) == name
            })
            .copied()
    }

    /// The child of `parent` called `name`.
    #[must_use]
    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.dirent(parent, name)
            .map(|d| self.dirents[index32(d)].child)
    }

    pub(super) fn add_dirent(&mut self, parent: NodeId, name: &[u8], child: NodeId) {
        let name_at = self.store(name);
        let d = count32(self.dirents.len());
        let layer = self.layer;
        let previous = std::mem::replace(&mut self.node_mut(parent).last, d);
        self.dirents.push(super::Dirent {
            parent,
            child,
            name: name_at,
            live: true,
            layer,
            previous,
        });
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(parent).kind {
            *entries += 1;
        }
        let (dirents, bytes, hasher) = (&self.dirents, &self.bytes, &self.hasher);
        self.names
            .insert_unique(hasher.hash_one((parent, name)), d, |&d| {
                let d = &dirents[index32(d)];
                let start = crate::units::index(d.name.offset);
                hasher.hash_one((d.parent, &bytes[start..start + d.name.len()]))
            });
    }

    pub(super) fn remove_dirent(&mut self, d: u32) {
        let (parent, name) = {
            let dirent = &self.dirents[index32(d)];
            (dirent.parent, self.target(dirent.name).to_vec())
        };
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(parent).kind {
            *entries -= 1;
        }
        let hash = self.hasher.hash_one((parent, name.as_slice()));
        if let Ok(entry) = self.names.find_entry(hash, |&other| other == d) {
            entry.remove();
        }
        self.dirents[index32(d)].live = false;
    }

    /// Follows `parts` from the root, symbolic links included, inside the tree.
    pub(super) fn follow(&self, parts: &[&[u8]], path: &[u8]) -> Result<Parent, TreeError> {
        self.follow_from(ROOT, parts, path)
    }

    /// As [`Tree::follow`], from the directory `at`.
    pub(super) fn follow_from(
        &self,
        mut at: NodeId,
        parts: &[&[u8]],
        path: &[u8],
    ) -> Result<Parent, TreeError> {
        let mut followed = 0;
        // What is still to do, last component first.
        let mut todo: Vec<Vec<u8>> = parts.iter().rev().map(|p| p.to_vec()).collect();
        while let Some(part) = todo.pop() {
            if part == b".." {
                at = self.parent_of(at);
                continue;
            }
            let Some(child) = self.child(at, &part) else {
                return Ok(Parent::Missing);
            };
            match self.node(child).kind {
                NodeKind::Directory { .. } => at = child,
                NodeKind::Symlink { target } => {
                    followed += 1;
                    if followed > SYMLINK_MAX {
                        return Err(TreeError::SymlinkLoop {
                            path: display_path(path).to_string(),
                            link: display_path(&part).to_string(),
                        });
                    }
                    let target = self.target(target);
                    if target.first() == Some(&b'/') {
                        at = ROOT;
                    }
                    let parts = target.split(|&b| b == b'/');
                    let parts: Vec<Vec<u8>> = parts
                        .filter(|p| !matches!(*p, b"" | b"."))
                        .map(<[u8]>::to_vec)
                        .collect();
                    todo.extend(parts.into_iter().rev());
                }
                _ => return Ok(Parent::NotDirectory),
            }
        }
        Ok(Parent::Directory(at))
    }

    fn parent_of(&self, at: NodeId) -> NodeId {
        match self.node(at).kind {
            NodeKind::Directory { parent, .. } => parent,
            _ => ROOT,
        }
    }

    /// The node at `path`; its last component is not followed when it is a symbolic link.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        let parts = components(path).ok()?;
        let Some((last, parents)) = parts.split_last() else {
            return Some(ROOT);
        };
        match self.follow(parents, path).ok()? {
            Parent::Directory(dir) => self.child(dir, last),
            _ => None,
        }
    }

    /// The node at `path`, every symbolic link followed.
    #[must_use]
    pub fn resolve(&self, path: &[u8]) -> Option<NodeId> {
        let mut id = self.find(path)?;
        let mut path = path.to_vec();
        for _ in 0..SYMLINK_MAX {
            let NodeKind::Symlink { target } = self.node(id).kind else {
                return Some(id);
            };
            let target = self.target(target);
            path = if target.first() == Some(&b'/') {
                target.to_vec()
            } else {
                let keep = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
                [&path[..keep], target].concat()
            };
            id = self.find_following_dots(&path)?;
        }
        None
    }

    /// As [`Tree::find`], for a path made of link targets, where `..` is in order.
    fn find_following_dots(&self, path: &[u8]) -> Option<NodeId> {
        let parts: Vec<&[u8]> = path
            .split(|&b| b == b'/')
            .filter(|p| !matches!(*p, b"" | b"."))
            .collect();
        let Some((last, parents)) = parts.split_last() else {
            return Some(ROOT);
        };
        let Parent::Directory(dir) = self.follow(parents, path).ok()? else {
            return None;
        };
        if *last == b".." {
            Some(self.parent_of(dir))
        } else {
            self.child(dir, last)
        }
    }
}
