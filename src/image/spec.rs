//! What the user asked for.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Everything that shapes an image beside the archive. Defaults are the command line's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Size of the disk.
    pub size: Size,
    /// What `df` shall show as available, when the disk is fitted.
    pub free: Free,
    /// Volume label of the root filesystem, at most 16 bytes.
    pub label: String,
    /// UUID of the root filesystem; from the seed when `None`.
    pub uuid: Option<Uuid>,
    /// Text that replaces the digest of the input as the seed.
    pub seed: Option<String>,
    /// Host name to write to `/etc/hostname`.
    pub hostname: Option<String>,
    /// Kernel command line, without `root=`.
    pub cmdline: Option<String>,
    /// How the kernel finds its root.
    pub root_by: RootBy,
    /// Partition table.
    pub scheme: Scheme,
    /// Boot loader.
    pub boot: Boot,
    /// Size in bytes up to which the root can grow online through its reserved descriptors.
    pub max_grow: Option<u64>,
    /// Who makes the root fill a larger disk at first boot.
    pub grow_at_boot: GrowAtBoot,
    /// Inodes to make, at least.
    pub inodes: Option<u32>,
    /// Latest time that an image may show, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub source_date_epoch: Option<i64>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            size: Size::Fit,
            free: Free::Percent(10),
            label: "root".into(),
            uuid: None,
            seed: None,
            hostname: None,
            cmdline: None,
            root_by: RootBy::Uuid,
            scheme: Scheme::Mbr,
            boot: Boot::Bios,
            max_grow: None,
            grow_at_boot: GrowAtBoot::Auto,
            inodes: None,
            source_date_epoch: None,
        }
    }
}

/// Size of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The smallest that holds the tree and [`Spec::free`].
    Fit,
    /// That many bytes.
    Bytes(u64),
}

/// Space to leave for the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// That many bytes.
    Bytes(u64),
    /// A percentage of the filesystem's size, 0 to 90; at least 64 MiB.
    Percent(u8),
}

/// How the kernel command line and `/etc/fstab` name the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootBy {
    /// `UUID=`: needs an initrd.
    Uuid,
    /// `LABEL=`: needs an initrd.
    Label,
    /// `PARTUUID=`: the kernel alone understands it.
    PartUuid,
}

/// Who grows partition and filesystem of the root at first boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrowAtBoot {
    /// systemd-repart where the rootfs has it and the table is a GPT, else cloud-init with growpart.
    Auto,
    /// systemd-repart and systemd-growfs.
    Repart,
    /// cloud-init with growpart.
    CloudInit,
    /// Nobody.
    None,
}

/// Partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// MBR with one Linux partition from LBA 2048.
    Mbr,
    /// None: the filesystem begins at byte 0.
    None,
}

/// Boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// GRUB for i386-pc, in the gap before the first partition.
    Bios,
    /// None.
    None,
}
