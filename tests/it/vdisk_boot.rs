//! A Debian starts from every format that qemu reads.

use crate::boot_debian::{PATIENCE, can_boot, follow, step};
use crate::common::desk::Desk;
use crate::common::rootfs;
use diskwright::boot::Machine;
use diskwright::vdisk::Format;

#[test]
fn debian_starts_from_every_format() {
    if !can_boot() {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let desk = Desk::new();
    for format in [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::VhdFixed] {
        let name = format!("out/disk.{format}");
        let line = [
            "build",
            debian.to_str().unwrap(),
            "-o",
            &name,
            "--format",
            format.word(),
        ];
        let ran = desk.run(&line);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        // By then GRUB, the kernel and the initrd have read it, and systemd is on the root.
        let steps = vec![step("Welcome to ", None)];
        follow(
            &desk.path(&name),
            &Machine::default(),
            PATIENCE,
            steps,
            false,
        );
    }
}
