//! Where an image goes.

pub mod beside;
pub mod blocks;
pub mod map;
pub mod raw;
pub mod spool;
