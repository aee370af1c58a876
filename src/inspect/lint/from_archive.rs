//! Facts of a root filesystem that is no image yet.

use super::LintError;
use super::facts::{Entry, Facts, Room, Sort, is_initrd, normal, wanted};
use super::initrd::{self, Initrd, NVME};
use crate::archive::{ArchiveError, Item, Rootfs};
use crate::entry::EntryKind;
use crate::tree::{NodeId, NodeKind, Tree};
use crate::units::index;
use bytes::{Buf, Bytes};
use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

/// Reads a root filesystem to its end. `now` is in seconds since 1970.
///
/// # Errors
/// When it cannot be read.
pub fn of_rootfs(rootfs: &mut Rootfs, now: i64) -> Result<Facts, LintError> {
    let mut tree = Tree::new();
    let mut contents: HashMap<NodeId, Arc<[u8]>> = HashMap::new();
    let mut initrds: HashMap<NodeId, Initrd> = HashMap::new();
    let mut room = Room::new();
    let mut budget = initrd::MOST;
    while let Some(item) = rootfs.next_item()? {
        match item {
            Item::Layer => tree.begin_layer()?,
            Item::Whiteout(path) => drop(tree.whiteout(&path)?),
            Item::Opaque(path) => drop(tree.opaque(&path)?),
            Item::Entry(entry) => {
                let node = tree.insert(&entry)?.node;
                // What is looked at is text, modules and initrds: nobody stores them with holes.
                let (Some(node), EntryKind::File { size, data: None }) = (node, &entry.kind) else {
                    continue;
                };
                let path = &normal(&entry.path);
                let mut pieces = Pieces::of(rootfs);
                if let Some(len) = wanted(path, *size) {
                    room.content(len)?;
                    let mut content = vec![0; index(len)];
                    // An archive that ends early says so itself.
                    let _ = pieces.read_exact(&mut content);
                    contents.insert(node, content.into());
                } else if is_initrd(path) {
                    let found = initrd::look(BufReader::new(&mut pieces), NVME, &mut budget);
                    initrds.insert(node, found);
                }
                pieces.failed.map_or(Ok(()), Err)?;
            }
        }
    }
    let mut facts = Facts {
        now,
        ..Facts::default()
    };
    let sorted = tree.sorted();
    let mut fits = Ok(());
    tree.walk(&sorted, |path, id| {
        let node = tree.node(id);
        let (sort, size, target) = match node.kind {
            NodeKind::File { size, .. } => (Sort::File, size, Vec::new()),
            NodeKind::Directory { .. } => (Sort::Directory, 0, Vec::new()),
            NodeKind::Symlink { target } => (Sort::Link, 0, tree.target(target).to_vec()),
            _ => (Sort::Other, 0, Vec::new()),
        };
        let xattrs = tree.xattrs(id);
        let entry = Entry {
            sort,
            mode: node.meta.mode,
            size,
            mtime: node.meta.mtime.sec,
            capability: xattrs
                .iter()
                .any(|(name, _)| name == b"security.capability"),
            target,
            content: contents.get(&id).cloned(),
        };
        if fits.is_ok() {
            fits = room.entry(path, &entry.target);
        }
        if fits.is_err() {
            return;
        }
        if let Some(found) = initrds.get(&id) {
            facts.initrds.insert(path.to_vec(), *found);
        }
        facts.entries.insert(path.to_vec(), entry);
    });
    fits.map(|()| facts)
}

/// The data of an entry as a stream. What the archive says of an end that comes early is kept.
struct Pieces<'a> {
    rootfs: &'a mut Rootfs,
    piece: Bytes,
    failed: Option<ArchiveError>,
}

impl<'a> Pieces<'a> {
    fn of(rootfs: &'a mut Rootfs) -> Self {
        Self {
            rootfs,
            piece: Bytes::new(),
            failed: None,
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.rootfs.next_data() {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(0),
                Err(e) => {
                    self.failed = Some(e);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        let n = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}
