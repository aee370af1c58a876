//! What an AMI must be, by what its image is.

use super::{Architecture, BootMode, Virtualization};
use crate::image::Report;
use crate::inspect::Info;

/// What an image says about the AMI to be made of it; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// The processor that it is for.
    pub architecture: Option<Architecture>,
    /// What starts it.
    pub boot_mode: Option<BootMode>,
    /// What machine it is for.
    pub virtualization: Option<Virtualization>,
}

impl Derived {
    /// Of an image that was just built, or is to be: all but the architecture of a rootfs that is neither of those
    /// with UEFI is known.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        let architecture = match report.arch {
            Some("x86-64") => Some(Architecture::X86_64),
            Some("arm64") => Some(Architecture::Arm64),
            _ => None,
        };
        let boot_mode = match report.boot {
            "bios" => Some(BootMode::LegacyBios),
            "uefi" => Some(BootMode::Uefi),
            "hybrid" => Some(BootMode::UefiPreferred),
            _ => None,
        };
        let virtualization = match report.boot {
            "pv" => Virtualization::Paravirtual,
            _ => Virtualization::Hvm,
        };
        Self {
            architecture,
            boot_mode,
            virtualization: Some(virtualization),
        }
    }

    /// Of any disk: by GRUB in its first sector, an EFI system partition, and the type of its root partition.
    #[must_use]
    pub fn of_info(info: &Info) -> Self {
        let has = |name: &str| info.partitions.iter().any(|p| p.type_name == name);
        let efi = has("EFI system");
        let boot_mode = match (info.grub, efi) {
            (true, true) => Some(BootMode::UefiPreferred),
            (true, false) => Some(BootMode::LegacyBios),
            (false, true) => Some(BootMode::Uefi),
            (false, false) => None,
        };
        let architecture = if has("root, arm64") {
            Some(Architecture::Arm64)
        } else if has("root, x86-64") || info.grub {
            Some(Architecture::X86_64)
        } else {
            None
        };
        // Nothing but PV-GRUB, or a kernel from outside, starts a filesystem without a partition table.
        let bare = info.filesystem.is_some() && !info.grub;
        let virtualization = match (bare, boot_mode) {
            (true, _) => Some(Virtualization::Paravirtual),
            (false, Some(_)) => Some(Virtualization::Hvm),
            (false, None) => None,
        };
        Self {
            architecture,
            boot_mode,
            virtualization,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Partition;

    fn disk(grub: bool, kinds: &[&'static str]) -> Info {
        let partition = |type_name| Partition {
            number: 1,
            start: 2048,
            sectors: 8,
            kind: String::new(),
            type_name,
            label: None,
            active: false,
            partuuid: String::new(),
            filesystem: None,
            fat: None,
        };
        Info {
            size: 1 << 30,
            scheme: "gpt",
            disk_signature: None,
            disk_guid: None,
            faults: Vec::new(),
            grub,
            partitions: kinds.iter().map(|k| partition(*k)).collect(),
            filesystem: None,
        }
    }

    #[test]
    fn a_disk_says_what_starts_it_and_on_what() {
        let hvm = Some(Virtualization::Hvm);
        let (x86, arm) = (Some(Architecture::X86_64), Some(Architecture::Arm64));
        for (grub, kinds, architecture, boot_mode, virtualization) in [
            (true, &["Linux"][..], x86, Some(BootMode::LegacyBios), hvm),
            (
                true,
                &["root, x86-64", "BIOS boot", "EFI system"],
                x86,
                Some(BootMode::UefiPreferred),
                hvm,
            ),
            (
                false,
                &["root, x86-64", "EFI system"],
                x86,
                Some(BootMode::Uefi),
                hvm,
            ),
            (
                false,
                &["root, arm64", "EFI system"],
                arm,
                Some(BootMode::Uefi),
                hvm,
            ),
            (
                false,
                &["Linux", "EFI system"],
                None,
                Some(BootMode::Uefi),
                hvm,
            ),
            (false, &["Linux"], None, None, None),
        ] {
            let derived = Derived {
                architecture,
                boot_mode,
                virtualization,
            };
            assert_eq!(Derived::of_info(&disk(grub, kinds)), derived, "{kinds:?}");
        }
    }
}
