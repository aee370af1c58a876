//! Looking at an image, ours or not, without mounting it.

mod features;
mod info;

pub use info::{Fat, Fault, Filesystem, Info, InspectError, Partition, Root, info, root};
