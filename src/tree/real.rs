//! For edits: where a path really lies, what a directory holds now, and what a file inherits.

use super::lookup::{SYMLINK_MAX, components};
use super::{Child, NO_DIRENT, NodeId, NodeKind, ROOT, Tree, TreeError};
use crate::display::display_path;
use crate::units::index32;

/// What a path leads to when every symbolic link on the way is followed inside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Real {
    /// The path without links, relative to the root.
    pub path: Vec<u8>,
    /// What is there; `None` when it or one of its parents is missing.
    pub node: Option<NodeId>,
}

impl Tree {
    /// Where `path` lies; its last component is followed too when `follow` says so.
    ///
    /// # Errors
    /// When no tree can hold such a path, its links lead in a circle, or a parent is no directory.
    pub fn real(&self, path: &[u8], follow: bool) -> Result<Real, TreeError> {
        let parts = components(path)?;
        // What is still to do, last component first; the names that were passed, each with its node.
        let mut todo: Vec<&[u8]> = parts.into_iter().rev().collect();
        let mut passed: Vec<(&[u8], Option<NodeId>)> = Vec::new();
        let mut followed = 0;
        while let Some(part) = todo.pop() {
            if part == b".." {
                passed.pop();
                continue;
            }
            let here = passed.last().map_or(Some(ROOT), |(_, node)| *node);
            let child = here.and_then(|at| self.child(at, part));
            match child.map(|id| self.node(id).kind) {
                Some(NodeKind::Symlink { target }) if follow || !todo.is_empty() => {
                    followed += 1;
                    if followed > SYMLINK_MAX {
                        return Err(TreeError::SymlinkLoop {
                            path: display_path(path).to_string(),
                            link: display_path(part).to_string(),
                        });
                    }
                    let target = self.target(target);
                    if target.first() == Some(&b'/') {
                        passed.clear();
                    }
                    let parts = target.split(|&b| b == b'/').rev();
                    todo.extend(parts.filter(|p| !matches!(*p, b"" | b".")));
                }
                Some(NodeKind::Directory { .. }) | None => passed.push((part, child)),
                Some(_) if todo.is_empty() => passed.push((part, child)),
                Some(_) => {
                    return Err(TreeError::NotDirectory {
                        path: display_path(path).to_string(),
                        parent: display_path(part).to_string(),
                    });
                }
            }
        }
        Ok(Real {
            node: passed.last().map_or(Some(ROOT), |(_, node)| *node),
            path: passed
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(&b'/'),
        })
    }

    /// What is in `directory` now, by name. [`Tree::children`] is faster and knows no edit.
    #[must_use]
    pub fn list(&self, directory: NodeId) -> Vec<Child<'_>> {
        let mut list = Vec::new();
        let mut next = self.node(directory).last;
        while next != NO_DIRENT {
            let dirent = &self.dirents[index32(next)];
            next = dirent.previous;
            if dirent.live {
                list.push(Child {
                    name: self.target(dirent.name),
                    node: dirent.child,
                });
            }
        }
        list.sort_unstable_by_key(|child| child.name);
        list
    }

    /// Gives a node another owner.
    pub fn set_owner(&mut self, id: NodeId, uid: u32, gid: u32) {
        let meta = &mut self.node_mut(id).meta;
        (meta.uid, meta.gid) = (uid, gid);
    }

    /// Gives a node other permissions (07777).
    pub fn set_mode(&mut self, id: NodeId, mode: u16) {
        self.node_mut(id).meta.mode = mode;
    }

    /// Gives `heir` owner, permissions and attributes of `id`: it stands in its place with other content.
    pub fn inherit(&mut self, heir: NodeId, id: NodeId) {
        let (meta, xattrs) = (self.node(id).meta, self.node(id).xattrs);
        let node = self.node_mut(heir);
        (node.meta.mode, node.meta.uid, node.meta.gid) = (meta.mode, meta.uid, meta.gid);
        node.xattrs = xattrs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, EntryKind};

    fn tree(entries: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, target) in entries {
            let kind = match *target {
                "/" => EntryKind::Directory,
                "" => EntryKind::File {
                    size: 0,
                    data: None,
                },
                target => EntryKind::Symlink {
                    target: target.into(),
                },
            };
            tree.insert(&Entry::new(*path, kind)).unwrap();
        }
        tree
    }

    #[test]
    fn links_are_followed_inside_the_tree_and_what_is_missing_is_told_where_it_would_be() {
        let tree = tree(&[
            ("usr/lib/x", ""),
            ("lib", "usr/lib"),
            ("etc/alternatives", "/"),
            ("a/up", "../../../lib"),
            ("a/abs", "/etc/gone/../alternatives"),
            ("a/dangling", "/var/none"),
            ("a/one", "two"),
            ("a/two", "one"),
        ]);
        let real = |path: &str, follow| {
            let real = tree.real(path.as_bytes(), follow).unwrap();
            (String::from_utf8(real.path).unwrap(), real.node.is_some())
        };
        for (path, follow, expected, there) in [
            ("/lib/x", false, "usr/lib/x", true),
            ("lib", false, "lib", true),
            ("lib", true, "usr/lib", true),
            ("lib/y/z", false, "usr/lib/y/z", false),
            ("a/up/x", true, "usr/lib/x", true),
            ("a/abs", true, "etc/alternatives", true),
            ("a/dangling/x", false, "var/none/x", false),
            ("/", true, "", true),
        ] {
            assert_eq!(real(path, follow), (expected.to_owned(), there), "{path}");
        }
        assert!(matches!(
            tree.real(b"a/one/x", false),
            Err(TreeError::SymlinkLoop { .. })
        ));
        assert!(matches!(
            tree.real(b"../x", false),
            Err(TreeError::DotDot { .. })
        ));
        assert!(matches!(
            tree.real(b"lib/x/y", false),
            Err(TreeError::NotDirectory { .. })
        ));
    }

    #[test]
    fn a_list_shows_what_was_edited() {
        let mut tree = tree(&[("d/b", ""), ("d/a", ""), ("d/c", "")]);
        tree.remove(b"d/b");
        tree.insert(&Entry::new("d/0", EntryKind::Fifo)).unwrap();
        let d = tree.find(b"d").unwrap();
        let names: Vec<_> = tree.list(d).iter().map(|c| c.name.to_vec()).collect();
        assert_eq!(names, [b"0", b"a", b"c"]);
    }
}
