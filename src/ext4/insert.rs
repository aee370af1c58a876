//! An entry into the tree, and its data to its place: what everyone does who fills a filesystem.

use super::formatter::Formatter;
use super::place::FileTooLarge;
use crate::display::display_path;
use crate::entry::{Entry, EntryKind};
use crate::tree::{DataId, NodeId, Tree, TreeError};
use std::ops::Range;

/// What became of an entry and of its data.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Its node; `None` when it was left out, with a warning.
    pub node: Option<NodeId>,
    /// Its data, when it is a regular file: [`Formatter::locate`] says where that belongs.
    pub data: Option<DataId>,
    /// Bytes of the filesystem at which nothing lies any more: data of files that it replaced.
    pub dropped: Vec<Range<u64>>,
    /// What a person should know.
    pub warning: Option<String>,
}

/// Why an entry is none of a filesystem.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// No tree can hold it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file that ext4 cannot hold.
    #[error("{path}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: FileTooLarge,
    },
}

impl Formatter {
    /// Puts `entry` into `tree` as [`Tree::insert`] does, gives back the blocks of what it replaced and
    /// places its data. With `dense` its holes get blocks too.
    ///
    /// # Errors
    /// When no tree, or no ext4, can hold it.
    pub fn insert(
        &mut self,
        tree: &mut Tree,
        entry: &Entry,
        dense: bool,
    ) -> Result<Placed, EntryError> {
        let inserted = tree.insert(entry)?;
        let dropped = inserted.dropped.into_iter();
        let mut placed = Placed {
            node: inserted.node,
            data: None,
            dropped: dropped.flat_map(|id| self.drop_file(id)).collect(),
            warning: inserted.warning,
        };
        if let (Some(node), EntryKind::File { size, data }) = (placed.node, &entry.kind) {
            let runs = data.as_deref().filter(|_| !dense);
            let id = self
                .add_file(*size, runs)
                .map_err(|source| EntryError::File {
                    path: display_path(&entry.path).to_string(),
                    source,
                })?;
            tree.set_data(node, id);
            placed.data = Some(id);
        }
        Ok(placed)
    }
}
