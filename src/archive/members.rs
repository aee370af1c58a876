//! An archive whose members are read in any order: an index of a tar, and windows into it.
//!
//! A plain, seekable file is read where it lies. What is compressed or comes through a pipe is first
//! unpacked into a file without a name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::detect::{Content, content};
use super::error::ArchiveError;
use super::input::Input;
use super::oci::{Blob, Store};
use super::reader::Opened;
use super::tar::TarReader;
use crate::entry::EntryKind;
use crate::units::index;

/// Links that one name may lead through, as in the tree.
const SYMLINK_MAX: usize = 40;

/// Bytes from which a file is known; the last magic of `detect` lies behind 32 KiB.
const HEAD: usize = 40 << 10;

/// The members of a tar by their normalised names; of a name twice there, the last.
pub(super) struct Members {
    file: Arc<File>,
    members: HashMap<Vec<u8>, Member>,
}

enum Member {
    /// Its first byte in the tar, and its length.
    File(u64, u64),
    /// Another name, normalised.
    Link(Vec<u8>),
    Other,
}

impl Members {
    /// Indexes the archive; `spool` is a folder with room for it.
    pub(super) fn open(opened: Opened, spool: Option<&Path>) -> Result<Self, ArchiveError> {
        let name = opened.name.clone();
        let (file, len) = plain(opened, spool)?;
        let file = Arc::new(file);
        let mut tar = TarReader::new(Input::seekable(name, file.clone(), len));
        let mut members = HashMap::new();
        while let Some(entry) = tar.next_entry()? {
            let member = match entry.kind {
                EntryKind::File { size, data: None } => Member::File(tar.input().offset(), size),
                EntryKind::HardLink { target } => Member::Link(normal(&[], &target)),
                EntryKind::Symlink { target } => {
                    let end = entry.path.iter().rposition(|&b| b == b'/').unwrap_or(0);
                    Member::Link(normal(entry.path.get(..end).unwrap_or_default(), &target))
                }
                _ => Member::Other,
            };
            members.insert(normal(&[], &entry.path), member);
        }
        Ok(Self { file, members })
    }
}

impl Store for Members {
    fn open(&self, path: &str) -> io::Result<Option<Blob>> {
        let mut name = normal(&[], path.as_bytes());
        for _ in 0..SYMLINK_MAX {
            match self.members.get(&name) {
                None => return Ok(None),
                Some(Member::Other) => return Err(io::Error::other("it is no regular file")),
                Some(Member::Link(target)) => name.clone_from(target),
                Some(&Member::File(offset, len)) => {
                    let reader = Box::new(Window {
                        file: self.file.clone(),
                        at: offset,
                        end: offset.saturating_add(len),
                    });
                    return Ok(Some(Blob { reader, len }));
                }
            }
        }
        Err(io::Error::other("its links lead in a circle"))
    }
}

/// `path`, seen from `folder`, without what says nothing; `..` goes up, never above the root.
fn normal(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let folder = if path.starts_with(b"/") { &[] } else { folder };
    for part in folder
        .split(|&b| b == b'/')
        .chain(path.split(|&b| b == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// Bytes of a file, read with an offset of its own.
struct Window {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = index(self.end.saturating_sub(self.at)).min(out.len());
        let n = self
            .file
            .read_at(out.get_mut(..left).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(crate::units::count(n));
        Ok(n)
    }
}

/// The archive as a plain, seekable tar: itself, or unpacked. And its length.
fn plain(opened: Opened, spool: Option<&Path>) -> Result<(File, u64), ArchiveError> {
    let Opened { name, file, total } = opened;
    let read = |source| ArchiveError::Read {
        archive: name.clone(),
        offset: 0,
        source,
    };
    if let Some(len) = total {
        let mut head = vec![0; HEAD.min(index(len))];
        // A file whose cursor is not at its start, as standard input may be, differs here from `len`.
        let whole = file.metadata().map_err(read)?.len() == len;
        if whole && file.read_exact_at(&mut head, 0).is_ok() && content(&head) == Content::Tar {
            return Ok((file, len));
        }
    }
    let made = match spool {
        Some(folder) => tempfile::tempfile_in(folder),
        None => tempfile::tempfile(),
    };
    let unpack = |source| ArchiveError::Unpack {
        archive: name.clone(),
        source,
    };
    let mut out = made.map_err(unpack)?;
    let mut input = Input::start(name.clone(), Box::new(file), total)?;
    while let Some(bytes) = input.take(u64::MAX)? {
        out.write_all(&bytes).map_err(unpack)?;
    }
    Ok((out, input.offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_stay_inside() {
        for (folder, path, expected) in [
            ("", "./a//b/", "a/b"),
            ("abc", "../def.tar", "def.tar"),
            ("a/b", "../../../../etc/passwd", "etc/passwd"),
            ("a", "/x", "x"),
            ("", "", ""),
        ] {
            let got = normal(folder.as_bytes(), path.as_bytes());
            assert_eq!(got, expected.as_bytes(), "{folder} {path}");
        }
    }
}
