//! The flags that shape an image: what `build` and `plan` share.

use super::customize_shape::{CustomizeShape, HEADING};
use super::exit::Usage;
use super::ext4_shape::Ext4Shape;
use super::sizes;
use anyhow::Context;
use diskwright::image::{
    Boot, Free, GrowAtBoot, Profile, RootBy, Scheme, Size, Spec, contradiction,
};
use std::ffi::OsString;
use std::path::PathBuf;
use uuid::Uuid;

/// ext4's `s_volume_name` has 16 bytes.
const MAX_LABEL: usize = 16;
/// `HOST_NAME_MAX` of Linux.
const MAX_HOSTNAME: usize = 64;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Shape {
    /// Size of the disk, or `fit`: the smallest that holds everything and --free
    #[arg(long, value_name = "SIZE|fit", value_parser = sizes::size, help_heading = "Image")]
    #[arg(default_value = "fit")]
    size: Size,

    /// What `df` shows as available on a fitted disk; a percentage means at least 64 MiB
    #[arg(long, value_name = "SIZE|PERCENT", value_parser = sizes::free, help_heading = "Image")]
    #[arg(default_value = "10%")]
    free: Free,

    /// Volume label of the root filesystem, at most 16 bytes
    #[arg(long, value_parser = label, default_value = "root", help_heading = "Image")]
    label: String,

    /// UUID of the root filesystem [default: from the seed]
    #[arg(long, help_heading = "Image")]
    uuid: Option<Uuid>,

    /// Text from which every UUID derives [default: a digest of the archive and these flags]
    #[arg(long, value_name = "TEXT", help_heading = "Image")]
    seed: Option<String>,

    /// Partition table
    #[arg(long, value_enum, default_value = "auto", help_heading = "Image")]
    scheme: SchemeArg,

    /// Size of the EFI system partition, rounded up to a whole MiB
    #[arg(long, value_name = "SIZE", value_parser = sizes::bytes, help_heading = "Image")]
    #[arg(default_value = "124M")]
    esp_size: u64,

    /// A fitted disk is a multiple of this, its filesystem as large as that allows
    #[arg(long, value_name = "SIZE", value_parser = sizes::round, help_heading = "Image")]
    round: Option<u64>,

    #[command(flatten)]
    ext4: Ext4Shape,

    /// Who makes the root fill a larger disk at first boot
    #[arg(long, value_enum, default_value = "auto", help_heading = "Boot")]
    grow_at_boot: GrowArg,

    /// Boot loader
    #[arg(long, value_enum, default_value = "auto", help_heading = "Boot")]
    boot: BootArg,

    /// How the kernel and fstab name the root
    #[arg(long, value_enum, default_value = "uuid", help_heading = "Boot")]
    root_by: RootByArg,

    /// Kernel command line without root= [default: both consoles, patient NVMe]
    #[arg(long, value_name = "TEXT", value_parser = cmdline, help_heading = "Boot")]
    #[arg(allow_hyphen_values = true)]
    cmdline: Option<String>,

    /// Folder like /usr/lib/grub, for a rootfs without GRUB [default: see vendor-grub/README.md]
    #[arg(long, value_name = "DIR", help_heading = "Boot", value_hint = clap::ValueHint::DirPath)]
    grub: Option<PathBuf>,

    #[command(flatten)]
    customize: CustomizeShape,

    /// Host name to write to /etc/hostname and, at 127.0.1.1, to /etc/hosts
    #[arg(long, value_name = "NAME", value_parser = hostname, help_heading = HEADING)]
    hostname: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SchemeArg {
    /// What the boot loader needs: gpt for UEFI, else mbr
    Auto,
    Mbr,
    /// Root as partition 1, last on the disk
    Gpt,
    /// The filesystem begins at byte 0
    None,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BootArg {
    /// The most that can be made of what the rootfs carries
    Auto,
    /// GRUB for i386-pc
    Bios,
    /// GRUB for UEFI, in an EFI system partition
    Uefi,
    /// Both
    Hybrid,
    /// The menu of PV-GRUB, for old instances of EC2; no partition table
    Pv,
    /// The image holds a root filesystem only
    None,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RootByArg {
    Uuid,
    Label,
    /// The one that a kernel without an initrd understands
    Partuuid,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum GrowArg {
    /// systemd-repart on a GPT where the rootfs has it, else cloud-init
    Auto,
    /// systemd-repart, and x-systemd.growfs in fstab
    Repart,
    /// cloud-init with growpart
    CloudInit,
    /// Nobody
    None,
}

impl Shape {
    /// The library's spec. Reads `SOURCE_DATE_EPOCH`, the one variable that reaches an image.
    pub(super) fn into_spec(self) -> anyhow::Result<Spec> {
        let source_date_epoch = epoch(std::env::var_os("SOURCE_DATE_EPOCH"))?;
        let scheme = match self.scheme {
            SchemeArg::Auto => Scheme::Auto,
            SchemeArg::Mbr => Scheme::Mbr,
            SchemeArg::Gpt => Scheme::Gpt,
            SchemeArg::None => Scheme::None,
        };
        let boot = match self.boot {
            BootArg::Auto => Boot::Auto,
            BootArg::Bios => Boot::Bios,
            BootArg::Uefi => Boot::Uefi,
            BootArg::Hybrid => Boot::Hybrid,
            BootArg::Pv => Boot::Pv,
            BootArg::None => Boot::None,
        };
        if let Some(why) = contradiction(scheme, boot) {
            let help = format!("leave out --scheme {}, or say --boot none", scheme.word());
            return Err(Usage::with_help(why.replace('`', ""), help).into());
        }
        let root_by = match self.root_by {
            RootByArg::Uuid => RootBy::Uuid,
            RootByArg::Label => RootBy::Label,
            RootByArg::Partuuid if scheme == Scheme::None => {
                return Err(Usage::new(
                    "--root-by partuuid needs a partition: --scheme mbr or gpt",
                )
                .into());
            }
            RootByArg::Partuuid if boot == Boot::Pv => {
                return Err(Usage::new(
                    "--root-by partuuid needs a partition, and --boot pv makes none",
                )
                .into());
            }
            RootByArg::Partuuid => RootBy::PartUuid,
        };
        if matches!(self.size, Size::Bytes(_)) && self.free != Spec::default().free {
            return Err(Usage::with_help(
                "--free says what a fitted disk leaves; a disk of a given --size has what is left over",
                "leave out --free, or say --size fit",
            )
            .into());
        }
        let profile = match (self.ext4.features, boot) {
            (None, Boot::Pv) => Profile::Pv,
            (None, _) => Profile::Default,
            (Some(told), _) => told.into(),
        };
        if boot == Boot::Pv && profile != Profile::Pv {
            let why = format!(
                "--features {}: PV-GRUB refuses 64bit and knows no metadata_csum",
                profile.name()
            );
            return Err(Usage::with_help(why, "leave it out: --boot pv has --features pv").into());
        }
        if self.ext4.large_dir && !profile.may_have_large_dir() {
            let why = format!(
                "--large-dir: those for whom --features {} is do not read it",
                profile.name()
            );
            return Err(Usage::with_help(why, "leave out one of them").into());
        }
        if matches!(self.size, Size::Bytes(_)) && self.round.is_some() {
            let help = "leave out --round, or say --size fit";
            return Err(Usage::with_help("--round is for a fitted disk", help).into());
        }
        if root_by == RootBy::Label
            && (self.label.is_empty() || self.label.contains(char::is_whitespace))
        {
            return Err(Usage::with_help(
                format!("--root-by label cannot name the label `{}`", self.label),
                "a --label without blanks, or --root-by uuid",
            )
            .into());
        }
        Ok(Spec {
            size: self.size,
            free: self.free,
            label: self.label,
            uuid: self.uuid,
            seed: self.seed,
            hostname: self.hostname,
            cmdline: self.cmdline,
            root_by,
            scheme,
            boot,
            esp_size: self.esp_size,
            max_grow: self.ext4.max_grow,
            grow_at_boot: match self.grow_at_boot {
                GrowArg::Auto => GrowAtBoot::Auto,
                GrowArg::Repart => GrowAtBoot::Repart,
                GrowArg::CloudInit => GrowAtBoot::CloudInit,
                GrowArg::None => GrowAtBoot::None,
            },
            inodes: self.ext4.inodes,
            block_size: self.ext4.block_size,
            inode_ratio: self.ext4.inode_ratio,
            reserved_percent: self.ext4.reserved_percent,
            journal: self.ext4.journal_size.unwrap_or_default(),
            features: profile,
            large_dir: self.ext4.large_dir,
            round: self.round,
            grub: super::grub_folders::list(self.grub),
            customize: self.customize.into_customize(),
            source_date_epoch,
        })
    }
}

/// An unset or empty variable is no limit, as reproducible-builds.org has it.
fn epoch(value: Option<OsString>) -> anyhow::Result<Option<i64>> {
    let Some(value) = value.filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let text = value.to_string_lossy();
    let seconds = text
        .parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not seconds since 1970"))?;
    Ok(Some(seconds))
}

fn label(text: &str) -> Result<String, String> {
    if text.len() > MAX_LABEL {
        return Err(format!(
            "{} bytes long; ext4 has room for {MAX_LABEL}",
            text.len()
        ));
    }
    one_line(text)
}

fn hostname(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if text.is_empty()
        || text.len() > MAX_HOSTNAME
        || !text.chars().all(fits)
        || text.starts_with('-')
    {
        return Err(format!(
            "a host name has 1 to {MAX_HOSTNAME} letters, digits, `-` and `.`, and begins with no `-`"
        ));
    }
    Ok(text.into())
}

fn cmdline(text: &str) -> Result<String, String> {
    if text
        .split_ascii_whitespace()
        .any(|word| word.starts_with("root="))
    {
        return Err("root= is ours to write: see --root-by".into());
    }
    one_line(text)
}

fn one_line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed".into());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        shape: Shape,
    }

    fn spec(flags: &[&str]) -> anyhow::Result<Spec> {
        Line::try_parse_from(["x"].iter().chain(flags))?
            .shape
            .into_spec()
    }

    #[test]
    fn no_flags_give_the_librarys_defaults() {
        // The test must not depend on who runs it.
        let made = Spec {
            source_date_epoch: None,
            grub: Vec::new(),
            ..spec(&[]).unwrap()
        };
        assert_eq!(made, Spec::default());
    }

    #[test]
    fn schemes_and_loaders_that_exclude_each_other_are_refused() {
        for [scheme, boot] in [
            ["none", "bios"],
            ["none", "uefi"],
            ["none", "hybrid"],
            ["mbr", "uefi"],
            ["mbr", "hybrid"],
        ] {
            let error = spec(&["--scheme", scheme, "--boot", boot]).unwrap_err();
            assert!(error.is::<Usage>(), "{scheme} {boot}: {error}");
        }
        assert!(
            spec(&["--scheme", "none", "--root-by", "partuuid"])
                .unwrap_err()
                .is::<Usage>()
        );
        for line in [
            ["gpt", "bios"],
            ["gpt", "none"],
            ["none", "auto"],
            ["auto", "hybrid"],
        ] {
            spec(&["--scheme", line[0], "--boot", line[1]]).unwrap();
        }
    }

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        for flags in [
            ["--label", "seventeen bytes!!"],
            ["--hostname", "a b"],
            ["--cmdline", "quiet root=/dev/sda1"],
            ["--uuid", "not-a-uuid"],
            ["--inodes", "0"],
            ["--block-size", "8192"],
            ["--inode-ratio", "100"],
            ["--reserved-percent", "51"],
            ["--journal-size", "some"],
            ["--features", "ext5"],
            ["--round", "1000"],
        ] {
            let error = spec(&flags).unwrap_err().to_string();
            assert!(error.contains(flags[0]), "{error}");
        }
    }

    #[test]
    fn source_date_epoch_is_seconds() {
        assert_eq!(
            epoch(Some("1700000000".into())).unwrap(),
            Some(1_700_000_000)
        );
        assert_eq!(epoch(Some("".into())).unwrap(), None);
        assert!(epoch(Some("yesterday".into())).is_err());
    }
}
