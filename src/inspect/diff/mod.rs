//! What two images, or the root filesystems that they are made from, have not in common.
//!
//! | file | what |
//! |---|---|
//! | `side` | one of the two: an image, or an archive |
//! | `archive` | the files of an archive, with digests of their data |
//! | `compare` | files of all volumes |
//! | `file` | what is known of a file, on either side |
//! | `contents`, `data` | whether two files hold the same bytes |
//! | `packages` | what dpkg has installed |
//! | `structures` | partition table and superblocks |
//! | `blocks` | blocks of a snapshot |

mod archive;
mod blocks;
mod compare;
mod contents;
mod data;
mod file;
mod packages;
mod side;
mod structures;

pub use blocks::{BLOCK, Blocks};
pub use compare::{Changed, Entry, FileChanges, Unreadable};
pub use packages::{Package, PackageChanges, Upgrade};
pub use side::Side;
pub use structures::Field;

use super::info::InspectError;
use crate::archive::ArchiveError;
use crate::ext4::EntryError;
use crate::observe::Observer;
use crate::tree::TreeError;
use serde::Serialize;

/// All that differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// Files of the root filesystems; of two images those of their other volumes too.
    pub files: FileChanges,
    /// Packages of dpkg.
    pub packages: PackageChanges,
    /// Fields of the partition table and of superblocks; of two images alone.
    pub structures: Vec<Field>,
    /// Blocks of 512 KiB, as EBS snapshots have them; of two images alone.
    pub blocks: Option<Blocks>,
}

impl Diff {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.packages.is_empty()
            && self.structures.is_empty()
            && self.blocks.as_ref().is_none_or(|b| b.differ == 0)
    }
}

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// An image cannot be opened.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// An archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An archive has what no tree holds.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// An archive has what no tree holds.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A filesystem cannot be read.
    #[error("the filesystem in {image} cannot be read: {why}")]
    Filesystem {
        /// The image.
        image: String,
        /// Why.
        why: String,
    },
    /// Bytes of a disk cannot be read.
    #[error("{image} cannot be read at byte {offset}")]
    Disk {
        /// The image.
        image: String,
        /// Byte of the disk.
        offset: u64,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody said stop.
    #[error("interrupted")]
    Interrupted,
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Of {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

/// Compares two sides. A file that cannot be read is told as such, and the rest compared.
///
/// # Errors
/// When a disk, an archive or the root filesystem cannot be read.
pub fn diff(a: &Side, b: &Side, observer: &dyn Observer) -> Result<Diff, DiffError> {
    let mut diff = Diff::default();
    if let (Some((a_name, a)), Some((b_name, b))) = (a.disk(), b.disk()) {
        diff.structures = structures::compare(a.info(), b.info());
        diff.blocks = Some(blocks::compare((a_name, a), (b_name, b), observer)?);
    }
    diff.files = compare::files(a, b, diff.blocks.as_ref(), observer)?;
    match (packages::of(a.root()?), packages::of(b.root()?)) {
        (Ok(a), Ok(b)) => diff.packages = packages::compare(&a, &b),
        (a, b) => {
            let path = format!("/{}", packages::STATUS);
            let unreadable = &mut diff.files.unreadable;
            for (of, e) in [(Of::First, a.err()), (Of::Second, b.err())] {
                let known = unreadable.iter().any(|u| u.of == of && u.path == path);
                unreadable.extend(e.filter(|_| !known).map(|e| Unreadable {
                    path: path.clone(),
                    of,
                    why: contents::told(&e),
                }));
            }
        }
    }
    Ok(diff)
}
