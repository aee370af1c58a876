//! What AWS would refuse, refused before anything is sent.

use super::{
    Architecture, BootMode, DIGEST_TAG, DeviceKind, ImageError, RUN_TAG, Registration, Source,
    Virtualization, Volume, VolumeType,
};
use crate::aws::id::is_id;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Tags that a resource may have (EC2 user guide, "Tag restrictions").
const MAX_TAGS: usize = 50;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 255;
/// Characters of UEFI data in base64 (RegisterImage, `UefiData`).
const MAX_UEFI_DATA: usize = 64_000;

impl Registration {
    /// Refuses what AWS would refuse, before anything is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), ImageError> {
        self.full_name()?;
        description(&self.description)?;
        tags(&self.tags)?;
        self.check_machine()?;
        match &self.source {
            Source::Snapshot { root, .. } => self.check_root(root)?,
            Source::Bundle { location } => self.check_bundle(location)?,
        }
        let mut names = BTreeSet::new();
        names.extend(self.root_device());
        for device in &self.devices {
            device_name(&device.name)?;
            if !names.insert(&device.name) {
                return Err(pair(format!("two devices are called {}", device.name)));
            }
            if let DeviceKind::Volume(v) = &device.kind {
                volume(v)?;
            }
        }
        for (what, id, prefix) in [
            ("kernel", &self.kernel_id, "aki-"),
            ("ramdisk", &self.ramdisk_id, "ari-"),
        ] {
            if let Some(id) = id {
                identifier(what, id, prefix)?;
            }
        }
        Ok(())
    }

    fn check_machine(&self) -> Result<(), ImageError> {
        let arm = self.architecture == Architecture::Arm64;
        let uefi = matches!(
            self.boot_mode,
            Some(BootMode::Uefi | BootMode::UefiPreferred)
        );
        let paravirtual = self.virtualization == Virtualization::Paravirtual;
        if arm && self.boot_mode != Some(BootMode::Uefi) {
            return Err(pair(
                "an AMI for arm64 starts by UEFI: its boot mode is uefi",
            ));
        }
        if uefi && self.architecture == Architecture::I386 {
            return Err(pair(
                "instances for i386 have no UEFI: the boot mode is legacy-bios",
            ));
        }
        if self.tpm && self.boot_mode != Some(BootMode::Uefi) {
            return Err(pair("a TPM wants the boot mode uefi"));
        }
        if self.tpm && arm {
            return Err(pair("instances for arm64 have no TPM"));
        }
        if let Some(data) = &self.uefi_data {
            if !uefi {
                return Err(pair("UEFI data wants the boot mode uefi or uefi-preferred"));
            }
            if data.len() > MAX_UEFI_DATA || aws_smithy_types::base64::decode(data).is_err() {
                return Err(pair(format!(
                    "UEFI data is base64 of at most {MAX_UEFI_DATA} characters, as GetInstanceUefiData gives it"
                )));
            }
        }
        if paravirtual {
            for (asked, what) in [
                (self.ena, "ENA"),
                (self.sriov_net, "SR-IOV"),
                (self.boot_mode.is_some(), "boot mode"),
            ] {
                if asked {
                    return Err(pair(format!("paravirtual instances have no {what}")));
                }
            }
            // A bundle's manifest may name one.
            if self.kernel_id.is_none() && matches!(self.source, Source::Snapshot { .. }) {
                return Err(pair(
                    "paravirtual instances start by a kernel of EC2: say --kernel \"$(diskwright aki --region REGION)\"",
                ));
            }
        } else if self.kernel_id.is_some() || self.ramdisk_id.is_some() {
            return Err(pair(
                "a kernel or ramdisk of EC2 wants --virtualization-type paravirtual",
            ));
        }
        Ok(())
    }

    fn check_root(&self, root: &Volume) -> Result<(), ImageError> {
        let Some(id) = &root.snapshot_id else {
            return Err(pair("the root volume needs a snapshot"));
        };
        identifier("snapshot", id, "snap-")?;
        if matches!(root.kind, VolumeType::St1 | VolumeType::Sc1) {
            return Err(ImageError::value(
                "volume type",
                &root.kind,
                "no instance starts from such a volume",
            ));
        }
        if let Some(device) = self.root_device() {
            device_name(device)?;
            let plain = device == "/dev/sda1" || !device.ends_with(|c: char| c.is_ascii_digit());
            if self.virtualization == Virtualization::Hvm && !plain {
                return Err(ImageError::value(
                    "root device",
                    device,
                    "for hvm it is /dev/xvda, /dev/sda1 or another name without a number",
                ));
            }
        }
        volume(root)
    }

    fn check_bundle(&self, location: &str) -> Result<(), ImageError> {
        let path = location.split_once('/');
        let fine = path.is_some_and(|(bucket, key)| {
            bucket.len() >= 3 && key.ends_with(".manifest.xml") && key != ".manifest.xml"
        });
        if !fine {
            return Err(ImageError::value(
                "manifest",
                location,
                "it is BUCKET/PREFIX/NAME.manifest.xml",
            ));
        }
        if self.architecture == Architecture::Arm64 {
            return Err(pair("no instance for arm64 starts from a bundle"));
        }
        Ok(())
    }
}

fn pair(message: impl Into<String>) -> ImageError {
    ImageError::Pair(message.into())
}

/// An identifier of EC2: eight or seventeen hexadecimal digits after its prefix.
pub(super) fn identifier(
    what: &'static str,
    id: &str,
    prefix: &'static str,
) -> Result<(), ImageError> {
    if is_id(id, prefix) {
        return Ok(());
    }
    let why = format!("it is {prefix} and 8 or 17 hexadecimal digits");
    Err(ImageError::value(what, id, why))
}

pub(super) fn description(text: &str) -> Result<(), ImageError> {
    match text.chars().count() {
        0..=MAX_DESCRIPTION => Ok(()),
        n => Err(ImageError::value(
            "description",
            text,
            format!("it has {n} characters, and AWS takes {MAX_DESCRIPTION}"),
        )),
    }
}

/// Tags of a user, beside our two.
pub(in crate::aws) fn tags(tags: &[(String, String)]) -> Result<(), ImageError> {
    if tags.len() > MAX_TAGS - 2 {
        let why = format!("{MAX_TAGS} are the most, and two of them are ours");
        return Err(ImageError::value("number of tags", &tags.len(), why));
    }
    let mut keys = BTreeSet::new();
    for (key, value) in tags {
        let bad = |why: &str| Err(ImageError::value("tag", &format!("{key}={value}"), why));
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return bad("a key has 1 to 128 characters, a value at most 256");
        }
        if key.starts_with("aws:") {
            return bad("keys that begin with aws: are AWS's");
        }
        if key == DIGEST_TAG || key == RUN_TAG {
            return bad("this key is ours");
        }
        if !keys.insert(key) {
            return bad("its key is given twice");
        }
    }
    Ok(())
}

fn device_name(name: &str) -> Result<(), ImageError> {
    let rest = name.strip_prefix("/dev/").unwrap_or(name);
    let fine = ["sd", "xvd", "hd"].iter().any(|p| {
        rest.strip_prefix(p)
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()))
    });
    if fine
        && rest
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return Ok(());
    }
    Err(ImageError::value(
        "device",
        name,
        "EC2's devices are called /dev/xvdb, /dev/sdb and so on",
    ))
}

/// Sizes, operations and throughput of the kinds of volumes (EBS user guide, "Amazon EBS volume types"; SDK,
/// `EbsBlockDevice`).
fn volume(volume: &Volume) -> Result<(), ImageError> {
    let kind = volume.kind;
    let (sizes, iops, ratio): (_, Option<RangeInclusive<u32>>, u64) = match kind {
        VolumeType::Gp3 => (1..=65_536, Some(3_000..=80_000), 500),
        VolumeType::Gp2 => (1..=16_384, None, 0),
        VolumeType::Io1 => (4..=16_384, Some(100..=64_000), 50),
        VolumeType::Io2 => (4..=65_536, Some(100..=256_000), 1_000),
        VolumeType::St1 | VolumeType::Sc1 => (125..=16_384, None, 0),
        VolumeType::Standard => (1..=1_024, None, 0),
    };
    let within = |what, value: u64, low: u64, high: u64| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        let why = format!("for {kind} it is {low} to {high}");
        Err(ImageError::value(what, &value, why))
    };
    if let Some(size) = volume.size {
        within("volume size in GiB", size, *sizes.start(), *sizes.end())?;
    }
    match (volume.iops, iops) {
        (None, Some(_)) if matches!(kind, VolumeType::Io1 | VolumeType::Io2) => {
            return Err(pair(format!("an {kind} volume needs --iops")));
        }
        (Some(_), None) => {
            return Err(pair(format!("a {kind} volume has no --iops of its own")));
        }
        (Some(n), Some(range)) => {
            within(
                "iops",
                n.into(),
                (*range.start()).into(),
                (*range.end()).into(),
            )?;
            // Of a volume as large as its snapshot, AWS alone knows.
            if let Some(size) = volume.size
                && u64::from(n) > (ratio * size).max((*range.start()).into())
            {
                let why = format!("a {kind} volume has at most {ratio} for each of its {size} GiB");
                return Err(ImageError::value("iops", &n, why));
            }
        }
        (None, _) => {}
    }
    if let Some(throughput) = volume.throughput {
        if kind != VolumeType::Gp3 {
            return Err(pair(format!("--throughput is for gp3, not for {kind}")));
        }
        within("throughput in MiB/s", throughput.into(), 125, 2_000)?;
        let iops = volume.iops.unwrap_or(3_000);
        if throughput > iops / 4 {
            let why = format!("gp3 has at most 1 MiB/s for 4 of its {iops} IOPS: say more --iops");
            return Err(ImageError::value("throughput in MiB/s", &throughput, why));
        }
    }
    match (volume.initialization_rate, &volume.snapshot_id) {
        (Some(_), None) => {
            return Err(pair(
                "a volume without a snapshot has no initialization rate",
            ));
        }
        (Some(rate), Some(_)) => {
            within("volume initialization rate in MiB/s", rate.into(), 100, 300)?;
        }
        (None, _) => {}
    }
    if volume.encrypted && volume.snapshot_id.is_some() {
        return Err(pair(
            "a volume is encrypted as its snapshot is: encrypt the snapshot, or a copy of the AMI",
        ));
    }
    Ok(())
}
