//! An instance lives on: an administrator's `update-grub`, `grub-install`, a new kernel and `grub-reboot` in a
//! booted Debian leave one that boots, with the console, the timeout and the command line that it had.
//!
//! The rootfs has a second, older kernel from the beginning, so that there is an entry to choose; the new one
//! comes as a kernel package's does, through the hooks of `/etc/kernel/postinst.d`. All of them are one
//! kernel under three names: which one GRUB took is what the kernel says of its command line.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use diskwright::boot::{Firmware, Machine};
use diskwright::grub::DEFAULT_CMDLINE;
use diskwright::image::{Boot, Built, Free, Scheme, Spec};

use crate::boot_debian::{can_boot, follow, log, log_in, open_shadow, step};
use crate::common::grub::grub_folder;
use crate::common::{image, rootfs};
use crate::tools::{have, stdout};

/// The boot in which the work is done makes an initramfs, the longest of all things here.
const PATIENCE: Duration = Duration::from_secs(1500);

const OLD: &str = "6.1.0-1-cloud-amd64";
const NEW: &str = "6.9.0-1-cloud-amd64";

/// In the submenu: the newest, its recovery entry, the one before.
const ONE_BEFORE: &str = "1>2";

/// What an administrator does, with the flags that a manual would give.
const WORK: &str = r#"set -eux
here=$(uname -r)
disk=/dev/$(lsblk --noheadings --output PKNAME "$(findmnt --noheadings --output SOURCE /)")
update-grub
grub-install --target=i386-pc "$disk"
if mountpoint --quiet /boot/efi; then
    grub-install --target=x86_64-efi --removable
    test -e /boot/efi/EFI/BOOT/BOOTX64.EFI
fi
cp --archive --link "/lib/modules/$here" "/lib/modules/$1"
cp --archive "/boot/vmlinuz-$here" "/boot/vmlinuz-$1"
cp --archive "/boot/config-$here" "/boot/config-$1"
export DEB_MAINT_PARAMS="configure $here"
run-parts --report --exit-on-error --arg="$1" --arg="/boot/vmlinuz-$1" /etc/kernel/postinst.d
test -s "/boot/initrd.img-$1"
grub-reboot "$2"
sync
echo WORK "DONE"
"#;

/// The cloud kernel needs no module to reach its root; all of them would take minutes to pack under TCG.
const QUICK: &[u8] = b"MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\n";

/// What a kernel given `root` and our command line says of it, on the console as in `/proc/cmdline`.
fn command_line(version: &str, root: &str) -> String {
    let line = format!("BOOT_IMAGE=/boot/vmlinuz-{version} root={root} ro {DEFAULT_CMDLINE}");
    regex::escape(&line) + r" *\r?\n"
}

struct Disk<'a> {
    image: &'a Path,
    root: &'a str,
}

impl Disk<'_> {
    fn machine(firmware: Firmware) -> Machine {
        Machine {
            firmware,
            persist: true,
            ..Machine::default()
        }
    }

    /// GRUB, started by `firmware`, takes the kernel `version` with our command line; then the power fails.
    #[track_caller]
    fn starts(&self, firmware: Firmware, version: &str) {
        let line = format!("Command line: {}", command_line(version, self.root));
        let machine = Self::machine(firmware);
        follow(
            self.image,
            &machine,
            PATIENCE,
            vec![step(&line, None)],
            false,
        );
    }

    /// The same, up to the login prompt; then runs `then`, which says `done`, and reboots.
    #[track_caller]
    fn runs(&self, firmware: Firmware, version: &str, then: &str, done: &str) -> String {
        let ask = format!("cat /proc/cmdline\n{then}\n");
        let steps = vec![
            step(":~# ", Some(&ask)),
            step(&command_line(version, self.root), None),
            step(&format!(r"{done}\r?\n"), Some("systemctl reboot\n")),
        ];
        let machine = Self::machine(firmware);
        log(&log_in(self.image, &machine, PATIENCE, steps, true))
    }

    /// GRUB's own reading of a file in the root filesystem.
    fn read(&self, partition: &str, path: &str) -> String {
        let inside = format!("(loop0,{partition})/{path}");
        let image = self.image.to_str().unwrap();
        stdout("grub-fstest", &[image, "cat", &inside])
    }
}

/// The `linux` and `initrd` lines of every entry, by the entry's id.
fn entries(cfg: &str) -> BTreeMap<String, Vec<String>> {
    let mut entries = BTreeMap::<String, Vec<String>>::new();
    let mut id = String::new();
    for line in cfg.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("$menuentry_id_option '") {
            rest.split('\'').next().unwrap().clone_into(&mut id);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if matches!(words.first(), Some(&"linux" | &"initrd")) {
            entries.entry(id.clone()).or_default().push(words.join(" "));
        }
    }
    entries
}

/// What grub-mkconfig made says what ours said, and of the new kernel the same.
fn assert_kept(ours: &str, theirs: &str, here: &str) {
    let (mut want, found) = (entries(ours), entries(theirs));
    assert_eq!(want.len(), 5, "two kernels, twice each, and the default");
    for (id, lines) in want.clone() {
        let renamed = |text: &str| text.replace(here, NEW);
        let lines: Vec<String> = lines.iter().map(|l| renamed(l)).collect();
        want.insert(renamed(&id), lines);
    }
    assert_eq!(found, want);
    for line in ["set timeout=1", "set timeout_style=menu"] {
        assert!(ours.contains(line) && theirs.contains(line), "{line}");
    }
}

/// `firmware` are those that start the image, one after the other.
fn lives(debian: &Path, folder: &Path, spec: &Spec, partition: &str, firmware: [Firmware; 2]) {
    let (tar, path) = (folder.join("rootfs.tar"), folder.join("disk.img"));
    let kernels = rootfs::members(debian, "boot/vmlinuz-");
    let here = kernels[0].strip_prefix("boot/vmlinuz-").unwrap();
    let member = |name: &str| rootfs::member(debian, &format!("boot/{name}-{here}"));
    let (kernel, initrd, shadow) = (member("vmlinuz"), member("initrd.img"), open_shadow(debian));
    let named = |name: &str| format!("boot/{name}-{OLD}");
    let efi = efi_modules(spec);
    let mut files = vec![
        ("etc/shadow", "640", &shadow[..]),
        ("root/work", "644", WORK.as_bytes()),
        ("etc/initramfs-tools/conf.d/quick", "644", QUICK),
    ];
    let names = [named("vmlinuz"), named("initrd.img")];
    files.push((&names[0], "644", &kernel));
    files.push((&names[1], "644", &initrd));
    files.extend(efi.iter().map(|(name, data)| (&**name, "644", &**data)));
    rootfs::with_files(debian, &tar, &files);
    let built: Built = rootfs::image_of(&tar, &path, spec);
    std::fs::remove_file(&tar).unwrap();
    let disk = Disk {
        image: &path,
        root: &built.report.root,
    };
    let ours = disk.read(partition, "boot/grub/grub.cfg");

    let [one, other] = firmware;
    let once = format!("grub-reboot '{ONE_BEFORE}' && sync && echo CHOSEN ONCE");
    disk.runs(one, here, &once, "CHOSEN ONCE");
    disk.starts(other, OLD);
    let work = format!("sh /root/work {NEW} '{ONE_BEFORE}' 2>&1");
    let said = disk.runs(one, here, &work, "WORK DONE");
    assert!(!said.contains("grub-install: error"), "{said}");
    let theirs = disk.read(partition, "boot/grub/grub.cfg");
    assert_kept(&ours, &theirs, here);
    disk.starts(other, here);
    disk.runs(one, NEW, "echo LIVES  ON", "LIVES ON");
    disk.starts(other, NEW);

    let verified = image::diskwright().arg("verify").arg(&path).output();
    let verified = verified.unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// What grub-efi-amd64-bin would have put into the rootfs, where the image is to boot UEFI.
fn efi_modules(spec: &Spec) -> Vec<(String, Vec<u8>)> {
    if spec.boot == Boot::Bios {
        return Vec::new();
    }
    let grub = grub_folder("bookworm").unwrap();
    let mut files = Vec::new();
    for folder in ["x86_64-efi", "x86_64-efi/monolithic"] {
        for entry in std::fs::read_dir(grub.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                let name = entry.file_name().into_string().unwrap();
                let content = std::fs::read(entry.path()).unwrap();
                files.push((format!("usr/lib/grub/{folder}/{name}"), content));
            }
        }
    }
    // grub-install looks for it; it is not among what a build needs.
    let info = "grub_modinfo_target_cpu=x86_64\ngrub_modinfo_platform=efi\n";
    let name = "usr/lib/grub/x86_64-efi/modinfo.sh".to_owned();
    files.push((name, info.as_bytes().to_vec()));
    files
}

fn spec(scheme: Scheme, boot: Boot) -> Spec {
    Spec {
        scheme,
        boot,
        free: Free::Bytes(128 << 20),
        ..Spec::default()
    }
}

#[test]
fn a_hybrid_boots_both_ways_after_all_that_an_administrator_does() {
    if !(can_boot() && have("grub-fstest")) {
        return;
    }
    let (Some(debian), Some(_)) = (rootfs::debian(), grub_folder("bookworm")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(Scheme::Gpt, Boot::Hybrid);
    let firmware = [Firmware::Uefi, Firmware::Bios];
    lives(&debian, folder.path(), &spec, "gpt1", firmware);
}

#[test]
fn a_disk_with_an_mbr_boots_after_all_that_an_administrator_does() {
    if !(can_boot() && have("grub-fstest") && rootfs::full("the same on a disk with an MBR")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(Scheme::Mbr, Boot::Bios);
    let firmware = [Firmware::Bios, Firmware::Bios];
    lives(&debian, folder.path(), &spec, "msdos1", firmware);
}
