//! Debian 12 and 13 reach their login prompts from NVMe, as on a Nitro instance, in every mode that has a
//! loader of ours: MBR and GPT by SeaBIOS, a hybrid by SeaBIOS and by OVMF from the same image.
//!
//! GRUB for BIOS is the rootfs's own; the loader for UEFI, which neither rootfs has, that of its release.

use diskwright::boot::{Disk, Firmware, Machine};
use diskwright::image::{Boot, RootBy, Scheme, Spec};

use crate::boot_debian::{PATIENCE, can_boot, log, log_in};
use crate::common::grub::grub_folder;
use crate::common::rootfs;
use crate::tools::skip;

/// A release, by its name in the archive.
struct Release {
    suite: &'static str,
    /// What the console calls it in front of the prompt.
    issue: &'static str,
}

const DEBIAN_12: Release = Release {
    suite: "bookworm",
    issue: "Debian GNU/Linux 12 ",
};
const DEBIAN_13: Release = Release {
    suite: "trixie",
    issue: "Debian GNU/Linux 13 ",
};

/// A disk, and the firmware that it must come up under.
struct Row {
    scheme: Scheme,
    boot: Boot,
    root_by: RootBy,
    firmware: &'static [Firmware],
}

const MBR: Row = Row {
    scheme: Scheme::Mbr,
    boot: Boot::Bios,
    root_by: RootBy::Uuid,
    firmware: &[Firmware::Bios],
};
const GPT: Row = Row {
    scheme: Scheme::Gpt,
    boot: Boot::Bios,
    root_by: RootBy::PartUuid,
    firmware: &[Firmware::Bios],
};
const HYBRID: Row = Row {
    scheme: Scheme::Gpt,
    boot: Boot::Hybrid,
    root_by: RootBy::Uuid,
    firmware: &[Firmware::Bios, Firmware::Uefi],
};

/// Builds the row's disk of the release and boots it.
fn comes_up(release: &Release, row: &Row) {
    let ovmf = std::path::Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd").is_file();
    let uefi = row.firmware.contains(&Firmware::Uefi);
    if !can_boot() || (uefi && !ovmf && !skip("the package ovmf is not installed")) {
        return;
    }
    let Some(tar) = rootfs::debian_of(release.suite) else {
        return;
    };
    let grub = uefi.then(|| grub_folder(release.suite));
    if matches!(grub, Some(None)) {
        return;
    }
    let spec = Spec {
        scheme: row.scheme,
        boot: row.boot,
        root_by: row.root_by,
        grub: grub.flatten().into_iter().collect(),
        ..Spec::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let built = rootfs::image_of(&tar, &image, &spec);
    assert_eq!(built.report.boot, if uefi { "hybrid" } else { "bios" });
    if row.root_by == RootBy::PartUuid {
        let partuuid = &built.report.partitions[0].partuuid;
        assert_eq!(built.report.root, format!("PARTUUID={partuuid}"));
    }

    for &firmware in row.firmware {
        let machine = Machine {
            firmware,
            disk: Disk::Nvme,
            ..Machine::default()
        };
        let log = log(&log_in(&image, &machine, PATIENCE, Vec::new(), false));
        for said in [
            release.issue,
            "EXT4-fs (nvme0n1p1): mounted filesystem",
            &format!(" root={} ro ", built.report.root),
        ] {
            assert!(log.contains(said), "{firmware:?}: no `{said}` in {log}");
        }
        // The kernel's own word on who started it.
        let by_uefi = log.contains("] efi: EFI v");
        assert_eq!(by_uefi, firmware == Firmware::Uefi, "{firmware:?}: {log}");
    }
}

#[test]
fn debian_12_on_an_mbr_comes_up_by_bios() {
    comes_up(&DEBIAN_12, &MBR);
}

#[test]
fn debian_12_on_a_gpt_comes_up_by_bios() {
    comes_up(&DEBIAN_12, &GPT);
}

#[test]
fn debian_12_on_a_hybrid_comes_up_by_bios_and_by_uefi() {
    comes_up(&DEBIAN_12, &HYBRID);
}

#[test]
fn debian_13_on_an_mbr_comes_up_by_bios() {
    comes_up(&DEBIAN_13, &MBR);
}

#[test]
fn debian_13_on_a_gpt_comes_up_by_bios() {
    comes_up(&DEBIAN_13, &GPT);
}

#[test]
fn debian_13_on_a_hybrid_comes_up_by_bios_and_by_uefi() {
    comes_up(&DEBIAN_13, &HYBRID);
}
