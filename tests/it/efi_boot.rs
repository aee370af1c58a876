//! Firmware starts our loaders: OVMF and AAVMF, with Secure Boot and without, up to the menu's script.
//!
//! The rootfs is a few files, its kernel is none, and its own grub.cfg says a word and waits to be
//! ended: what is proven is the way from the firmware through the EFI system partition to `/boot/grub`.

use std::path::{Path, PathBuf};

use diskwright::boot::{DEFAULT_FAIL, Firmware, Machine, Outcome, Script, Step, Verdict, run};
use diskwright::observe::Silent;
use regex::bytes::Regex;

use crate::boot_debian::PATIENCE;
use crate::common::grub::grub_folder;
use crate::common::image::build;
use crate::common::member::Member;
use crate::tools::{have, skip};

const UUID: &str = "6e6f7420-6120-4c65-8672-616e646f6d21";

/// An image for `arch`, as uname names it, with the loader that `grub` has.
fn image(folder: &Path, arch: &str, grub: &Path) -> PathBuf {
    let (tar, image) = (folder.join("rootfs.tar"), folder.join("disk.img"));
    // By its dynamic linker, a rootfs is known to be for a machine.
    let loader = match arch {
        "x86_64" => "lib64/ld-linux-x86-64.so.2",
        _ => "lib/ld-linux-aarch64.so.1",
    };
    let cfg = format!(
        "search --no-floppy --fs-uuid --set=root {UUID}\n\
         echo \"MENU platform=$grub_platform prefix=$prefix root=$root\"\nsleep 300\n"
    );
    let members = [
        Member::file("boot/vmlinuz-1", "none").bytes(),
        Member::file("boot/initrd.img-1", "none").bytes(),
        Member::file("boot/grub/grub.cfg", cfg).bytes(),
        Member::file(loader, "none").bytes(),
        Member::file("etc/os-release", "NAME=Test\n").bytes(),
    ];
    let end = vec![0; 1024];
    std::fs::write(&tar, [members.concat(), end].concat()).unwrap();
    let grub = grub.to_str().unwrap();
    build(
        &tar,
        &image,
        &["--boot", "uefi", "--uuid", UUID, "--grub", grub],
    );
    image
}

/// What comes of booting `image`, looking for the menu's word.
fn boot(image: &Path, firmware: Firmware) -> Outcome {
    let machine = Machine {
        firmware,
        screen: true,
        memory_mib: 512,
        ..Machine::default()
    };
    let step = Step {
        expect: Regex::new(r"MENU platform=efi prefix=\(hd0,gpt1\)/boot/grub root=hd0,gpt1")
            .unwrap(),
        send: None,
    };
    let script = Script {
        steps: vec![step],
        fail: vec![Regex::new(DEFAULT_FAIL).unwrap()],
        timeout: Some(PATIENCE),
        ..Script::default()
    };
    let digest = std::fs::read(image).unwrap();
    let outcome = run(image, &machine, &script, &mut std::io::sink(), &Silent).unwrap();
    assert!(
        digest == std::fs::read(image).unwrap(),
        "the image was changed"
    );
    outcome
}

#[track_caller]
fn comes_up(image: &Path, firmware: Firmware) {
    let outcome = boot(image, firmware);
    let log = String::from_utf8_lossy(&outcome.log);
    assert_eq!(outcome.verdict, Verdict::Matched, "{log}");
    if let Some(screen) = outcome.screen {
        assert!(screen.unwrap().starts_with(b"\x89PNG"));
    }
}

/// Whether firmware, by Debian's path, and qemu are here.
fn firmware(qemu: &str, file: &str) -> bool {
    have(qemu) && (Path::new(file).is_file() || skip(&format!("{file} is missing")))
}

pub(crate) fn x86() -> bool {
    firmware("qemu-system-x86_64", "/usr/share/OVMF/OVMF_CODE_4M.fd")
}

pub(crate) fn arm() -> bool {
    firmware("qemu-system-aarch64", "/usr/share/AAVMF/AAVMF_CODE.fd")
}

/// `grub` without the linked loaders, so that core.efi is made.
pub(crate) fn modules_alone(grub: &Path, folder: &Path) -> PathBuf {
    for platform in ["x86_64-efi", "arm64-efi"] {
        let to = folder.join("modules").join(platform);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(grub.join(platform)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    folder.join("modules")
}

#[test]
fn core_efi_and_debians_own_reach_the_menu_on_amd64() {
    let Some(grub) = grub_folder("bookworm").filter(|_| x86()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    comes_up(&image(folder.path(), "x86_64", &grub), Firmware::Auto);
    let own = image(
        folder.path(),
        "x86_64",
        &modules_alone(&grub, folder.path()),
    );
    comes_up(&own, Firmware::Uefi);
}

#[test]
fn core_efi_and_debians_own_reach_the_menu_on_arm64() {
    let Some(grub) = grub_folder("bookworm").filter(|_| arm()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    comes_up(&image(folder.path(), "aarch64", &grub), Firmware::Auto);
    let own = image(
        folder.path(),
        "aarch64",
        &modules_alone(&grub, folder.path()),
    );
    comes_up(&own, Firmware::Uefi);
}

#[test]
fn core_efi_of_debian_13_reaches_the_menu() {
    let Some(grub) = grub_folder("trixie").filter(|_| x86()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let own = image(
        folder.path(),
        "x86_64",
        &modules_alone(&grub, folder.path()),
    );
    comes_up(&own, Firmware::Uefi);
}

#[test]
fn secure_boot_starts_the_signed_pair_and_refuses_core_efi() {
    let host = Path::new("/usr/lib/grub");
    let signed = host.join("x86_64-efi-signed/grubx64.efi.signed");
    if !x86() || !(signed.is_file() || skip(&format!("{} is missing", signed.display()))) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    comes_up(&image(folder.path(), "x86_64", host), Firmware::Secure);
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let own = image(
        folder.path(),
        "x86_64",
        &modules_alone(&grub, folder.path()),
    );
    let outcome = boot(&own, Firmware::Secure);
    let log = String::from_utf8_lossy(&outcome.log);
    assert!(matches!(outcome.verdict, Verdict::Failed { .. }), "{log}");
}
