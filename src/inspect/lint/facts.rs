//! What rules look at.

use crate::display::display_path;
use std::collections::BTreeMap;

/// Largest file whose content is looked at, initrds apart.
pub(super) const SMALL: u64 = 1 << 20;
/// Largest initrd that is looked into.
pub(super) const INITRD: u64 = 256 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Link,
    /// Device, fifo, socket.
    Other,
}

/// A file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) sort: Sort,
    /// Permissions, set-id bits.
    pub(crate) mode: u16,
    pub(crate) size: u64,
    /// Last change, in seconds since 1970.
    pub(crate) mtime: i64,
    /// `security.capability` is set.
    pub(crate) capability: bool,
    /// Where a symbolic link points.
    pub(crate) target: Vec<u8>,
    /// Content, where it is looked at.
    pub(crate) content: Option<Vec<u8>>,
}

/// What only an image has.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskFacts {
    pub(crate) size: u64,
    /// GRUB's core.img for BIOS is there.
    pub(crate) core_img: bool,
    /// Paths on EFI system partitions, in upper case.
    pub(crate) esp: Option<Vec<String>>,
    /// `s_feature_incompat` of the root.
    pub(crate) incompat: u32,
    /// When the filesystem was made.
    pub(crate) made: i64,
    /// What fstab may name: `UUID=…`, `LABEL=…`, `PARTUUID=…`, `PARTLABEL=…`, in lower case.
    pub(crate) names: Vec<String>,
    /// Bytes in use that lie in holes of the image file.
    pub(crate) holes: u64,
}

/// What is known of an image or a root filesystem.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(crate) entries: BTreeMap<Vec<u8>, Entry>,
    pub(crate) disk: Option<DiskFacts>,
    /// Now, in seconds since 1970.
    pub(crate) now: i64,
    /// Setuid and setgid programs of the parent.
    pub(crate) parent: Option<Vec<Vec<u8>>>,
}

impl Facts {
    /// Judges the setuid programs by those of `parent`.
    pub fn compare(&mut self, parent: &Self) {
        self.parent = Some(parent.setuid());
    }

    /// Paths of programs with set-id bits.
    pub(crate) fn setuid(&self) -> Vec<Vec<u8>> {
        let set = |e: &Entry| e.sort == Sort::File && e.mode & 0o6000 != 0;
        let all = self.entries.iter().filter(|(_, e)| set(e));
        all.map(|(path, _)| path.clone()).collect()
    }

    /// The file at a path without its first `/`, symbolic links followed.
    pub(crate) fn file(&self, path: &str) -> Option<&Entry> {
        let mut path = path.as_bytes().to_vec();
        for _ in 0..16 {
            let parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
            let link = (1..=parts.len()).find_map(|n| {
                let head = parts[..n].join(&b'/');
                let entry = self.entries.get(&head)?;
                (entry.sort == Sort::Link).then_some((n, head, entry))
            });
            let Some((n, head, entry)) = link else {
                return self.entries.get(&path);
            };
            let rest = parts[n..].join(&b'/');
            let folder = head.iter().rposition(|&b| b == b'/').map_or(0, |n| n + 1);
            path = joined(&head[..folder], &entry.target, &rest);
        }
        None
    }

    /// The text of a file that is looked at.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let content = self.file(path)?.content.as_ref()?;
        Some(String::from_utf8_lossy(content).into_owned())
    }

    /// Files whose path begins with a prefix.
    pub(crate) fn below<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a [u8], &'a Entry)> {
        let from = self.entries.range(prefix.as_bytes().to_vec()..);
        let own = from.take_while(move |(path, _)| path.starts_with(prefix.as_bytes()));
        own.map(|(path, entry)| (path.as_slice(), entry))
    }

    /// Whether there is a file at one of these paths.
    pub(crate) fn any(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.file(path).is_some())
    }
}

/// A path as findings show it.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("/{}", display_path(path))
}

/// `folder` (ending in `/`), the target of a link in it, and what follows, as one path without `.` and `..`.
fn joined(folder: &[u8], target: &[u8], rest: &[u8]) -> Vec<u8> {
    let base = if target.starts_with(b"/") {
        &[]
    } else {
        folder
    };
    let whole = [base, target, b"/", rest].concat();
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in whole.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// Whether rules look at the content of a file.
pub(super) fn wanted(path: &[u8], size: u64) -> bool {
    let starts = |p: &str| path.starts_with(p.as_bytes());
    let ends = |p: &str| path.ends_with(p.as_bytes());
    if starts("boot/init") {
        return size <= INITRD;
    }
    size <= SMALL
        && (starts("etc/")
            || (starts("boot/grub") && (ends(".cfg") || ends("menu.lst") || ends("/ext2.mod")))
            || ends("/modules.builtin")
            || ends("/.ssh/authorized_keys")
            || (starts("var/lib/dpkg/info/") && ends(".postinst")))
        || path == b"var/lib/dpkg/status" && size <= 16 * SMALL
}
