//! Where an image goes.
//!
//! | format | file data meanwhile | written by |
//! |---|---|---|
//! | raw, fixed VHD | at its place in the output | [`raw`] |
//! | qcow2 | at its place in the output | [`qcow2`] |
//! | every other, and all to a pipe | in a file without a name, [`spool`] | [`format`](mod@format): one forward pass |

pub mod beside;
mod blame;
pub mod blocks;
pub mod bmap;
pub mod format;
pub mod map;
mod packed;
pub mod qcow2;
pub mod raw;
pub mod spool;

pub use blame::of_reading;
