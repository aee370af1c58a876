//! Why there is no image.

use super::customize::CustomizeError;
use crate::archive::ArchiveError;
use crate::ext4::{EntryError, GeometryError, PlanError};
use crate::fat::FatError;
use crate::grub::GrubError;
use crate::partition::PartitionError;
use std::io;
use std::path::PathBuf;

/// Why a build ends without an image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An edit that was asked for cannot be made.
    #[error(transparent)]
    Customize(#[from] CustomizeError),
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
    #[error("the boot loader cannot be made")]
    Grub(#[from] GrubError),
    /// No kernel to boot.
    #[error(
        "the rootfs has no kernel: nothing in /boot or / is called vmlinuz-*; on Debian the package \
         linux-image-cloud-amd64 brings one. Say `--boot none` for an image that need not boot"
    )]
    NoKernel,
    /// No loader to boot it with.
    #[error(
        "there is no GRUB for BIOS machines: /usr/lib/grub/i386-pc of the rootfs is missing or empty; on \
         Debian the package grub-pc-bin brings it. `--grub DIR` names another folder like /usr/lib/grub; \
         say `--boot none` for an image that need not boot"
    )]
    NoGrub,
    /// A folder with GRUB's files cannot be read.
    #[error("cannot read GRUB's files: {}", .path.display())]
    GrubFolder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
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
    /// No loader for UEFI to boot it with.
    #[error(
        "there is no loader for UEFI on {arch}: the rootfs has neither a signed nor a monolithic GRUB nor \
         the modules to make one; on Debian the packages shim-signed and grub-efi-amd64-signed bring the \
         first (arm64: grub-efi-arm64-signed). `--grub DIR` names another folder like /usr/lib/grub; say \
         `--boot none` for an image that need not boot"
    )]
    NoUefi {
        /// The architecture of the rootfs.
        arch: &'static str,
    },
    /// No telling which loader for UEFI would do.
    #[error(
        "`--boot uefi` needs to know what machines the rootfs is for: it has no dynamic linker and no shell \
         of x86-64 or arm64"
    )]
    UnknownArch,
    /// A BIOS on arm64.
    #[error(
        "the rootfs is for arm64, and no machine of that kind has a BIOS: say `--boot uefi`, or leave \
         `--boot` out"
    )]
    ArmBios,
    /// PV on arm64.
    #[error(
        "the rootfs is for arm64, and PV-GRUB is for x86 alone: say `--boot uefi`, or leave `--boot` out"
    )]
    ArmPv,
    /// Features that PV-GRUB does not read.
    #[error(
        "PV-GRUB cannot read a root with `--features {profile}`: it refuses 64bit and knows no \
         metadata_csum; say `--features pv`"
    )]
    PvRefuses {
        /// The profile.
        profile: &'static str,
    },
    /// An MBR, and a loader that needs a GPT.
    #[error(
        "the rootfs has a loader for UEFI alone, which needs a GPT: leave out `--scheme mbr`, add GRUB for \
         BIOS machines (on Debian grub-pc-bin), or say `--boot none`"
    )]
    UefiOnMbr,
    /// The EFI system partition cannot be made.
    #[error(transparent)]
    Esp(#[from] FatError),
    /// A scheme and a way to boot that exclude each other.
    #[error("{why}; say another `--scheme`, or `--boot none`")]
    Contradiction {
        /// Why they do.
        why: &'static str,
    },
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
    /// A disk too small for its root filesystem, even if there were nothing in it.
    #[error(
        "a disk of {size} bytes is too small: its root filesystem begins at byte {root}; say `--size {needed}` \
         or more, or `--size fit`{smaller}"
    )]
    DiskTooSmall {
        /// Its size.
        size: u64,
        /// Where the root filesystem begins.
        root: u64,
        /// Bytes that are enough for one without files.
        needed: u64,
        /// What would make it begin earlier.
        smaller: &'static str,
        /// What is wrong with the filesystem.
        source: GeometryError,
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
