//! Virtual disks: qcow2, VMDK and VHD, written in one forward pass and read as the disk that they hold.
//!
//! ```text
//!  Layout (extents) ──► qcow2::write ─┐                       ┌─ qcow2::Reader ─┐
//!                   ──► vmdk::write  ─┼─► Forward: file, pipe ─► vmdk::Reader  ─┼─► VirtualDisk: ReadAt
//!                   ──► vhd::write   ─┘                       └─ vhd::Reader   ─┘
//! ```
//! A writer knows the extents before it begins, so every table is known before its place comes; nothing is
//! written twice, and the bytes depend on the disk alone. What is zero or free is not stored.
//!
//! A reader takes nothing from an image on trust: sizes are bounded before they are used, and an image that
//! leans on another file (backing file, parent, extents beside it) or that is encrypted is refused by name.

mod cache;
mod chunks;
mod error;
mod format;
mod forward;
mod open;
mod outlet;
mod part;
pub mod qcow2;
mod scan;
pub mod vhd;
pub mod vmdk;

pub use error::VdiskError;
pub use format::Format;
pub use forward::{Forward, copy};
pub use open::{Opened, detect, open, open_file, open_path, spool_folder, stored, unpack};
pub use outlet::Outlet;
pub use scan::Scanned;

use crate::read_at::ReadAt;
use crate::units::TIB;
use std::io;
use std::ops::Range;

/// The largest disk that is read: that of an EBS volume, io2 Block Express.
pub const MAX_DISK: u64 = 64 * TIB;

/// What an image says of the bytes from some place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many bytes; never 0 before the end of the disk.
    pub len: u64,
    /// Whether they are stored. What is not reads as zeros.
    pub stored: bool,
}

/// A disk inside an image of some format.
pub trait VirtualDisk: ReadAt {
    /// What is known of the bytes from `at` on, without reading them.
    ///
    /// # Errors
    /// When a table of the image cannot be read or is none.
    fn run(&self, at: u64) -> io::Result<Run>;
}

/// [`ReadAt::hole`] of a disk that knows its runs.
fn hole(disk: &dyn VirtualDisk, offset: u64) -> io::Result<Range<u64>> {
    let mut at = offset;
    loop {
        let run = disk.run(at)?;
        if run.len == 0 {
            return Ok(disk.len()..disk.len());
        }
        if !run.stored {
            return Ok(at..at + run.len);
        }
        at += run.len;
    }
}
