//! An image on a disk three times its size: at first boot the rootfs makes the partition and the root
//! filesystem fill it, by its cloud-init or by its systemd alone.

use std::fs::OpenOptions;
use std::process::Command;

use diskwright::image::{Boot, GrowAtBoot, Scheme, Spec};

use crate::boot_debian::{boot, can_boot, log, opened, step};
use crate::common::rootfs;
use crate::tools::run;

/// No network, no host keys: what cloud-init would wait for has no part in this.
const USER_DATA: &[u8] = b"#cloud-config\nssh_deletekeys: false\nssh_genkeytypes: []\n";
const META_DATA: &[u8] = b"instance-id: grown\nlocal-hostname: grown\n";

/// Builds Debian as `spec` says with `files` added, triples its disk, boots it, and asks `df`.
fn grows(spec: &Spec, by: &str, files: &[(&str, &str, &[u8])]) {
    if !(can_boot() && rootfs::judges()) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tar = opened(&debian, folder.path(), files);
    let image = folder.path().join("debian.img");
    let built = rootfs::image_of(&tar, &image, spec);
    assert_eq!(built.report.grow_at_boot, by);
    let disk = built.report.disk_size * 3;
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(disk).unwrap();
    drop(file);

    // Where there is no data source, cloud-init has nothing to wait for.
    let check = "systemctl is-system-running --wait; cloud-init status --wait; \
                 set -- $(df --block-size=1 --output=size / | tail -1); \
                 echo GREW TO $1 BYTES; sync; systemctl poweroff\n";
    let steps = vec![step(":~# ", Some(check)), step(r"GREW TO \d+ BYTES", None)];
    let said = log(&boot(&image, true, steps, true));
    let size: u64 = said
        .rsplit("GREW TO ")
        .find_map(|t| t.split(' ').next()?.parse().ok())
        .unwrap();
    // `df` leaves out what the filesystem keeps for itself, and the disk holds more than the root.
    let least = (disk - built.report.filesystem_offset) / 10 * 9;
    assert!(size > least, "{size} of {disk}\n{said}");
    rootfs::assert_e2fsck_clean(&image, &built);
    let table = run("sfdisk", &["--verify", image.to_str().unwrap()]);
    assert!(table.status.success(), "{table:?}");
    let verify = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .arg("verify")
        .arg(&image)
        .output()
        .unwrap();
    assert!(verify.status.success(), "{verify:?}");
}

#[test]
fn cloud_init_grows_partition_and_root_at_first_boot() {
    let spec = Spec {
        scheme: Scheme::Mbr,
        boot: Boot::Bios,
        ..Spec::default()
    };
    let user = "var/lib/cloud/seed/nocloud/user-data";
    let meta = "var/lib/cloud/seed/nocloud/meta-data";
    let files = [(user, "644", USER_DATA), (meta, "644", META_DATA)];
    grows(&spec, "cloud-init", &files);
}

#[test]
fn systemd_alone_grows_partition_and_root_of_a_gpt_at_first_boot() {
    let spec = Spec {
        scheme: Scheme::Gpt,
        boot: Boot::Bios,
        grow_at_boot: GrowAtBoot::Auto,
        ..Spec::default()
    };
    grows(&spec, "repart", &[]);
}
