//! Whether the e2fsck of the rootfs knows the features of its root: one that does not refuses it, and a boot
//! that checks its filesystems ends in an emergency shell.

use super::ingest::Ingest;
use super::wanted::DPKG_STATUS;
use super::{BuildError, Spec};
use crate::ext4::Features;
use crate::grub::compare_versions;
use std::cmp::Ordering;

/// A feature and the first e2fsprogs that takes it.
struct Since {
    has: fn(Features) -> bool,
    name: &'static str,
    version: &'static str,
    flag: &'static str,
}

/// Features that a flag asks for and an e2fsck in use today may not know (`lib/ext2fs/ext2fs.h`,
/// `EXT2_LIB_FEATURE_*_SUPP` of its releases). metadata_csum_seed is known since 1.43.
const SINCE: [Since; 2] = [
    Since {
        has: Features::orphan_file,
        name: "orphan_file",
        version: "1.47",
        flag: "`--features modern`",
    },
    Since {
        has: Features::large_dir,
        name: "large_dir",
        version: "1.44",
        flag: "`--large-dir`",
    },
];

/// Warns when dpkg has an e2fsprogs in the rootfs that refuses its root.
pub(super) fn warn_of_features(ingest: &mut Ingest<'_>, spec: &Spec) -> Result<(), BuildError> {
    let features = spec.filesystem().features;
    let asked: Vec<_> = SINCE.iter().filter(|s| (s.has)(features)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let status = ingest.read(DPKG_STATUS.as_bytes())?;
    let Some(found) = status.as_deref().and_then(|s| version(s, b"e2fsprogs")) else {
        return Ok(());
    };
    for Since {
        name,
        version,
        flag,
        ..
    } in asked
    {
        if compare_versions(&found, version) == Ordering::Less {
            let found = crate::display::display_path(found.as_bytes());
            ingest.warn(&format!(
                "{flag}: the e2fsck of the rootfs ({found}) refuses a root with {name}, which it knows from \
                 {version} on, and so does a boot that checks its root: leave out {flag}, or give the rootfs a \
                 newer e2fsprogs"
            ));
        }
    }
    Ok(())
}

/// The version of an installed package (dpkg(1); Debian Policy 5.1 on paragraphs and fields).
fn version(status: &[u8], package: &[u8]) -> Option<String> {
    let mut mine = false;
    let (mut installed, mut found) = (false, None);
    for line in status.split(|&b| b == b'\n').chain([&b""[..]]) {
        let field = |name: &str| {
            let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            Some(value.trim_ascii())
        };
        if line.is_empty() {
            if mine && installed && found.is_some() {
                return found;
            }
            (mine, installed, found) = (false, false, None);
        } else if let Some(name) = field("Package") {
            mine = name == package;
        } else if let Some(state) = field("Status") {
            installed = state.ends_with(b" installed");
        } else if let Some(version) = field("Version") {
            found = Some(String::from_utf8_lossy(version).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_an_installed_package_is_found() {
        let status = b"Package: e2fsprogs-l10n\nStatus: install ok installed\nVersion: 9\n\n\
            Package: e2fsprogs\nStatus: install ok installed\nDescription: a\n Version: 7\n\
            Version: 1.46.2-2\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 3\n";
        assert_eq!(version(status, b"e2fsprogs").unwrap(), "1.46.2-2");
        assert_eq!(version(status, b"gone"), None);
        assert_eq!(version(status, b"other"), None);
        assert_eq!(version(b"", b"e2fsprogs"), None);
    }
}
