//! All files below a directory, in the order of their names.

use super::files::{Child, Files, FilesError, Node, is_name};
use std::collections::HashSet;

/// Directories of longer paths are not entered: Linux takes no longer ones, and directories that nest without
/// end would make paths as long as the image.
const PATH_MAX: usize = 4096;

/// Where directories lie that were entered: damage may have one again in itself, or make others of its blocks.
/// As every block is read once, all that is met is no more than the image holds.
#[derive(Debug, Default)]
pub struct Entered {
    places: HashSet<u64>,
}

impl Entered {
    /// The names in a directory of that path, as [`Files::children`] has them, once.
    ///
    /// # Errors
    /// When it cannot be read, was entered before, or its path is too long.
    pub fn children(
        &mut self,
        files: &Files,
        path: &[u8],
        directory: &Node,
    ) -> Result<Vec<Child>, FilesError> {
        if path.len() > PATH_MAX {
            return Err(FilesError::TooLong);
        }
        for place in files.places(directory)? {
            if !self.places.insert(place) {
                return Err(FilesError::Again);
            }
        }
        files.children(directory)
    }
}

/// A file met on the way.
#[derive(Debug)]
pub struct Met {
    /// Its path below where the walk began, without a slash in front; empty there.
    pub path: Vec<u8>,
    /// How many directories are above it.
    pub depth: usize,
    /// The file.
    pub node: Node,
}

/// A walk, depth first: a directory, then what is in it. A directory is entered once, and every name on the
/// way is one that a file can have: all else comes as an error.
#[derive(Debug)]
pub struct Walk<'a> {
    files: &'a Files,
    start: Option<Node>,
    stack: Vec<Level>,
    entered: Entered,
}

#[derive(Debug)]
struct Level {
    path: Vec<u8>,
    children: std::vec::IntoIter<Child>,
}

impl Files {
    /// Everything from `start` on, that included. What cannot be read comes as an error, with its path, and
    /// the walk goes on.
    #[must_use]
    pub fn walk(&self, start: Node) -> Walk<'_> {
        Walk {
            files: self,
            start: Some(start),
            stack: Vec::new(),
            entered: Entered::default(),
        }
    }
}

/// A path that cannot be read, and why.
pub type Unread = (Vec<u8>, FilesError);

impl Walk<'_> {
    /// Goes into a directory.
    fn enter(&mut self, path: &[u8], node: &Node) -> Result<(), Unread> {
        if !node.is_directory() {
            return Ok(());
        }
        let children = self.entered.children(self.files, path, node);
        let children = children.map_err(|e| (path.to_vec(), e))?;
        self.stack.push(Level {
            path: path.to_vec(),
            children: children.into_iter(),
        });
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Met, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        let (path, depth, node) = match self.start.take() {
            Some(node) => (Vec::new(), 0, Ok(node)),
            None => loop {
                let depth = self.stack.len();
                let level = self.stack.last_mut()?;
                let Some(child) = level.children.next() else {
                    self.stack.pop();
                    continue;
                };
                let mut path = level.path.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&child.name);
                if !is_name(&child.name) {
                    return Some(Err((path, FilesError::Name)));
                }
                break (path, depth, self.files.node(child.id));
            },
        };
        Some(match node {
            Err(e) => Err((path, e)),
            Ok(node) => match self.enter(&path, &node) {
                Err(e) => Err(e),
                Ok(()) => Ok(Met { path, depth, node }),
            },
        })
    }
}
