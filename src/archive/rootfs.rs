//! A root filesystem: one source or several, lowest first, read as one sequence of layers.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::docker;
use super::error::ArchiveError;
use super::filter::{Filter, Filtered};
use super::folder::FolderReader;
use super::layer::LayerReader;
use super::members::Members;
use super::oci::{self, Folder, LayerBlob, Named, Platform, Store};
use super::pool::Pool;
use super::reader::{ArchiveReader, Opened};
use crate::display::display_path;
use crate::entry::Entry;

/// Where a root filesystem comes from, as the command line writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A tar archive, `-` for standard input, or a folder.
    Path(PathBuf),
    /// `oci:DIR[:TAG]`: an image of an OCI layout.
    OciLayout {
        /// The layout's folder.
        dir: PathBuf,
        /// Its `org.opencontainers.image.ref.name`.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: the same as a tar.
    OciArchive {
        /// The tar, plain or compressed; `-` for standard input.
        file: PathBuf,
        /// As for a layout.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive {
        /// The tar, plain or compressed; `-` for standard input.
        file: PathBuf,
        /// One of its `RepoTags`.
        name: Option<String>,
    },
}

impl Origin {
    /// Reads an argument. As for skopeo, the first colon behind the scheme ends the path. What bears no
    /// scheme is a path; `./oci:x` is one too.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let split = |rest: &[u8]| {
            let end = rest.iter().position(|&b| b == b':');
            let path = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let name = end.and_then(|at| rest.get(at.saturating_add(1)..));
            let name = name.filter(|n| !n.is_empty());
            (
                PathBuf::from(OsString::from_vec(path.to_vec())),
                name.map(|n| String::from_utf8_lossy(n).into_owned()),
            )
        };
        if let Some(rest) = bytes.strip_prefix(b"oci:") {
            let (dir, tag) = split(rest);
            Self::OciLayout { dir, tag }
        } else if let Some(rest) = bytes.strip_prefix(b"oci-archive:") {
            let (file, tag) = split(rest);
            Self::OciArchive { file, tag }
        } else if let Some(rest) = bytes.strip_prefix(b"docker-archive:") {
            let (file, name) = split(rest);
            Self::DockerArchive { file, name }
        } else {
            Self::Path(text.into())
        }
    }

    /// What messages call the image: its argument without the name in it.
    fn image(&self) -> Arc<str> {
        let path = display_path(self.path().as_os_str().as_bytes());
        let scheme = match self {
            Self::Path(_) => "",
            Self::OciLayout { .. } => "oci:",
            Self::OciArchive { .. } => "oci-archive:",
            Self::DockerArchive { .. } => "docker-archive:",
        };
        format!("{scheme}{path}").into()
    }

    /// The file or folder that is read; `-` for standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::OciLayout { dir, .. } => dir,
            Self::OciArchive { file, .. } | Self::DockerArchive { file, .. } => file,
        }
    }
}

/// How to read what leaves a choice.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Owner and group of everything that comes from a folder; by default as the filesystem shows them.
    pub owner: Option<(u32, u32)>,
    /// Which of the images of an index; by default the host's, or the only one.
    pub platform: Option<Platform>,
    /// Folder for a compressed or piped image archive while it is read; by default `TMPDIR`.
    pub spool: Option<PathBuf>,
    /// A command through which the one tar archive goes.
    pub filter: Option<Filter>,
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
    /// The command of [`Options::filter`].
    filter: Option<String>,
}

/// A layer that has not begun.
enum Waiting {
    Tar(Opened),
    Filtered(Opened, Filter),
    Reader(Box<ArchiveReader>),
    Layer(LayerBlob),
    Folder(PathBuf, Option<(u32, u32)>),
}

/// The layer under way.
enum Layer {
    Tar(Box<ArchiveReader>),
    Filtered(Box<Filtered>),
    Image(Box<LayerReader>),
    Folder(Box<FolderReader>),
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
        let platform = options.platform.as_ref();
        if let Some(filter) = &options.filter {
            return Self::filtered(origins, filter);
        }
        for origin in origins {
            let image = origin.image();
            let layers = match origin {
                Origin::Path(path) if path.is_dir() => {
                    waiting.push_back(Waiting::Folder(path.clone(), options.owner));
                    continue;
                }
                Origin::Path(path) => {
                    waiting.push_back(Waiting::Tar(Opened::new(path)?));
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
            waiting.extend(layers.into_iter().map(Waiting::Layer));
        }
        let total = waiting
            .iter()
            .map(Waiting::len)
            .try_fold(0_u64, |sum, len| Some(sum.saturating_add(len?)));
        Ok(Self {
            warnings,
            ..Self::new(waiting, total)
        })
    }

    /// The archive as `filter` gives it out.
    fn filtered(origins: &[Origin], filter: &Filter) -> Result<Self, ArchiveError> {
        let [Origin::Path(path)] = origins else {
            return Err(ArchiveError::FilterOfOther);
        };
        if path.is_dir() {
            return Err(ArchiveError::FilterOfOther);
        }
        let waiting = Waiting::Filtered(Opened::new(path)?, filter.clone());
        Ok(Self {
            filter: Some(filter.command.clone()),
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
        let layers = oci::layers(&named, tag, options.platform.as_ref(), &mut warnings)?;
        let total = layers.iter().map(|l| l.size).fold(0, u64::saturating_add);
        let waiting = layers.into_iter().map(Waiting::Layer).collect();
        Ok(Self {
            warnings,
            ..Self::new(waiting, Some(total))
        })
    }

    fn new(waiting: VecDeque<Waiting>, total: Option<u64>) -> Self {
        Self {
            waiting,
            current: None,
            pool: Pool::default(),
            done: 0,
            total,
            warnings: Vec::new(),
            filter: None,
        }
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
                self.current = Some(waiting.begin(&self.pool)?);
                return Ok(Some(Item::Layer));
            };
            if let Some(item) = current.next_item()? {
                return Ok(Some(item));
            }
            self.warnings.extend(current.take_warnings());
            self.done = self.done.saturating_add(current.progress());
            self.current = None;
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

/// The members of an image archive.
fn members(file: &Path, options: &Options) -> Result<Arc<dyn Store>, ArchiveError> {
    let members = Members::open(Opened::new(file)?, options.spool.as_deref())?;
    Ok(Arc::new(members))
}

impl Waiting {
    /// Bytes that it will read, where that is known.
    fn len(&self) -> Option<u64> {
        match self {
            Self::Tar(opened) => opened.total,
            Self::Reader(reader) => reader.progress().1,
            Self::Layer(layer) => Some(layer.size),
            Self::Folder(..) | Self::Filtered(..) => None,
        }
    }

    fn begin(self, pool: &Pool) -> Result<Layer, ArchiveError> {
        Ok(match self {
            Self::Tar(opened) => Layer::Tar(Box::new(opened.start()?)),
            Self::Filtered(opened, filter) => {
                Layer::Filtered(Box::new(Filtered::start(opened, &filter)?))
            }
            Self::Reader(reader) => Layer::Tar(reader),
            Self::Layer(layer) => Layer::Image(Box::new(LayerReader::open(layer, pool)?)),
            Self::Folder(path, owner) => Layer::Folder(Box::new(FolderReader::open(&path, owner)?)),
        })
    }
}

impl Layer {
    fn next_item(&mut self) -> Result<Option<Item>, ArchiveError> {
        match self {
            Self::Tar(tar) => Ok(tar.next_entry()?.map(Item::Entry)),
            Self::Filtered(tar) => Ok(tar.next_entry()?.map(Item::Entry)),
            Self::Image(layer) => layer.next_item(),
            Self::Folder(folder) => Ok(folder.next_entry()?.map(Item::Entry)),
        }
    }

    fn next_data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        match self {
            Self::Tar(tar) => tar.next_data(),
            Self::Filtered(tar) => tar.next_data(),
            Self::Image(layer) => layer.next_data(),
            Self::Folder(folder) => Ok(folder.next_data()?),
        }
    }

    fn progress(&self) -> u64 {
        match self {
            Self::Tar(tar) => tar.progress().0,
            Self::Filtered(tar) => tar.progress(),
            Self::Image(layer) => layer.progress(),
            Self::Folder(folder) => folder.progress(),
        }
    }

    fn take_warnings(&mut self) -> Vec<String> {
        match self {
            Self::Tar(tar) => tar.take_warnings(),
            Self::Filtered(tar) => tar.tar().take_warnings(),
            Self::Image(layer) => layer.take_warnings(),
            Self::Folder(folder) => folder.take_warnings(),
        }
    }
}
