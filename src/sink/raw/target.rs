//! The output's path: what may stand there, how the image comes to stand there.

use super::SinkError;
use crate::sink::of_reading;
use rustix::fs::{AtFlags, CWD, RenameFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// How to treat the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawOptions {
    /// Replace a file that stands there.
    pub force: bool,
    /// Wait for the disk at the end: by default an image costs no more than a linker's output.
    pub sync: bool,
}

/// Where the image will stand.
#[derive(Debug)]
pub(in crate::sink) struct Target {
    pub(in crate::sink) path: PathBuf,
    folder: PathBuf,
    options: RawOptions,
    /// `None` while the file has no name at all.
    named: Option<PathBuf>,
}

impl Target {
    pub(in crate::sink) fn create(
        path: &Path,
        options: RawOptions,
    ) -> Result<(Self, File), SinkError> {
        let fail = |source| SinkError::Create {
            path: path.to_owned(),
            source,
        };
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
            _ => PathBuf::from("."),
        };
        if !folder.is_dir() {
            return Err(SinkError::NoFolder {
                path: path.to_owned(),
            });
        }
        if path.file_name().is_none() {
            let what = "a folder";
            return Err(SinkError::NotFile {
                path: path.to_owned(),
                what,
            });
        }
        match std::fs::symlink_metadata(path) {
            Ok(there) => {
                let kind = there.file_type();
                let what = if kind.is_dir() {
                    Some("a folder")
                } else if kind.is_file() || kind.is_symlink() {
                    None
                } else {
                    Some("a device, pipe or socket")
                };
                if let Some(what) = what {
                    return Err(SinkError::NotFile {
                        path: path.to_owned(),
                        what,
                    });
                }
                if !options.force {
                    return Err(SinkError::Exists {
                        path: path.to_owned(),
                    });
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail(e)),
        }
        let mut target = Self {
            path: path.to_owned(),
            folder,
            options,
            named: None,
        };
        let file = match target.unnamed() {
            Some(file) => file,
            None => target.named().map_err(fail)?,
        };
        Ok((target, file))
    }

    pub(in crate::sink) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The error of a write that failed, or was stopped.
    pub(in crate::sink) fn failed(&self, source: io::Error) -> SinkError {
        if source.kind() == io::ErrorKind::Interrupted {
            return SinkError::Interrupted;
        }
        match of_reading(source) {
            Ok(source) => SinkError::Read { source },
            Err(source) => SinkError::Write {
                path: self.path.clone(),
                source,
            },
        }
    }

    pub(in crate::sink) fn temporary(&self) -> Option<&Path> {
        self.named.as_deref()
    }

    /// A file without a name, where filesystem and /proc can give it one later.
    #[cfg(target_os = "linux")]
    fn unnamed(&self) -> Option<File> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&self.folder, flags, Mode::from_raw_mode(0o666)).ok()?;
        let file = File::from(fd);
        std::fs::symlink_metadata(proc_path(&file))
            .is_ok()
            .then_some(file)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "Linux looks at the folder")]
    fn unnamed(&self) -> Option<File> {
        None
    }

    fn named(&mut self) -> io::Result<File> {
        let made = tempfile::Builder::new()
            .prefix(".diskwright-")
            .suffix(".tmp")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(&self.folder)
            .map_err(|e| without_path(&e))?;
        let (file, path) = made.keep().map_err(|e| e.error)?;
        self.named = Some(path);
        Ok(file)
    }

    /// Gives the file its name.
    pub(in crate::sink) fn publish(mut self, file: &File) -> Result<(), SinkError> {
        let fail = |source: io::Error| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                SinkError::Exists {
                    path: self.path.clone(),
                }
            } else {
                SinkError::Rename {
                    path: self.path.clone(),
                    source,
                }
            }
        };
        if self.options.sync {
            file.sync_all().map_err(&fail)?;
        }
        match (&self.named, self.options.force) {
            (None, false) => link(file, &self.path).map_err(&fail)?,
            (None, true) => {
                // A name cannot be linked over another: a temporary one, then a rename.
                let temporary = self.free_name(|path| link(file, path)).map_err(&fail)?;
                if let Err(e) = std::fs::rename(&temporary, &self.path) {
                    // The rename's failure is what matters.
                    let _ = std::fs::remove_file(&temporary);
                    return Err(fail(e));
                }
            }
            (Some(temporary), true) => {
                std::fs::rename(temporary, &self.path).map_err(&fail)?;
            }
            (Some(temporary), false) => {
                rename_new(temporary, &self.path).map_err(&fail)?;
            }
        }
        self.named = None;
        if self.options.sync {
            let folder = File::open(&self.folder).and_then(|f| f.sync_all());
            folder.map_err(|source| SinkError::Rename {
                path: self.path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Gives what stands at the path a second name, where it may be replaced and there is something.
    pub(in crate::sink) fn put_aside(&self) -> Result<Option<PathBuf>, SinkError> {
        let replaceable = |there: std::fs::Metadata| !there.is_dir();
        if !self.options.force || !self.path.symlink_metadata().is_ok_and(replaceable) {
            return Ok(None);
        }
        let linked = self.free_name(|aside| std::fs::hard_link(&self.path, aside));
        // Not every filesystem has links, and not every file may be linked.
        let aside = linked.or_else(|_| self.free_name(|aside| rename_new(&self.path, aside)));
        aside.map(Some).map_err(|source| SinkError::Rename {
            path: self.path.clone(),
            source,
        })
    }

    /// A name in the folder that `give` could give.
    fn free_name(&self, give: impl Fn(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
        let process = std::process::id();
        for n in 0_u32.. {
            let path = self.folder.join(format!(".diskwright-{process}-{n}.tmp"));
            match give(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other.map(|()| path),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(path) = &self.named {
            // Best effort: there is nobody left to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// tempfile's errors name the temporary, at random; the output's path is told already.
fn without_path(e: &io::Error) -> io::Error {
    e.kind().into()
}

fn proc_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// open(2) shows this way to name an `O_TMPFILE`; it needs no privilege.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(CWD, proc_path(file), CWD, path, flags).map_err(io::Error::from)
}

/// Renames, but never over a file that appeared meanwhile.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            // Filesystems that cannot promise it: a link refuses what exists too.
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(e) => Err(e.into()),
    }
}
