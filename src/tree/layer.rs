//! Layers: what a later one hides of those below it.
//!
//! A dirent bears the number of the layer that put it there, a directory the number of the last layer
//! that described it or put something below it. A whiteout looks at these numbers alone, so that its
//! place among the entries of its layer does not matter (OCI image-spec, "Image Layer Filesystem
//! Changeset", section "Whiteouts": they apply to resources of lower layers only).

use super::lookup::{Parent, components};
use super::node::NO_DIRENT;
use super::{Inserted, NodeId, NodeKind, Tree, TreeError};
use crate::units::index32;

impl Tree {
    /// Says that the entries from here on lie above all before them.
    ///
    /// # Errors
    /// After 65,535 layers.
    pub fn begin_layer(&mut self) -> Result<(), TreeError> {
        self.layer = self.layer.checked_add(1).ok_or(TreeError::TooManyLayers)?;
        // What was the directory of the last path has not been touched by this layer.
        self.last_parent = None;
        Ok(())
    }

    /// Removes what lower layers have at `path`, recursively. What is not there is removed already.
    ///
    /// # Errors
    /// When no tree can hold such a path.
    pub fn whiteout(&mut self, path: &[u8]) -> Result<Inserted, TreeError> {
        let mut done = Inserted::default();
        let parts = components(path)?;
        let Some((name, parents)) = parts.split_last() else {
            return Ok(done);
        };
        if let Parent::Directory(parent) = self.follow(parents, path)?
            && let Some(d) = self.dirent(parent, name)
        {
            self.hide(d, &mut done);
        }
        Ok(done)
    }

    /// Removes what lower layers have in the directory `path`, and leaves the directory.
    ///
    /// # Errors
    /// When no tree can hold such a path.
    pub fn opaque(&mut self, path: &[u8]) -> Result<Inserted, TreeError> {
        let mut done = Inserted::default();
        // The marker lies in the directory, so that a link to it is followed like that of any parent.
        if let Parent::Directory(directory) = self.follow(&components(path)?, path)? {
            self.hide_lower(directory, &mut done);
        }
        Ok(done)
    }

    /// Removes what lower layers have in `directory`. Directories of theirs stay where the layer under
    /// way has put something below them.
    pub(super) fn hide_lower(&mut self, directory: NodeId, done: &mut Inserted) {
        // A stack of our own: a hostile tree is deeper than a thread's.
        let mut todo = vec![directory];
        while let Some(directory) = todo.pop() {
            let layer = self.layer;
            // Once per layer is enough: entries of lower layers do not come back.
            let node = self.node_mut(directory);
            if std::mem::replace(&mut node.cleared, layer) == layer {
                continue;
            }
            let mut next = std::mem::replace(&mut node.last, NO_DIRENT);
            let mut kept = None;
            while next != NO_DIRENT {
                let d = next;
                let dirent = self.dirents[index32(d)];
                next = dirent.previous;
                let own = if self.node(dirent.child).is_directory() {
                    self.node(dirent.child).layer == layer
                } else {
                    dirent.layer == layer
                };
                if !dirent.live || !own {
                    self.remove_all(d, done);
                    continue;
                }
                if self.node(dirent.child).is_directory() {
                    todo.push(dirent.child);
                }
                // Dead dirents leave the list: the next layer need not pass over them again.
                self.dirents[index32(d)].previous = NO_DIRENT;
                match kept.replace(d) {
                    Some(above) => self.dirents[index32(above)].previous = d,
                    None => self.node_mut(directory).last = d,
                }
            }
        }
    }

    /// Removes a dirent and all below it, of which the layer under way has brought nothing.
    fn remove_all(&mut self, d: u32, done: &mut Inserted) {
        let mut todo = vec![d];
        while let Some(d) = todo.pop() {
            let dirent = self.dirents[index32(d)];
            if !dirent.live {
                continue;
            }
            self.remove_dirent(d);
            if self.node(dirent.child).is_directory() {
                let mut below = self.node(dirent.child).last;
                while below != NO_DIRENT {
                    todo.push(below);
                    below = self.dirents[index32(below)].previous;
                }
            }
            self.unlink(dirent.child, done);
        }
    }

    /// A whiteout of what dirent `d` leads to.
    fn hide(&mut self, d: u32, done: &mut Inserted) {
        let dirent = self.dirents[index32(d)];
        let directory = self.node(dirent.child).is_directory();
        if directory && self.node(dirent.child).layer == self.layer {
            self.hide_lower(dirent.child, done);
        } else if dirent.layer < self.layer {
            self.remove_all(d, done);
        }
    }

    /// Dirent `d` leads to what the layer under way has put there.
    pub(super) fn claim(&mut self, d: u32) {
        let layer = self.layer;
        let dirent = &mut self.dirents[index32(d)];
        dirent.layer = layer;
        let child = dirent.child;
        self.node_mut(child).layer = layer;
    }

    /// The layer under way puts something into `directory`: it and those above it are its own too.
    pub(super) fn touch(&mut self, mut directory: NodeId) {
        while self.node(directory).layer != self.layer {
            self.node_mut(directory).layer = self.layer;
            if let NodeKind::Directory { parent, .. } = self.node(directory).kind {
                directory = parent;
            }
        }
    }
}
