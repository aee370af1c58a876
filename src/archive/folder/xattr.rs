//! Extended attributes, whatever the kernel lists.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// What bears attributes.
pub(super) enum Bearer<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A name in a directory that cannot be opened without side effects: a link, a device, a fifo. Its
    /// path goes through /proc, so that no other name on the way is looked up again.
    Name(CString),
}

impl<'a> Bearer<'a> {
    pub(super) fn name(directory: BorrowedFd<'a>, name: &[u8]) -> Self {
        let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        // A name of a directory has no NUL.
        Self::Name(CString::new(path).unwrap_or_default())
    }

    fn list(&self, out: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Self::Open(fd) => flistxattr(fd, out),
            Self::Name(path) => llistxattr(path, out),
        }
    }

    fn get(&self, name: &[u8], out: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Self::Open(fd) => fgetxattr(fd, name, out),
            Self::Name(path) => lgetxattr(path, name, out),
        }
    }
}

/// Names and values, by name.
pub(super) fn read(bearer: &Bearer<'_>) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match whole(|out| bearer.list(out)) {
        Ok(names) if names.is_empty() => return Ok(Vec::new()),
        // A filesystem without any; a /proc that is not mounted.
        Err(Errno::NOTSUP | Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        names => names?,
    };
    let mut set = Vec::new();
    for name in names.split(|&b| b == 0).filter(|n| !n.is_empty()) {
        match whole(|out| bearer.get(name, out)) {
            Ok(value) => set.push((name.to_vec(), value)),
            // Listed, and gone or nobody's to read: as getfattr, without it.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(e) => return Err(e),
        }
    }
    set.sort_unstable();
    Ok(set)
}

/// All that a call of the xattr family has to give; its answers may grow between two calls.
fn whole(
    mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    // Most files have none, or few: one call.
    let mut bytes = vec![0; 256];
    loop {
        match call(&mut bytes) {
            Ok(n) => {
                bytes.truncate(n);
                return Ok(bytes);
            }
            Err(Errno::RANGE) => {
                let n = call(&mut [])?;
                bytes.resize(n.max(1), 0);
            }
            Err(e) => return Err(e),
        }
    }
}
