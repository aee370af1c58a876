//! What a build made: the summary of the command line, and `--json`.

use super::customize::Applied;
use serde::Serialize;
use uuid::Uuid;

/// Figures of a finished (or planned) image. Sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Size of the disk.
    pub disk_size: u64,
    /// Size of the root filesystem.
    pub filesystem_size: u64,
    /// Byte offset of the root filesystem on the disk.
    pub filesystem_offset: u64,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its label.
    pub label: String,
    /// `root=` of the kernel command line.
    pub root: String,
    /// Partition table: `mbr`, `gpt` or `none`.
    pub scheme: &'static str,
    /// Boot loader: `bios`, `uefi`, `hybrid`, `pv` or `none`.
    pub boot: &'static str,
    /// Why this one, where it was not asked for.
    pub boot_why: Option<String>,
    /// The machine that the rootfs is for: `x86-64`, `arm64`, or unknown.
    pub arch: Option<&'static str>,
    /// Of what the loader for UEFI is made: `signed`, `monolithic` or `own`.
    pub uefi_loader: Option<&'static str>,
    /// Where the loaders' files come from: `the rootfs`, or a folder.
    pub loader_from: Vec<String>,
    /// The partitions, root first.
    pub partitions: Vec<PartitionReport>,
    /// MBR disk signature, eight hex digits.
    pub disk_signature: Option<String>,
    /// Kernel the menu starts, newest first in `/boot`.
    pub kernel: Option<String>,
    /// Regular files, directories, symbolic links and others in the tree.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices and fifos.
    pub specials: u64,
    /// Inodes of the filesystem.
    pub inodes: u64,
    /// Of them free.
    pub inodes_free: u64,
    /// Bytes of file data placed.
    pub data: u64,
    /// Bytes that `df` shows as used.
    pub used: u64,
    /// Bytes that `df` shows as available.
    pub available: u64,
    /// Who makes the root fill a larger disk at first boot: `repart`, `cloud-init` or `none`.
    pub grow_at_boot: &'static str,
    /// Files that prepare added or replaced, by path.
    pub edits: Vec<String>,
    /// Edits of the tree that were asked for, in the order in which they were made.
    pub customized: Vec<Applied>,
    /// SHA-256 of the image in hex, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A partition that was made.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionReport {
    /// Its number.
    pub number: u32,
    /// First sector.
    pub start: u64,
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Type: two hexadecimal digits in an MBR, a GUID in a GPT.
    pub kind: String,
    /// PARTLABEL.
    pub name: Option<String>,
    /// PARTUUID.
    pub partuuid: String,
}
