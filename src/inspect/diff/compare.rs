//! Files that one side alone has, those that differ, and those that cannot be read.

use super::blocks::Blocks;
use super::contents::{Contents, told};
use super::file::{File, Listed};
use super::side::{Root, Side};
use super::{DiffError, Of};
use crate::display::{display_path, display_time};
use crate::hex::hex;
use crate::inspect::files::FilesError;
use crate::observe::Observer;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// A file that one side alone has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its path; of another volume than the root, behind the partition: `p15:/EFI/BOOT/BOOTX64.EFI`.
    pub path: String,
    /// What it is.
    pub kind: &'static str,
    /// Size in bytes.
    pub size: u64,
}

/// A file that both have, and that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its path, as of [`Entry`].
    pub path: String,
    /// What differs: field, what it is in the first, what in the second. Of content, the sizes.
    pub what: Vec<(&'static str, String, String)>,
}

/// A file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its path, as of [`Entry`]. What lies below a directory is not compared.
    pub path: String,
    /// On which side.
    pub of: Of,
    /// Why.
    pub why: String,
}

/// What differs of files, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileChanges {
    /// In the second alone.
    pub added: Vec<Entry>,
    /// In the first alone.
    pub removed: Vec<Entry>,
    /// In both.
    pub changed: Vec<Changed>,
    /// Those that nobody can compare.
    pub unreadable: Vec<Unreadable>,
}

impl FileChanges {
    /// Whether nothing differs, and all was compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.unreadable.is_empty()
    }
}

/// Compares the files of two sides: those of the roots, and of two images those of all other volumes, by the
/// numbers of their partitions.
pub(super) fn files(
    a: &Side,
    b: &Side,
    blocks: Option<&Blocks>,
    observer: &dyn Observer,
) -> Result<FileChanges, DiffError> {
    let offset = |side: &Side| Some(side.disk()?.1.root()?.offset);
    let place = offset(a).filter(|at| offset(b) == Some(*at));
    let mut volumes = Volumes {
        prefix: String::new(),
        roots: (a.root()?, b.root()?),
        blocks: blocks.zip(place),
        changes: FileChanges::default(),
    };
    volumes.compare(observer)?;
    if a.disk().is_none() || b.disk().is_none() {
        return Ok(volumes.changes);
    }
    let (left, right) = (a.others(), b.others());
    let numbers: BTreeSet<u32> = left.keys().chain(right.keys()).copied().collect();
    for nr in numbers {
        let found = [left.get(&nr), right.get(&nr)];
        let [old, new] = found.map(|v| v.map(|v| v.offset));
        volumes.prefix = format!("p{nr}:");
        volumes.blocks = blocks.zip(old.filter(|old| new == Some(*old)));
        let [old, new] = found.map(|v| v.map_or(Ok(Root::Nothing), |v| v.files().map(Root::Files)));
        match (old, new) {
            (Ok(old), Ok(new)) => {
                volumes.roots = (old, new);
                volumes.compare(observer)?;
            }
            (old, new) => {
                for (of, volume) in [(Of::First, old), (Of::Second, new)] {
                    volumes.unreadable(b"", of, volume.err().map(told));
                }
            }
        }
    }
    Ok(volumes.changes)
}

/// Two volumes that are compared.
struct Volumes<'a> {
    prefix: String,
    roots: (Root<'a>, Root<'a>),
    /// Blocks of the disks that differ, where the volumes begin at one byte.
    blocks: Option<(&'a Blocks, u64)>,
    changes: FileChanges,
}

impl Volumes<'_> {
    fn compare(&mut self, observer: &dyn Observer) -> Result<(), DiffError> {
        let list = |root| Listed::of(root, observer).ok_or(DiffError::Interrupted);
        let (left, mut right) = (list(self.roots.0)?, list(self.roots.1)?);
        let mut contents = Contents::new(self.roots.0, self.roots.1, self.blocks);
        let mut names = Names::default();
        for (path, old) in &left.files {
            if observer.cancelled() {
                return Err(DiffError::Interrupted);
            }
            let Some(new) = right.files.remove(path) else {
                if !right.hides(path) {
                    let entry = self.entry(path, old);
                    self.changes.removed.push(entry);
                }
                continue;
            };
            let mut what = fields(old, &new);
            if let Some(link) = names.differ(path, old, &new) {
                let [old, new] = link.map(|first| match first {
                    Some(first) => format!("hard link to {}", self.shown(first)),
                    None => "a file of its own".to_owned(),
                });
                what.push(("links", old, new));
            }
            let rest = self.rest(old, &new, &mut what).and_then(|()| {
                if old.kind == new.kind && !contents.same(path, old, &new)? {
                    what.push(("content", old.size.to_string(), new.size.to_string()));
                }
                Ok(())
            });
            if let Err((of, why)) = rest {
                self.unreadable(path, of, Some(why));
            }
            if !what.is_empty() {
                let path = self.shown(path);
                self.changes.changed.push(Changed { path, what });
            }
        }
        for (path, file) in right.files.iter().filter(|(path, _)| !left.hides(path)) {
            let entry = self.entry(path, file);
            self.changes.added.push(entry);
        }
        for (of, side) in [(Of::First, left), (Of::Second, right)] {
            for (path, e) in side.unread {
                self.unreadable(&path, of, Some(told(&e)));
            }
        }
        Ok(())
    }

    /// What has to be read to be known, but the content.
    fn rest(&self, a: &File, b: &File, what: &mut Vec<Field>) -> Result<(), (Of, String)> {
        let first = |e: FilesError| (Of::First, told(&e));
        let second = |e: FilesError| (Of::Second, told(&e));
        let (old, new) = self.roots;
        let targets = (
            a.target(old).map_err(first)?,
            b.target(new).map_err(second)?,
        );
        if targets.0 != targets.1 {
            let shown = |target: &[u8]| display_path(target).to_string();
            what.push(("target", shown(&targets.0), shown(&targets.1)));
        }
        let xattrs = (
            a.xattrs(old).map_err(first)?,
            b.xattrs(new).map_err(second)?,
        );
        if xattrs.0 != xattrs.1 {
            let shown = |xattrs: &super::file::Xattrs| {
                let each = xattrs.iter();
                let each = each.map(|(n, value)| format!("{}={}", display_path(n), hex(value)));
                each.collect::<Vec<_>>().join(" ")
            };
            what.push(("xattrs", shown(&xattrs.0), shown(&xattrs.1)));
        }
        Ok(())
    }

    fn shown(&self, path: &[u8]) -> String {
        format!("{}/{}", self.prefix, display_path(path))
    }

    fn entry(&self, path: &[u8], file: &File) -> Entry {
        Entry {
            path: self.shown(path),
            kind: file.kind,
            size: file.size,
        }
    }

    fn unreadable(&mut self, path: &[u8], of: Of, why: Option<String>) {
        let path = self.shown(path);
        let found = why.map(|why| Unreadable { path, of, why });
        self.changes.unreadable.extend(found);
    }
}

/// A field that differs: its name, and what it is on either side.
type Field = (&'static str, String, String);

/// Every field that is known without reading on.
fn fields(a: &File, b: &File) -> Vec<Field> {
    let mut what = Vec::new();
    let mut field = |name, a: String, b: String| {
        if a != b {
            what.push((name, a, b));
        }
    };
    field("kind", a.kind.into(), b.kind.into());
    field("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode));
    let owner = |f: &File| format!("{}:{}", f.owner.0, f.owner.1);
    field("owner", owner(a), owner(b));
    let time = |f: &File| format!("{}.{:09}", display_time(f.mtime), f.mtime.nsec);
    field("mtime", time(a), time(b));
    let device = |f: &File| format!("{}, {}", f.device.0, f.device.1);
    field("device", device(a), device(b));
    what
}

/// The first name of every file, of those names that both sides have.
#[derive(Default)]
struct Names<'a> {
    first: HashMap<(Of, u64), &'a [u8]>,
}

impl<'a> Names<'a> {
    /// The first names of the file that a name leads to, on either side, where they differ: a link to one file
    /// here is a link to another there, or a file of its own.
    fn differ(&mut self, path: &'a [u8], a: &File, b: &File) -> Option<[Option<&'a [u8]>; 2]> {
        let links = [(Of::First, a), (Of::Second, b)].map(|(of, file)| {
            let first = *self.first.entry((of, file.id()?)).or_insert(path);
            (first != path).then_some(first)
        });
        (links[0] != links[1]).then_some(links)
    }
}
