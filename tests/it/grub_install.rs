//! The loader that a build puts on a disk against what a real `grub-install` puts there.
//!
//! The judge is the rootfs's own: a Linux mounts the image, changes into it and runs its grub-install on the
//! disk, as an administrator of the instance would. Nothing is masked. Sector 0 stays as it was, byte by
//! byte. core.img has one difference, the LZMA stream, of which there are many for one payload: so theirs is
//! put through our embedder and must give the sectors that they wrote, and its payload must be ours.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use diskwright::grub::{self, Area, CoreImg, Files};
use diskwright::image::{Boot, Scheme, Spec};
use diskwright::units::Lba;

use crate::common::guest::{self, Disk};
use crate::common::rootfs;

/// Sectors looked at: all before the first partition of a disk with an MBR, most of a BIOS boot partition.
const SECTORS: usize = 2047;

/// Takes our boot code away and keeps what both ways of installing leave: with parity, grub-install's default,
/// and without.
const INSTALL: &str = r#"
for name in mbr gpt; do
    disk=$(readlink /disk/$name)
    to=/answer/$name
    mkdir $to
    mount $disk /mnt
    for folder in dev proc sys; do mount -o bind /$folder /mnt/$folder; done
    for flags in '' --no-rs-codes; do
        dd if=/dev/zero of=${disk%p1} bs=440 count=1 conv=notrunc
        chroot /mnt /usr/sbin/grub-install --target=i386-pc $flags ${disk%p1} 2>&1
        sync
        dd if=${disk%p1} of=$to/front$flags bs=1M count=2
        cp /mnt/boot/grub/i386-pc/core.img $to/core$flags
    done
    mkdir -p /answer/platform
    cp /mnt/usr/lib/grub/i386-pc/* /answer/platform
    for folder in dev proc sys; do umount /mnt/$folder; done
    umount /mnt
done
"#;

struct Case {
    name: &'static str,
    scheme: Scheme,
    area: Area,
    prefix: &'static str,
    modules: [&'static str; 3],
}

fn cases() -> [Case; 2] {
    let sectors = SECTORS.try_into().unwrap();
    let mbr = Case {
        name: "mbr",
        scheme: Scheme::Mbr,
        area: Area {
            first: Lba(1),
            sectors,
        },
        prefix: grub::PREFIX_MBR_1,
        modules: grub::MODULES_EXT_ON_MBR,
    };
    let gpt = Case {
        name: "gpt",
        scheme: Scheme::Gpt,
        area: Area {
            first: Lba(2048),
            sectors,
        },
        prefix: grub::PREFIX_GPT_1,
        modules: grub::MODULES_EXT_ON_GPT,
    };
    [mbr, gpt]
}

/// Sector 0 and the sectors of the area, of an image of ours or of what the guest read from its disk.
fn front(path: &Path, area: Area) -> (Vec<u8>, Vec<u8>) {
    let file = File::open(path).unwrap();
    let (mut sector0, mut embedded) = (vec![0; 512], vec![0; SECTORS * 512]);
    file.read_exact_at(&mut sector0, 0).unwrap();
    file.read_exact_at(&mut embedded, area.first.byte_offset())
        .unwrap();
    (sector0, embedded)
}

fn platform(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), e.path()));
    named
        .filter(|(name, _)| grub::is_core_input(name))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

/// One way of installing, judged.
#[track_caller]
fn assert_same(case: &Case, ours: &Path, answers: &Path, flags: &str) {
    let rs = flags.is_empty();
    let at = answers.join(case.name);
    let (our_sector0, our_area) = front(ours, case.area);
    let (sector0, area) = front(&at.join(format!("front{flags}")), case.area);
    assert!(our_sector0 == sector0, "{} {flags}: sector 0", case.name);

    let theirs = std::fs::read(at.join(format!("core{flags}"))).unwrap();
    let theirs = CoreImg::parse(theirs).unwrap();
    let embedded = grub::embed(&theirs, case.area, rs).unwrap();
    let differs = embedded.iter().zip(&area).position(|(a, b)| a != b);
    assert_eq!(differs, None, "{} {flags}", case.name);

    let files = platform(&answers.join("platform"));
    let core = grub::core_img(&files, case.prefix, &case.modules, None).unwrap();
    assert!(
        core.payload().unwrap() == theirs.payload().unwrap(),
        "{} {flags}: the payload",
        case.name
    );
    // That core.img is the one on the image.
    let embedded = grub::embed(&core, case.area, true).unwrap();
    assert!(our_area.starts_with(&embedded), "{}: core.img", case.name);
}

#[test]
fn a_real_grub_install_writes_the_same_sectors() {
    if !guest::can_run() {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let images: Vec<PathBuf> = cases()
        .iter()
        .map(|case| {
            let image = folder.path().join(format!("{}.img", case.name));
            let spec = Spec {
                scheme: case.scheme,
                boot: Boot::Bios,
                ..Spec::default()
            };
            rootfs::image_of(&debian, &image, &spec);
            image
        })
        .collect();
    let cases = cases();
    let disks: Vec<Disk<'_>> = cases
        .iter()
        .zip(&images)
        .map(|(case, image)| Disk {
            name: case.name,
            image,
            keep: false,
        })
        .collect();
    let answers = guest::run(folder.path(), &debian, &disks, INSTALL);
    for (case, image) in cases.iter().zip(&images) {
        for flags in ["", "--no-rs-codes"] {
            assert_same(case, image, &answers, flags);
        }
    }
}
