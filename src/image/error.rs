//! Why there is no image.

use crate::archive::ArchiveError;
use crate::ext4::{EntryError, GeometryError, PlanError};
use crate::grub::GrubError;
use crate::partition::PartitionError;
use std::io;

/// Why a build ends without an image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry has no place in the filesystem.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The filesystem has no such size.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The tree has no place in the filesystem.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The partition table cannot be made.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The boot loader cannot be made.
    #[error("the boot loader cannot be made from /usr/lib/grub/i386-pc of the rootfs")]
    Grub(#[from] GrubError),
    /// No kernel to boot.
    #[error(
        "the rootfs has no kernel: nothing in /boot or / is called vmlinuz-*; on Debian the package \
         linux-image-cloud-amd64 brings one. Say `--boot none` for an image that need not boot"
    )]
    NoKernel,
    /// No loader to boot it with.
    #[error(
        "the rootfs has no GRUB for BIOS machines: /usr/lib/grub/i386-pc is {what}; on Debian the \
         package grub-pc-bin brings it. Say `--boot none` for an image that need not boot"
    )]
    NoGrub {
        /// What is there instead.
        what: &'static str,
    },
    /// A loader that refuses the root filesystem.
    #[error(
        "the GRUB of the rootfs could not read its root: ext2.mod refuses the incompatible features \
         {refused:#x} of {flags} (0x2000 is metadata_csum_seed and 0x4000 is large_dir, which GRUB reads \
         from 2.12 and Debian's from 2.06-8 on); leave out {flags}"
    )]
    GrubRefuses {
        /// The flags that asked for them.
        flags: String,
        /// Bits of `s_feature_incompat`.
        refused: u32,
    },
    /// A feature that those for whom the profile is meant do not read.
    #[error(
        "`--large-dir` and `--features {profile}` exclude each other: large_dir needs Linux 4.13 and GRUB \
         2.12; leave out one of them"
    )]
    LargeDirOfOld {
        /// The profile.
        profile: &'static str,
    },
    /// Nobody to grow the root at first boot, and one was asked for.
    #[error("`--grow-at-boot {by}` cannot work: {why}; mend that, or say `--grow-at-boot auto`")]
    CannotGrow {
        /// Who was asked for.
        by: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// A boot loader without a partition table to put it behind.
    #[error(
        "`--boot bios` needs a partition table: GRUB lives in front of the first partition; \
         say `--scheme mbr`, or `--boot none`"
    )]
    BootNeedsTable,
    /// A label that the superblock has no room for.
    #[error("the label '{label}' has {len} bytes; ext4 holds 16")]
    Label {
        /// The label.
        label: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A host name that cannot be one.
    #[error(
        "the host name '{name}' is not one: letters, digits, '-' and '.', at most 64 (hostname(7))"
    )]
    Hostname {
        /// The name.
        name: String,
    },
    /// A disk too small for a partition.
    #[error(
        "a disk of {size} bytes has no room behind the first MiB; say a larger `--size`, \
         or `--size fit`"
    )]
    DiskTooSmall {
        /// Its size.
        size: u64,
    },
    /// A disk that no sector divides.
    #[error("a disk of {size} bytes is not a whole number of 512-byte sectors; {} bytes are",
            .size.next_multiple_of(512))]
    DiskNotSectors {
        /// Its size.
        size: u64,
    },
    /// The output cannot take the data.
    #[error("cannot write file data to the output")]
    Spool(#[source] io::Error),
    /// Somebody said stop.
    #[error("interrupted")]
    Interrupted,
}
