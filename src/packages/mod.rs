//! What is installed: the databases of dpkg and apk and os-release, read as data. No code of the rootfs runs.
//!
//! ```text
//! var/lib/dpkg/status, status.d/*  ──► dpkg ─┐
//! lib/apk/db/installed             ──► apk  ─┼─► Inventory ──► purl
//! etc/os-release                   ──► os   ─┘
//! ```
//!
//! Databases of rpm and pacman are recognised and not read: [`PackagesError::NotRead`] says so, for a list
//! that leaves out what is there would be worse than none.

mod apk;
mod dpkg;
mod os;
mod purl;

pub use os::OsRelease;
pub use purl::encoded;

use std::collections::BTreeMap;

/// Where dpkg has its database.
const DPKG_STATUS: &[u8] = b"var/lib/dpkg/status";
/// Where images without dpkg (distroless) have a file for each package.
const DPKG_STATUS_D: &[u8] = b"var/lib/dpkg/status.d/";
/// Where apk has its database: below `/usr` where `/lib` is a symbolic link.
const APK: [&[u8]; 2] = [b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];
/// The system's name, the first that is there (os-release(5)).
const OS_RELEASE: [&[u8]; 2] = [b"etc/os-release", b"usr/lib/os-release"];
/// Databases that are not read.
const NOT_READ: [(&[u8], &str); 5] = [
    (b"var/lib/rpm/rpmdb.sqlite", "rpm"),
    (b"usr/lib/sysimage/rpm/rpmdb.sqlite", "rpm"),
    (b"usr/lib/sysimage/rpm/Packages.db", "rpm"),
    (b"var/lib/rpm/Packages", "rpm"),
    (b"var/lib/pacman/local/ALPM_DB_VERSION", "pacman"),
];

/// Who installed a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// dpkg, of Debian and what derives from it.
    Dpkg,
    /// apk, of Alpine and what derives from it.
    Apk,
}

/// An installed package. Texts are as its database has them, what is no UTF-8 replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// Its architecture, in the words of its manager.
    pub arch: String,
    /// Who installed it.
    pub manager: Manager,
    /// The source that it was built from; with its version where that is another.
    pub source: Option<(String, Option<String>)>,
    /// Who looks after it: `Name <address>`.
    pub maintainer: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// Its licence, where the database names it.
    pub licence: Option<String>,
}

/// All that is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The system.
    pub os: OsRelease,
    /// By name, version and architecture.
    pub packages: Vec<Package>,
}

/// Files of a root filesystem, by their paths without a leading `/`.
pub type Databases = BTreeMap<Vec<u8>, Vec<u8>>;

/// Why there is no list of packages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackagesError {
    /// A database of another kind.
    #[error(
        "/{path} is a package database of {manager}, which is not read: those of dpkg and apk are"
    )]
    NotRead {
        /// Where it lies.
        path: String,
        /// Who keeps it.
        manager: &'static str,
    },
    /// No database at all.
    #[error(
        "there is no package database of dpkg (/var/lib/dpkg/status, status.d) or apk \
         (/lib/apk/db/installed): what is installed cannot be told"
    )]
    None,
}

/// Whether [`Inventory::read`] may look at the file at `path` (without a leading `/`).
#[must_use]
pub fn is_input(path: &[u8]) -> bool {
    path.starts_with(DPKG_STATUS_D) || inputs().any(|input| input == path)
}

/// What [`Inventory::read`] looks at, without a leading `/`: files, and the folder `var/lib/dpkg/status.d`.
pub fn inputs() -> impl Iterator<Item = &'static [u8]> {
    let folder = DPKG_STATUS_D.strip_suffix(b"/").unwrap_or(DPKG_STATUS_D);
    let not_read = NOT_READ.iter().map(|(path, _)| *path);
    [DPKG_STATUS, folder]
        .into_iter()
        .chain(APK)
        .chain(OS_RELEASE)
        .chain(not_read)
}

impl Inventory {
    /// Reads the databases among `files`.
    ///
    /// # Errors
    /// When there is none, or one of a kind that is not read.
    pub fn read(files: &Databases) -> Result<Self, PackagesError> {
        let not_read = NOT_READ.iter().find(|(path, _)| files.contains_key(*path));
        if let Some(&(path, manager)) = not_read {
            let path = String::from_utf8_lossy(path).into_owned();
            return Err(PackagesError::NotRead { path, manager });
        }
        let mut found = false;
        let mut packages = Vec::new();
        for (path, bytes) in files {
            if path == DPKG_STATUS {
                packages.extend(dpkg::installed(bytes));
            } else if let Some(name) = path.strip_prefix(DPKG_STATUS_D) {
                // Beside each lies a list of sums.
                if name.contains(&b'/') || name.ends_with(b".md5sums") {
                    continue;
                }
                packages.extend(dpkg::installed(bytes));
            } else if APK.contains(&path.as_slice()) {
                packages.extend(apk::installed(bytes));
            } else {
                continue;
            }
            found = true;
        }
        if !found {
            return Err(PackagesError::None);
        }
        packages.sort();
        packages.dedup();
        let os = OS_RELEASE.iter().find_map(|path| files.get(*path));
        let os = os.map(|bytes| OsRelease::parse(bytes)).unwrap_or_default();
        Ok(Self { os, packages })
    }
}

/// The packages that a database of dpkg calls installed.
pub fn dpkg_installed(status: &[u8]) -> impl Iterator<Item = Package> {
    dpkg::installed(status)
}

/// Paragraphs of lines, with an empty line between them.
fn paragraphs(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let mut lines = bytes.split(|&b| b == b'\n');
    std::iter::from_fn(move || {
        let mut paragraph = Vec::new();
        for line in lines.by_ref() {
            match line {
                b"" if paragraph.is_empty() => {}
                b"" => break,
                line => paragraph.push(line),
            }
        }
        (!paragraph.is_empty()).then_some(paragraph)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let owned = |t: &&str| t.as_bytes().to_vec();
        list.iter().map(|(p, t)| (owned(p), owned(t))).collect()
    }

    #[test]
    fn databases_of_several_kinds_make_one_list_by_name() {
        let found = Inventory::read(&files(&[
            ("etc/os-release", "ID=debian\n"),
            (
                "var/lib/dpkg/status.d/tzdata",
                "Package: tzdata\nVersion: 1\nArchitecture: all\n",
            ),
            ("var/lib/dpkg/status.d/tzdata.md5sums", "00 usr/share/x\n"),
            ("lib/apk/db/installed", "P:musl\nV:1.2-r0\nA:x86_64\n\n"),
        ]))
        .unwrap();
        let names: Vec<_> = found.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["musl", "tzdata"]);
        assert_eq!(found.os.id, "debian");
    }

    #[test]
    fn what_is_not_read_is_said() {
        let none = Inventory::read(&files(&[("etc/os-release", "ID=x\n")]));
        assert_eq!(none.unwrap_err(), PackagesError::None);
        let rpm = Inventory::read(&files(&[
            ("var/lib/dpkg/status", ""),
            ("var/lib/rpm/rpmdb.sqlite", "SQLite"),
        ]));
        expect_test::expect![
            "/var/lib/rpm/rpmdb.sqlite is a package database of rpm, which is not read: those of dpkg and apk are"
        ]
        .assert_eq(&rpm.unwrap_err().to_string());
        for (path, _) in NOT_READ {
            assert!(is_input(path));
        }
        assert!(is_input(b"var/lib/dpkg/status.d/base-files"));
        assert!(!is_input(b"var/lib/dpkg/status-old"));
    }
}
