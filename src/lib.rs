//! diskwright turns a root filesystem archive into a bootable disk image, in plain userspace.

pub mod archive;
pub mod boot;
pub mod checksum;
pub mod display;
pub mod ext4;
pub mod extent;
pub mod grub;
pub mod image;
pub mod inspect;
pub mod observe;
pub mod partition;
pub mod read_at;
pub mod seed;
pub mod sink;
pub mod tree;
pub mod units;
