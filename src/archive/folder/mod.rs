//! A folder as a root filesystem: its files in the order that `tar --sort=name` gives them.
//!
//! The walk has one directory open at a time. It goes down by `openat` with `O_NOFOLLOW` and up by `..`,
//! held against the directory it came from, so that it stays inside whatever is renamed meanwhile, and
//! depth costs no descriptors. Names are sorted: what `readdir` says first reaches no byte of an image.
//! atime and ctime are left out, for they say when the folder was handled, not what is in it: the image of
//! a folder is that of its tar.

mod data;
mod digest;
mod error;
mod single;
mod stat;
mod xattr;

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use rustix::fs::{Dir, FileType, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use crate::display::display_path;
use crate::entry::{DataRun, Entry, EntryKind};
use crate::units::count;
use data::{Reading, runs};
use digest::TreeDigest;
pub(crate) use digest::digest_of_files;
pub use error::FolderError;
pub(crate) use single::SingleFile;
use stat::{Id, Stat};
use xattr::Bearer;

/// What a umask decides, and what a folder has from the one that it was made in.
const OTHERS_WRITE: u16 = 0o022;
const SETGID: u16 = 0o2000;

/// How a folder is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// Owner and group of everything; by default as the filesystem shows them.
    pub(super) owner: Option<(u32, u32)>,
    /// Whether what depends on the building machine is left out: see [`super::Options::portable`].
    pub(super) portable: bool,
    /// Whether it is digested, with what says that somebody wants an end.
    pub(super) digest: Option<fn() -> bool>,
}

/// Reads a folder once, front to back.
pub(super) struct FolderReader {
    /// As the user gave it, for messages.
    name: Vec<u8>,
    how: How,
    digest: Option<TreeDigest>,
    /// The directory under way.
    directory: OwnedFd,
    /// Its path from the folder's root.
    path: Vec<u8>,
    /// The directories from the root down to it.
    levels: Vec<Level>,
    /// Files of several names: their first.
    links: HashMap<Id, Vec<u8>>,
    reading: Option<Reading>,
    buffer: BytesMut,
    done: u64,
    /// The root's own entry, until it is told.
    root: Option<Entry>,
    warnings: Vec<String>,
}

struct Level {
    /// Names still to come, the next one last.
    names: Vec<CString>,
    id: Id,
    /// Length of `path` here.
    path: usize,
}

impl FolderReader {
    pub(super) fn open(path: &Path, how: How) -> Result<Self, FolderError> {
        let name = path.as_os_str().as_encoded_bytes().to_vec();
        let told = |e| failed(&name, e);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(told)?;
        let stat = Stat::of(&directory).map_err(told)?;
        let mut reader = Self {
            how,
            digest: how.digest.map(TreeDigest::new),
            directory,
            path: Vec::new(),
            levels: Vec::new(),
            links: HashMap::new(),
            reading: None,
            buffer: BytesMut::new(),
            done: 0,
            root: None,
            warnings: Vec::new(),
            name: name.clone(),
        };
        let names = sorted_names(&reader.directory).map_err(told)?;
        reader.levels.push(Level {
            names,
            id: stat.id,
            path: 0,
        });
        let xattrs = xattr::read(&Bearer::Open(reader.directory.as_fd())).map_err(told)?;
        reader.root = Some(reader.entry(b".".to_vec(), EntryKind::Directory, &stat, xattrs));
        Ok(reader)
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, FolderError> {
        // What nobody asked for is digested, too.
        while self.digest.is_some() && self.next_data()?.is_some() {}
        self.reading = None;
        let entry = self.advance()?;
        // The folder itself has no name in the list.
        if let (Some(digest), Some(entry)) = (&mut self.digest, &entry)
            && entry.path != b"."
        {
            digest.entry(entry);
        }
        Ok(entry)
    }

    /// The digest of all, when the last entry was read, where it was asked for.
    pub(super) fn digest(&mut self) -> Option<String> {
        self.digest.as_mut().and_then(TreeDigest::finish)
    }

    fn advance(&mut self) -> Result<Option<Entry>, FolderError> {
        if let Some(root) = self.root.take() {
            return Ok(Some(root));
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path);
            if let Some(name) = level.names.pop() {
                if let Some(entry) = self.child(&name)? {
                    return Ok(Some(entry));
                }
            } else {
                self.levels.pop();
                self.up()?;
            }
        }
        Ok(None)
    }

    pub(super) fn next_data(&mut self) -> Result<Option<Bytes>, FolderError> {
        let Some(reading) = &mut self.reading else {
            return Ok(None);
        };
        let Some((at, piece)) = reading.next(&mut self.buffer)? else {
            return Ok(None);
        };
        self.done = self.done.saturating_add(count(piece.len()));
        if let Some(digest) = &mut self.digest {
            digest.data(at, &piece);
        }
        Ok(Some(piece))
    }

    /// Bytes of file data read.
    pub(super) fn progress(&self) -> u64 {
        self.done
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Back to the directory above, which must be the one that led here.
    fn up(&mut self) -> Result<(), FolderError> {
        let Some(above) = self.levels.last() else {
            return Ok(());
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let told = |e| failed(&join(&self.name, &self.path), e);
        let directory = openat(&self.directory, c"..", flags, Mode::empty()).map_err(told)?;
        let stat = Stat::of(&directory).map_err(told)?;
        if stat.id != above.id {
            return Err(FolderError::Changed {
                path: display_path(&join(&self.name, &self.path)).to_string(),
                what: "was moved",
            });
        }
        self.directory = directory;
        Ok(())
    }

    /// The entry of a name in the directory under way; `None` for what no image holds.
    fn child(&mut self, name: &CString) -> Result<Option<Entry>, FolderError> {
        let path = join(&self.path, name.as_bytes());
        let shown = join(&self.name, &path);
        let told = |e| failed(&shown, e);
        let stat = Stat::at(&self.directory, name).map_err(told)?;
        let file_type = stat.file_type;
        if file_type != FileType::Directory && stat.links > 1 {
            if let Some(target) = self.links.get(&stat.id) {
                let target = target.clone();
                let kind = EntryKind::HardLink { target };
                return Ok(Some(self.entry(path, kind, &stat, Vec::new())));
            }
            if file_type != FileType::Socket {
                self.links.insert(stat.id, path.clone());
            }
        }
        let kind = match file_type {
            FileType::RegularFile => return self.file(name, path, &stat).map(Some),
            FileType::Directory => return self.down(name, path, &stat).map(Some),
            FileType::Symlink => EntryKind::Symlink {
                target: readlinkat(&self.directory, name, Vec::new())
                    .map_err(told)?
                    .into_bytes(),
            },
            FileType::CharacterDevice => EntryKind::CharDevice {
                major: stat.device.0,
                minor: stat.device.1,
            },
            FileType::BlockDevice => EntryKind::BlockDevice {
                major: stat.device.0,
                minor: stat.device.1,
            },
            FileType::Fifo => EntryKind::Fifo,
            _ => {
                let shown = display_path(&shown);
                self.warnings.push(format!(
                    "{shown}: left out: a socket is made anew by its program"
                ));
                return Ok(None);
            }
        };
        let bearer = Bearer::name(self.directory.as_fd(), name.as_bytes());
        let xattrs = xattr::read(&bearer).map_err(told)?;
        Ok(Some(self.entry(path, kind, &stat, xattrs)))
    }

    /// Opens what `seen` was; it must still be that.
    fn open_seen(&self, name: &CString, shown: &[u8], seen: &Stat) -> Result<OwnedFd, FolderError> {
        let flags = OFlags::RDONLY
            | OFlags::NOFOLLOW
            // A fifo that took the file's place must not make us wait.
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let open = |flags| openat(&self.directory, name, flags, Mode::empty());
        // Only the owner may leave the time of access alone (open(2)); macOS has no word for it.
        #[cfg(target_os = "linux")]
        let opened = match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => open(flags),
            opened => opened,
        };
        #[cfg(not(target_os = "linux"))]
        let opened = open(flags);
        let fd = opened.map_err(|e| failed(shown, e))?;
        let stat = Stat::of(&fd).map_err(|e| failed(shown, e))?;
        if stat.id != seen.id || stat.file_type != seen.file_type {
            return Err(FolderError::Changed {
                path: display_path(shown).to_string(),
                what: "was replaced",
            });
        }
        Ok(fd)
    }

    fn file(&mut self, name: &CString, path: Vec<u8>, seen: &Stat) -> Result<Entry, FolderError> {
        let shown = join(&self.name, &path);
        let fd = self.open_seen(name, &shown, seen)?;
        let stat = Stat::of(&fd).map_err(|e| failed(&shown, e))?;
        let xattrs = xattr::read(&Bearer::Open(fd.as_fd())).map_err(|e| failed(&shown, e))?;
        let (file, size) = (File::from(fd), stat.size);
        let shown = display_path(&shown).to_string();
        let sparse = stat.blocks < size.div_ceil(512);
        let data = if sparse {
            runs(&file, size, &shown)?
        } else {
            None
        };
        let whole = DataRun {
            offset: 0,
            len: size,
        };
        self.reading = Some(Reading {
            file,
            path: shown,
            runs: data.clone().unwrap_or_else(|| vec![whole]).into_iter(),
            run: DataRun { offset: 0, len: 0 },
        });
        Ok(self.entry(path, EntryKind::File { size, data }, &stat, xattrs))
    }

    fn down(&mut self, name: &CString, path: Vec<u8>, seen: &Stat) -> Result<Entry, FolderError> {
        let shown = join(&self.name, &path);
        let told = |e| failed(&shown, e);
        let fd = self.open_seen(name, &shown, seen)?;
        let xattrs = xattr::read(&Bearer::Open(fd.as_fd())).map_err(told)?;
        self.levels.push(Level {
            names: sorted_names(&fd).map_err(told)?,
            id: seen.id,
            path: path.len(),
        });
        self.directory = fd;
        self.path.clone_from(&path);
        Ok(self.entry(path, EntryKind::Directory, seen, xattrs))
    }

    fn entry(
        &self,
        path: Vec<u8>,
        kind: EntryKind,
        stat: &Stat,
        mut xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Entry {
        let (uid, gid) = self.how.owner.unwrap_or((stat.uid, stat.gid));
        let mut mode = stat.mode;
        if self.how.portable {
            xattrs.retain(|(name, _)| name == b"security.capability");
            mode &= match kind {
                EntryKind::Symlink { .. } => mode,
                EntryKind::Directory => !(OTHERS_WRITE | SETGID),
                _ => !OTHERS_WRITE,
            };
        }
        Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime: stat.mtime,
            atime: None,
            ctime: None,
            xattrs,
            acl_access: None,
            acl_default: None,
            offset: 0,
        }
    }
}

/// Names in a directory, the first one last.
fn sorted_names(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder {
        b"" => name.to_vec(),
        folder if folder.ends_with(b"/") || name.is_empty() => [folder, name].concat(),
        folder => [folder, b"/", name].concat(),
    }
}

fn failed(path: &[u8], e: Errno) -> FolderError {
    let path = display_path(path).to_string();
    match e {
        Errno::ACCESS | Errno::PERM => FolderError::Denied { path },
        // It was there a moment ago.
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR => FolderError::Changed {
            path,
            what: "was removed or replaced",
        },
        e => FolderError::Read {
            path,
            source: e.into(),
        },
    }
}
