//! Packages that dpkg has installed: `var/lib/dpkg/status`, deb-control(5).

use super::side::Root;
use crate::display::display_path;
use crate::grub::compare_versions;
use crate::inspect::files::FilesError;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Where dpkg has its list.
pub(super) const STATUS: &str = "var/lib/dpkg/status";
/// A longer one is not read.
const STATUS_MAX: u64 = 64 << 20;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Its name, with its architecture where several may be installed.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A package whose version differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upgrade {
    /// Its name.
    pub name: String,
    /// Version in the first.
    pub from: String,
    /// Version in the second.
    pub to: String,
    /// Whether the second is the older one.
    pub downgrade: bool,
}

/// What differs of packages, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackageChanges {
    /// In the second alone.
    pub added: Vec<Package>,
    /// In the first alone.
    pub removed: Vec<Package>,
    /// In both, of other versions.
    pub upgraded: Vec<Upgrade>,
}

impl PackageChanges {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.upgraded.is_empty()
    }
}

/// Version by name and architecture.
type Packages = BTreeMap<String, String>;

/// What is installed on a root filesystem; nothing where there is no dpkg.
pub(super) fn of(root: Root<'_>) -> Result<Packages, FilesError> {
    match root {
        Root::Nothing => Ok(Packages::new()),
        Root::Archived(archived) => Ok(parse(archived.kept(STATUS).unwrap_or_default())),
        Root::Files(files) => {
            let text = files.small(STATUS.as_bytes(), STATUS_MAX);
            text.map(|text| parse(&text.unwrap_or_default()))
        }
    }
}

fn parse(text: &[u8]) -> Packages {
    let mut packages = Packages::new();
    let (mut name, mut arch, mut version, mut installed) = (None, None, None, false);
    for line in text.split(|b| *b == b'\n').chain([&b""[..]]) {
        if line.is_empty() {
            if let (Some(name), Some(version), true) = (name.take(), version.take(), installed) {
                let name: String = name;
                let arch: Option<String> = arch.take();
                let name = arch.map_or_else(|| name.clone(), |arch| format!("{name}:{arch}"));
                packages.insert(name, version);
            }
            (name, arch, version, installed) = (None, None, None, false);
            continue;
        }
        let value = |key: &str| {
            let value = line.strip_prefix(key.as_bytes())?.trim_ascii();
            Some(display_path(value).to_string())
        };
        if let Some(value) = value("Package:") {
            name = Some(value);
        } else if let Some(value) = value("Version:") {
            version = Some(value);
        } else if let Some(value) = value("Architecture:") {
            // As dpkg shows it: those of the machine's own kind bear none.
            arch = Some(value);
        } else if let Some(value) = value("Status:") {
            installed = value.ends_with(" installed");
        }
    }
    packages
}

pub(super) fn compare(a: &Packages, b: &Packages) -> PackageChanges {
    let package = |(name, version): (&String, &String)| Package {
        name: name.clone(),
        version: version.clone(),
    };
    let alone = |a: &Packages, b: &Packages| {
        let alone = a.iter().filter(|(name, _)| !b.contains_key(*name));
        alone.map(package).collect()
    };
    let both = a.iter().filter_map(|(name, from)| {
        let to = b.get(name).filter(|to| *to != from)?;
        Some(Upgrade {
            name: name.clone(),
            from: from.clone(),
            to: to.clone(),
            downgrade: compare_versions(from, to) == Ordering::Greater,
        })
    });
    PackageChanges {
        added: alone(b, a),
        removed: alone(a, b),
        upgraded: both.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_told_from_what_was_and_versions_are_compared_as_dpkg_does() {
        let a = parse(
            b"Package: a\nStatus: install ok installed\nVersion: 1.9\nArchitecture: amd64\n\n\
              Package: b\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n\
              Package: c\nStatus: install ok installed\nArchitecture: all\nVersion: 2~rc1\n",
        );
        let b = parse(
            b"Package: a\nStatus: install ok installed\nVersion: 1.10\nArchitecture: amd64\nDescription: x\n y\n\n\
              Package: d\nStatus: hold ok installed\nVersion: 1\nArchitecture: all\n\n\n",
        );
        let changes = compare(&a, &b);
        assert_eq!(changes.added[0].name, "d:all");
        assert_eq!(changes.removed[0].version, "2~rc1");
        assert!(!changes.upgraded[0].downgrade);
        assert!(compare(&b, &a).upgraded[0].downgrade);
        assert_eq!((changes.added.len(), changes.removed.len()), (1, 1));
        assert!(compare(&a, &a).is_empty());
    }
}
