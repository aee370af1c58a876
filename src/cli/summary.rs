//! What a build made, for people and for machines.

use super::output::{is_stdout, shown};
use super::sizes::{human, thousands};
use diskwright::display::display_text;
use diskwright::image::customize::Applied;
use diskwright::image::{Report, Structure};
use diskwright::inspect::{Filesystem, Info};
use diskwright::partition::{GPT_BACK, GPT_FRONT};
use diskwright::units::{GIB, SECTOR};
use diskwright::vdisk::Format;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The JSON of a finished build.
#[derive(Debug, Serialize)]
pub(super) struct Built<'a> {
    pub(super) path: &'a Path,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}

/// The summary of a finished build.
pub(super) fn built(path: &Path, format: Format, report: &Report, took: Duration) -> String {
    let mut text = format!(
        "{}: {} in {:.1} s\n{}",
        shown(path),
        human(report.disk_size),
        took.as_secs_f64(),
        figures(report)
    );
    if let Some(sha256) = &report.sha256 {
        line(&mut text, "sha256", sha256);
    }
    let next = match report.boot {
        "none" => return text,
        // Nothing is left that could be booted as it is.
        _ if is_stdout(path) || format.qemu_driver().is_none() => return text,
        // qemu has no Xen, and so no PV.
        "pv" => "diskwright aki --region REGION, the kernel image to register it with".into(),
        _ => format!("diskwright boot {}", path.display()),
    };
    line(&mut text, "next", &next);
    text
}

/// The plan: what lies where on the disk, and the figures.
pub(super) fn planned(report: &Report) -> String {
    let mut text = String::from("first sector last sector        size  what\n");
    let mut row = |from: u64, to: u64, what: &str| {
        let (first, last) = (from / SECTOR, (to / SECTOR).saturating_sub(1));
        writeln!(
            text,
            "{first:>12}{last:>12}{:>12}  {what}",
            human(to - from)
        )
        .expect("a String takes every write");
    };
    let start = report.filesystem_offset;
    let bios = matches!(report.boot, "bios" | "hybrid");
    let mut at = 0;
    match report.scheme {
        "mbr" => {
            let signature = report
                .disk_signature
                .as_ref()
                .map(|s| format!(", disk signature {s}"));
            let loader = if bios { ": boot.img and" } else { ":" };
            let signature = signature.unwrap_or_default();
            row(
                0,
                SECTOR,
                &format!("MBR{loader} partition table{signature}"),
            );
            at = SECTOR;
        }
        "gpt" => {
            let loader = if bios { "boot.img, " } else { "" };
            row(
                0,
                GPT_FRONT * SECTOR,
                &format!("{loader}protective MBR, GPT"),
            );
            at = GPT_FRONT * SECTOR;
        }
        _ => {}
    }
    let mut others: Vec<_> = report.partitions.iter().skip(1).collect();
    others.sort_by_key(|p| p.start);
    for p in others {
        if at < p.start * SECTOR {
            row(at, p.start * SECTOR, "free");
        }
        at = (p.start + p.sectors) * SECTOR;
        let name = p.name.as_deref().unwrap_or_default();
        row(
            p.start * SECTOR,
            at,
            &format!("partition {} `{name}`", p.number),
        );
    }
    if at < start {
        let core = bios && report.scheme == "mbr";
        row(
            at,
            start,
            if core {
                "core.img of GRUB, then free"
            } else {
                "free"
            },
        );
    }
    let end = start + report.filesystem_size;
    row(
        start,
        end,
        &format!("ext4 `{}`, UUID {}", report.label, report.uuid),
    );
    let backup = if report.scheme == "gpt" {
        GPT_BACK * SECTOR
    } else {
        0
    };
    let last = report.disk_size - backup;
    if end < last {
        row(end, last, "free");
    }
    if backup > 0 {
        row(last, report.disk_size, "backup GPT");
    }
    text.push_str(&figures(report));
    text
}

/// The JSON of a plan.
#[derive(Debug, Serialize)]
pub(super) struct Planned<'a> {
    #[serde(flatten)]
    pub(super) report: &'a Report,
    pub(super) structures: &'a [Structure],
}

/// What the disk is made of.
pub(super) fn structures(list: &[Structure]) -> String {
    let mut text = String::from("\n     extents        size  structure\n");
    for s in list {
        let (extents, bytes) = (thousands(s.extents), human(s.bytes));
        writeln!(text, "{extents:>12}{bytes:>12}  {}", s.structure)
            .expect("a String takes every write");
    }
    text
}

/// Partitions and filesystems, for `info`.
pub(super) fn inspected(info: &Info) -> String {
    let mut text = format!("{}, ", human(info.size));
    match (&info.disk_signature, &info.disk_guid) {
        (Some(s), _) => text.push_str(&format!("MBR, disk signature {s}\n")),
        (_, Some(guid)) => text.push_str(&format!("GPT, disk GUID {guid}\n")),
        _ => text.push_str("no partition table\n"),
    }
    for fault in &info.faults {
        writeln!(
            text,
            "damage at byte {}, {}: {}",
            fault.offset,
            fault.structure,
            display_text(&fault.message)
        )
        .expect("a String takes every write");
    }
    if info.grub {
        text.push_str("boot sector: GRUB\n");
    }
    for p in &info.partitions {
        let active = if p.active { ", active" } else { "" };
        let label = p.label.as_ref().filter(|l| !l.is_empty());
        let label = label
            .map(|l| format!(" `{}`", display_text(l)))
            .unwrap_or_default();
        writeln!(
            text,
            "partition {}{label}: sector {} to {}, {}, type {} ({}){active}, PARTUUID {}",
            p.number,
            p.start,
            p.start.saturating_add(p.sectors).saturating_sub(1),
            human(p.sectors.saturating_mul(SECTOR)),
            p.type_name,
            p.kind,
            p.partuuid
        )
        .expect("a String takes every write");
        let end = p.start.saturating_add(p.sectors).saturating_mul(SECTOR);
        if end > info.size {
            let beyond = human(end - info.size);
            let text = &mut text;
            line(
                text,
                "cut off",
                &format!("it ends {beyond} beyond the end of the image"),
            );
        }
        p.filesystem.iter().for_each(|f| filesystem(&mut text, f));
        if let Some(f) = &p.fat {
            line(&mut text, "label", &f.label);
            line(&mut text, "uuid", &f.uuid);
            let size = human(f.size);
            line(&mut text, "space", &format!("FAT{}, {size}", f.bits));
        }
    }
    info.filesystem
        .iter()
        .for_each(|f| filesystem(&mut text, f));
    text
}

fn filesystem(text: &mut String, f: &Filesystem) {
    line(text, "label", &f.label);
    line(text, "uuid", &f.uuid.to_string());
    let size = f.blocks.saturating_mul(f.block_size);
    let free = f.blocks_free.saturating_mul(f.block_size);
    line(
        text,
        "space",
        &format!("{}, {} free", human(size), human(free)),
    );
    let inodes = (
        thousands(u64::from(f.inodes)),
        thousands(u64::from(f.inodes_free)),
    );
    line(text, "inodes", &format!("{}, {} free", inodes.0, inodes.1));
    line(text, "state", if f.clean { "clean" } else { "not clean" });
    line(text, "features", &f.features.join(" "));
}

/// A line per figure that `build` and `plan` both show.
fn figures(report: &Report) -> String {
    let mut text = String::new();
    let add = &mut text;
    line(
        add,
        "root",
        &format!("ext4, {}, {}", report.root, human(report.filesystem_size)),
    );
    let space = format!(
        "{} used, {} available",
        human(report.used),
        human(report.available)
    );
    line(add, "space", &space);
    let files = format!(
        "{} files, directories {}, symbolic links {}, devices and fifos {}, data {}",
        thousands(report.files),
        thousands(report.directories),
        thousands(report.symlinks),
        thousands(report.specials),
        human(report.data)
    );
    line(add, "files", &files);
    let inodes = format!(
        "{}, free {}",
        thousands(report.inodes),
        thousands(report.inodes_free)
    );
    line(add, "inodes", &inodes);
    if let Some(kernel) = &report.kernel {
        line(add, "kernel", kernel);
        let by = match report.grow_at_boot {
            "none" => "none at boot",
            by => &format!("at first boot on a larger disk, by {by}"),
        };
        line(add, "growth", by);
    }
    boot(add, report);
    if !report.customized.is_empty() {
        line(add, "custom", &customized(&report.customized));
    }
    if !report.edits.is_empty() {
        // GRUB's modules are hundreds of files; the rest fits a line.
        let shown: Vec<_> = report
            .edits
            .iter()
            .filter(|path| !is_module(path))
            .collect();
        let names = shown
            .iter()
            .map(|p| p.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let modules = report.edits.len() - shown.len();
        let more = if modules > 0 {
            format!(" and {modules} files of GRUB")
        } else {
            String::new()
        };
        line(add, "added", &format!("{names}{more}"));
    }
    if report.disk_size >= 100 * GIB {
        line(add, "note", "the image is sparse: `du` shows what it takes");
    }
    text
}

/// `overlay files (1,234 files), user lisa, enable web fstrim.timer`.
fn customized(list: &[Applied]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Applied { flag, value, files } in list {
        if *flag != last {
            let comma = if text.is_empty() { "" } else { ", " };
            text.push_str(&format!("{comma}{flag}"));
        }
        last = flag;
        text.push_str(&format!(" {value}"));
        if matches!(*flag, "overlay" | "remove") {
            text.push_str(&format!(" ({} files)", thousands(*files)));
        }
    }
    text
}

/// How the image boots, and who decided so.
fn boot(text: &mut String, report: &Report) {
    if report.boot == "none" {
        return;
    }
    let mut value = match report.scheme {
        "none" => format!("{} without a partition table", report.boot),
        scheme => format!("{} on {scheme}", report.boot),
    };
    if let Some(kind) = report.uefi_loader {
        value.push_str(&format!(", {kind} loader for UEFI"));
    }
    if !report.loader_from.is_empty() && report.loader_from != ["the rootfs"] {
        value.push_str(&format!(", from {}", report.loader_from.join(" and ")));
    }
    if let Some(why) = &report.boot_why {
        value.push_str(&format!(" (auto: {why})"));
    }
    line(text, "boot", &value);
}

fn is_module(path: &str) -> bool {
    ["/grub/i386-pc/", "/grub/x86_64-efi/", "/grub/arm64-efi/"]
        .iter()
        .any(|folder| path.contains(folder))
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<7} {}", display_text(value)).expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright::units::MIB;

    fn report() -> Report {
        Report {
            disk_size: 1200 * MIB,
            filesystem_size: 1199 * MIB,
            filesystem_offset: MIB,
            uuid: uuid::Uuid::from_u128(0x1111_2222),
            label: "root".into(),
            root: "UUID=00000000-0000-0000-0000-000011112222".into(),
            scheme: "mbr",
            boot: "bios",
            boot_why: Some("GRUB for BIOS is there, a loader for UEFI is not".into()),
            arch: Some("x86-64"),
            uefi_loader: None,
            loader_from: vec!["the rootfs".into()],
            partitions: Vec::new(),
            disk_signature: Some("0000d15c".into()),
            kernel: Some("vmlinuz-6.1.0-42-cloud-amd64".into()),
            files: 14_843,
            directories: 1_920,
            symlinks: 1_234,
            specials: 0,
            inodes: 76_800,
            inodes_free: 58_000,
            data: 470 * MIB,
            used: 520 * MIB,
            available: 600 * MIB,
            grow_at_boot: "cloud-init",
            customized: vec![
                Applied {
                    flag: "overlay",
                    value: "files".into(),
                    files: 1234,
                },
                Applied {
                    flag: "user",
                    value: "lisa".into(),
                    files: 9,
                },
                Applied {
                    flag: "enable",
                    value: "web".into(),
                    files: 1,
                },
                Applied {
                    flag: "enable",
                    value: "fstrim.timer".into(),
                    files: 0,
                },
            ],
            edits: vec![
                "/boot/grub/grub.cfg".into(),
                "/boot/grub/i386-pc/ext2.mod".into(),
            ],
            sha256: Some("ab".repeat(32)),
        }
    }

    #[test]
    fn a_build_is_summed_up_with_the_next_command() {
        expect_test::expect![[r"
            disk.img: 1.2 GiB in 1.5 s
              root    ext4, UUID=00000000-0000-0000-0000-000011112222, 1.2 GiB
              space   520.0 MiB used, 600.0 MiB available
              files   14,843 files, directories 1,920, symbolic links 1,234, devices and fifos 0, data 470.0 MiB
              inodes  76,800, free 58,000
              kernel  vmlinuz-6.1.0-42-cloud-amd64
              growth  at first boot on a larger disk, by cloud-init
              boot    bios on mbr (auto: GRUB for BIOS is there, a loader for UEFI is not)
              custom  overlay files (1,234 files), user lisa, enable web fstrim.timer
              added   /boot/grub/grub.cfg and 1 files of GRUB
              sha256  abababababababababababababababababababababababababababababababab
              next    diskwright boot disk.img
        "]]
        .assert_eq(&built(Path::new("disk.img"), Format::Raw, &report(), Duration::from_millis(1500)));
    }

    #[test]
    fn a_plan_shows_what_lies_where() {
        let text = planned(&report());
        let table: String = text.lines().take(4).map(|l| format!("{l}\n")).collect();
        expect_test::expect![[r#"
            first sector last sector        size  what
                       0           0       512 B  MBR: boot.img and partition table, disk signature 0000d15c
                       1        2047  1023.5 KiB  core.img of GRUB, then free
                    2048     2457599     1.2 GiB  ext4 `root`, UUID 00000000-0000-0000-0000-000011112222
        "#]]
        .assert_eq(&table);
    }
}
