//! A Debian on a GPT boots: GRUB finds its core in the BIOS boot partition, the kernel its root.

use diskwright::archive::Rootfs;
use diskwright::image::{Boot, RootBy, Scheme, Spec, build};
use diskwright::observe::Silent;
use diskwright::sink::raw::{RawFile, RawOptions};

use crate::boot_debian::{boot, can_boot};
use crate::common::rootfs;

#[test]
fn a_debian_on_a_gpt_with_bios_boots_to_its_prompt() {
    if !can_boot() {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpt.img");
    let mut raw = RawFile::create(&path, RawOptions::default()).unwrap();
    let mut reader = Rootfs::open(&[debian.as_os_str()]).unwrap();
    let spec = Spec {
        scheme: Scheme::Gpt,
        boot: Boot::Bios,
        root_by: RootBy::PartUuid,
        ..Spec::default()
    };
    let built = build(&mut reader, &spec, raw.spool(), &Silent).unwrap();
    built.image.verify().unwrap();
    raw.write(&built.image, &Silent).unwrap();
    raw.finish().unwrap();
    assert_eq!(
        built.report.root,
        format!("PARTUUID={}", built.report.partitions[0].partuuid)
    );
    boot(&path, false, Vec::new(), false);
}
