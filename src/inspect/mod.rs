//! Looking at an image, ours or not, without mounting it.

pub mod explain;
mod features;
mod format;
mod info;
pub mod map;

pub use format::{is_fixed_vhd, not_raw};
pub use info::{Fat, Fault, Filesystem, Info, InspectError, Partition, Root, info, root};
