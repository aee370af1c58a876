//! diskwright turns a root filesystem archive into a bootable disk image, in plain userspace.

pub mod archive;
pub mod checksum;
pub mod display;
pub mod extent;
pub mod observe;
pub mod read_at;
pub mod seed;
pub mod units;
