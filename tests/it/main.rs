//! Tests against other people's tools and whole runs of the program: one binary, so that one link serves
//! them all.
//!
//! | module | what it proves |
//! |---|---|
//! | `archive_*` | the tar reader against tar, bad input, damage |
//! | `boot`, `cli` | the program's verbs, exit codes and streams |
//! | `determinism` | same archive, same spec, same bytes; and which bytes they were |
//! | `ext4_geometry` | layout of a filesystem against mke2fs, at a hundred sizes |
//! | `fidelity` | every file of an image against the tar, through other readers |
//! | `grub*` | core.img, its embedding and grub.cfg against GRUB's own tools, and a boot |
//! | `oracle` | every shape of image against e2fsck, sfdisk, blkid, file; what each of them proves |
//! | `partition` | the MBR against sfdisk |
//! | `readme` | that the README says what the program does |

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::as_conversions,
    reason = "a failed unwrap is a failed test"
)]

mod archive_bad;
mod archive_compression;
mod archive_odd;
mod archive_prop;
mod archive_tools;
mod boot;
mod cli;
mod common;
mod determinism;
mod ext4_geometry;
mod fidelity;
mod grub;
mod grub_boot;
mod grub_config;
mod oracle;
mod partition;
mod readme;
mod tools;
