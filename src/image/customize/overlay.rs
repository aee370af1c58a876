//! Files of this machine, laid over the tree.

use super::CustomizeError;
use super::accounts::Names;
use super::edit::{Edit, Given};
use super::spec::{CustomFile, Overlay, Owner};
use crate::archive::{Item, Options, Origin, Rootfs};
use crate::entry::{Entry, EntryKind};
use crate::image::BuildError;
use crate::image::ingest::Ingest;
use crate::tree::NodeId;
use crate::units::{MIB, Timestamp, count};
use bytes::Bytes;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

/// What a umask of the building user decides: whether others may write.
const OTHERS_WRITE: u16 = 0o022;

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
    owners.add(edit.flag, &overlay.owner, nodes);
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
    let mode = match kind {
        EntryKind::Symlink { .. } => entry.mode,
        _ => entry.mode & !OTHERS_WRITE,
    };
    // Labels, ACLs and notes of browsers are the building machine's.
    let ours = |name: &[u8]| name == b"security.capability";
    let mut xattrs = entry.xattrs;
    xattrs.retain(|(name, _)| ours(name));
    Ok(Some(Entry {
        path: real.path,
        kind,
        mode,
        mtime: edit.time,
        xattrs,
        ..entry
    }))
}

/// Puts one file into the tree.
pub(super) fn file(
    edit: &mut Edit<'_, '_>,
    wanted: &CustomFile,
    owners: &mut Owners,
) -> Result<(), BuildError> {
    let fails = |edit: &Edit<'_, '_>, e| unreadable(edit, &wanted.source, e);
    let changed = |edit: &Edit<'_, '_>| CustomizeError::Content {
        flag: edit.flag,
        path: wanted.source.clone(),
        why: "it was changed while it was read; stop what writes to it".into(),
    };
    // Before it is opened: that of a fifo waits for a writer.
    let meta = std::fs::metadata(&wanted.source).map_err(|e| fails(edit, e))?;
    if !meta.is_file() {
        return Err(CustomizeError::Content {
            flag: edit.flag,
            path: wanted.source.clone(),
            why: "it is no regular file; a folder is for --overlay".into(),
        }
        .into());
    }
    let source = File::open(&wanted.source).map_err(|e| fails(edit, e))?;
    let size = meta.len();
    let executable = meta.permissions().mode() & 0o100 != 0;
    let given = Given::root(
        wanted
            .mode
            .unwrap_or(if executable { 0o755 } else { 0o644 }),
    );
    let real = edit.real(&wanted.path, false)?;
    let kind = EntryKind::File { size, data: None };
    edit.in_the_way(&real, &kind)?;
    let entry = Entry {
        mode: given.mode,
        mtime: edit.time,
        ..Entry::new(real.path, kind)
    };
    let mut left = size;
    let mut reader = source.take(size.saturating_add(1));
    let mut broken = None;
    let mut next = || {
        let mut piece = Vec::new();
        let read = Read::by_ref(&mut reader)
            .take(MIB.min(left))
            .read_to_end(&mut piece);
        match read {
            Ok(0) => Ok(None),
            Ok(n) => {
                left = left.saturating_sub(count(n));
                Ok(Some(Bytes::from(piece)))
            }
            Err(e) => {
                broken = Some(e);
                Ok(None)
            }
        }
    };
    let node = edit.ingest.entry(&entry, &mut next)?;
    if let Some(e) = broken {
        return Err(fails(edit, e).into());
    }
    let mut beyond = [0; 1];
    let more = reader.read(&mut beyond).map_err(|e| fails(edit, e))?;
    if left > 0 || more > 0 {
        return Err(changed(edit).into());
    }
    edit.files += 1;
    owners.add(edit.flag, &wanted.owner, node.into_iter().collect());
    Ok(())
}

fn unreadable(edit: &Edit<'_, '_>, path: &std::path::Path, source: io::Error) -> CustomizeError {
    CustomizeError::Source {
        flag: edit.flag,
        path: path.into(),
        source,
    }
}
