//! A filesystem file by file: format, files, finish.

use super::contents::{Contents, Data};
use super::filesystem::Filesystem;
use super::fit::{Available, Fit, FitSize};
use super::formatter::Formatter;
use super::geometry_error::GeometryError;
use super::insert::EntryError;
use super::options::Options;
use super::plan::{Identity, PlanError};
use crate::display::display_path;
use crate::entry::{DataRun, Entry, EntryKind};
use crate::seed::Seed;
use crate::tree::{DataId, Meta, Tree};
use crate::units::Timestamp;
use std::collections::HashMap;
use uuid::Uuid;

/// What a filesystem shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// How large.
    pub size: Size,
    /// Block size, features, inodes, journal.
    pub options: Options,
    /// Volume label, at most 16 bytes.
    pub label: String,
    /// `None`: from [`Format::seed`].
    pub uuid: Option<Uuid>,
    /// Where UUID and hash seed come from: no clock and no random number reaches a filesystem, so two
    /// that must be told apart need seeds, or UUIDs, of their own.
    pub seed: Seed,
    /// When it was made; no file shows a later time. `None`: the latest time of its files.
    pub time: Option<Timestamp>,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            size: Size::default(),
            options: Options::default(),
            label: String::new(),
            uuid: None,
            seed: Seed::from_text(""),
            time: None,
        }
    }
}

/// How large a filesystem shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Made to fit the files.
    Fit(Fit),
    /// So many bytes, with the layout that mke2fs gives a device of that size.
    Bytes(u64),
}

impl Size {
    /// The smallest that holds the files and leaves `free` bytes for `df` to show as available.
    #[must_use]
    pub fn fit(free: u64) -> Self {
        Self::Fit(Fit {
            available: Available::Bytes(free),
            size: FitSize::Least,
        })
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::fit(0)
    }
}

/// Why there is no such filesystem.
#[derive(Debug, thiserror::Error)]
pub enum BuilderError {
    /// It has no such size.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A file that no tree, or no ext4, can hold.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Files that do not fit, or hold what ext4 cannot.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A label that the superblock has no room for.
    #[error("the label '{label}' has {len} bytes; ext4 holds 16")]
    Label {
        /// The label.
        label: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A file that cannot stand where it should.
    #[error("{0}")]
    LeftOut(String),
    /// An attribute for a file that is not there.
    #[error("{path}: there is no such file to give an extended attribute")]
    Missing {
        /// Its path.
        path: String,
    },
    /// Parts of a sparse file that are not sorted, overlap, are empty, or lie past its end.
    #[error(
        "{path}: the part of {len} bytes at byte {offset} is empty, past the file's end at byte \
         {size}, or begins before the one ahead of it ends"
    )]
    Run {
        /// The file.
        path: String,
        /// Where the part begins.
        offset: u64,
        /// Its length.
        len: u64,
        /// Size of the file.
        size: u64,
    },
}

/// A filesystem in the making.
///
/// Paths are bytes, relative to the root of the filesystem; a leading `/` says nothing. As with
/// a tar archive, a later file of the same name replaces an earlier one, missing parent directories are
/// made, and parents that are symbolic links are followed inside the filesystem. Data is laid out in the
/// order of the calls.
///
/// ```
/// use diskwright::ext4::{Builder, Meta, Format};
///
/// # fn main() -> Result<(), diskwright::ext4::BuilderError> {
/// let mut fs = Builder::new(Format { label: "data".into(), ..Format::default() })?;
/// fs.dir("/etc", Meta::new(0o755))?;
/// fs.file("/etc/hostname", Meta::new(0o644), "demo\n")?;
/// fs.symlink("/hostname", Meta::new(0o777), "etc/hostname")?;
/// fs.hard_link("/etc/name", "/etc/hostname")?;
/// fs.char_device("/dev/null", Meta::new(0o666), 1, 3)?;
/// fs.xattr("/etc/hostname", "user.origin", "a doctest")?;
/// let fs = fs.finish()?;
///
/// // Read back by a checker that has never seen the builder.
/// let (summary, findings) = fs.verify().expect("memory can be read");
/// assert!(summary.complete && findings.is_empty());
/// assert_eq!((summary.files, summary.symlinks, summary.specials), (1, 1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    format: Format,
    formatter: Formatter,
    tree: Tree,
    sources: HashMap<DataId, Data>,
}

impl Builder {
    /// An empty filesystem.
    ///
    /// # Errors
    /// When there is no filesystem of that size, or the label is too long.
    pub fn new(format: Format) -> Result<Self, BuilderError> {
        if format.label.len() > 16 {
            return Err(BuilderError::Label {
                len: format.label.len(),
                label: format.label,
            });
        }
        let formatter = match format.size {
            Size::Bytes(size) => Formatter::sized(size, &format.options)?,
            Size::Fit(fit) => Formatter::fitted(fit, &format.options),
        };
        Ok(Self {
            format,
            formatter,
            tree: Tree::new(),
            sources: HashMap::new(),
        })
    }

    /// Makes a directory, or describes one that is there; `/` too.
    ///
    /// # Errors
    /// When it cannot stand there.
    pub fn dir(&mut self, path: impl AsRef<[u8]>, meta: Meta) -> Result<&mut Self, BuilderError> {
        self.bare(path, meta, EntryKind::Directory)
    }

    /// Makes a regular file.
    ///
    /// # Errors
    /// When it cannot stand there, or is over 16 TiB.
    pub fn file(
        &mut self,
        path: impl AsRef<[u8]>,
        meta: Meta,
        data: impl Into<Data>,
    ) -> Result<&mut Self, BuilderError> {
        let data = data.into();
        let (size, runs) = (data.len(), None);
        let kind = EntryKind::File { size, data: runs };
        self.insert(&entry(path.as_ref(), meta, kind), Some(data))
    }

    /// Makes a regular file of the size of `data` that has blocks only where `runs` say: the rest are
    /// holes, whatever `data` has there.
    ///
    /// # Errors
    /// As [`Builder::file`]; when the runs are not sorted, overlap, are empty or past the end.
    pub fn sparse_file(
        &mut self,
        path: impl AsRef<[u8]>,
        meta: Meta,
        data: impl Into<Data>,
        runs: &[DataRun],
    ) -> Result<&mut Self, BuilderError> {
        let data = data.into();
        let kind = EntryKind::File {
            size: data.len(),
            data: Some(runs.to_vec()),
        };
        self.insert(&entry(path.as_ref(), meta, kind), Some(data))
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// When it cannot stand there, or its target is empty or over 4095 bytes.
    pub fn symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        meta: Meta,
        target: impl AsRef<[u8]>,
    ) -> Result<&mut Self, BuilderError> {
        let target = target.as_ref().to_vec();
        self.bare(path, meta, EntryKind::Symlink { target })
    }

    /// Gives the file `target` another name.
    ///
    /// # Errors
    /// When there is no such file, it is a directory, or has 65,000 names already.
    pub fn hard_link(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
    ) -> Result<&mut Self, BuilderError> {
        let target = target.as_ref().to_vec();
        self.bare(path, Meta::new(0), EntryKind::HardLink { target })
    }

    /// Makes a character device.
    ///
    /// # Errors
    /// When it cannot stand there, or a number is larger than the kernel's.
    pub fn char_device(
        &mut self,
        path: impl AsRef<[u8]>,
        meta: Meta,
        major: u32,
        minor: u32,
    ) -> Result<&mut Self, BuilderError> {
        self.bare(path, meta, EntryKind::CharDevice { major, minor })
    }

    /// Makes a block device.
    ///
    /// # Errors
    /// As [`Builder::char_device`].
    pub fn block_device(
        &mut self,
        path: impl AsRef<[u8]>,
        meta: Meta,
        major: u32,
        minor: u32,
    ) -> Result<&mut Self, BuilderError> {
        self.bare(path, meta, EntryKind::BlockDevice { major, minor })
    }

    /// Makes a named pipe.
    ///
    /// # Errors
    /// When it cannot stand there.
    pub fn fifo(&mut self, path: impl AsRef<[u8]>, meta: Meta) -> Result<&mut Self, BuilderError> {
        self.bare(path, meta, EntryKind::Fifo)
    }

    /// Gives a file an extended attribute by its full name (`user.x`, `security.capability`), or one
    /// that it has another value.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn xattr(
        &mut self,
        path: impl AsRef<[u8]>,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<&mut Self, BuilderError> {
        let path = path.as_ref();
        let node = self.tree.find(path).ok_or_else(|| BuilderError::Missing {
            path: display_path(path).to_string(),
        })?;
        self.tree.set_xattr(node, name.as_ref(), value.as_ref());
        Ok(self)
    }

    /// Removes a file or an empty directory, if it is there.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        for id in self.tree.remove(path.as_ref()).dropped {
            self.formatter.drop_file(id);
            self.sources.remove(&id);
        }
        self
    }

    /// Puts in an entry as an archive has it, which can say more than the other methods: attributes,
    /// three times. `data` is all of a regular file, holes filled in; `None` reads as zeros.
    ///
    /// # Errors
    /// As the method of its kind.
    pub fn insert(&mut self, entry: &Entry, data: Option<Data>) -> Result<&mut Self, BuilderError> {
        check_runs(entry)?;
        let placed = self.formatter.insert(&mut self.tree, entry, false)?;
        match (placed.node, placed.data) {
            (None, _) => {
                return Err(BuilderError::LeftOut(placed.warning.unwrap_or_default()));
            }
            (Some(_), Some(id)) => {
                let data = match &entry.kind {
                    EntryKind::File {
                        data: Some(runs), ..
                    } => data.map(|d| d.only(runs)),
                    _ => data,
                };
                self.sources.extend(data.map(|d| (id, d)));
            }
            _ => {}
        }
        Ok(self)
    }

    /// What was put in so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Decides everything else. Files' data is not read before the filesystem is.
    ///
    /// # Errors
    /// When the files do not fit, or have attributes that do not.
    pub fn finish(self) -> Result<Filesystem, BuilderError> {
        let Self {
            format,
            formatter,
            tree,
            sources,
        } = self;
        let mut label = [0; 16];
        label[..format.label.len()].copy_from_slice(format.label.as_bytes());
        let uuid = format
            .uuid
            .unwrap_or_else(|| format.seed.uuid("filesystem"));
        let identity = Identity {
            uuid: *uuid.as_bytes(),
            hash_seed: *format.seed.uuid("directory hash").as_bytes(),
            label,
            time: format.time.or(tree.newest()).unwrap_or_default(),
        };
        let mut warnings = Vec::new();
        let plan = formatter.finish(tree, &identity, &mut |w| warnings.push(w))?;
        let contents = Contents::new(&plan, sources);
        Ok(Filesystem::new(plan, contents, warnings))
    }

    fn bare(
        &mut self,
        path: impl AsRef<[u8]>,
        meta: Meta,
        kind: EntryKind,
    ) -> Result<&mut Self, BuilderError> {
        self.insert(&entry(path.as_ref(), meta, kind), None)
    }
}

fn entry(path: &[u8], meta: Meta, kind: EntryKind) -> Entry {
    Entry {
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        mtime: meta.mtime,
        atime: Some(meta.atime),
        ctime: Some(meta.ctime),
        ..Entry::new(path, kind)
    }
}

/// The archive's reader checks what it reads; here anyone may call.
fn check_runs(entry: &Entry) -> Result<(), BuilderError> {
    let EntryKind::File {
        size,
        data: Some(runs),
    } = &entry.kind
    else {
        return Ok(());
    };
    let mut end = 0;
    for run in runs {
        let next = run.offset.checked_add(run.len).filter(|next| next <= size);
        match next {
            Some(next) if run.len > 0 && run.offset >= end => end = next,
            _ => {
                return Err(BuilderError::Run {
                    path: display_path(&entry.path).to_string(),
                    offset: run.offset,
                    len: run.len,
                    size: *size,
                });
            }
        }
    }
    Ok(())
}
