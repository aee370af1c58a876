//! What lies where on a disk: a sorted list of regions without gaps, ours or not, by its metadata alone.
//!
//! ```text
//!  bytes ──► table (MBR, GPT, boot code) ─┐
//!            fat   (tables, clusters)     ├─► claims ──► regions: sorted, disjoint, covering the disk
//!            ext4  (groups, inodes)      ─┘   the first of two claims on a byte wins
//! ```
//!
//! File data is never read. Where a sparse file says that it has a hole under file data, that is `zero`.
//!
//! | file | what |
//! |---|---|
//! | `what` | the words: what a region is, and of which kind |
//! | `claims` | many claims, some of them on the same bytes, to one list |
//! | `table`, `fat`, `ext4` | who claims |
//! | `holes` | file data that a sparse image does not hold |

mod claims;
mod ext4;
mod fat;
mod holes;
mod table;
mod what;

pub use what::{Kind, What};

use super::{Info, InspectError, info};
use crate::read_at::{ReadAt, Window};
use claims::Claims;
use serde::Serialize;
use std::sync::Arc;

/// Bytes of a disk that are one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// First byte.
    pub at: u64,
    /// Length in bytes; never 0.
    pub len: u64,
    /// Its kind.
    pub kind: Kind,
    /// What it is.
    pub what: What,
    /// The number of the partition that it lies in; 0 outside of all.
    pub partition: u32,
}

impl Region {
    /// One past the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.at + self.len
    }
}

/// What lies where on a disk.
#[derive(Clone, Debug, Serialize)]
pub struct Map {
    /// Its partitions and filesystems.
    #[serde(flatten)]
    pub info: Info,
    /// Whether all metadata was looked at: false where it is damaged or more than memory is meant to hold;
    /// what is missing counts as free then.
    pub complete: bool,
    /// Sorted, disjoint, covering the disk exactly.
    pub regions: Vec<Region>,
}

impl Map {
    /// The region of a byte; `None` past the end of the disk.
    #[must_use]
    pub fn at(&self, byte: u64) -> Option<&Region> {
        let n = self.regions.partition_point(|r| r.end() <= byte);
        self.regions.get(n)
    }
}

/// What lies where on `disk`.
///
/// # Errors
/// When it cannot be read, or its partition table is damaged.
pub fn map(disk: &Arc<dyn ReadAt>) -> Result<Map, InspectError> {
    let info = info(disk)?;
    let mut claims = Claims::default();
    table::front(disk, &info, &mut claims)?;
    for p in &info.partitions {
        let (at, len) = p.bytes(info.size);
        claims.partition = p.number;
        let holds = Holds::of(p.filesystem.is_some(), p.fat.is_some());
        volume(disk, at, len, holds, &mut claims)?;
        table::content(p, at, len, &mut claims);
    }
    claims.partition = 0;
    if info.scheme == "none" {
        let holds = Holds::of(info.filesystem.is_some(), true);
        volume(disk, 0, info.size, holds, &mut claims)?;
        claims.add(0, info.size, What::Unknown);
    } else {
        claims.add(0, info.size, What::Unpartitioned);
    }
    let (complete, mut regions) = (claims.complete, claims.regions());
    holes::mark(disk, &mut regions)?;
    Ok(Map {
        info,
        complete,
        regions,
    })
}

/// What is looked for in a partition.
#[derive(Clone, Copy)]
enum Holds {
    Ext4,
    Fat,
    Unknown,
}

impl Holds {
    fn of(ext4: bool, fat: bool) -> Self {
        match (ext4, fat) {
            (true, _) => Self::Ext4,
            (_, true) => Self::Fat,
            _ => Self::Unknown,
        }
    }
}

/// Claims what a filesystem has in a partition.
fn volume(
    disk: &Arc<dyn ReadAt>,
    at: u64,
    len: u64,
    holds: Holds,
    claims: &mut Claims,
) -> Result<(), InspectError> {
    match holds {
        Holds::Ext4 => {
            let fs: Arc<dyn ReadAt> = Arc::new(Window::new(Arc::clone(disk), at, len));
            ext4::claim(&fs, at, claims)
        }
        Holds::Fat => fat::claim(disk, at, len, claims),
        Holds::Unknown => Ok(()),
    }
}
