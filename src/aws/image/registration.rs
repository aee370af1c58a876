//! How an AMI is to be registered.

use super::name::{self, Words};
use super::{
    Architecture, BootMode, Derived, Device, DeviceKind, ImageError, Virtualization, Volume,
};
use crate::hex::hex;
use crate::sink::blocks::Digest;
use crate::units::count;
use sha2::{Digest as _, Sha256};
use std::time::SystemTime;

/// What an AMI is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A snapshot: the AMI's root is an EBS volume.
    Snapshot {
        /// Its root volume, with the snapshot that it holds.
        root: Volume,
        /// What the root volume is called; `None`: `/dev/xvda`, for paravirtual instances `/dev/sda1`.
        device: Option<String>,
    },
    /// A bundle in S3: the AMI's root is a disk of the instance's host.
    Bundle {
        /// `bucket/prefix/name.manifest.xml`.
        location: String,
    },
}

/// How an AMI is to be registered: all that RegisterImage takes.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its name, or a template of one: `{name}-{date}-{digest:8}`.
    pub name: String,
    /// What `{name}` stands for.
    pub stem: String,
    /// What `{date}` stands for.
    pub date: SystemTime,
    /// At most 255 characters.
    pub description: String,
    /// At most 48, none of them of our own keys.
    pub tags: Vec<(String, String)>,
    /// What it is made of.
    pub source: Source,
    /// A digest of what the image holds, where it is known: an AMI of the same content is the same AMI, whatever its
    /// snapshot is called.
    pub content: Option<Digest>,
    /// The processor.
    pub architecture: Architecture,
    /// How instances are virtualized.
    pub virtualization: Virtualization,
    /// By what firmware they start; none for paravirtual ones.
    pub boot_mode: Option<BootMode>,
    /// Devices beside the root.
    pub devices: Vec<Device>,
    /// Elastic network adapter: what current instance types have.
    pub ena: bool,
    /// The virtual function of Intel's 82599, of instance types of before 2016. Cannot be taken back.
    pub sriov_net: bool,
    /// Instances answer requests for metadata with a session's token alone (IMDSv2).
    pub imds_v2: bool,
    /// A TPM 2.0.
    pub tpm: bool,
    /// The variables of UEFI, in base64.
    pub uefi_data: Option<String>,
    /// `aki-…`.
    pub kernel_id: Option<String>,
    /// `ari-…`.
    pub ramdisk_id: Option<String>,
    /// `bp-…`; for accounts that may.
    pub billing_products: Vec<String>,
}

impl Registration {
    /// An AMI of a snapshot or a bundle, as is best for what its image is. For a whole machine with an EBS volume that
    /// means ENA and IMDSv2.
    ///
    /// # Errors
    /// When the architecture is not known.
    pub fn new(
        name: impl Into<String>,
        stem: impl Into<String>,
        source: Source,
        derived: Derived,
    ) -> Result<Self, ImageError> {
        let architecture = derived.architecture.ok_or_else(|| {
            ImageError::Pair("the image does not say what processor it is for: say --arch".into())
        })?;
        let virtualization = derived.virtualization.unwrap_or(Virtualization::Hvm);
        let hvm = virtualization == Virtualization::Hvm;
        let modern = hvm && matches!(source, Source::Snapshot { .. });
        let boot_mode = derived.boot_mode.or(match architecture {
            Architecture::Arm64 => Some(BootMode::Uefi),
            _ => None,
        });
        Ok(Self {
            name: name.into(),
            stem: stem.into(),
            date: SystemTime::now(),
            description: String::new(),
            tags: Vec::new(),
            source,
            content: None,
            architecture,
            virtualization,
            boot_mode: boot_mode.filter(|_| hvm),
            devices: Vec::new(),
            ena: modern,
            sriov_net: false,
            imds_v2: modern,
            tpm: false,
            uefi_data: None,
            kernel_id: None,
            ramdisk_id: None,
            billing_products: Vec::new(),
        })
    }

    /// The name of the root device, where there is one.
    #[must_use]
    pub fn root_device(&self) -> Option<&str> {
        let Source::Snapshot { device, .. } = &self.source else {
            return None;
        };
        Some(device.as_deref().unwrap_or(match self.virtualization {
            Virtualization::Hvm => "/dev/xvda",
            Virtualization::Paravirtual => "/dev/sda1",
        }))
    }

    /// The name, its template filled in.
    ///
    /// # Errors
    /// When it is not a name that AWS takes.
    pub fn full_name(&self) -> Result<String, ImageError> {
        let digest = hex(&self.digest());
        let words = Words {
            name: &self.stem,
            date: self.date,
            arch: self.architecture.word(),
            digest: &digest,
        };
        name::expand(&self.name, &words)
    }

    /// SHA-256 over all that makes the AMI what it is: its content (or the name of its snapshot or bundle where the
    /// content is not known) and every parameter but name, description and tags.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        let mut add = |text: &str| {
            hasher.update(count(text.len()).to_le_bytes());
            hasher.update(text);
        };
        add("diskwright image 1");
        let content = self.content.map(|digest| hex(&digest));
        match &self.source {
            Source::Snapshot { root, .. } => {
                let snapshot = root.snapshot_id.as_deref().unwrap_or_default();
                add(content.as_deref().unwrap_or(snapshot));
                volume(root, &mut add);
            }
            Source::Bundle { location } => add(content.as_deref().unwrap_or(location)),
        }
        for device in &self.devices {
            add(&device.name);
            match &device.kind {
                DeviceKind::None => add("none"),
                DeviceKind::Ephemeral(disk) => add(disk),
                DeviceKind::Volume(v) => {
                    add(v.snapshot_id.as_deref().unwrap_or_default());
                    volume(v, &mut add);
                }
            }
        }
        let words = [
            self.root_device(),
            Some(self.architecture.word()),
            Some(self.virtualization.word()),
            self.boot_mode.map(BootMode::word),
            self.uefi_data.as_deref(),
            self.kernel_id.as_deref(),
            self.ramdisk_id.as_deref(),
        ];
        words.into_iter().for_each(|w| add(w.unwrap_or_default()));
        add(&format!(
            "{} {} {} {}",
            self.ena, self.sriov_net, self.imds_v2, self.tpm
        ));
        self.billing_products.iter().for_each(|p| add(p));
        hasher.finalize().into()
    }
}

fn volume(volume: &Volume, add: &mut impl FnMut(&str)) {
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    add(&volume.size.map(|n| n.to_string()).unwrap_or_default());
    add(volume.kind.word());
    add(&number(volume.iops));
    add(&number(volume.throughput));
    add(&number(volume.initialization_rate));
    add(&format!(
        "{} {}",
        volume.delete_on_termination, volume.encrypted
    ));
}
