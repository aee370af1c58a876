//! A root filesystem: one source or several, lowest first, read as one sequence of layers.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::digested::{Input, Receipt};
use super::docker;
use super::error::ArchiveError;
use super::filter::Filter;
use super::folder::How;
use super::members::Members;
use super::oci::{self, Folder, Named, Platform, Store};
use super::origin::Origin;
use super::reader::{ArchiveReader, Opened};
use super::turn::{Layer, Waiting};
use crate::entry::Entry;
use crate::pool::Pool;

/// How to read what leaves a choice.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Owner and group of everything that comes from a folder; by default as the filesystem shows them.
    pub owner: Option<(u32, u32)>,
    /// Which of the images of an index; by default the host's, or the only one.
    pub platform: Option<Platform>,
    /// Folder for a compressed or piped image archive while it is read; by default `TMPDIR`.
    pub spool: Option<PathBuf>,
    /// Whether what depends on the building machine is left out of folders: write permission of group and
    /// others, which a umask decides, setgid of directories, which is inherited, all extended attributes but
    /// capabilities.
    pub portable: bool,
    /// Whether tars and folders are digested while they are read: see [`Rootfs::inputs`].
    pub digest: bool,
    /// A command through which the one tar archive goes.
    pub filter: Option<Filter>,
    /// Asked many times a second: whether to stop, with [`ArchiveError::Interrupted`].
    pub cancelled: Option<fn() -> bool>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A layer begins: what follows lies above all before it.
    Layer,
    /// A file; [`Rootfs::next_data`] gives its data.
    Entry(Entry),
    /// What lower layers have at this path is gone, recursively.
    Whiteout(Vec<u8>),
    /// What lower layers have in this directory is gone; the directory itself stays.
    Opaque(Vec<u8>),
}

/// Reads a root filesystem once, layer after layer, each front to back.
///
/// ```no_run
/// # fn main() -> Result<(), diskwright::archive::ArchiveError> {
/// use diskwright::archive::{Item, Rootfs};
/// let mut rootfs = Rootfs::open(&["base.tar.zst".as_ref(), "oci:app:latest".as_ref()])?;
/// while let Some(item) = rootfs.next_item()? {
///     if let Item::Entry(entry) = item {
///         println!("{}", diskwright::display::display_path(&entry.path));
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Memory: that of one [`ArchiveReader`] at a time; every layer but the first is opened when it is
/// reached. Of a folder: the names of the directories on the way down, and of files with several links.
pub struct Rootfs {
    waiting: VecDeque<Waiting>,
    current: Option<Layer>,
    /// Buffers of images' layers, one after the other.
    pool: Pool,
    /// Bytes of the layers that have ended.
    done: u64,
    /// Bytes of all, where all are known.
    total: Option<u64>,
    warnings: Vec<String>,
    inputs: Vec<Input>,
    /// Of the tar under way: its place among the inputs, and where its digest will be.
    receipt: Option<(usize, Receipt)>,
    /// The command of [`Options::filter`].
    filter: Option<String>,
    /// Of [`Options::cancelled`].
    cancelled: fn() -> bool,
}

impl fmt::Debug for Rootfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rootfs")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl From<ArchiveReader> for Rootfs {
    fn from(reader: ArchiveReader) -> Self {
        let total = reader.progress().1;
        Self::new(VecDeque::from([Waiting::Reader(Box::new(reader))]), total)
    }
}

impl Rootfs {
    /// Opens what the arguments name, as the command line does, with the default options.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(arguments: &[&OsStr]) -> Result<Self, ArchiveError> {
        let origins: Vec<_> = arguments.iter().map(|a| Origin::parse(a)).collect();
        Self::open_with(&origins, &Options::default())
    }

    /// Opens `origins`, lowest first.
    ///
    /// # Errors
    /// When one of them cannot be opened, or is no root filesystem.
    pub fn open_with(origins: &[Origin], options: &Options) -> Result<Self, ArchiveError> {
        let (mut waiting, mut warnings) = (VecDeque::new(), Vec::new());
        let mut inputs = Vec::new();
        let platform = options.platform.as_ref();
        let cancelled = options.cancelled.unwrap_or(never);
        if let Some(filter) = &options.filter {
            let rootfs = Self::filtered(origins, filter, options.digest)?;
            return Ok(Self {
                cancelled,
                ..rootfs
            });
        }
        let how = How {
            owner: options.owner,
            portable: options.portable,
            digest: options.digest.then_some(cancelled),
        };
        for origin in origins {
            let image = origin.image();
            let nr = options.digest.then_some(inputs.len());
            inputs.push(Input::of(origin));
            let found = match origin {
                Origin::Path(path) if path.is_dir() => {
                    let nr = inputs.len().saturating_sub(1);
                    waiting.push_back(Waiting::Folder(path.clone(), how, nr));
                    continue;
                }
                Origin::Path(path) => {
                    waiting.push_back(Waiting::Tar(Opened::new(path)?, nr));
                    continue;
                }
                Origin::OciLayout { dir, tag } => {
                    let store = Arc::new(Folder(dir.clone()));
                    let named = Named { image, store };
                    oci::layers(&named, tag.as_deref(), platform, &mut warnings)?
                }
                Origin::OciArchive { file, tag } => {
                    let store = members(file, options)?;
                    let named = Named { image, store };
                    oci::layers(&named, tag.as_deref(), platform, &mut warnings)?
                }
                Origin::DockerArchive { file, name } => {
                    let store = members(file, options)?;
                    docker::layers(&Named { image, store }, name.as_deref())?
                }
            };
            if let Some(input) = inputs.last_mut() {
                input.found(&found);
            }
            waiting.extend(found.layers.into_iter().map(Waiting::Layer));
        }
        let total = waiting
            .iter()
            .map(Waiting::len)
            .try_fold(0_u64, |sum, len| Some(sum.saturating_add(len?)));
        Ok(Self {
            warnings,
            inputs,
            cancelled,
            ..Self::new(waiting, total)
        })
    }

    /// The archive as `filter` gives it out.
    fn filtered(origins: &[Origin], filter: &Filter, digest: bool) -> Result<Self, ArchiveError> {
        let [Origin::Path(path)] = origins else {
            return Err(ArchiveError::FilterOfOther);
        };
        if path.is_dir() {
            return Err(ArchiveError::FilterOfOther);
        }
        let waiting = Waiting::Filtered(Opened::new(path)?, filter.clone(), digest.then_some(0));
        Ok(Self {
            filter: Some(filter.command.clone()),
            // What the command is fed; what it makes of it is no input.
            inputs: origins.iter().map(Input::of).collect(),
            ..Self::new(VecDeque::from([waiting]), None)
        })
    }

    /// The command that an archive goes through, where one does: [`Options::filter`].
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Reads the image that `tag` and `options` choose from an OCI layout that lies anywhere: in memory,
    /// behind a cache. `name` is what messages call it.
    ///
    /// # Errors
    /// When there is no such image, or a blob is missing.
    pub fn from_layout(
        name: &str,
        store: Arc<dyn Store>,
        tag: Option<&str>,
        options: &Options,
    ) -> Result<Self, ArchiveError> {
        let image = name.into();
        let (named, mut warnings) = (Named { image, store }, Vec::new());
        let found = oci::layers(&named, tag, options.platform.as_ref(), &mut warnings)?;
        let sizes = found.layers.iter().map(|l| l.size);
        let total = sizes.fold(0, u64::saturating_add);
        let mut input = Input::new(name.into(), "oci");
        input.found(&found);
        let waiting = found.layers.into_iter().map(Waiting::Layer).collect();
        Ok(Self {
            warnings,
            inputs: vec![input],
            cancelled: options.cancelled.unwrap_or(never),
            ..Self::new(waiting, Some(total))
        })
    }

    fn new(waiting: VecDeque<Waiting>, total: Option<u64>) -> Self {
        Self {
            waiting,
            current: None,
            pool: super::input::buffers(),
            done: 0,
            total,
            warnings: Vec::new(),
            inputs: Vec::new(),
            receipt: None,
            filter: None,
            cancelled: never,
        }
    }

    /// What was opened, in the order of the arguments. Digests of tars and folders are there, where
    /// [`Options::digest`] asks for them, when the last item was read.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The next layer or entry; what is left of the data of the one before is skipped. `None` at the end
    /// of the last layer.
    ///
    /// # Errors
    /// Whatever is wrong with the source from here to there.
    pub fn next_item(&mut self) -> Result<Option<Item>, ArchiveError> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(waiting) = self.waiting.pop_front() else {
                    return Ok(None);
                };
                let (mut layer, receipt) = waiting.begin(&self.pool, self.cancelled)?;
                layer.stop_when(self.cancelled);
                self.current = Some(layer);
                self.receipt = receipt;
                return Ok(Some(Item::Layer));
            };
            if let Some(item) = current.next_item()? {
                return Ok(Some(item));
            }
            self.warnings.extend(current.take_warnings());
            self.done = self.done.saturating_add(current.progress());
            if let Layer::Folder(folder, nr) = current
                && let Some(input) = self.inputs.get_mut(*nr)
            {
                input.digest = folder.digest();
            }
            self.current = None;
            if let Some((nr, receipt)) = self.receipt.take()
                && let Some(input) = self.inputs.get_mut(nr)
            {
                input.read(&receipt, self.cancelled)?;
            }
        }
    }

    /// The next piece of the entry's data, as [`ArchiveReader::next_data`].
    ///
    /// # Errors
    /// When the source ends or turns out damaged.
    pub fn next_data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        match &mut self.current {
            Some(current) => current.next_data(),
            None => Ok(None),
        }
    }

    /// Bytes of all sources read so far, and their number where it is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        let current = self.current.as_ref().map_or(0, Layer::progress);
        (self.done.saturating_add(current), self.total)
    }

    /// What was odd and still understood since the last call; one sentence each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if let Some(current) = &mut self.current {
            warnings.extend(current.take_warnings());
        }
        warnings
    }
}

/// Nobody says stop.
fn never() -> bool {
    false
}

/// The members of an image archive.
fn members(file: &Path, options: &Options) -> Result<Arc<dyn Store>, ArchiveError> {
    let members = Members::open(Opened::new(file)?, options.spool.as_deref())?;
    Ok(Arc::new(members))
}
