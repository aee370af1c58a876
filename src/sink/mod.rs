//! Where an image goes.

pub mod raw;
