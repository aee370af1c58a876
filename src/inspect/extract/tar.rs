//! Files of an image as a tar: owners, times, attributes, ACLs, holes, links and devices.

use super::plan::{Item, is_inside, plan};
use super::{ExtractError, Extracted};
use crate::archive::TarWriter;
use crate::display::display_path;
use crate::entry::{Entry, EntryKind};
use crate::inspect::files::{Files, FilesError, Kind, Node};
use crate::observe::Observer;
use crate::units::{KIB, count, index};
use std::io::{BufWriter, Write};

/// Bytes that are read at a time.
const CHUNK: u64 = 256 * KIB;

/// Writes everything from `start` on, which `name` is the name of when it is no directory. The members of an
/// image that a build made come in the order of their data, so that a build of the tar places it alike.
///
/// Files that cannot be read are left out, with a warning.
///
/// # Errors
/// When the archive cannot be written, or data cannot be read whose member has begun.
pub fn to_tar(
    files: &Files,
    start: &Node,
    name: &[u8],
    out: impl Write,
    observer: &dyn Observer,
) -> Result<Extracted, ExtractError> {
    let plan = plan(files, start, observer)?;
    let mut writer = Writer {
        files,
        observer,
        tar: TarWriter::new(BufWriter::with_capacity(index(CHUNK), out)),
        done: plan.done,
        zeros: Vec::new(),
    };
    for item in &plan.items {
        writer.item(item, name)?;
    }
    let out = writer.tar.finish().map_err(ExtractError::Tar)?;
    drop(out);
    Ok(writer.done)
}

struct Writer<'a, W: Write> {
    files: &'a Files,
    observer: &'a dyn Observer,
    tar: TarWriter<W>,
    done: Extracted,
    zeros: Vec<u8>,
}

impl<W: Write> Writer<'_, W> {
    fn item(&mut self, item: &Item, name: &[u8]) -> Result<(), ExtractError> {
        if self.observer.cancelled() {
            return Err(ExtractError::Interrupted);
        }
        let described = self.describe(item, name);
        let (entry, node) = match described {
            Ok(described) => described,
            Err(e) => {
                self.done.left_out += 1;
                let path = display_path(&item.path);
                self.observer.warn(&format!("/{path}: left out: {e}"));
                return Ok(());
            }
        };
        if item.room > 0 {
            self.room(&entry.path, item.room)?;
        }
        // What follows the header must be known to be there before it is written.
        let data = match &entry.kind {
            EntryKind::File { .. } => Some(self.files.data(&node, &item.path)),
            _ => None,
        };
        let data = data.transpose().map_err(|source| ExtractError::Read {
            path: display_path(&item.path).to_string(),
            source,
        })?;
        self.tar.entry(&entry).map_err(ExtractError::Tar)?;
        self.done.names += 1;
        let Some(data) = data else {
            return Ok(());
        };
        let mut buf = vec![0; index(CHUNK)];
        for run in data.data() {
            let end = run.offset + run.len;
            let mut at = run.offset;
            while at < end {
                if self.observer.cancelled() {
                    return Err(ExtractError::Interrupted);
                }
                let part = &mut buf[..index((end - at).min(CHUNK))];
                let read = data.read_at(at, part);
                let n = read.map_err(|source| ExtractError::Read {
                    path: display_path(&item.path).to_string(),
                    source,
                })?;
                // A FAT chain that ends early was an error before; then the rest is zeros.
                part[n..].fill(0);
                self.tar.data(part).map_err(ExtractError::Tar)?;
                at += count(part.len());
            }
            self.done.data += run.len;
        }
        self.tar.end_data().map_err(ExtractError::Tar)
    }

    /// A file of zeros, which the next member replaces: its blocks stay free, as they are in the image.
    fn room(&mut self, path: &[u8], len: u64) -> Result<(), ExtractError> {
        let kind = EntryKind::File {
            size: len,
            data: None,
        };
        let entry = Entry::new(path, kind);
        self.tar.entry(&entry).map_err(ExtractError::Tar)?;
        self.zeros.resize(index(CHUNK), 0);
        let mut left = len;
        while left > 0 {
            let part = left.min(CHUNK);
            let zeros = &self.zeros[..index(part)];
            self.tar.data(zeros).map_err(ExtractError::Tar)?;
            left -= part;
        }
        self.tar.end_data().map_err(ExtractError::Tar)
    }

    fn describe(&self, item: &Item, name: &[u8]) -> Result<(Entry, Node), FilesError> {
        let node = self.files.node(item.id)?;
        let path = match &item.path[..] {
            b"" if node.is_directory() => b".",
            b"" => name,
            path => path,
        };
        if path != b"." && !is_inside(path) {
            return Err(FilesError::Name);
        }
        let kind = match (&item.link, node.kind) {
            (Some(first), _) => EntryKind::HardLink {
                target: first.clone(),
            },
            (None, Kind::File) => {
                let data = self.files.data(&node, path)?;
                let runs = data.data();
                let stored: u64 = runs.iter().map(|r| r.len).sum();
                EntryKind::File {
                    size: node.size,
                    data: (stored < node.size).then_some(runs),
                }
            }
            (None, Kind::Symlink) => EntryKind::Symlink {
                target: self.files.target(&node)?,
            },
            (None, Kind::CharDevice) => {
                let (major, minor) = node.device.unwrap_or_default();
                EntryKind::CharDevice { major, minor }
            }
            (None, Kind::BlockDevice) => {
                let (major, minor) = node.device.unwrap_or_default();
                EntryKind::BlockDevice { major, minor }
            }
            (None, Kind::Fifo) => EntryKind::Fifo,
            _ => EntryKind::Directory,
        };
        let mut entry = Entry {
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            atime: Some(node.atime),
            ctime: Some(node.ctime),
            ..Entry::new(path, kind)
        };
        if item.link.is_none() {
            entry.xattrs = self.files.xattrs(&node)?;
        }
        Ok((entry, node))
    }
}
