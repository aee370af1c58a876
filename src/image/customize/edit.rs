//! How an edit is made: every path is followed inside the tree, and what lies in its way is told.

use super::CustomizeError;
use crate::archive::Input;
use crate::display::display_path;
use crate::entry::{Entry, EntryKind};
use crate::hex::hex;
use crate::image::BuildError;
use crate::image::ingest::Ingest;
use crate::tree::{NodeId, NodeKind, Real};
use crate::units::{Timestamp, count};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// Mode and owner of a file that is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Given {
    /// root's.
    pub(super) const fn root(mode: u16) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
        }
    }
}

/// The edits of one flag.
pub(super) struct Edit<'a, 'b> {
    pub(super) ingest: &'a mut Ingest<'b>,
    /// The flag without its dashes, for messages.
    pub(super) flag: &'static str,
    /// The time of what is made.
    pub(super) time: Timestamp,
    /// Files made, replaced or removed.
    pub(super) files: u64,
}

impl Edit<'_, '_> {
    /// Where `path` lies in the image.
    pub(super) fn real(&self, path: &str, follow: bool) -> Result<Real, CustomizeError> {
        let real = self.ingest.tree.real(path.as_bytes(), follow);
        real.map_err(|source| CustomizeError::Path {
            flag: self.flag,
            source,
        })
    }

    /// Whether something is at `path`, links followed.
    pub(super) fn has(&self, path: &str) -> bool {
        self.ingest.tree.resolve(path.as_bytes()).is_some()
    }

    /// The content of a text file, links followed; `None` when there is none.
    pub(super) fn text(&mut self, path: &str) -> Result<Option<Vec<u8>>, BuildError> {
        let real = self.real(path, true)?;
        let kind = real.node.map(|n| self.ingest.tree.node(n).kind);
        let Some(NodeKind::File { size, data }) = kind else {
            return Ok(None);
        };
        if size > 0 && !data.is_some_and(|d| self.ingest.keeps(d)) {
            return Err(CustomizeError::Unread {
                flag: self.flag,
                path: format!("/{path}"),
                real: format!("/{}", display_path(&real.path)),
            }
            .into());
        }
        self.ingest.read(&real.path)
    }

    /// Gives the file at `path`, links followed, other content; what is new gets `given`.
    pub(super) fn rewrite(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        given: Given,
    ) -> Result<(), BuildError> {
        let real = self.real(path, true)?;
        let made = self.file(&real, bytes, given)?;
        if let Some(old) = real.node {
            self.ingest.tree.inherit(made, old);
        }
        Ok(())
    }

    /// A file at `path`; a link there gives way.
    pub(super) fn write(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        given: Given,
    ) -> Result<NodeId, BuildError> {
        let real = self.real(path, false)?;
        self.file(&real, bytes, given)
    }

    fn file(&mut self, real: &Real, bytes: Vec<u8>, given: Given) -> Result<NodeId, BuildError> {
        let kind = EntryKind::File {
            size: count(bytes.len()),
            data: None,
        };
        self.entry(real, kind, given, vec![bytes.into()])
    }

    /// A symbolic link at `path`.
    pub(super) fn link(&mut self, path: &str, target: &[u8]) -> Result<NodeId, BuildError> {
        let real = self.real(path, false)?;
        let kind = EntryKind::Symlink {
            target: target.into(),
        };
        self.entry(&real, kind, Given::root(0o777), Vec::new())
    }

    /// A directory at `path`, unless one is there.
    pub(super) fn directory(&mut self, path: &str, given: Given) -> Result<NodeId, BuildError> {
        let real = self.real(path, true)?;
        match real.node {
            Some(id) if self.ingest.tree.node(id).is_directory() => Ok(id),
            _ => self.entry(&real, EntryKind::Directory, given, Vec::new()),
        }
    }

    fn entry(
        &mut self,
        real: &Real,
        kind: EntryKind,
        given: Given,
        data: Vec<Bytes>,
    ) -> Result<NodeId, BuildError> {
        self.in_the_way(real, &kind)?;
        let entry = Entry {
            mode: given.mode,
            uid: given.uid,
            gid: given.gid,
            mtime: self.time,
            ..Entry::new(real.path.clone(), kind)
        };
        let node = self.ingest.edit(&entry, data)?;
        self.files += 1;
        // What could be left out has been refused.
        node.ok_or_else(|| self.blocked(real, "something else").into())
    }

    /// Refuses a directory where something else is wanted, and the other way round.
    pub(super) fn in_the_way(&self, real: &Real, kind: &EntryKind) -> Result<(), CustomizeError> {
        let there = real.node.map(|n| self.ingest.tree.node(n).is_directory());
        match (there, kind) {
            (Some(true), EntryKind::Directory) | (None, _) => Ok(()),
            (Some(true), _) => Err(self.blocked(real, "a directory")),
            (Some(false), EntryKind::Directory) => Err(self.blocked(real, "no directory")),
            (Some(false), _) => Ok(()),
        }
    }

    fn blocked(&self, real: &Real, what: &'static str) -> CustomizeError {
        CustomizeError::InTheWay {
            flag: self.flag,
            path: format!("/{}", display_path(&real.path)),
            what,
        }
    }

    /// Takes a file or an empty directory out of the tree.
    pub(super) fn forget(&mut self, path: &[u8]) -> Result<(), BuildError> {
        self.files += 1;
        self.ingest.forget(path)
    }

    /// A value of this flag that says nothing.
    pub(super) fn value(&self, value: &str, why: impl Into<String>) -> BuildError {
        CustomizeError::Value {
            flag: self.flag,
            value: value.into(),
            why: why.into(),
        }
        .into()
    }

    /// Something that the image does not have.
    pub(super) fn unknown(
        &self,
        what: &'static str,
        name: &str,
        near: Option<String>,
    ) -> BuildError {
        CustomizeError::Unknown {
            flag: self.flag,
            what,
            name: name.into(),
            near,
        }
        .into()
    }

    /// Reads a small file of the user's.
    pub(super) fn source(&mut self, path: &Path) -> Result<Vec<u8>, CustomizeError> {
        let bytes = std::fs::read(path).map_err(|source| CustomizeError::Source {
            flag: self.flag,
            path: path.into(),
            source,
        })?;
        if self.ingest.asked.inputs {
            let digest = Sha256::digest(&bytes).into();
            self.came_from(path, Some(digest), count(bytes.len()));
        }
        Ok(bytes)
    }

    /// Notes a file of the user's that was read.
    pub(super) fn came_from(&mut self, path: &Path, sha256: Option<[u8; 32]>, size: u64) {
        let name = display_path(path.as_os_str().as_encoded_bytes()).to_string();
        self.ingest.inputs.push(Input {
            digest: sha256.map(|digest| format!("sha256:{}", hex(&digest))),
            size: Some(size),
            ..Input::new(name, self.flag)
        });
    }
}
