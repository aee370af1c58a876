//! One digest for a folder: that of a list of what lies in it. See [`crate::archive::Input::digest`].

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

use crate::archive::sparse_digest::{HolesLeft, SparseDigest};
use crate::entry::{Entry, EntryKind};
use crate::hex::hex;

/// The name of this digest, in front of its hex.
const NAME: &str = "treeSha256";

/// That of a folder with nothing in it but these files of root's, of mode 0644, which are given by path and
/// SHA-256.
pub(crate) fn digest_of_files(files: &BTreeMap<String, [u8; 32]>) -> String {
    // Sorted as lines, which begin with the digest, not by path.
    let mut lines: Vec<_> = files
        .iter()
        .map(|(path, digest)| format!("file 0644 0:0 {} - {path}\0", hex(digest)))
        .collect();
    lines.sort_unstable();
    format!("{NAME}:{}", hex(&Sha256::digest(lines.concat())))
}

/// A folder under way.
pub(super) struct TreeDigest {
    lines: Vec<Vec<u8>>,
    /// The regular file whose data is to come.
    file: Option<(Entry, SparseDigest)>,
    holes: HolesLeft,
    /// Whether a file had too many holes.
    given_up: bool,
    stop: fn() -> bool,
}

impl TreeDigest {
    pub(super) fn new(stop: fn() -> bool) -> Self {
        Self {
            lines: Vec::new(),
            file: None,
            holes: HolesLeft::default(),
            given_up: false,
            stop,
        }
    }

    /// A file of the folder begins; the data of the one before has ended.
    pub(super) fn entry(&mut self, entry: &Entry) {
        self.end();
        let (kind, content) = match &entry.kind {
            EntryKind::File { size, .. } => {
                self.file = Some((entry.clone(), SparseDigest::new(*size)));
                return;
            }
            EntryKind::Directory => ("directory", "-".into()),
            EntryKind::Fifo => ("fifo", "-".into()),
            EntryKind::Symlink { target } => ("symlink", hex(&Sha256::digest(target))),
            EntryKind::HardLink { target } => ("hardlink", hex(&Sha256::digest(target))),
            EntryKind::CharDevice { major, minor } => ("char", format!("{major}:{minor}")),
            EntryKind::BlockDevice { major, minor } => ("block", format!("{major}:{minor}")),
        };
        self.line(entry, kind, &content);
    }

    /// Data of the file that began last.
    pub(super) fn data(&mut self, offset: u64, data: &[u8]) {
        if let Some((_, digest)) = &mut self.file {
            digest.data(offset, data, &mut self.holes, &self.stop);
        }
    }

    /// The digest, when the last file has ended. `None` of a folder with more than 64 GiB of holes.
    pub(super) fn finish(&mut self) -> Option<String> {
        self.end();
        let mut lines = std::mem::take(&mut self.lines);
        lines.sort_unstable();
        let mut list = Sha256::new();
        for line in lines {
            list.update(line);
        }
        (!self.given_up).then(|| format!("{NAME}:{}", hex(&list.finalize())))
    }

    fn end(&mut self) {
        let Some((entry, digest)) = self.file.take() else {
            return;
        };
        match digest.finish(&mut self.holes, &self.stop) {
            Some(digest) => self.line(&entry, "file", &hex(&digest)),
            None => self.given_up = true,
        }
    }

    fn line(&mut self, entry: &Entry, kind: &str, content: &str) {
        // Some systems give links modes, which mean nothing.
        let mode = match entry.kind {
            EntryKind::Symlink { .. } => 0o777,
            _ => entry.mode,
        };
        let mut line = format!(
            "{kind} {mode:04o} {}:{} {content} {} ",
            entry.uid,
            entry.gid,
            attributes(&entry.xattrs)
        )
        .into_bytes();
        line.extend_from_slice(&entry.path);
        line.push(0);
        self.lines.push(line);
    }
}

/// SHA-256 of a list of the extended attributes, by name.
fn attributes(xattrs: &[(Vec<u8>, Vec<u8>)]) -> String {
    if xattrs.is_empty() {
        return "-".into();
    }
    let mut lines: Vec<_> = xattrs
        .iter()
        .map(|(name, value)| [name, &b"="[..], hex(value).as_bytes(), &[0]].concat())
        .collect();
    lines.sort_unstable();
    hex(&Sha256::digest(lines.concat()))
}
