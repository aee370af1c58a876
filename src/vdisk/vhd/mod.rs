//! VHD: Microsoft's *Virtual Hard Disk Image Format Specification* 1.0.
//!
//! ```text
//!  fixed    ┌──────────────────────────────────────────────────────────────────┬────────┐
//!           │ the raw disk                                                     │ footer │
//!           └──────────────────────────────────────────────────────────────────┴────────┘
//!  dynamic  ┌────────┬─────────┬──────────────┬────────┬─────────┬───┬─────────┬────────┐
//!           │ footer │ dynamic │ block        │ bitmap │ block,  │ … │ bitmap, │ footer │
//!           │ (copy) │ header  │ allocation   │        │ 2 MiB   │   │ block   │        │
//!           └────────┴─────────┴──────────────┴────────┴─────────┴───┴─────────┴────────┘
//! ```

pub mod disk;
mod read;
mod write;

pub use read::{Reader, format_of};
pub use write::{MAX_SIZE, geometry, write, write_fixed};
