//! Files of this machine, laid over the tree.

use super::CustomizeError;
use super::accounts::Names;
use super::edit::Edit;
use super::spec::{CustomFile, Overlay, Owner};
use crate::archive::{HolesLeft, Input, Item, Options, Origin, Rootfs, SingleFile, SparseDigest};
use crate::entry::{Entry, EntryKind};
use crate::image::BuildError;
use crate::image::ingest::Ingest;
use crate::tree::NodeId;
use crate::units::Timestamp;
use bytes::Bytes;
use std::collections::HashSet;
use std::io;

/// Who shall own what was laid over the tree, once the users are there.
#[derive(Debug, Default)]
pub(super) struct Owners {
    waiting: Vec<(&'static str, Owner, Vec<NodeId>)>,
    made: HashSet<NodeId>,
}

impl Owners {
    fn add(&mut self, flag: &'static str, owner: &Owner, nodes: Vec<NodeId>) {
        self.made.extend(&nodes);
        if *owner != Owner::default() {
            self.waiting.push((flag, owner.clone(), nodes));
        }
    }

    /// Whether an overlay made this node.
    pub(super) fn made(&self, node: NodeId) -> bool {
        self.made.contains(&node)
    }

    /// Whoever shall own what is around it, this node has its owner.
    pub(super) fn keep(&mut self, node: NodeId) {
        for (_, _, nodes) in &mut self.waiting {
            nodes.retain(|n| *n != node);
        }
    }

    /// Gives every node its owner.
    pub(super) fn settle(
        &mut self,
        ingest: &mut Ingest<'_>,
        time: Timestamp,
    ) -> Result<(), BuildError> {
        for (flag, owner, nodes) in std::mem::take(&mut self.waiting) {
            let mut edit = Edit {
                ingest,
                flag,
                time,
                files: 0,
            };
            let (uid, gid) = Names::read(&mut edit)?.owner(&edit, &owner)?;
            for node in nodes {
                edit.ingest.tree.set_owner(node, uid, gid);
            }
        }
        Ok(())
    }
}

/// Lays a folder over the tree.
pub(super) fn folder(
    edit: &mut Edit<'_, '_>,
    overlay: &Overlay,
    owners: &mut Owners,
) -> Result<(), BuildError> {
    let kind = std::fs::metadata(&overlay.folder).and_then(|meta| match meta.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    kind.map_err(|e| unreadable(edit, &overlay.folder, e))?;
    let options = Options {
        owner: Some((0, 0)),
        portable: true,
        digest: edit.ingest.asked.inputs,
        ..Options::default()
    };
    let origin = Origin::Path(overlay.folder.clone());
    let mut reader = Rootfs::open_with(&[origin], &options).map_err(CustomizeError::Overlay)?;
    let mut nodes = Vec::new();
    while let Some(item) = reader.next_item().map_err(CustomizeError::Overlay)? {
        edit.ingest.check()?;
        if let Item::Entry(entry) = item
            && let Some(entry) = fitted(edit, entry)?
        {
            let mut next = || Ok(reader.next_data().map_err(CustomizeError::Overlay)?);
            nodes.extend(edit.ingest.entry(&entry, &mut next)?);
            edit.files += 1;
        }
        for warning in reader.take_warnings() {
            edit.ingest.warn(&warning);
        }
    }
    let flag = edit.flag;
    if edit.ingest.asked.inputs {
        let inputs = reader.inputs().iter().cloned();
        let inputs = inputs.map(|input| Input {
            kind: flag,
            ..input
        });
        edit.ingest.inputs.extend(inputs);
    }
    owners.add(flag, &overlay.owner, nodes);
    Ok(())
}

/// The entry of a folder as the image shall have it; `None` for a directory that is there.
fn fitted(edit: &Edit<'_, '_>, entry: Entry) -> Result<Option<Entry>, CustomizeError> {
    let path_error = |source| CustomizeError::Path {
        flag: edit.flag,
        source,
    };
    let tree = &edit.ingest.tree;
    let directory = entry.kind == EntryKind::Directory;
    let real = tree.real(&entry.path, directory).map_err(path_error)?;
    edit.in_the_way(&real, &entry.kind)?;
    if directory && real.node.is_some() {
        return Ok(None);
    }
    let kind = match entry.kind {
        EntryKind::HardLink { target } => EntryKind::HardLink {
            target: tree.real(&target, false).map_err(path_error)?.path,
        },
        kind => kind,
    };
    Ok(Some(Entry {
        path: real.path,
        kind,
        mtime: edit.time,
        ..entry
    }))
}

/// Puts one file into the tree.
pub(super) fn file(
    edit: &mut Edit<'_, '_>,
    wanted: &CustomFile,
    owners: &mut Owners,
) -> Result<(), BuildError> {
    let source = SingleFile::open(&wanted.source);
    let Some(mut source) = source.map_err(|e| unreadable(edit, &wanted.source, e))? else {
        return Err(CustomizeError::Content {
            flag: edit.flag,
            path: wanted.source.clone(),
            why: "it is no regular file; a folder is for --overlay".into(),
        }
        .into());
    };
    let real = edit.real(&wanted.path, false)?;
    let kind = source.kind();
    edit.in_the_way(&real, &kind)?;
    let entry = Entry {
        mode: wanted.mode.unwrap_or_else(|| usual(source.mode)),
        mtime: edit.time,
        ..Entry::new(real.path, kind)
    };
    let observer = edit.ingest.observer;
    let stop = || observer.cancelled();
    let mut digest = edit.ingest.asked.inputs.then(|| {
        let holes = HolesLeft::default();
        (SparseDigest::new(source.size), holes)
    });
    let mut next = || -> Result<Option<Bytes>, BuildError> {
        let Some((at, piece)) = source.next().map_err(CustomizeError::File)? else {
            return Ok(None);
        };
        if let Some((digest, holes)) = &mut digest {
            digest.data(at, &piece, holes, &stop);
        }
        Ok(Some(piece))
    };
    let node = edit.ingest.entry(&entry, &mut next)?;
    // Of what is nothing but a hole, or was left out, nobody asks for data.
    while next()?.is_some() {}
    if let Some((digest, mut holes)) = digest {
        let digest = digest.finish(&mut holes, &stop);
        edit.came_from(&wanted.source, digest, source.size);
    }
    edit.files += 1;
    owners.add(edit.flag, &wanted.owner, node.into_iter().collect());
    Ok(())
}

/// The mode of a file for which none was asked: what a checkout keeps, which is whether it is executable, and what
/// nobody else may read stays so.
fn usual(mode: u16) -> u16 {
    let all = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
    match mode & 0o077 {
        0 => all & 0o700,
        _ => all,
    }
}

fn unreadable(edit: &Edit<'_, '_>, path: &std::path::Path, source: io::Error) -> CustomizeError {
    CustomizeError::Source {
        flag: edit.flag,
        path: path.into(),
        source,
    }
}
