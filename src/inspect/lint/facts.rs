//! What rules look at.

use super::LintError;
use super::initrd::Initrd;
use super::names::Name;
use crate::display::display_path;
use crate::units::{PATH_MAX, count};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Largest file whose content is looked at.
const SMALL: u64 = 1 << 20;
/// So much of a kernel is looked at: a bzImage's setup, which says its release, has 64 sectors at most.
const KERNEL_HEAD: u64 = 64 << 9;
/// Most memory for the paths of an image, which is that of some four million files, and for contents.
const PATHS: u64 = 1 << 30;
const CONTENTS: u64 = 128 << 20;
/// So many names of one kind are looked at.
const TEXTS: usize = 1000;
/// What an entry takes beside its paths.
const ENTRY: u64 = 192;

/// Where firmware that knows nothing of the disk looks for a loader: x86-64, arm64.
pub(super) const LOADERS: [&str; 2] = ["/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/BOOTAA64.EFI"];

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
    /// Content, where it is looked at: one for all names of a file, and of a kernel its beginning.
    pub(crate) content: Option<Arc<[u8]>>,
}

/// What only an image has.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskFacts {
    pub(crate) size: u64,
    /// GRUB's core.img for BIOS is there.
    pub(crate) core_img: bool,
    /// The fallback loaders on EFI system partitions; `None` where there is no such partition.
    pub(crate) loaders: Option<Vec<&'static str>>,
    /// `s_feature_incompat` of the root.
    pub(crate) incompat: u32,
    /// When the filesystem was made.
    pub(crate) made: i64,
    /// What fstab may name.
    pub(crate) names: Vec<Name>,
    /// There are partitions of which nobody here can tell what they hold.
    pub(crate) unknown: bool,
    /// Bytes in use that lie in holes of the image file.
    pub(crate) holes: u64,
}

/// What is known of an image or a root filesystem.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(crate) entries: BTreeMap<Vec<u8>, Entry>,
    /// What was found in initrds, by their paths.
    pub(crate) initrds: BTreeMap<Vec<u8>, Initrd>,
    pub(crate) disk: Option<DiskFacts>,
    /// Paths that could not be read.
    pub(crate) unread: u64,
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

    /// How many paths could not be read: damage, of which `verify` says more. Nothing is said of them.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// Paths of programs with set-id bits.
    pub(crate) fn setuid(&self) -> Vec<Vec<u8>> {
        let set = |e: &Entry| e.sort == Sort::File && e.mode & 0o6000 != 0;
        let all = self.entries.iter().filter(|(_, e)| set(e));
        all.map(|(path, _)| path.clone()).collect()
    }

    /// The file at a path without its first `/`, symbolic links followed.
    pub(crate) fn file(&self, path: &str) -> Option<&Entry> {
        Some(self.resolve(path)?.1)
    }

    /// The same, and its own path.
    pub(crate) fn resolve(&self, path: &str) -> Option<(Vec<u8>, &Entry)> {
        let mut path = path.as_bytes().to_vec();
        for _ in 0..16 {
            if path.len() >= PATH_MAX {
                return None;
            }
            let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
            let mut heads: Vec<usize> = slashes.map(|(at, _)| at).collect();
            heads.push(path.len());
            // What is there has its folders there: the last of them that is may be a link, and no other.
            let there = heads.partition_point(|&end| self.entries.contains_key(&path[..end]));
            let (head, rest) = path.split_at(heads[there.checked_sub(1)?]);
            let entry = self.entries.get(head)?;
            if entry.sort != Sort::Link {
                return rest.is_empty().then_some((path, entry));
            }
            let folder = head.iter().rposition(|&b| b == b'/').map_or(0, |n| n + 1);
            path = joined(&head[..folder], &entry.target, rest);
        }
        None
    }

    /// The text of a file that is looked at.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let content = self.file(path)?.content.as_ref()?;
        Some(String::from_utf8_lossy(content).into_owned())
    }

    /// The texts of files whose path begins with a prefix, those of hard links once.
    pub(crate) fn texts<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a [u8], String)> {
        let mut seen = HashSet::new();
        let all = self.below(prefix).take(TEXTS);
        all.filter_map(move |(path, entry)| {
            let own = match entry.sort {
                Sort::Link => self.file(std::str::from_utf8(path).ok()?)?,
                _ => entry,
            };
            let content = own.content.as_deref()?;
            let first = seen.insert(content.as_ptr());
            first.then(|| (path, String::from_utf8_lossy(content).into_owned()))
        })
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
    normal(&[base, target, b"/", rest].concat())
}

/// A path without `.` and `..` and what else says nothing, as the first `/` of names in archives.
pub(super) fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
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

/// How much memory is left for what an image says.
#[derive(Debug)]
pub(super) struct Room {
    paths: u64,
    contents: u64,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            paths: PATHS,
            contents: CONTENTS,
        }
    }

    /// Makes room for an entry.
    pub(super) fn entry(&mut self, path: &[u8], target: &[u8]) -> Result<(), LintError> {
        take(
            &mut self.paths,
            ENTRY + count(path.len()) + count(target.len()),
        )
    }

    /// Makes room for the content of a file.
    pub(super) fn content(&mut self, bytes: u64) -> Result<(), LintError> {
        take(&mut self.contents, bytes)
    }
}

fn take(room: &mut u64, bytes: u64) -> Result<(), LintError> {
    *room = room.checked_sub(bytes).ok_or(LintError::TooMuch)?;
    Ok(())
}

/// Databases of packages that are read.
pub(super) const DATABASES: [&str; 3] = [
    "var/lib/dpkg/status",
    "lib/apk/db/installed",
    "usr/lib/apk/db/installed",
];

/// Where the files lie whose content rules look at.
const LOOKED_AT: [&str; 16] = [
    "etc/apt/apt.conf",
    "etc/crypto-policies/",
    "etc/fstab",
    "etc/hostname",
    "etc/hosts",
    "etc/kernel/cmdline",
    "etc/machine-id",
    "etc/netplan/",
    "etc/network/interfaces",
    "etc/passwd",
    "etc/resolv.conf",
    "etc/shadow",
    "etc/ssh/",
    "etc/sysconfig/network",
    "etc/systemd/network/",
    "usr/etc/ssh/",
];

/// Menus and their variables, by how their names end.
const OF_LOADERS: [&str; 5] = [".cfg", ".conf", "/ext2.mod", "/grubenv", "/menu.lst"];

/// How many bytes of a file rules look at, from its beginning; `None` when not at its content.
pub(super) fn wanted(path: &[u8], size: u64) -> Option<u64> {
    let starts = |p: &str| path.starts_with(p.as_bytes());
    let ends = |p: &str| path.ends_with(p.as_bytes());
    let of_modules = starts("usr/lib/modules/") || starts("lib/modules/");
    if ["boot/vmlinuz", "boot/kernel-", "vmlinuz-"]
        .iter()
        .any(|p| starts(p))
        || of_modules && ends("/vmlinuz")
    {
        return Some(size.min(KERNEL_HEAD));
    }
    let small = LOOKED_AT.iter().any(|p| starts(p))
        || starts("boot/") && OF_LOADERS.iter().any(|e| ends(e))
        || of_modules && (ends("/modules.builtin") || ends("/pkgbase"))
        || starts("var/lib/dpkg/info/") && ends(".postinst");
    let database = DATABASES.iter().any(|p| p.as_bytes() == path);
    let fits = small && size <= SMALL || database && size <= 16 * SMALL;
    fits.then_some(size)
}

/// Whether a file may be the initrd of a kernel.
pub(super) fn is_initrd(path: &[u8]) -> bool {
    path.starts_with(b"boot/init") || path.starts_with(b"initr")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_wherever_in_a_path_they_are() {
        let mut facts = Facts::default();
        let mut put = |path: &str, sort, target: &str| {
            let entry = Entry {
                sort,
                mode: 0o644,
                size: 0,
                mtime: 0,
                capability: false,
                target: target.into(),
                content: None,
            };
            facts.entries.insert(path.into(), entry);
        };
        for folder in ["etc", "usr", "usr/lib", "usr/lib/os"] {
            put(folder, Sort::Directory, "");
        }
        put("usr/lib/os/file", Sort::File, "");
        put("lib", Sort::Link, "usr/lib");
        put("etc/link", Sort::Link, "../lib/os/./file");
        put("etc/usr", Sort::Link, "/usr");
        put("etc/self", Sort::Link, "self/on");
        let found = |path: &str| facts.resolve(path).map(|(path, _)| path);
        for path in [
            "usr/lib/os/file",
            "lib/os/file",
            "etc/link",
            "etc/usr/lib/os/file",
        ] {
            assert_eq!(found(path), Some(b"usr/lib/os/file".to_vec()), "{path}");
        }
        for path in [
            "lib/none",
            "usr/lib/os/file/x",
            "etc/link/x",
            "etc/self",
            "none",
            "",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
        assert_eq!(found(&"etc/".repeat(1024)), None);
    }
}
