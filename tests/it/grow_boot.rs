//! An image on a disk three times its size: at first boot the rootfs's own cloud-init makes the partition
//! and the root filesystem fill it.

use std::fs::OpenOptions;
use std::process::Command;

use crate::boot_debian::{boot, can_boot, log, open_shadow, step};
use crate::common::rootfs;
use crate::tools::run;

/// No network, no host keys: what cloud-init would wait for has no part in this.
const USER_DATA: &[u8] = b"#cloud-config\nssh_deletekeys: false\nssh_genkeytypes: []\n";
const META_DATA: &[u8] = b"instance-id: grown\nlocal-hostname: grown\n";

#[test]
fn cloud_init_grows_partition_and_root_at_first_boot() {
    if !(can_boot() && rootfs::judges()) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("rootfs.tar");
    let seed = "var/lib/cloud/seed/nocloud";
    let shadow = open_shadow(&debian);
    let files = [
        ("etc/shadow", "640", &shadow[..]),
        (&format!("{seed}/user-data"), "644", USER_DATA),
        (&format!("{seed}/meta-data"), "644", META_DATA),
    ];
    rootfs::with_files(&debian, &tar, &files);
    let image = folder.path().join("debian.img");
    let built = rootfs::image(&tar, &image);
    assert_eq!(built.report.grow_at_boot, "cloud-init");
    let before = built.report.filesystem_size;
    let disk = built.report.disk_size * 3;
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(disk).unwrap();
    drop(file);

    let check = "cloud-init status --wait; set -- $(df --block-size=1 --output=size / | tail -1); \
                 echo GREW TO $1 BYTES; sync; systemctl poweroff\n";
    let outcome = boot(
        &image,
        true,
        vec![step(":~# ", Some(check)), step(r"GREW TO \d+ BYTES", None)],
        true,
    );
    let said = log(&outcome);
    let size: u64 = said
        .rsplit("GREW TO ")
        .find_map(|t| t.split(' ').next()?.parse().ok())
        .unwrap();
    // `df` leaves out what the filesystem keeps for itself.
    assert!(
        size > disk / 10 * 9,
        "{size} of {disk}, was {before}\n{said}"
    );
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
