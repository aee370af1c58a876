//! What an AMI is to be, where it goes and who may have it: the flags that `register`, `copy`, `share` and `push`
//! share.

use crate::cli::exit::Usage;
use crate::cli::sizes;
use anyhow::Context;
use diskwright::aws::image::{
    Architecture, BootMode, Derived, Destination, Device, Image, ImageError, Protection,
    Publication, Registration, Sharing, Source, Virtualization, Volume, VolumeType, parse_date,
};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The name of an AMI for which none is given.
pub(super) const NAME: &str = "{name}-{date}-{digest:8}";

/// What an AMI is made of, before its details are known.
#[derive(Clone, Debug)]
pub(super) enum Of {
    /// A snapshot's id, and the GiB of the root volume where they are not the snapshot's.
    Snapshot(String, Option<u64>),
    /// `bucket/key` of a manifest.
    Bundle(String),
}

/// What the AMI is to be
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "AMI")]
#[group(id = "AmiShape")]
pub(super) struct Shape {
    /// Its name; {name}, {date}, {arch}, {digest} and {digest:N} are filled in
    #[arg(long, value_name = "TEMPLATE", default_value = NAME)]
    name: String,

    /// Processor: x86_64, arm64 or i386 [default: the image's]
    #[arg(long)]
    arch: Option<Architecture>,

    /// Firmware: legacy-bios, uefi or uefi-preferred [default: the image's]
    #[arg(long, value_name = "MODE")]
    boot_mode: Option<BootMode>,

    /// hvm or paravirtual [default: the image's]
    #[arg(long, value_name = "TYPE")]
    virtualization_type: Option<Virtualization>,

    /// Name of the root device [default: /dev/xvda, paravirtual: /dev/sda1]
    #[arg(long, value_name = "DEVICE")]
    root_device_name: Option<String>,

    /// Type of the root volume: gp3, gp2, io1, io2 or standard [default: gp3]
    #[arg(long, value_name = "TYPE")]
    volume_type: Option<VolumeType>,

    /// I/O operations a second of the root volume, of gp3, io1 and io2
    #[arg(long, value_name = "N")]
    iops: Option<u32>,

    /// Throughput of the root volume in MiB/s, of gp3
    #[arg(long, value_name = "N")]
    throughput: Option<u32>,

    /// Rate in MiB/s at which the root volume is filled from its snapshot; AWS charges for it
    #[arg(long, value_name = "N", hide_short_help = true)]
    volume_initialization_rate: Option<u32>,

    /// Leave the root volume when its instance is terminated
    #[arg(long, hide_short_help = true)]
    keep_volume: bool,

    /// A device beside the root: /dev/sdb=ephemeral0, /dev/sdc=SNAPSHOT:GIB:DELETE:TYPE:IOPS, /dev/sdd=none; may be
    /// given several times
    #[arg(
        long = "block-device-mapping",
        value_name = "DEVICE=WHAT",
        hide_short_help = true
    )]
    devices: Vec<Device>,

    /// Without the elastic network adapter (ENA)
    #[arg(long, hide_short_help = true)]
    no_ena: bool,

    /// With the network adapter of instance types of before 2016; cannot be taken back
    #[arg(long, hide_short_help = true)]
    sriov_net: bool,

    /// Instances answer metadata requests without a token too (IMDSv1)
    #[arg(long, hide_short_help = true)]
    no_imdsv2: bool,

    /// Instances have a TPM 2.0; wants the boot mode uefi
    #[arg(long)]
    tpm: bool,

    /// Variables of UEFI, with the keys of Secure Boot: base64, as GetInstanceUefiData gives it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    uefi_data: Option<PathBuf>,

    /// Kernel of paravirtual instances; `diskwright aki` prints PV-GRUB's
    #[arg(long, value_name = "AKI", hide_short_help = true)]
    kernel: Option<String>,

    /// RAM disk of paravirtual instances
    #[arg(long, value_name = "ARI", hide_short_help = true)]
    ramdisk: Option<String>,

    /// A billing product, for accounts that may
    #[arg(long = "billing-product", value_name = "BP", hide_short_help = true)]
    billing_products: Vec<String>,
}

impl Shape {
    /// Whether nothing is left to be found out about the image.
    pub(super) fn says_all(&self, of: &Of) -> bool {
        let hvm = self.virtualization_type != Some(Virtualization::Paravirtual);
        let disk = matches!(of, Of::Snapshot(..)) && hvm;
        self.arch.is_some() && (self.boot_mode.is_some() || !disk)
    }

    /// As a registration of what `stem` names and `derived` tells of; checked.
    pub(super) fn registration(
        &self,
        stem: &str,
        of: Of,
        derived: Derived,
    ) -> anyhow::Result<Registration> {
        let source = match of {
            Of::Snapshot(id, size) => Source::Snapshot {
                root: Volume {
                    size,
                    kind: self.volume_type.unwrap_or(VolumeType::Gp3),
                    iops: self.iops,
                    throughput: self.throughput,
                    initialization_rate: self.volume_initialization_rate,
                    delete_on_termination: !self.keep_volume,
                    ..Volume::of(id)
                },
                device: self.root_device_name.clone(),
            },
            Of::Bundle(location) => {
                self.refuse_volume()?;
                Source::Bundle { location }
            }
        };
        let given = Derived {
            architecture: self.arch.or(derived.architecture),
            boot_mode: self.boot_mode.or(derived.boot_mode),
            virtualization: self.virtualization_type.or(derived.virtualization),
        };
        let mut registration = Registration::new(&self.name, stem, source, given).map_err(usage)?;
        let uefi_data = self.uefi_data.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            text.with_context(|| format!("cannot read {}", path.display()))
        });
        registration.uefi_data = uefi_data.transpose()?.map(|t| t.trim().to_owned());
        registration.devices.clone_from(&self.devices);
        registration.ena &= !self.no_ena;
        registration.imds_v2 &= !self.no_imdsv2;
        registration.sriov_net = self.sriov_net;
        registration.tpm = self.tpm;
        registration.kernel_id.clone_from(&self.kernel);
        registration.ramdisk_id.clone_from(&self.ramdisk);
        registration
            .billing_products
            .clone_from(&self.billing_products);
        // Asked for in so many words, and to be refused in so many.
        if self.boot_mode.is_some() {
            registration.boot_mode = self.boot_mode;
        }
        registration.check().map_err(usage)?;
        Ok(registration)
    }

    /// What a bundle's manifest says too: processor, kernel, RAM disk.
    pub(super) fn of_bundle(&self) -> (Option<Architecture>, Option<String>, Option<String>) {
        (self.arch, self.kernel.clone(), self.ramdisk.clone())
    }

    /// The root of a bundle's instances is on the host's own disk: refuses what is for a volume.
    fn refuse_volume(&self) -> anyhow::Result<()> {
        let given = [
            ("--root-device-name", self.root_device_name.is_some()),
            ("--volume-type", self.volume_type.is_some()),
            ("--iops", self.iops.is_some()),
            ("--throughput", self.throughput.is_some()),
            (
                "--volume-initialization-rate",
                self.volume_initialization_rate.is_some(),
            ),
            ("--keep-volume", self.keep_volume),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Usage::new(format!(
                "{flag} is for snapshots: a bundle's root is no volume"
            ))
            .into()),
            None => Ok(()),
        }
    }

    /// Refuses before anything is sent what no image could be registered with.
    pub(super) fn check(&self, stem: &str, paravirtual: bool, bundle: bool) -> anyhow::Result<()> {
        if bundle {
            self.refuse_volume()?;
        }
        // Either is for UEFI alone, and most images start by it.
        let uefi = self.tpm || self.uefi_data.is_some();
        let likely = Derived {
            architecture: Some(Architecture::X86_64),
            boot_mode: (uefi && !paravirtual).then_some(BootMode::Uefi),
            virtualization: Some(match paravirtual {
                true => Virtualization::Paravirtual,
                false => Virtualization::Hvm,
            }),
        };
        let of = Of::Snapshot("snap-00000000000000000".into(), None);
        self.registration(stem, of, likely).map(drop)
    }
}

/// Where it is copied to
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Copies")]
pub(super) struct Copies {
    /// Regions to copy the AMI to, each with the KMS key of its copy if it has one of its own
    #[arg(
        long,
        visible_alias = "to",
        value_name = "REGION[=KEY],…",
        value_delimiter = ','
    )]
    copy_to: Vec<Destination>,

    /// Encrypt the copies that have no key of their own with their account's
    #[arg(long, requires = "copy_to")]
    encrypt_copies: bool,
}

impl Copies {
    pub(super) fn destinations(&self) -> Vec<Destination> {
        let mut list = self.copy_to.clone();
        for destination in &mut list {
            destination.encrypted |= self.encrypt_copies;
        }
        list
    }
}

/// Who may start instances of it
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sharing")]
pub(super) struct Share {
    /// Accounts, and ARNs of organizations and organizational units, that may start instances
    #[arg(long, value_name = "ACCOUNT|ARN,…", value_delimiter = ',')]
    share_with: Vec<String>,

    /// Everybody may
    #[arg(long)]
    public: bool,

    /// The accounts may not make volumes of its snapshots: they cannot copy it then
    #[arg(long, requires = "share_with", hide_short_help = true)]
    no_share_snapshots: bool,
}

impl Share {
    /// Checked.
    pub(super) fn sharing(&self) -> anyhow::Result<Sharing> {
        let mut sharing = Sharing {
            public: self.public,
            snapshots: !self.no_share_snapshots,
            ..Sharing::default()
        };
        for whom in &self.share_with {
            let list = match whom {
                arn if arn.contains(":organization/") => &mut sharing.organizations,
                arn if arn.contains(":ou/") => &mut sharing.organizational_units,
                _ => &mut sharing.accounts,
            };
            list.push(whom.clone());
        }
        sharing.check().map_err(usage)?;
        Ok(sharing)
    }
}

/// How an AMI is protected
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Protect {
    /// it cannot be deregistered until the protection is taken away
    On,
    /// nor for 24 hours after that
    Cooldown,
}

/// How long it serves, and where it is looked up
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Publication")]
pub(super) struct Publish {
    /// From when on it is deprecated: 2027-12-31, 2027-12-31T12:00:00Z, or 90d from now
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    deprecate_at: Option<SystemTime>,

    /// Protect it from being deregistered
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "on")]
    protect: Option<Protect>,

    /// Put its id into this parameter of Systems Manager, in each of its regions
    #[arg(long, value_name = "NAME")]
    ssm_parameter: Option<String>,
}

impl Publish {
    /// Checked; `public`: for an AMI that everybody may start.
    pub(super) fn publication(&self, public: bool) -> anyhow::Result<Publication> {
        let publication = Publication {
            deprecate_at: self.deprecate_at,
            protection: self.protect.map(|how| match how {
                Protect::On => Protection::On,
                Protect::Cooldown => Protection::WithCooldown,
            }),
            parameter: self.ssm_parameter.clone(),
        };
        publication.check(public).map_err(usage)?;
        Ok(publication)
    }
}

/// How long AWS may take
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "AWS")]
pub(super) struct Wait {
    /// How long an AMI may be pending
    #[arg(long = "wait", value_name = "TIME", default_value = "2h", value_parser = sizes::duration)]
    pub(super) limit: Duration,
}

/// A mistake that was found before anything was sent is one of the command line.
pub(super) fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    match error.downcast_ref::<ImageError>() {
        Some(mistake) if mistake.is_usage() => Usage::new(mistake.to_string()).into(),
        _ => error,
    }
}

/// A line about an AMI.
pub(super) fn summary(image: &Image) -> String {
    let Image {
        image_id,
        region,
        name,
        ..
    } = image;
    match image.existed {
        true => format!("{image_id} in {region} is {name} already\n"),
        false => format!("{image_id} in {region}: {name}\n"),
    }
}
