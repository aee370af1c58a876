//! Looking at an image, ours or not, without mounting it.
//!
//! | file | what |
//! |---|---|
//! | `image` | an image's path, to the bytes of its disk |
//! | `info`, `features`, `format` | partition tables, filesystems by their superblocks |
//! | `disk`, `files` | all volumes of a disk, and their files, of ext4 and FAT alike |
//! | `address`, `resolve`, `walk` | `IMG:p1:/path`, symbolic links, everything below |
//! | `taken` | files whose blocks are those of others |
//! | `extract` | files out of it, into a tar or a folder |
//! | `diff` | what two images have not in common |
//! | `map`, `explain` | what lies where on a disk |
//! | `accounts` | the names of owners, by the image's own `/etc/passwd` |

mod accounts;
mod address;
pub mod diff;
mod disk;
pub mod explain;
mod extract;
mod features;
mod files;
mod format;
mod image;
mod info;
pub mod lint;
pub mod map;
mod resolve;
mod taken;
mod walk;

pub use accounts::Accounts;
pub use address::Address;
pub use disk::{Disk, Volume};
pub use extract::{ExtractError, Extracted, to_folder, to_tar};
pub use files::{Child, Data, Files, FilesError, Kind, Node, is_name};
pub use format::{is_fixed_vhd, not_disk, not_raw};
pub use image::{open_image, open_image_in};
pub use info::{Fat, Fault, Filesystem, Info, InspectError, Partition, Root, info, root};
pub use walk::{Entered, Met, Unread, Walk};
