//! A Debian comes up by UEFI, from NVMe, to its login prompt: under Secure Boot by the distribution's signed
//! pair, and by nothing else; on arm64 by every loader that we make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use diskwright::boot::{Firmware, Machine};
use diskwright::image::{Boot, Built, Spec};

use crate::boot_debian::{PATIENCE, log, log_in, opened, step};
use crate::common::grub::grub_folder;
use crate::common::guest::{FOLDER, PROGRAM, newc};
use crate::common::rootfs;
use crate::efi_boot::{arm, modules_alone, x86};
use crate::tools::skip;

/// The host's folder, with the signed pair.
const HOST: &str = "/usr/lib/grub";

fn image(tar: &Path, to: &Path, boot: Boot, grub: PathBuf) -> Built {
    let spec = Spec {
        boot,
        grub: vec![grub],
        ..Spec::default()
    };
    rootfs::image_of(tar, to, &spec)
}

fn by(firmware: Firmware) -> Machine {
    Machine {
        firmware,
        ..Machine::default()
    }
}

/// What the firmware says of itself, and what the kernel makes of it.
const SECURE: &str = "echo SECURE=$(od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-*) \
                      LOCKDOWN=$(cat /sys/kernel/security/lockdown)\n";

#[test]
fn a_debian_comes_up_under_secure_boot_by_the_signed_pair() {
    let signed = Path::new(HOST).join("x86_64-efi-signed/grubx64.efi.signed");
    if !x86() || !(signed.is_file() || skip(&format!("{} is missing", signed.display()))) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let tar = opened(&debian, folder.path(), &[]);
    let built = image(&tar, &disk, Boot::Hybrid, HOST.into());
    assert_eq!(built.report.uefi_loader, Some("signed"));

    let steps = vec![
        step(":~# ", Some(SECURE)),
        step(r"SECURE= 1 LOCKDOWN=none \[integrity\]", None),
    ];
    let said = log(&log_in(
        &disk,
        &by(Firmware::Secure),
        PATIENCE,
        steps,
        false,
    ));
    for word in [
        "EFI stub: UEFI Secure Boot is enabled.",
        "secureboot: Secure boot enabled",
        "Kernel is locked down from EFI Secure Boot",
        "EXT4-fs (nvme0n1p1): mounted filesystem",
    ] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
}

#[test]
fn secure_boot_refuses_core_efi_in_clear_words_and_without_it_a_debian_comes_up() {
    let Some(grub) = grub_folder("bookworm").filter(|_| x86()) else {
        return;
    };
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let disk = path("disk.img");
    let grub = modules_alone(&grub, folder.path());
    let built = image(&debian, &disk, Boot::Uefi, grub);
    assert_eq!(built.report.uefi_loader, Some("own"));

    let (junit, screen) = (path("boot.xml"), path("screen.png"));
    let line = ["--firmware", "secure", "--expect", "login:", "--timeout"];
    let refused = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .arg("boot")
        .arg(&disk)
        .args(line)
        .arg("10m")
        .arg("--junit")
        .arg(&junit)
        .arg("--screenshot")
        .arg(&screen)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    for words in [
        "boot: failed after ",
        " s (secure): BdsDxe: failed to load Boot",
        ": Access Denied\nhelp: Secure Boot is on, and the firmware started nothing",
        "this one with --firmware uefi\n",
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(
        junit.contains("failures=\"1\"") && junit.contains("Access Denied"),
        "{junit}"
    );
    assert!(std::fs::read(screen).unwrap().starts_with(b"\x89PNG"));

    let said = log(&log_in(
        &disk,
        &by(Firmware::Uefi),
        PATIENCE,
        Vec::new(),
        false,
    ));
    assert!(said.contains("secureboot: Secure boot disabled"), "{said}");
}

/// Debian 12 for arm64, its image, and what comes of booting that: by `grub`, root by `root`.
fn comes_up_on_arm(debian: &Path, grub: PathBuf, loader: &str, root: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let built = image(debian, &disk, Boot::Auto, grub);
    let report = &built.report;
    assert_eq!((report.scheme, report.boot), ("gpt", "uefi"));
    assert_eq!(report.uefi_loader, Some(loader));
    assert!(report.root.starts_with(root), "{}", report.root);
    if rootfs::judges() {
        rootfs::assert_e2fsck_clean(&disk, &built);
    }
    let said = log(&log_in(
        &disk,
        &by(Firmware::Auto),
        PATIENCE,
        Vec::new(),
        false,
    ));
    for word in [
        "EFI stub: Booting Linux Kernel...",
        &format!("-cloud-arm64 root={} ro ", report.root),
        "EXT4-fs (nvme0n1p1): mounted filesystem",
    ] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    said
}

/// The rootfs and GRUB; `None` where one cannot be had.
fn debian_for_arm() -> Option<(PathBuf, PathBuf)> {
    let grub = grub_folder("bookworm").filter(|_| arm())?;
    Some((rootfs::debian_of("arm64")?, grub))
}

#[test]
fn a_debian_for_arm64_comes_up_by_debians_linked_loader() {
    let Some((debian, grub)) = debian_for_arm() else {
        return;
    };
    comes_up_on_arm(&debian, grub, "monolithic", "PARTUUID=");
}

#[test]
fn a_debian_for_arm64_comes_up_by_core_efi() {
    let Some((debian, grub)) = debian_for_arm() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let grub = modules_alone(&grub, folder.path());
    comes_up_on_arm(&debian, grub, "own", "PARTUUID=");
}

/// An initrd's first program: finds the root by its UUID, says so in the kernel's log, for its own output goes
/// to tty0, and goes on there.
const INIT: &str = "#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc
for word in $($b cat /proc/cmdline); do
    case $word in root=*) root=${word#root=};; esac
done
until device=$($b findfs $root 2>/dev/null); do $b usleep 100000; done
echo INITRD FOUND $root AT $device > /dev/kmsg
$b mount -o ro -t ext4 $device /root
exec $b switch_root /root /sbin/init
";

#[test]
fn a_debian_for_arm64_with_an_initrd_comes_up_by_core_efi() {
    if !rootfs::full("a Debian for arm64 with an initrd") {
        return;
    }
    let Some((debian, grub)) = debian_for_arm() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut files = BTreeMap::new();
    for name in ["bin", "dev", "proc", "root"] {
        files.insert(name.to_owned(), (FOLDER, Vec::new()));
    }
    let busybox = rootfs::member(&debian, "usr/bin/busybox");
    files.insert("bin/busybox".to_owned(), (PROGRAM, busybox));
    files.insert("init".to_owned(), (PROGRAM, INIT.into()));
    let initrd = newc(&files);
    let kernel = rootfs::members(&debian, "boot/vmlinuz-").remove(0);
    let initrd_path = kernel.replace("vmlinuz-", "initrd.img-");
    let tar = folder.path().join("rootfs.tar");
    rootfs::with_files(&debian, &tar, &[(&initrd_path, "644", &initrd)]);
    let grub = modules_alone(&grub, folder.path());
    let said = comes_up_on_arm(&tar, grub, "own", "UUID=");
    assert!(said.contains("INITRD FOUND UUID="), "{said}");
}
