//! Whether it boots, and is seen to.

use crate::grub::{READ_SINCE_2_02, readable_incompat};
use crate::inspect::lint::Hit;
use crate::inspect::lint::command_line::command_lines;
use crate::inspect::lint::facts::{Facts, LOADERS};
use crate::inspect::lint::initrd::Initrd;
use crate::inspect::lint::kernels::{Kernel, kernels};
use std::collections::BTreeSet;

/// Disks by names that another machine gives to another, or nobody.
const UNSTABLE: [&str; 5] = ["/dev/xvd", "/dev/sd", "/dev/vd", "/dev/hd", "/dev/nvme"];

/// A001.
pub(super) fn serial_console(facts: &Facts) -> Vec<Hit> {
    let lines = command_lines(facts);
    // One entry that speaks, the first, is the one that boots; recovery entries may do as they like.
    let Some(line) = lines.first() else {
        // `build` writes the command line of a root filesystem that is no image yet.
        let what = "no menu of GRUB, extlinux or systemd-boot has a command line: whether the kernel speaks on \
                    ttyS0, and what it takes for its root, cannot be judged";
        return Vec::from_iter(facts.disk.is_some().then(|| Hit::open("/boot", what)));
    };
    if line.speaks {
        return Vec::new();
    }
    vec![Hit::new(line.place(), "the kernel has no console=ttyS0")]
}

/// A002.
pub(super) fn stable_root(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let unstable = |name: &str| UNSTABLE.iter().any(|u| name.starts_with(u));
    for line in command_lines(facts) {
        if let Some(root) = line.root.as_deref().filter(|root| unstable(root)) {
            hits.push(Hit::new(line.place(), format!("root={root}")));
        }
    }
    for (n, line) in (1..).zip(facts.text("etc/fstab").unwrap_or_default().lines()) {
        let device = line.split_whitespace().next().unwrap_or_default();
        if unstable(device) {
            hits.push(Hit::new(
                format!("/etc/fstab:{n}"),
                format!("mounts {device}"),
            ));
        }
    }
    hits
}

/// A018.
pub(super) fn modules(facts: &Facts) -> Vec<Hit> {
    let kernels = kernels(facts);
    if kernels.is_empty() {
        let what = "no kernel is there (vmlinuz-* or kernel-*): what it needs cannot be judged; it may lie on \
                    a partition of its own";
        return vec![Hit::open("/boot", what)];
    }
    let without = kernels
        .iter()
        .filter(|k| k.modules.is_none() && !k.is_rescue());
    let hit = |k: &Kernel| {
        let what = format!("there is no /lib/modules/{}", k.release);
        Hit::new(&k.entry.kernel_path, what)
    };
    without.map(hit).collect()
}

/// A003.
pub(super) fn drivers(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    for kernel in kernels(facts).iter().filter(|k| k.modules.is_some()) {
        let path = &kernel.entry.kernel_path;
        if !kernel.has_ena(facts) {
            let what = "its modules have no ena: no network on Nitro";
            hits.push(Hit::new(path, what));
        }
        if !kernel.needs_nvme(facts) {
            continue;
        }
        let Some(initrd) = kernel.initrd() else {
            let what = "it has no initrd, and nvme is not built into it";
            hits.push(Hit::new(path, what));
            continue;
        };
        let own = facts.resolve(initrd.trim_start_matches('/'));
        let found = own.and_then(|(path, _)| facts.initrds.get(&path));
        hits.extend(match found {
            Some(Initrd::Has) => None,
            Some(Initrd::Lacks) => Some(Hit::new(initrd, "it has no nvme.ko, nor has the kernel")),
            Some(Initrd::Damaged) => Some(Hit::new(
                initrd,
                "it is damaged, and what can be read of it has no nvme.ko, nor has the kernel",
            )),
            Some(Initrd::Packed(how)) => Some(Hit::open(
                initrd,
                format!("it is packed with {how}, which lint does not unpack: whether nvme.ko is in it cannot be judged"),
            )),
            Some(Initrd::Large) => Some(Hit::open(
                initrd,
                "it unpacks to more than lint looks at: whether nvme.ko is in it cannot be judged",
            )),
            None => Some(Hit::open(
                initrd,
                "it cannot be read: whether nvme.ko is in it cannot be judged",
            )),
        });
    }
    hits
}

/// A004.
pub(super) fn grub_reads_root(facts: &Facts) -> Vec<Hit> {
    let Some(disk) = &facts.disk else {
        return Vec::new();
    };
    if facts.below("boot/grub").next().is_none() {
        return Vec::new();
    }
    let folders = ["boot/grub/i386-pc", "boot/grub2/i386-pc"];
    let module = folders
        .iter()
        .find_map(|folder| facts.file(&format!("{folder}/ext2.mod")))
        .and_then(|e| e.content.as_deref());
    let reads = module
        .and_then(readable_incompat)
        .unwrap_or(READ_SINCE_2_02);
    let unread = disk.incompat & !reads;
    if unread == 0 {
        return Vec::new();
    }
    let names = crate::inspect::features::names([0, unread, 0]).join(" ");
    vec![Hit::new(
        "root filesystem",
        format!("GRUB of the image does not read {names}"),
    )]
}

/// Processors that the programs of the root filesystem are for, by their dynamic linkers.
fn machines(facts: &Facts) -> BTreeSet<&'static str> {
    let linkers = [
        ("lib64/ld-linux-x86-64.so.2", "x86-64"),
        ("lib/ld-musl-x86_64.so.1", "x86-64"),
        ("lib/ld-linux-aarch64.so.1", "arm64"),
        ("lib/ld-musl-aarch64.so.1", "arm64"),
    ];
    let there = linkers
        .into_iter()
        .filter(|(path, _)| facts.file(path).is_some());
    there.map(|(_, machine)| machine).collect()
}

/// A005.
pub(super) fn fallback_loader(facts: &Facts) -> Vec<Hit> {
    let Some(there) = facts.disk.as_ref().and_then(|d| d.loaders.as_ref()) else {
        return Vec::new();
    };
    let machines = machines(facts);
    let wanted = match (machines.contains("x86-64"), machines.contains("arm64")) {
        (true, false) => &LOADERS[..1],
        (false, true) => &LOADERS[1..],
        _ => &LOADERS[..],
    };
    if wanted.iter().any(|loader| there.contains(loader)) {
        return Vec::new();
    }
    vec![Hit::new(
        "EFI system partition",
        format!("there is no {}", wanted.join(" nor ")),
    )]
}

/// A006.
pub(super) fn some_loader(facts: &Facts) -> Vec<Hit> {
    let Some(disk) = &facts.disk else {
        return Vec::new();
    };
    let (uefi, machines) = (disk.loaders.is_some(), machines(facts));
    if machines.contains("arm64") && !machines.contains("x86-64") {
        let hit = Hit::new(
            "disk",
            "arm64 boots by UEFI, and there is no EFI system partition",
        );
        return if uefi { Vec::new() } else { vec![hit] };
    }
    let pv = facts.any(&["boot/grub/menu.lst"]);
    // What extlinux's boot sector starts, on a disk with an MBR or none.
    let extlinux = facts.any(&[
        "boot/extlinux/ldlinux.sys",
        "boot/ldlinux.sys",
        "boot/syslinux/ldlinux.sys",
        "extlinux/ldlinux.sys",
        "ldlinux.sys",
    ]);
    if uefi || pv || extlinux || disk.core_img {
        return Vec::new();
    }
    vec![Hit::new(
        "disk",
        "there is neither GRUB's core.img nor extlinux's ldlinux.sys nor an EFI system partition nor menu.lst",
    )]
}
