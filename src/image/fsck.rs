//! Whether the e2fsck of the rootfs knows the features of its root: one that does not refuses it, and a boot
//! that checks its filesystems ends in an emergency shell.

use super::ingest::Ingest;
use super::wanted::DPKG_STATUS;
use super::{BuildError, Spec};
use crate::ext4::Features;
use crate::grub::compare_versions;
use crate::packages::dpkg_installed;
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
    let status = ingest.read(DPKG_STATUS.as_bytes())?.unwrap_or_default();
    let Some(found) = dpkg_installed(&status).find(|p| p.name == "e2fsprogs") else {
        return Ok(());
    };
    let found = found.version;
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
