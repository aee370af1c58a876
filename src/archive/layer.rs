//! A layer of an image: a tar whose `.wh.` names remove what lower layers have.
//!
//! image-spec, layer.md, "Whiteouts". Names that begin with `.wh..wh.` are AUFS's own (hard-link farms,
//! the opaque marker apart): no file of the image.

use bytes::Bytes;

use super::detect::Compression;
use super::error::ArchiveError;
use super::oci::{ImageError, LayerBlob};
use super::reader::ArchiveReader;
use super::rootfs::Item;
use crate::display::display_path;
use crate::pool::Pool;

const WHITEOUT: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Reads a layer of an image.
pub(super) struct LayerReader {
    tar: ArchiveReader,
    expected: Option<Compression>,
}

impl LayerReader {
    pub(super) fn open(layer: LayerBlob, pool: &Pool) -> Result<Self, ArchiveError> {
        let blob = layer.store.open(&layer.path)?;
        let shown = display_path(layer.path.as_bytes()).to_string();
        let name = format!("{}: layer {shown}", layer.store.image);
        let reader = layer.store.verified(&layer.path, blob, layer.digest);
        let check = layer.diff_id.map(|id| layer.store.check(&layer.path, id));
        Ok(Self {
            tar: ArchiveReader::layer(name.into(), reader, layer.size, check, pool)?,
            expected: layer.compression,
        })
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item>, ArchiveError> {
        while let Some(entry) = self.tar.next_entry()? {
            match whiteout(&entry.path) {
                Kind::File => return Ok(Some(Item::Entry(entry))),
                Kind::Opaque(directory) => return Ok(Some(Item::Opaque(directory))),
                Kind::Whiteout(path) => return Ok(Some(Item::Whiteout(path))),
                Kind::Skipped => {}
                Kind::Nothing => {
                    return Err(ArchiveError::Image(ImageError::Whiteout {
                        image: self.tar.name().clone(),
                        path: display_path(&entry.path).to_string(),
                    }));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn stop_when(&mut self, cancelled: fn() -> bool) {
        self.tar.stop_when(cancelled);
    }

    pub(super) fn next_data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        self.tar.next_data()
    }

    pub(super) fn progress(&self) -> u64 {
        self.tar.progress().0
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = self.tar.take_warnings();
        let found = self.tar.compression();
        if let Some(expected) = self.expected.take().filter(|e| *e != found) {
            warnings.push(format!(
                "{}: its media type says {expected}, its first bytes {found}; read as {found}",
                self.tar.name()
            ));
        }
        warnings
    }
}

/// What an entry of a layer is by its name.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    File,
    /// A marker in this directory.
    Opaque(Vec<u8>),
    /// A whiteout of this path.
    Whiteout(Vec<u8>),
    Skipped,
    /// A whiteout of no file: `.wh.`, `.wh..`, `.wh...`.
    Nothing,
}

fn whiteout(path: &[u8]) -> Kind {
    let end = path
        .iter()
        .rposition(|&b| b != b'/')
        .map_or(0, |last| last.saturating_add(1));
    let path = path.get(..end).unwrap_or_default();
    let start = path
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |slash| slash.saturating_add(1));
    let (parent, name) = path.split_at(start);
    if name == OPAQUE {
        return Kind::Opaque(parent.to_vec());
    }
    if path
        .split(|&b| b == b'/')
        .any(|part| part.starts_with(META))
    {
        return Kind::Skipped;
    }
    match name.strip_prefix(WHITEOUT) {
        None => Kind::File,
        Some(b"" | b"." | b"..") => Kind::Nothing,
        Some(name) => Kind::Whiteout([parent, name].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whiteouts_from_files() {
        let white = |p: &str| Kind::Whiteout(p.into());
        let opaque = |p: &str| Kind::Opaque(p.into());
        for (path, kind) in [
            ("a/b", Kind::File),
            ("a.wh.b", Kind::File),
            (".whx", Kind::File),
            (".wh.a", white("a")),
            ("./etc/.wh.passwd", white("./etc/passwd")),
            ("etc/.wh.dir/", white("etc/dir")),
            (".wh..hidden", white(".hidden")),
            (".wh..wh..opq", opaque("")),
            ("./opt/.wh..wh..opq", opaque("./opt/")),
            (".wh..wh.aufs", Kind::Skipped),
            (".wh..wh.plnk/12.34", Kind::Skipped),
            ("a/.wh..wh.orph/", Kind::Skipped),
            ("a/.wh.", Kind::Nothing),
            ("a/.wh..", Kind::Nothing),
            ("a/.wh...", Kind::Nothing),
        ] {
            assert_eq!(whiteout(path.as_bytes()), kind, "{path}");
        }
    }
}
