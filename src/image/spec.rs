//! What the user asked for.

use super::Customize;
use crate::ext4::{BlockSize, Features, Journal, Options};
use crate::units::MIB;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use uuid::Uuid;

/// Size of the EFI system partition of Debian's cloud images, with which root begins at 128 MiB.
pub const DEFAULT_ESP_SIZE: u64 = 124 * MIB;

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
    /// Host name to write to `/etc/hostname` and, at 127.0.1.1, to `/etc/hosts`, unless that names it already.
    pub hostname: Option<String>,
    /// Kernel command line, without `root=`.
    pub cmdline: Option<String>,
    /// How the kernel finds its root.
    pub root_by: RootBy,
    /// Partition table.
    pub scheme: Scheme,
    /// Boot loader.
    pub boot: Boot,
    /// Size of the EFI system partition in bytes, rounded up to a whole MiB.
    pub esp_size: u64,
    /// Size in bytes up to which the root can grow online through its reserved descriptors.
    pub max_grow: Option<u64>,
    /// Who makes the root fill a larger disk at first boot.
    pub grow_at_boot: GrowAtBoot,
    /// Inodes to make, at least.
    pub inodes: Option<u32>,
    /// Folders like `/usr/lib/grub`, in the order in which GRUB is looked for when the rootfs has none.
    pub grub: Vec<PathBuf>,
    /// Bytes in a block of the root filesystem.
    pub block_size: BlockSize,
    /// Bytes for each inode; by the size of the filesystem when `None`.
    pub inode_ratio: Option<u64>,
    /// Percentage of the blocks that only root may use, 0 to 50.
    pub reserved_percent: u8,
    /// The journal.
    pub journal: Journal,
    /// Features of the root filesystem.
    pub features: Profile,
    /// Whether directories may have an index of three levels (`large_dir`).
    pub large_dir: bool,
    /// A fitted disk is a multiple of so many bytes.
    pub round: Option<u64>,
    /// Edits of the tree. The seed takes them from the tree that they come to: where a file lies on this
    /// machine changes no image.
    pub customize: Customize,
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
            scheme: Scheme::Auto,
            boot: Boot::Auto,
            esp_size: DEFAULT_ESP_SIZE,
            max_grow: None,
            grow_at_boot: GrowAtBoot::Auto,
            inodes: None,
            grub: Vec::new(),
            block_size: BlockSize::KiB4,
            inode_ratio: None,
            reserved_percent: 5,
            journal: Journal::BySize,
            features: Profile::Default,
            large_dir: false,
            round: None,
            customize: Customize::default(),
            source_date_epoch: None,
        }
    }
}

impl Spec {
    /// How the root filesystem shall be made.
    #[must_use]
    pub fn filesystem(&self) -> Options {
        let features = match self.large_dir {
            true => self.features.features().with_large_dir(),
            false => self.features.features(),
        };
        Options {
            block_size: self.block_size,
            features,
            inodes: self.inodes.map(u64::from),
            inode_ratio: self.inode_ratio,
            reserved_percent: self.reserved_percent,
            journal: self.journal,
            max_grow: self.max_grow,
        }
    }
}

/// Who must be able to read the root filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What Debian 12 makes: [`Features::DEFAULT`].
    Default,
    /// GRUB from 2.02 on: the same, as a promise.
    #[serde(rename = "grub2.02")]
    Grub202,
    /// Linux from 5.15, GRUB from 2.12 (Debian's from 2.06-8), e2fsck from 1.47: [`Features::MODERN`].
    Modern,
    /// PV-GRUB and kernels of 2010: [`Features::PV`].
    Pv,
}

impl Profile {
    /// Its name on the command line and in spec files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Grub202 => "grub2.02",
            Self::Modern => "modern",
            Self::Pv => "pv",
        }
    }

    /// Whether those for whom it is meant read `large_dir` too, which came with Linux 4.13 and GRUB 2.12.
    #[must_use]
    pub fn may_have_large_dir(self) -> bool {
        matches!(self, Self::Default | Self::Modern)
    }

    /// The features.
    #[must_use]
    pub fn features(self) -> Features {
        match self {
            Self::Default | Self::Grub202 => Features::DEFAULT,
            Self::Modern => Features::MODERN,
            Self::Pv => Features::PV,
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
    /// What the boot loader needs: a GPT for UEFI, else an MBR.
    Auto,
    /// MBR with one Linux partition.
    Mbr,
    /// GPT: root as partition 1, last on the disk, behind BIOS boot (14) and EFI system partition (15).
    Gpt,
    /// None: the filesystem begins at byte 0.
    None,
}

impl Scheme {
    /// Its word on the command line and in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Mbr => "mbr",
            Self::Gpt => "gpt",
            Self::None => "none",
        }
    }
}

/// Boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// The most that can be made of what the rootfs carries.
    Auto,
    /// GRUB for i386-pc, in the gap before the first partition or in a BIOS boot partition.
    Bios,
    /// GRUB for UEFI, in an EFI system partition.
    Uefi,
    /// Both.
    Hybrid,
    /// The menu of PV-GRUB, which lies outside of the image: instances of EC2 under Xen's PV. Wants
    /// [`Profile::Pv`].
    Pv,
    /// None.
    None,
}

impl Boot {
    /// Its word on the command line and in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::Hybrid => "hybrid",
            Self::Pv => "pv",
            Self::None => "none",
        }
    }
}
