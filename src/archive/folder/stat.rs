//! What stat(2) tells of a file, in words that Linux and others share.

use crate::units::Timestamp;
use rustix::fs::FileType;
use rustix::io;
use std::ffi::CStr;
use std::os::fd::AsFd;

/// Device and inode number.
pub(super) type Id = ((u32, u32), u64);

/// A file as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    pub(super) id: Id,
    pub(super) file_type: FileType,
    /// The twelve bits of permissions.
    pub(super) mode: u16,
    pub(super) links: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Major and minor number of a device.
    pub(super) device: (u32, u32),
    /// In bytes.
    pub(super) size: u64,
    /// On the disk, of 512 bytes, whatever the filesystem's are.
    pub(super) blocks: u64,
    pub(super) mtime: Timestamp,
}

impl Stat {
    /// Of a file that is open.
    pub(super) fn of(fd: impl AsFd) -> io::Result<Self> {
        system::of(fd)
    }

    /// Of a name in a directory; a symbolic link itself.
    pub(super) fn at(directory: impl AsFd, name: &CStr) -> io::Result<Self> {
        system::at(directory, name)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{AsFd, CStr, FileType, Stat, Timestamp, io};
    use rustix::fs::{AtFlags, Statx, StatxFlags, statx};

    pub(super) fn of(fd: impl AsFd) -> io::Result<Stat> {
        statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|s| stat(&s))
    }

    pub(super) fn at(directory: impl AsFd, name: &CStr) -> io::Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        statx(directory, name, flags, StatxFlags::BASIC_STATS).map(|s| stat(&s))
    }

    fn stat(s: &Statx) -> Stat {
        Stat {
            id: ((s.stx_dev_major, s.stx_dev_minor), s.stx_ino),
            file_type: FileType::from_raw_mode(s.stx_mode.into()),
            mode: s.stx_mode & 0o7777,
            links: s.stx_nlink.into(),
            uid: s.stx_uid,
            gid: s.stx_gid,
            device: (s.stx_rdev_major, s.stx_rdev_minor),
            size: s.stx_size,
            blocks: s.stx_blocks,
            mtime: Timestamp {
                sec: s.stx_mtime.tv_sec,
                nsec: s.stx_mtime.tv_nsec,
            },
        }
    }
}

/// macOS, where the numbers are of other widths.
#[cfg(not(target_os = "linux"))]
mod system {
    use super::{AsFd, CStr, FileType, Stat, Timestamp, io};
    use rustix::fs::{AtFlags, fstat, major, minor, statat};

    pub(super) fn of(fd: impl AsFd) -> io::Result<Stat> {
        stat(&fstat(fd)?)
    }

    pub(super) fn at(directory: impl AsFd, name: &CStr) -> io::Result<Stat> {
        stat(&statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn stat(s: &rustix::fs::Stat) -> io::Result<Stat> {
        let count = |n: i64| u64::try_from(n).map_err(|_| io::Errno::OVERFLOW);
        Ok(Stat {
            id: ((major(s.st_dev), minor(s.st_dev)), s.st_ino),
            file_type: FileType::from_raw_mode(s.st_mode),
            mode: s.st_mode & 0o7777,
            links: s.st_nlink.into(),
            uid: s.st_uid,
            gid: s.st_gid,
            device: (major(s.st_rdev), minor(s.st_rdev)),
            size: count(s.st_size)?,
            blocks: count(s.st_blocks)?,
            mtime: Timestamp {
                sec: s.st_mtime,
                nsec: u32::try_from(s.st_mtime_nsec).map_err(|_| io::Errno::OVERFLOW)?,
            },
        })
    }
}
