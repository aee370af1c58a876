//! The flags that shape the root filesystem: what mke2fs takes as `-b`, `-i`, `-m`, `-J` and `-O`.

use super::sizes;
use diskwright::ext4::{BlockSize, Journal};
use diskwright::image::Profile;
use diskwright::units::KIB;

/// Where `--help` shows them.
const HEADING: &str = "Root filesystem";
/// Most that mke2fs and tune2fs reserve.
const MAX_RESERVED: i64 = 50;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Ext4Shape {
    /// Bytes in a block
    #[arg(help_heading = HEADING)]
    #[arg(long, value_name = "1024|2048|4096", value_parser = block_size)]
    #[arg(default_value = "4096")]
    pub(super) block_size: BlockSize,

    /// Who must be able to read it [default: default; pv with --boot pv]
    #[arg(help_heading = HEADING)]
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub(super) features: Option<ProfileArg>,

    /// Directories of millions of files: Linux 4.13, GRUB 2.12, e2fsck 1.44
    #[arg(help_heading = HEADING)]
    #[arg(long)]
    pub(super) large_dir: bool,

    /// Size up to which it can grow online [default: 2 TiB for fit, else as mke2fs]
    #[arg(help_heading = HEADING)]
    #[arg(long, value_name = "SIZE", value_parser = sizes::bytes)]
    pub(super) max_grow: Option<u64>,

    /// Inodes, at least [default: one per 16 KiB, and the archive's and a tenth more]
    #[arg(help_heading = HEADING)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..))]
    #[arg(conflicts_with = "inode_ratio")]
    pub(super) inodes: Option<u32>,

    /// Bytes of the filesystem for each inode, 1 KiB to 64 MiB
    #[arg(help_heading = HEADING)]
    #[arg(long, value_name = "SIZE", value_parser = inode_ratio)]
    pub(super) inode_ratio: Option<u64>,

    /// Blocks that only root may use, in percent, 0 to 50
    #[arg(help_heading = HEADING)]
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=MAX_RESERVED))]
    pub(super) reserved_percent: u8,

    /// Size of the journal, at least 1024 blocks, or `none` [default: by size, as mke2fs]
    #[arg(help_heading = HEADING)]
    #[arg(long, value_name = "SIZE|none", value_parser = journal)]
    pub(super) journal_size: Option<Journal>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum ProfileArg {
    /// What Debian 12's mke2fs makes
    Default,
    /// The same, as a promise that GRUB 2.02 reads it
    #[value(name = "grub2.02")]
    Grub202,
    /// And metadata_csum_seed, orphan_file: Linux 5.15, GRUB 2.12, e2fsck 1.47
    Modern,
    /// What PV-GRUB and kernels of 2010 read: no 64bit, uninit_bg for metadata_csum
    Pv,
}

impl From<ProfileArg> for Profile {
    fn from(arg: ProfileArg) -> Self {
        match arg {
            ProfileArg::Default => Self::Default,
            ProfileArg::Grub202 => Self::Grub202,
            ProfileArg::Modern => Self::Modern,
            ProfileArg::Pv => Self::Pv,
        }
    }
}

fn block_size(text: &str) -> Result<BlockSize, String> {
    let bytes = sizes::bytes(text)?;
    let known = BlockSize::ALL.into_iter().find(|b| b.bytes() == bytes);
    known.ok_or_else(|| {
        "1024, 2048 and 4096 are known: machines with 4 KiB pages mount no other".into()
    })
}

fn inode_ratio(text: &str) -> Result<u64, String> {
    match sizes::bytes(text)? {
        n @ KIB..=0x400_0000 => Ok(n),
        _ => Err("from 1 KiB to 64 MiB".into()),
    }
}

fn journal(text: &str) -> Result<Journal, String> {
    if text == "none" {
        return Ok(Journal::None);
    }
    match sizes::bytes(text) {
        Ok(n) => Ok(Journal::Bytes(n)),
        Err(e) => Err(format!("{e}, or is `none`")),
    }
}
