//! One side of a comparison.

use super::DiffError;
use super::archive::{self, Archived};
use crate::archive::{LOOKS_AT, Looks, Origin, looks};
use crate::inspect::disk::{Disk, Volume};
use crate::inspect::files::Files;
use crate::observe::Observer;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// An image or an archive, opened.
#[derive(Debug)]
pub struct Side {
    name: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Image(Box<Disk>),
    Archive(Box<Archived>),
}

/// The files of a volume of a side.
#[derive(Clone, Copy)]
pub(super) enum Root<'a> {
    /// In an image.
    Files(&'a Files),
    /// Of an archive.
    Archived(&'a Archived),
    /// There are none: no such volume.
    Nothing,
}

impl Side {
    /// Opens an image, or reads an archive: a tar, a folder, a container image as `build` takes it.
    ///
    /// # Errors
    /// When it is neither, or cannot be read.
    pub fn open(text: &OsStr, observer: &dyn Observer) -> Result<Self, DiffError> {
        let name = text.to_string_lossy().into_owned();
        let what = if is_archive(text) {
            What::Archive(Box::new(archive::read(text, observer)?))
        } else {
            What::Image(Box::new(Disk::open(Path::new(text))?))
        };
        Ok(Self { name, what })
    }

    /// The disk, if it is an image.
    pub(super) fn disk(&self) -> Option<(&str, &Disk)> {
        match &self.what {
            What::Image(disk) => Some((&self.name, disk)),
            What::Archive(_) => None,
        }
    }

    /// The volumes of a disk beside that of [`Self::root`], by the numbers of their partitions.
    pub(super) fn others(&self) -> BTreeMap<u32, &Volume> {
        let Some((_, disk)) = self.disk() else {
            return BTreeMap::new();
        };
        let root = disk.root().and_then(|root| root.partition);
        let others = disk
            .volumes()
            .iter()
            .filter_map(|v| Some((v.partition?, v)));
        others.filter(|(nr, _)| Some(*nr) != root).collect()
    }

    /// Its files.
    pub(super) fn root(&self) -> Result<Root<'_>, DiffError> {
        let disk = match &self.what {
            What::Archive(archived) => return Ok(Root::Archived(archived)),
            What::Image(disk) => disk,
        };
        let Some(volume) = disk.root() else {
            return Ok(Root::Nothing);
        };
        let files = volume.files().map_err(|e| DiffError::Filesystem {
            image: self.name.clone(),
            why: e.to_string(),
        })?;
        Ok(Root::Files(files))
    }
}

/// Whether it is for the archive reader. A compressed file may be an image too: what is in it decides.
fn is_archive(text: &OsStr) -> bool {
    let Origin::Path(path) = Origin::parse(text) else {
        return true;
    };
    if path.is_dir() || path == Path::new("-") {
        return true;
    }
    let mut head = Vec::new();
    let file = File::open(&path).and_then(|f| {
        f.take(LOOKS_AT.try_into().unwrap_or(0))
            .read_to_end(&mut head)
    });
    if file.is_err() {
        return false;
    }
    match looks(&head) {
        Looks::Archive(crate::archive::Compression::None) => true,
        Looks::Archive(_) => archive::opens(text),
        _ => false,
    }
}
