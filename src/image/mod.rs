//! Plans in, an image out: what was asked for, what was made.
//!
//! [`build`] runs the stages: entries are put into the tree and their data into the spool as they come
//! (`ingest`), [`customize`] edits the tree as the user wants it, `prepare` decides what the image adds, `mode` how the image boots; `ext4`, `fat`, `partition` and `grub` plan their parts,
//! and the extents of all of them make one [`Image`].

mod accounts;
mod arch;
mod asked;
mod assemble;
mod bios;
mod build;
pub mod customize;
mod digests;
mod disk;
mod editor;
mod error;
mod fsck;
mod grow;
mod hosts;
mod ingest;
mod layout;
mod mode;
mod places;
mod prepare;
mod pv;
mod report;
mod seed;
mod spec;
mod spool;
mod wanted;
mod zeros;

pub use asked::{Asked, EspEntry, Told};
pub use build::{Built, build, build_and_tell};
pub use customize::Customize;
pub use digests::Digests;
pub use disk::{Disk, DiskError};
pub use error::BuildError;
pub use layout::{Image, ImageError, Source, Structure};
pub use mode::contradiction;
pub use report::{PartitionReport, Report};
pub use spec::{Boot, DEFAULT_ESP_SIZE, Free, GrowAtBoot, Profile, RootBy, Scheme, Size, Spec};
pub use spool::{MemorySpool, PlanSpool, Spool};
