//! Files of an image into a folder, as an ordinary user.
//!
//! The folder is new and has another name until it is whole; directories come first and symbolic links
//! last, so that no path of ours leads through one; a name is one component; nothing that stands there is
//! opened or replaced. So nothing in the image can lead out of the folder.

use super::plan::{Item, is_inside, plan};
use super::{ExtractError, Extracted};
use crate::display::display_path;
use crate::inspect::files::{Data, Files, FilesError, Kind, Node};
use crate::observe::Observer;
use crate::units::{KIB, Timestamp, count, index};
use rustix::fs::{AtFlags, CWD, FileType, Timespec, Timestamps, XattrFlags};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const CHUNK: u64 = 256 * KIB;

/// Writes everything from `start` on into the folder `to`, which is made, or is empty. `name` is the name of
/// `start` when it is no directory.
///
/// Modes, times, links and holes are as in the image; owners, attributes and devices as far as the user may
/// set them. What cannot be set is counted; what cannot be written at all is left out, with a warning.
///
/// # Errors
/// When the folder is not empty, or its disk is full.
pub fn to_folder(
    files: &Files,
    start: &Node,
    name: &[u8],
    to: &Path,
    observer: &dyn Observer,
) -> Result<Extracted, ExtractError> {
    let there = check(to)?;
    let plan = plan(files, start, observer)?;
    // What is there already may be a mount point, or where we are: nothing can take its place.
    let fail = |source| ExtractError::Folder {
        path: to.to_owned(),
        source,
    };
    let parent = match to.parent() {
        _ if there => to,
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".extract-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(fail)?;
    let mut writer = Writer {
        files,
        observer,
        base: temporary.path().to_owned(),
        root: rustix::process::geteuid().is_root(),
        done: plan.done,
    };
    // Symbolic links last; sorting keeps all else in its order.
    let (links, others): (Vec<&Item>, Vec<&Item>) =
        plan.items.iter().partition(|item| writer.is_symlink(item));
    for item in others.iter().chain(&links) {
        writer.item(item, name)?;
    }
    // Directories get modes and times when nothing more is put into them, the innermost first; and when they
    // have their place, as one that may not be written cannot be moved.
    if there {
        for child in std::fs::read_dir(&writer.base).map_err(fail)? {
            let child = child.map_err(fail)?;
            std::fs::rename(child.path(), to.join(child.file_name())).map_err(fail)?;
        }
        temporary.close().map_err(fail)?;
    } else {
        let mode = if start.is_directory() { 0o700 } else { 0o755 };
        let mode = Permissions::from_mode(mode);
        std::fs::set_permissions(temporary.path(), mode).map_err(fail)?;
        std::fs::rename(temporary.path(), to).map_err(fail)?;
        // It has its name now: there is nothing left to remove.
        let _ = temporary.keep();
    }
    to.clone_into(&mut writer.base);
    for item in plan.items.iter().rev() {
        writer.settle(item, name);
    }
    Ok(writer.done)
}

/// Whether the folder is there; then it is empty.
fn check(to: &Path) -> Result<bool, ExtractError> {
    let refuse = |is| {
        Err(ExtractError::NotEmpty {
            path: to.to_owned(),
            is,
        })
    };
    match std::fs::symlink_metadata(to) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(there) if there.is_dir() => match std::fs::read_dir(to).map(|mut list| list.next()) {
            Ok(None) => Ok(true),
            Ok(Some(_)) => refuse("is not empty"),
            Err(source) => Err(ExtractError::Folder {
                path: to.to_owned(),
                source,
            }),
        },
        Ok(_) => refuse("is no folder"),
        Err(source) => Err(ExtractError::Folder {
            path: to.to_owned(),
            source,
        }),
    }
}

struct Writer<'a> {
    files: &'a Files,
    observer: &'a dyn Observer,
    base: PathBuf,
    root: bool,
    done: Extracted,
}

impl Writer<'_> {
    fn is_symlink(&self, item: &Item) -> bool {
        let node = self.files.node(item.id);
        node.is_ok_and(|n| n.kind == Kind::Symlink)
    }

    fn place(&self, item: &Item, name: &[u8]) -> PathBuf {
        if item.path.is_empty() {
            return self.base.join(OsStr::from_bytes(name));
        }
        self.base.join(OsStr::from_bytes(&item.path))
    }

    fn item(&mut self, item: &Item, name: &[u8]) -> Result<(), ExtractError> {
        if self.observer.cancelled() {
            return Err(ExtractError::Interrupted);
        }
        let written = match self.files.node(item.id) {
            Ok(node) if item.path.is_empty() && node.is_directory() => return Ok(()),
            Ok(node) => self.write(item, &node, name),
            Err(e) => Err(Failed::LeftOut(e.to_string())),
        };
        match written {
            Ok(()) => {
                self.done.names += 1;
                Ok(())
            }
            Err(Failed::Stop(e)) => Err(e),
            Err(Failed::Io(source)) if is_full(&source) => Err(ExtractError::Write {
                path: self.place(item, name),
                source,
            }),
            Err(Failed::Io(e)) => self.leave_out(item, &e.to_string()),
            Err(Failed::LeftOut(why)) => self.leave_out(item, &why),
        }
    }

    fn leave_out(&mut self, item: &Item, why: &str) -> Result<(), ExtractError> {
        self.done.left_out += 1;
        let path = display_path(&item.path);
        self.observer.warn(&format!("/{path}: left out: {why}"));
        Ok(())
    }

    fn write(&mut self, item: &Item, node: &Node, name: &[u8]) -> Result<(), Failed> {
        let to = self.place(item, name);
        let inside = to.strip_prefix(&self.base);
        let path = inside.map_or(&[][..], |p| p.as_os_str().as_bytes());
        if !is_inside(path) || item.link.as_deref().is_some_and(|first| !is_inside(first)) {
            return Err(FilesError::Name.into());
        }
        if let Some(first) = &item.link
            && node.kind != Kind::Symlink
        {
            let first = self.base.join(OsStr::from_bytes(first));
            return Ok(std::fs::hard_link(first, &to)?);
        }
        match node.kind {
            Kind::Directory => {
                std::fs::create_dir(&to)?;
                std::fs::set_permissions(&to, Permissions::from_mode(0o700))?;
                // What else it has comes when all is in it.
                return Ok(());
            }
            Kind::Symlink => {
                let target = self.files.target(node).map_err(Failed::from)?;
                std::os::unix::fs::symlink(OsStr::from_bytes(&target), &to)?;
            }
            Kind::File => {
                let data = self.files.data(node, &item.path).map_err(Failed::from)?;
                let file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&to)?;
                // Half a file is none.
                self.file(&data, &file, &to, node.size).inspect_err(|_| {
                    let _ = std::fs::remove_file(&to);
                })?;
            }
            Kind::CharDevice => self.device(node, &to, FileType::CharacterDevice)?,
            Kind::BlockDevice => self.device(node, &to, FileType::BlockDevice)?,
            Kind::Fifo => self.device(node, &to, FileType::Fifo)?,
            Kind::Socket | Kind::Unknown => return Ok(()),
        }
        self.dress(node, &to);
        Ok(())
    }

    fn file(&mut self, data: &Data<'_>, file: &File, to: &Path, size: u64) -> Result<(), Failed> {
        let stop = |source| {
            Failed::Stop(ExtractError::Write {
                path: to.to_owned(),
                source,
            })
        };
        let mut buf = vec![0; index(CHUNK)];
        for run in data.data() {
            let (mut at, end) = (run.offset, run.offset + run.len);
            while at < end {
                if self.observer.cancelled() {
                    return Err(Failed::Stop(ExtractError::Interrupted));
                }
                let part = &mut buf[..index((end - at).min(CHUNK))];
                let n = data.read_at(at, part).map_err(Failed::from)?;
                if n == 0 {
                    break;
                }
                file.write_all_at(&part[..n], at).map_err(stop)?;
                at += count(n);
            }
            self.done.data += run.len;
        }
        // A hole at the end.
        Ok(file.set_len(size)?)
    }

    fn device(&self, node: &Node, to: &Path, kind: FileType) -> Result<(), Failed> {
        if kind != FileType::Fifo && !self.root {
            return Err(Failed::LeftOut("only root may make devices".into()));
        }
        let (major, minor) = node.device.unwrap_or_default();
        Ok(made_node(to, kind, (major, minor))?)
    }

    /// The mode and times of a directory.
    fn settle(&mut self, item: &Item, name: &[u8]) {
        let Ok(node) = self.files.node(item.id) else {
            return;
        };
        if node.is_directory() {
            let to = if item.path.is_empty() {
                self.base.clone()
            } else {
                self.place(item, name)
            };
            let there = std::fs::symlink_metadata(&to);
            if there.is_ok_and(|m| m.is_dir()) {
                self.dress(&node, &to);
            }
        }
    }

    /// Owner, attributes, mode and times, in that order: each may undo what comes before it.
    fn dress(&mut self, node: &Node, to: &Path) {
        let owned = rustix::fs::chownat(
            CWD,
            to,
            Some(rustix::fs::Uid::from_raw(node.uid)),
            Some(rustix::fs::Gid::from_raw(node.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        );
        let owned = owned.is_ok();
        self.done.owners += u64::from(!owned);
        for (name, value) in self.files.xattrs(node).unwrap_or_default() {
            let name = OsStr::from_bytes(&name);
            let set = rustix::fs::lsetxattr(to, name, &value, XattrFlags::empty());
            self.done.xattrs += u64::from(set.is_err());
        }
        if node.kind != Kind::Symlink {
            // A set-id bit of somebody else's would make a file run as whoever extracts it.
            let mode = if owned { node.mode } else { node.mode & 0o1777 };
            let _ = std::fs::set_permissions(to, Permissions::from_mode(mode.into()));
        }
        let of = |t: Timestamp| Timespec {
            tv_sec: t.sec,
            tv_nsec: t.nsec.into(),
        };
        let times = Timestamps {
            last_access: of(node.atime),
            last_modification: of(node.mtime),
        };
        // The filesystem may not hold such a time; the file is there all the same.
        let _ = rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Whether no other file could be written either.
fn is_full(e: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(e.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

/// Why a file was not written.
enum Failed {
    Io(io::Error),
    LeftOut(String),
    Stop(ExtractError),
}

impl From<io::Error> for Failed {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<FilesError> for Failed {
    fn from(e: FilesError) -> Self {
        Self::LeftOut(e.to_string())
    }
}

/// Makes a fifo or a device.
#[cfg(target_os = "linux")]
fn made_node(to: &Path, kind: FileType, (major, minor): (u32, u32)) -> io::Result<()> {
    let number = rustix::fs::makedev(major, minor);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    Ok(rustix::fs::mknodat(CWD, to, kind, mode, number)?)
}

#[cfg(not(target_os = "linux"))]
fn made_node(_: &Path, _: FileType, _: (u32, u32)) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
