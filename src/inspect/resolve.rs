//! Paths inside an image: symbolic links lead to places in the image, never to the host's.

use super::files::{Files, FilesError, Kind, Node};
use crate::display::display_path;

/// As the kernel's `MAXSYMLINKS`.
const LINKS_MAX: usize = 40;
/// Most names that are looked up for one path: targets may be long, and lead to and fro.
const LOOKUPS_MAX: usize = 4096;

impl Files {
    /// The file at a path. With `follow` a symbolic link at its end is followed too.
    ///
    /// # Errors
    /// When there is none, or a directory on the way cannot be read.
    pub fn resolve(&self, path: &[u8], follow: bool) -> Result<Node, FilesError> {
        let shown = || display_path(path).to_string();
        // The directories on the way down to where we are, the root first.
        let mut way = vec![self.root()?];
        // What is left to go, the next component last.
        let mut rest: Vec<Vec<u8>> = components(path);
        let (mut links, mut lookups) = (0, 0);
        while let Some(name) = rest.pop() {
            let here = &way[way.len() - 1];
            if here.kind != Kind::Directory {
                return Err(FilesError::NotDirectory {
                    path: shown(),
                    is: here.kind.words(),
                });
            }
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    way.truncate((way.len() - 1).max(1));
                    continue;
                }
                _ => {}
            }
            lookups += 1;
            if lookups > LOOKUPS_MAX {
                return Err(FilesError::Loop { path: shown() });
            }
            let children = self.children(here)?;
            let found = children.binary_search_by(|c| c.name[..].cmp(&name));
            let mut child = found.ok().map(|n| children[n].id);
            if child.is_none() && matches!(self, Self::Fat(_)) {
                // FAT keeps the case of names and does not look at it.
                let same = |c: &&super::Child| c.name.eq_ignore_ascii_case(&name);
                child = children.iter().find(same).map(|c| c.id);
            }
            let Some(id) = child else {
                return Err(FilesError::NotFound { path: shown() });
            };
            let node = self.node(id)?;
            if node.kind == Kind::Symlink && (follow || !rest.is_empty()) {
                links += 1;
                if links > LINKS_MAX {
                    return Err(FilesError::Loop { path: shown() });
                }
                let target = self.target(&node)?;
                if target.first() == Some(&b'/') {
                    way.truncate(1);
                }
                rest.extend(components(&target));
                continue;
            }
            way.push(node);
        }
        Ok(way.swap_remove(way.len() - 1))
    }
}

/// The components of a path, the first last. A slash at the end asks for a directory.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/')
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}
