//! Strategies for property tests with [`proptest`]: file trees, filesystems, disks. Feature `proptest`.
//!
//! | strategy | what it makes |
//! |---|---|
//! | [`files()`] | [`Files`]: a list as an archive has it, every entry of which a tree takes |
//! | [`format()`] | [`Format`](crate::ext4::Format): size, block size, features, inodes, which make a filesystem |
//! | [`disk()`] | [`DiskLayout`]: a disk and up to four partitions that fit it |
//!
//! What fails shrinks to few entries with short names, in the order in which it was found, and prints as
//! a listing:
//!
//! ```text
//! drwxr-xr-x 0/0 a
//! -rw-r--r-- 0/0 a/b, 4097 bytes
//! hard link  a/c to a/b
//! lrwxrwxrwx 0/0 d -> /a
//! ```
//!
//! A property of any filesystem: that it is clean to a checker that has not seen the planner.
//!
//! ```
//! use diskwright::ext4::Builder;
//! use diskwright::strategy;
//! use proptest::prelude::*;
//!
//! proptest!(ProptestConfig::with_cases(4), |(format in strategy::format(), files in strategy::files())| {
//!     let mut fs = Builder::new(format)?;
//!     files.put(&mut fs)?;
//!     // The files may not fit a filesystem of a given size.
//!     if let Ok(fs) = fs.finish() {
//!         let (summary, findings) = fs.verify()?;
//!         prop_assert!(summary.complete && findings.is_empty(), "{findings:?}");
//!     }
//! });
//! ```

mod disk;
mod entries;
mod files;
mod format;

pub use disk::{DiskLayout, disk};
pub use entries::{files, meta, name, xattrs};
pub use files::{File, Files, Pattern};
pub use format::{format, options};
