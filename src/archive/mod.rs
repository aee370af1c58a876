//! Archives in, entries out. Untrusted input ends here.
//!
//! ```text
//!   file, stdin          decoder thread                       caller's thread
//!  ┌───────────┐ read ┌─────────────────┐  4 buffers of 1 MiB ┌────────────────┐ Entry
//!  │ .tar[.gz…]├─────►│ plain gz zst xz ├────────────────────►│ tar headers,   ├──────►
//!  └───────────┘      │ bz2, by magic   │◄────────────────────┤ pax, sparse    │ Bytes
//!                     └─────────────────┘   empty ones back   └────────────────┘
//! ```
//!
//! File data is never copied: a decoder writes straight into a buffer of the pool, and what the
//! caller gets are slices of that buffer. The reader is our own because the `tar` crate reads no pax
//! sparse file, merges no pax records of several headers, and copies all data through `Read`.
//!
//! Nothing here allocates by a length that an archive claims: memory grows only with bytes that came.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod decode;
mod detect;
mod digested;
mod docker;
mod error;
mod filter;
mod folder;
mod input;
mod layer;
mod members;
mod oci;
mod origin;
mod read_ahead;
mod reader;
mod rootfs;
mod source;
mod sparse_digest;
mod tar;
mod turn;

pub use crate::entry::{DataRun, Entry, EntryKind};
pub use detect::{Compression, LOOKS_AT, Looks, looks};
pub use digested::{Input, InputLayer};
pub use error::{ArchiveError, Part, Place};
pub use filter::{Filter, end_filters};
pub use folder::FolderError;
pub(crate) use folder::{SingleFile, digest_of_files};
pub use oci::{Blob, ImageError, Platform, Store};
pub use origin::Origin;
pub use reader::ArchiveReader;
pub use rootfs::{Item, Options, Rootfs};
pub(crate) use sparse_digest::{HolesLeft, SparseDigest};
pub use tar::TarWriter;
