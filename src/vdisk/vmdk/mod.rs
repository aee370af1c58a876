//! VMDK: VMware's *Virtual Disk Format 5.0*, hosted sparse extents.
//!
//! streamOptimized, as AWS and vSphere take it, is written:
//! ```text
//!  ┌────────┬────────────┬────────┬────────┬ ─ ┬─────────────┬ ─ ┬─────────────────┬────────┬─────┐
//!  │ header │ descriptor │ marker │ marker │   │ marker,     │   │ marker, grain   │ footer │ end │
//!  │ GD at  │ text       │ grain  │ grain  │   │ grain table │   │ directory (GD)  │ header │     │
//!  │ end    │            │ deflate│ deflate│   │             │   │                 │ again  │     │
//!  └────────┴────────────┴────────┴────────┴ ─ ┴─────────────┴ ─ ┴─────────────────┴────────┴─────┘
//! ```
//! Read are that and monolithicSparse, whose grains lie uncompressed behind the tables.

mod descriptor;
pub mod disk;
mod read;
mod write;

pub use read::Reader;
pub use write::{MAX_SIZE, write, write_on};

use crate::read_at::ReadAt;
use crate::units::index;
use std::io;

/// How a descriptor file begins that has its extents beside it.
const DESCRIPTOR_FILE: &[u8] = b"# Disk DescriptorFile";

/// Whether a file is a VMDK of any kind, also of those that are not read.
pub(super) fn is_vmdk(file: &dyn ReadAt) -> io::Result<bool> {
    let mut head = [0; 21];
    let len = index(file.len().min(21));
    file.read_exact_at(0, &mut head[..len])?;
    let magic = [disk::MAGIC, disk::MAGIC_ESX];
    Ok(magic.iter().any(|m| head.starts_with(m)) || head == DESCRIPTOR_FILE)
}
