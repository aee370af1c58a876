//! A Debian on a hybrid disk of which a part is destroyed: who notices, and what still boots.
//!
//! | destroyed | SeaBIOS and GRUB | OVMF | `verify` |
//! |---|---|---|---|
//! | five sectors of core.img | boots: parity | boots: another loader | loaders are not looked at |
//! | primary GPT | no: GRUB finds no partition, its `part_gpt` reads the primary alone | boots, and writes the primary anew from the backup | exit 1, names the header |

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use diskwright::boot::{Firmware, Machine};
use diskwright::image::{Boot, Scheme, Spec};

use crate::boot_debian::{PATIENCE, can_boot, log_in, opened, step};
use crate::common::grub::grub_folder;
use crate::common::{image, rootfs};
use crate::tools::{self, have, stdout};

/// Where core.img lies on a disk with a BIOS boot partition, in sectors: a few behind its decoder.
const MIDDLE_OF_CORE: u64 = 2048 + 20;

fn destroy(disk: &Path, sectors: std::ops::Range<u64>) {
    let file = File::options().write(true).open(disk).unwrap();
    let len = usize::try_from((sectors.end - sectors.start) * 512).unwrap();
    file.write_all_at(&vec![0x5a; len], sectors.start * 512)
        .unwrap();
}

/// `verify`'s exit code and findings.
fn verify(disk: &Path) -> (Option<i32>, String) {
    let mut command = image::diskwright();
    let out = command.args(["verify", "-q"]).arg(disk).output().unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap())
}

fn machine(firmware: Firmware, persist: bool) -> Machine {
    Machine {
        firmware,
        persist,
        ..Machine::default()
    }
}

#[test]
fn core_img_mends_itself_and_the_backup_gpt_boots_under_uefi() {
    if !(can_boot() && have("grub-fstest") && have("sfdisk")) {
        return;
    }
    let (Some(debian), Some(grub)) = (rootfs::debian(), grub_folder("bookworm")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let tar = opened(&debian, folder.path(), &[]);
    let spec = Spec {
        scheme: Scheme::Gpt,
        boot: Boot::Hybrid,
        grub: vec![grub],
        ..Spec::default()
    };
    rootfs::image_of(&tar, &disk, &spec);

    destroy(&disk, MIDDLE_OF_CORE..MIDDLE_OF_CORE + 5);
    let bios = machine(Firmware::Bios, false);
    log_in(&disk, &bios, PATIENCE, Vec::new(), false);

    // Header and entries.
    destroy(&disk, 1..34);
    let (code, said) = verify(&disk);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("byte 512, primary GPT: "), "{said}");
    let grub = tools::run(
        "grub-fstest",
        &[disk.to_str().unwrap(), "cat", "(loop0,gpt1)/etc/fstab"],
    );
    let said = String::from_utf8_lossy(&grub.stderr);
    assert!(said.contains("no such partition"), "{said}");

    let uefi = machine(Firmware::Uefi, true);
    let off = vec![step(":~# ", Some("systemctl poweroff\n"))];
    log_in(&disk, &uefi, PATIENCE, off, true);
    assert_eq!(verify(&disk), (Some(0), String::new()));
    stdout("sfdisk", &["--verify", disk.to_str().unwrap()]);
}
