//! A bundle in a folder: appears whole or not at all.

use super::manifest::PartInfo;
use super::pack::Bundle;
use super::parts::{Part, PartSink};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Why a bundle cannot stand in a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no such folder.
    #[error("cannot write to {path}: it is no folder; make it first")]
    NoFolder {
        /// It.
        path: PathBuf,
    },
    /// Files of that name are there.
    #[error("{path} exists already; say `--force` to replace the bundle")]
    Exists {
        /// The first of them.
        path: PathBuf,
    },
    /// A file or folder.
    #[error("cannot write {path}")]
    Write {
        /// It.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bundle under way: its parts lie in a hidden folder until all are there. Dropped before
/// [`Folder::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Folder {
    folder: PathBuf,
    prefix: String,
    force: bool,
    hidden: TempDir,
}

impl Folder {
    /// Prepares to write the bundle `prefix` to `folder`.
    ///
    /// # Errors
    /// When files of such a bundle are there and `force` is not given, or nothing can be written.
    pub fn create(folder: &Path, prefix: &str, force: bool) -> Result<Self, FolderError> {
        if !folder.is_dir() {
            let path = folder.into();
            return Err(FolderError::NoFolder { path });
        }
        if !force && let Some(path) = files(folder, prefix)?.into_iter().next() {
            return Err(FolderError::Exists { path });
        }
        let made = tempfile::Builder::new()
            .prefix(".diskwright-")
            .tempdir_in(folder);
        let hidden = made.map_err(|e| FolderError::Write {
            path: folder.into(),
            // tempfile's own message has a random name in it.
            source: e.kind().into(),
        })?;
        Ok(Self {
            folder: folder.into(),
            prefix: prefix.into(),
            force,
            hidden,
        })
    }

    /// The hidden folder: what to remove when the process must end at once.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        self.hidden.path()
    }

    fn part(&self, index: usize) -> PathBuf {
        self.hidden.path().join(index.to_string())
    }

    /// Gives the parts their names and writes the manifest, last. Tells where it is.
    ///
    /// # Errors
    /// When a name was taken meanwhile, or a file cannot be renamed; then those that were are gone again.
    pub fn finish(self, bundle: &Bundle) -> Result<PathBuf, FolderError> {
        let manifest = self.hidden.path().join("manifest");
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Write { path, source }
        };
        let target = self.folder.join(format!("{}.manifest.xml", self.prefix));
        fs::write(&manifest, &bundle.document).map_err(fail(&target))?;
        let old = files(&self.folder, &self.prefix)?;
        if self.force {
            // The manifest first: what is left of a bundle without it is none.
            for path in old.iter().rev() {
                fs::remove_file(path).map_err(fail(path))?;
            }
        } else if let Some(path) = old.into_iter().next() {
            return Err(FolderError::Exists { path });
        }
        let named = |(nr, p): (usize, &PartInfo)| (self.part(nr), self.folder.join(&p.filename));
        let mut moves: Vec<_> = bundle.parts().iter().enumerate().map(named).collect();
        moves.push((manifest, target.clone()));
        for (nr, (from, to)) in moves.iter().enumerate() {
            if let Err(source) = fs::rename(from, to) {
                for (_, to) in &moves[..nr] {
                    // Best effort: the rename's failure is what matters.
                    let _ = fs::remove_file(to);
                }
                return Err(fail(to)(source));
            }
        }
        Ok(target)
    }
}

impl PartSink for Folder {
    fn put(&mut self, part: Part) -> io::Result<()> {
        let index = usize::try_from(part.index).map_err(io::Error::other)?;
        fs::write(self.part(index), &part.bytes)
    }
}

/// The files of a bundle called `prefix` that are there, its manifest last.
fn files(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>, FolderError> {
    let fail = |source| FolderError::Write {
        path: folder.into(),
        source,
    };
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let part = name
            .to_str()
            .and_then(|n| n.strip_prefix(prefix)?.strip_prefix(".part."));
        if part.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            parts.push(folder.join(name));
        }
    }
    parts.sort();
    let manifest = folder.join(format!("{prefix}.manifest.xml"));
    if manifest.symlink_metadata().is_ok() {
        parts.push(manifest);
    }
    Ok(parts)
}
