//! A list of files, and how it prints.

use crate::display::display_path;
use crate::entry::{Entry, EntryKind};
use crate::ext4::{Builder, BuilderError, Data};
use crate::read_at::ReadAt;
use crate::tree::{Tree, TreeError};
use crate::units::{count, lo8};
use std::fmt;
use std::io;

/// Files in the order of an archive.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(pub Vec<File>);

/// An entry, and what its data looks like.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// The entry.
    pub entry: Entry,
    /// Which [`Pattern`] its data has, when it is a regular file.
    pub fill: u8,
}

impl Files {
    /// Puts all of them into a filesystem, in order.
    ///
    /// # Errors
    /// When it does not take one: nothing that [`super::files()`] makes.
    pub fn put(&self, fs: &mut Builder) -> Result<(), BuilderError> {
        for file in &self.0 {
            fs.insert(&file.entry, file.data().map(Data::from_source))?;
        }
        Ok(())
    }

    /// The tree that they make.
    ///
    /// # Errors
    /// When a tree does not take one: nothing that [`super::files()`] makes.
    pub fn tree(&self) -> Result<Tree, TreeError> {
        let mut tree = Tree::new();
        for file in &self.0 {
            tree.insert(&file.entry)?;
        }
        Ok(tree)
    }
}

impl File {
    /// All data of a regular file, holes filled in.
    #[must_use]
    pub fn data(&self) -> Option<Pattern> {
        match self.entry.kind {
            EntryKind::File { size, .. } => Some(Pattern {
                len: size,
                fill: self.fill,
            }),
            _ => None,
        }
    }
}

/// Bytes of any length that cost no memory: never zero, another sequence for each `fill`, no block of it
/// like the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Length in bytes.
    pub len: u64,
    /// Which.
    pub fill: u8,
}

impl Pattern {
    /// The byte at `offset`.
    #[must_use]
    pub fn byte(&self, offset: u64) -> u8 {
        let mixed = (offset + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        lo8(mixed).wrapping_add(self.fill).max(1)
    }
}

impl ReadAt for Pattern {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(count(buf.len()));
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (at, byte) in (offset..).zip(buf) {
            *byte = self.byte(at);
        }
        Ok(())
    }
}

/// More entries in a row that differ in their names alone are told by the first and their number.
const ALIKE: usize = 4;

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} entries", self.0.len())?;
        let mut rest = &self.0[..];
        while let Some(first) = rest.first() {
            let alike = rest.iter().take_while(|file| first.is_like(file)).count();
            let shown = if alike > ALIKE { 1 } else { alike };
            for file in &rest[..shown] {
                writeln!(f, "{file:?}")?;
            }
            if alike > shown {
                writeln!(f, "  and {} like it", alike - shown)?;
            }
            rest = &rest[alike..];
        }
        Ok(())
    }
}

impl File {
    fn is_like(&self, other: &Self) -> bool {
        let parent = |path: &[u8]| path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let (a, b) = (&self.entry.path, &other.entry.path);
        a[..parent(a)] == b[..parent(b)]
            && *self
                == Self {
                    entry: Entry {
                        path: a.clone(),
                        ..other.entry.clone()
                    },
                    ..other.clone()
                }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.entry;
        let path = display_path(&e.path);
        let kind = match &e.kind {
            EntryKind::HardLink { target } => {
                return write!(f, "hard link  {path} to {}", display_path(target));
            }
            EntryKind::File { .. } => '-',
            EntryKind::Directory => 'd',
            EntryKind::Symlink { .. } => 'l',
            EntryKind::CharDevice { .. } => 'c',
            EntryKind::BlockDevice { .. } => 'b',
            EntryKind::Fifo => 'p',
        };
        write!(f, "{kind}{} {}/{} {path}", Mode(e.mode), e.uid, e.gid)?;
        match &e.kind {
            EntryKind::File { size, data } => {
                write!(f, ", {size} bytes")?;
                for run in data.iter().flatten() {
                    write!(f, ", data {}+{}", run.offset, run.len)?;
                }
            }
            EntryKind::Symlink { target } => write!(f, " -> {}", display_path(target))?,
            EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
                write!(f, ", {major}:{minor}")?;
            }
            _ => {}
        }
        for (name, value) in &e.xattrs {
            write!(f, ", {}={} bytes", display_path(name), value.len())?;
        }
        for (what, acl) in [("acl", &e.acl_access), ("default acl", &e.acl_default)] {
            if let Some(text) = acl {
                write!(f, ", {what} {}", display_path(text))?;
            }
        }
        let (sec, nsec) = (e.mtime.sec, e.mtime.nsec);
        if (sec, nsec) != (0, 0) {
            write!(f, ", time {sec}.{nsec:09}")?;
        }
        Ok(())
    }
}

/// Permissions as `ls` shows them.
struct Mode(u16);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = self.0 >> shift;
            let execute = match (bits & 1 != 0, self.0 & special != 0) {
                (false, false) => '-',
                (true, false) => 'x',
                (true, true) => letter,
                (false, true) => letter.to_ascii_uppercase(),
            };
            let (read, write) = (bits & 4 != 0, bits & 2 != 0);
            let letter = |on: bool, c| if on { c } else { '-' };
            write!(f, "{}{}{execute}", letter(read, 'r'), letter(write, 'w'))?;
        }
        Ok(())
    }
}
