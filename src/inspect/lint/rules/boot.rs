//! Whether it boots, and is seen to.

use crate::grub::{READ_SINCE_2_02, readable_incompat};
use crate::inspect::lint::Hit;
use crate::inspect::lint::facts::{Facts, Sort, shown};
use crate::inspect::lint::initrd;
use std::collections::BTreeSet;

/// Menus that a loader reads, from the root of the filesystem.
const MENUS: [&str; 3] = [
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    "boot/grub/menu.lst",
];

/// Disks by names that another machine gives to another, or nobody.
const UNSTABLE: [&str; 5] = ["/dev/xvd", "/dev/sd", "/dev/vd", "/dev/hd", "/dev/nvme"];

/// Command lines of kernels: file, number of the line, words.
fn command_lines(facts: &Facts) -> Vec<(String, usize, Vec<String>)> {
    let mut lines = Vec::new();
    for menu in MENUS {
        for (n, line) in (1..).zip(facts.text(menu).unwrap_or_default().lines()) {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let verb = words.first().map_or("", String::as_str);
            if matches!(verb, "linux" | "linux16" | "linuxefi" | "kernel") && words.len() > 1 {
                lines.push((format!("/{menu}"), n, words));
            }
        }
    }
    lines
}

/// A001.
pub(super) fn serial_console(facts: &Facts) -> Vec<Hit> {
    let lines = command_lines(facts);
    let speaks = |words: &[String]| words.iter().any(|w| w.starts_with("console=ttyS0"));
    // One entry that speaks, the first, is the one that boots; recovery entries may do as they like.
    match lines.first() {
        Some((file, n, words)) if !speaks(words) => {
            vec![Hit::new(
                format!("{file}:{n}"),
                "the kernel has no console=ttyS0",
            )]
        }
        _ => Vec::new(),
    }
}

/// A002.
pub(super) fn stable_root(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let unstable = |name: &str| UNSTABLE.iter().any(|u| name.starts_with(u));
    for (file, n, words) in command_lines(facts) {
        let root = words.iter().find_map(|w| w.strip_prefix("root="));
        if let Some(root) = root.filter(|root| unstable(root)) {
            hits.push(Hit::new(format!("{file}:{n}"), format!("root={root}")));
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

/// Kernels in /boot: release and path.
fn kernels(facts: &Facts) -> Vec<(String, String)> {
    let files = facts
        .below("boot/vmlinu")
        .filter(|(_, e)| e.sort == Sort::File);
    let named = files.filter_map(|(path, _)| {
        let name = String::from_utf8_lossy(path).into_owned();
        let release = name.split_once('-')?.1.to_owned();
        Some((release, shown(path)))
    });
    named.collect()
}

/// Folder of the modules of a release.
fn modules_of(facts: &Facts, release: &str) -> Option<String> {
    let folders = ["usr/lib/modules", "lib/modules"].map(|f| format!("{f}/{release}"));
    let there = |folder: &&String| facts.below(&format!("{folder}/")).next().is_some();
    folders.iter().find(there).cloned()
}

/// A018.
pub(super) fn modules(facts: &Facts) -> Vec<Hit> {
    let kernels = kernels(facts).into_iter();
    let without = kernels.filter(|(release, _)| modules_of(facts, release).is_none());
    without
        .map(|(release, path)| Hit::new(path, format!("there is no /lib/modules/{release}")))
        .collect()
}

/// A003.
pub(super) fn drivers(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (release, path) in kernels(facts) {
        let Some(folder) = modules_of(facts, &release) else {
            continue;
        };
        let builtin = facts
            .text(&format!("{folder}/modules.builtin"))
            .unwrap_or_default();
        let is_builtin = |name: &str| builtin.lines().any(|l| l.rsplit('/').next() == Some(name));
        let module = |name: &str| {
            let prefix = format!("{folder}/kernel/drivers/net/ethernet/amazon/");
            let part = format!("/{name}").into_bytes();
            facts
                .below(&prefix)
                .any(|(p, _)| p.windows(part.len()).any(|w| w == part))
        };
        if !is_builtin("ena.ko") && !module("ena.ko") {
            hits.push(Hit::new(
                path,
                "its modules have no ena: no network on Nitro",
            ));
        }
        if is_builtin("nvme.ko") {
            continue;
        }
        let names = [
            format!("boot/initrd.img-{release}"),
            format!("boot/initramfs-{release}.img"),
        ];
        let initrd = names
            .iter()
            .find_map(|name| Some((name, facts.file(name)?)));
        match initrd {
            None => hits.push(Hit::new(
                format!("/{}", names[0]),
                "there is no initrd, and nvme is not built into the kernel",
            )),
            Some((name, entry)) => {
                let content = entry.content.as_deref();
                if content.and_then(|bytes| initrd::has(bytes, initrd::NVME)) == Some(false) {
                    hits.push(Hit::new(
                        format!("/{name}"),
                        "it has no nvme.ko, nor has the kernel",
                    ));
                }
            }
        }
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
    let module = facts
        .file("boot/grub/i386-pc/ext2.mod")
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
    let Some(paths) = facts.disk.as_ref().and_then(|d| d.esp.as_ref()) else {
        return Vec::new();
    };
    let loaders = ["/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/BOOTAA64.EFI"];
    let machines = machines(facts);
    let wanted = match (machines.contains("x86-64"), machines.contains("arm64")) {
        (true, false) => &loaders[..1],
        (false, true) => &loaders[1..],
        _ => &loaders[..],
    };
    if wanted
        .iter()
        .any(|loader| paths.iter().any(|p| p == loader))
    {
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
    let (uefi, machines) = (disk.esp.is_some(), machines(facts));
    if machines.contains("arm64") && !machines.contains("x86-64") {
        let hit = Hit::new(
            "disk",
            "arm64 boots by UEFI, and there is no EFI system partition",
        );
        return if uefi { Vec::new() } else { vec![hit] };
    }
    let pv = facts.any(&["boot/grub/menu.lst"]);
    if uefi || pv || disk.core_img {
        return Vec::new();
    }
    vec![Hit::new(
        "disk",
        "there is neither GRUB's core.img nor an EFI system partition nor menu.lst",
    )]
}
