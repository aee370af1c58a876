//! A Debian on a hybrid disk of which a part is destroyed: who notices, and what still boots.
//!
//! | destroyed | SeaBIOS and GRUB | OVMF | `verify` |
//! |---|---|---|---|
//! | five sectors of core.img | boots: parity | boots: another loader | loaders are not looked at |
//! | primary GPT | GRUB's rescue shell: its `part_gpt` reads the primary alone | boots, and writes the primary anew from the backup | exit 1, names the header |

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use diskwright::boot::{Firmware, Machine, Script, Verdict, run};
use diskwright::image::{Boot, Scheme, Spec};
use diskwright::observe::Silent;
use regex::bytes::Regex;

use crate::boot_debian::{PATIENCE, can_boot, log, log_in, step};
use crate::common::grub::grub_folder;
use crate::common::{image, rootfs};
use crate::tools::stdout;

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

fn machine(firmware: Firmware) -> Machine {
    Machine {
        firmware,
        persist: true,
        ..Machine::default()
    }
}

#[test]
fn core_img_mends_itself_and_the_backup_gpt_boots_under_uefi() {
    if !can_boot() {
        return;
    }
    let (Some(debian), Some(grub)) = (rootfs::debian(), grub_folder("bookworm")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let spec = Spec {
        scheme: Scheme::Gpt,
        boot: Boot::Hybrid,
        grub: vec![grub],
        ..Spec::default()
    };
    rootfs::image_of(&debian, &disk, &spec);

    destroy(&disk, MIDDLE_OF_CORE..MIDDLE_OF_CORE + 5);
    let log_in = |firmware| log_in(&disk, &machine(firmware), PATIENCE, Vec::new(), false);
    log_in(Firmware::Bios);

    // Header and entries.
    destroy(&disk, 1..34);
    let (code, said) = verify(&disk);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("byte 512, primary GPT: "), "{said}");
    let script = Script {
        steps: vec![step("grub rescue>", None)],
        timeout: Some(Duration::from_secs(120)),
        fail: vec![Regex::new("Command line:").unwrap()],
        ..Script::default()
    };
    let bios = machine(Firmware::Bios);
    let outcome = run(&disk, &bios, &script, &mut std::io::sink(), &Silent).unwrap();
    assert_eq!(outcome.verdict, Verdict::Matched, "{}", log(&outcome));

    log_in(Firmware::Uefi);
    let (_, said) = verify(&disk);
    assert!(!said.contains("GPT"), "{said}");
    stdout("sfdisk", &["--verify", disk.to_str().unwrap()]);
}
