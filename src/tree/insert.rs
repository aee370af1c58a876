//! Putting an entry into the tree.

use super::acl::Attributes;
use super::lookup::{Parent, components};
use super::{DataId, LINK_MAX, Meta, Node, NodeId, NodeKind, ROOT, Tree, TreeError, XattrSetId};
use crate::display::display_path;
use crate::entry::{Entry, EntryKind};
use crate::units::{count32, index32};
use std::hash::BuildHasher;

/// The longest symbolic link target: it shares one 4 KiB block with its NUL (kernel `ext4_symlink`).
const TARGET_MAX: usize = 4095;

/// The largest numbers that the kernel's 32-bit device number holds (`new_encode_dev`).
const MAJOR_MAX: u32 = (1 << 12) - 1;
const MINOR_MAX: u32 = (1 << 20) - 1;

/// What became of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Its node; `None` when the entry was left out, with a warning.
    pub node: Option<NodeId>,
    /// Data that no name leads to any more.
    pub dropped: Vec<DataId>,
    /// What a person should know.
    pub warning: Option<String>,
}

impl Tree {
    /// Puts `entry` into the tree, as GNU tar as root would into a folder: what was there gives way.
    ///
    /// # Errors
    /// When no tree can hold it.
    pub fn insert(&mut self, entry: &Entry) -> Result<Inserted, TreeError> {
        let path = &entry.path;
        let parts = components(path)?;
        let mut done = Inserted::default();
        let Some((name, parents)) = parts.split_last() else {
            self.insert_root(entry)?;
            done.node = Some(ROOT);
            return Ok(done);
        };
        let Some(parent) = self.parent(parents, path)? else {
            done.warning = Some(format!(
                "{}: left out: one of its parents is no directory (GNU tar refuses it too)",
                display_path(path)
            ));
            return Ok(done);
        };
        if let EntryKind::HardLink { target } = &entry.kind {
            self.insert_link(entry, target, parent, name, &mut done)?;
            return Ok(done);
        }
        let kind = self.kind(entry, parent)?;
        let old = self.dirent(parent, name);
        if let Some(d) = old {
            let id = self.dirents[index32(d)].child;
            let was_directory = self.node(id).is_directory();
            if was_directory && matches!(entry.kind, EntryKind::Directory) {
                self.describe(id, entry);
                self.claim(d);
                done.node = Some(id);
                return Ok(done);
            }
            let lower = self.dirents[index32(d)].layer < self.layer;
            if was_directory {
                self.hide_lower(id, &mut done);
            }
            if was_directory && self.has_children(id) {
                done.warning = Some(format!(
                    "{}: left out: a directory with files in it stands there already \
                     (GNU tar keeps the directory too)",
                    display_path(path)
                ));
                return Ok(done);
            }
            if was_directory != matches!(entry.kind, EntryKind::Directory) && !lower {
                done.warning = Some(format!(
                    "{}: the archive has it as a directory and as something else; the later entry holds",
                    display_path(path)
                ));
            }
            let was_link = matches!(self.node(id).kind, NodeKind::Symlink { .. });
            if lower && was_link && matches!(entry.kind, EntryKind::Directory) {
                done.warning = Some(format!(
                    "{}: a folder takes the place of a lower layer's symbolic link: what was reached by that \
                     name is so no longer. `--overlay` follows such links",
                    display_path(path)
                ));
            }
            self.unlink(id, &mut done);
        }
        let id = self.add_node(Node::new(Meta::directory(), kind, false))?;
        self.describe(id, entry);
        match old {
            Some(d) => {
                self.dirents[index32(d)].child = id;
                self.claim(d);
            }
            None => self.add_dirent(parent, name, id),
        }
        done.node = Some(id);
        Ok(done)
    }

    fn insert_root(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let what = match entry.kind {
            EntryKind::Directory => {
                self.describe(ROOT, entry);
                return Ok(());
            }
            EntryKind::File { .. } => "a regular file",
            EntryKind::HardLink { .. } => "a hard link",
            EntryKind::Symlink { .. } => "a symbolic link",
            EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => "a device",
            EntryKind::Fifo => "a fifo",
        };
        Err(TreeError::RootNotDirectory {
            path: display_path(&entry.path).to_string(),
            what,
        })
    }

    fn insert_link(
        &mut self,
        entry: &Entry,
        target: &[u8],
        parent: NodeId,
        name: &[u8],
        done: &mut Inserted,
    ) -> Result<(), TreeError> {
        let (path, shown) = (
            || display_path(&entry.path).to_string(),
            || display_path(target).to_string(),
        );
        components(target)?;
        let Some(id) = self.find(target) else {
            return Err(TreeError::LinkToNothing {
                path: path(),
                target: shown(),
            });
        };
        if self.node(id).is_directory() {
            return Err(TreeError::LinkToDirectory {
                path: path(),
                target: shown(),
            });
        }
        done.node = Some(id);
        let old = self.dirent(parent, name);
        if let Some(d) = old {
            let was = self.dirents[index32(d)].child;
            if was == id {
                self.claim(d);
                return Ok(());
            }
            if self.node(was).is_directory() {
                self.hide_lower(was, done);
            }
            if self.node(was).is_directory() && self.has_children(was) {
                done.node = None;
                done.warning = Some(format!(
                    "{}: left out: a directory with files in it stands there already",
                    path()
                ));
                return Ok(());
            }
        }
        if self.node(id).links >= LINK_MAX {
            return Err(TreeError::TooManyLinks {
                path: path(),
                target: shown(),
            });
        }
        self.node_mut(id).links += 1;
        match old {
            Some(d) => {
                self.unlink(self.dirents[index32(d)].child, done);
                self.dirents[index32(d)].child = id;
                self.claim(d);
            }
            None => self.add_dirent(parent, name, id),
        }
        Ok(())
    }

    /// The directory that `parts` lead to; what is missing on the way is made.
    fn parent(&mut self, parts: &[&[u8]], path: &[u8]) -> Result<Option<NodeId>, TreeError> {
        let key = parts.join(&b'/');
        if let Some((last, id)) = &self.last_parent {
            // A directory stays what it is unless an entry replaces it, which clears this.
            if *last == key {
                return Ok(Some(*id));
            }
        }
        let found = match self.follow(parts, path)? {
            Parent::Directory(id) => id,
            Parent::NotDirectory => return Ok(None),
            Parent::Missing => match self.make_parents(parts, path)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        self.touch(found);
        self.last_parent = Some((key, found));
        Ok(Some(found))
    }

    fn make_parents(&mut self, parts: &[&[u8]], path: &[u8]) -> Result<Option<NodeId>, TreeError> {
        let mut at = ROOT;
        // One component at a time: a path of half a million of them takes no longer than its length.
        for part in parts {
            at = match self.follow_from(at, &[part], path)? {
                Parent::Directory(id) => id,
                Parent::NotDirectory => return Ok(None),
                // A dangling link on the way: nothing can be made through it.
                Parent::Missing if self.child(at, part).is_some() => return Ok(None),
                Parent::Missing => {
                    let kind = NodeKind::Directory {
                        parent: at,
                        entries: 0,
                    };
                    let id = self.add_node(Node::new(Meta::directory(), kind, true))?;
                    self.add_dirent(at, part, id);
                    id
                }
            };
        }
        Ok(Some(at))
    }

    fn kind(&mut self, entry: &Entry, parent: NodeId) -> Result<NodeKind, TreeError> {
        Ok(match &entry.kind {
            EntryKind::File { size, .. } => NodeKind::File {
                size: *size,
                data: None,
            },
            EntryKind::Directory => NodeKind::Directory { parent, entries: 0 },
            EntryKind::Symlink { target } => {
                if target.is_empty() || target.len() > TARGET_MAX {
                    return Err(TreeError::TargetLength {
                        path: display_path(&entry.path).to_string(),
                        len: target.len(),
                    });
                }
                NodeKind::Symlink {
                    target: self.store(target),
                }
            }
            EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor }
                if *major > MAJOR_MAX || *minor > MINOR_MAX =>
            {
                return Err(TreeError::DeviceNumber {
                    path: display_path(&entry.path).to_string(),
                    major: *major,
                    minor: *minor,
                });
            }
            EntryKind::CharDevice { major, minor } => NodeKind::CharDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::BlockDevice { major, minor } => NodeKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::Fifo => NodeKind::Fifo,
            EntryKind::HardLink { .. } => unreachable!("links have no node of their own"),
        })
    }

    /// Gives a node what its entry says.
    fn describe(&mut self, id: NodeId, entry: &Entry) {
        let attributes = Attributes {
            xattrs: entry.xattrs.clone(),
            acl_access: entry.acl_access.clone(),
            acl_default: entry.acl_default.clone(),
        };
        let xattrs = (!attributes.is_empty()).then(|| self.attribute_set(attributes));
        let node = self.node_mut(id);
        node.meta = Meta {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            atime: entry.atime.unwrap_or(entry.mtime),
            ctime: entry.ctime.unwrap_or(entry.mtime),
        };
        node.xattrs = xattrs;
        node.implied = false;
    }

    /// The number of a set: many files bear the same one (SELinux labels, capabilities).
    pub(super) fn attribute_set(&mut self, set: Attributes) -> XattrSetId {
        let (xattrs, hasher) = (&self.xattrs, &self.hasher);
        let hash = hasher.hash_one(&set);
        if let Some(&known) = self.xattr_sets.find(hash, |&n| xattrs[index32(n)] == set) {
            return XattrSetId(known);
        }
        let nr = count32(xattrs.len());
        self.xattr_sets
            .insert_unique(hash, nr, |&n| hasher.hash_one(&xattrs[index32(n)]));
        self.xattrs.push(set);
        XattrSetId(nr)
    }

    /// Gives a node one more extended attribute, or an attribute it has another value.
    pub fn set_xattr(&mut self, id: NodeId, name: &[u8], value: &[u8]) {
        let set = self.node(id).xattrs;
        let mut set = set.map_or_else(Attributes::default, |set| {
            self.xattrs[index32(set.0)].clone()
        });
        set.put(name, Some(value.to_vec()));
        self.node_mut(id).xattrs = Some(self.attribute_set(set));
    }

    fn has_children(&self, directory: NodeId) -> bool {
        matches!(
            self.node(directory).kind,
            NodeKind::Directory { entries: 1.., .. }
        )
    }

    /// One name less leads to `id`.
    pub(super) fn unlink(&mut self, id: NodeId, done: &mut Inserted) {
        self.last_parent = None;
        let node = self.node_mut(id);
        node.links -= 1;
        if node.links > 0 {
            return;
        }
        if let NodeKind::File {
            data: Some(data), ..
        } = node.kind
        {
            done.dropped.push(data);
        }
    }

    /// Removes the file or empty directory at `path`, if it is there: an edit.
    pub fn remove(&mut self, path: &[u8]) -> Inserted {
        let mut done = Inserted::default();
        let Ok(parts) = components(path) else {
            return done;
        };
        let Some((name, parents)) = parts.split_last() else {
            return done;
        };
        let Ok(Parent::Directory(parent)) = self.follow(parents, path) else {
            return done;
        };
        let Some(d) = self.dirent(parent, name) else {
            return done;
        };
        let id = self.dirents[index32(d)].child;
        if self.node(id).is_directory() && self.has_children(id) {
            return done;
        }
        self.remove_dirent(d);
        self.unlink(id, &mut done);
        done.node = Some(id);
        done
    }
}
