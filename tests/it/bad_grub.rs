//! GRUBs that could not work: files of two builds in one folder, a core.img beyond the memory map, a kernel
//! without what it needs. Refused by name, or told.

use crate::common::desk::{Desk, names};
use crate::common::grub::grub_folder;
use crate::common::rootfs;
use crate::common::tarball::{archive, file};
use expect_test::expect;
use std::path::{Path, PathBuf};

const KERNEL: &str = "boot/vmlinuz-6.1.0-1-amd64";

/// A rootfs for amd64 with a kernel, and nothing else.
fn kernel() -> Vec<Vec<u8>> {
    vec![
        file(KERNEL, b"kernel"),
        file("boot/initrd.img-6.1.0-1-amd64", b"initrd"),
        file("lib/modules/6.1.0-1-amd64/modules.dep", b""),
        file("lib64/ld-linux-x86-64.so.2", b""),
    ]
}

/// `from` without the linked loaders and without the list of its files, `changed` taken from `other`.
fn mix(from: &Path, other: &Path, platform: &str, changed: &[&str], to: &Path) {
    let to = to.join(platform);
    std::fs::create_dir_all(&to).unwrap();
    for name in names(&from.join(platform)) {
        let source = if changed.contains(&&*name) {
            other
        } else {
            from
        };
        let source = source.join(platform).join(&name);
        if source.is_file() {
            std::fs::copy(source, to.join(name)).unwrap();
        }
    }
}

/// The GRUBs of Debian 12 and 13.
fn releases() -> Option<[PathBuf; 2]> {
    Some([grub_folder("bookworm")?, grub_folder("trixie")?])
}

/// What the program says of a folder with the GRUB of one release but for the `changed` files, of the other; and
/// of one with `list` as its list of files.
#[track_caller]
fn told(
    [from, other]: [&Path; 2],
    platform: &str,
    changed: &[&str],
    list: bool,
) -> (Option<i32>, String) {
    let desk = Desk::new();
    desk.write("a.tar", &archive(&kernel()));
    let grub = desk.path("grub");
    mix(from, other, platform, changed, &grub);
    if list {
        std::fs::copy(from.join("MANIFEST"), grub.join("MANIFEST")).unwrap();
    }
    let boot = match platform {
        "i386-pc" => "bios",
        _ => "uefi",
    };
    let ran = desk.run(&[
        "build",
        "a.tar",
        "-o",
        "out/disk.img",
        "--quiet",
        "--grow-at-boot=none",
        "--boot",
        boot,
        "--grub",
        "grub",
    ]);
    assert_eq!(desk.out().is_empty(), ran.code != Some(0), "{ran:?}");
    (ran.code, ran.stderr)
}

#[test]
fn a_folder_with_files_of_two_builds_is_refused_by_what_shows_it() {
    let Some([old, new]) = releases() else {
        return;
    };
    let (old, new) = (old.as_path(), new.as_path());
    for platform in ["i386-pc", "x86_64-efi"] {
        for from in [[old, new], [new, old]] {
            for list in [false, true] {
                let whole = told(from, platform, &[], list);
                assert_eq!(whole, (Some(0), String::new()), "{platform}");
            }
            // Modules and moddep.lst do not agree, with a list and without.
            for changed in ["moddep.lst", "normal.mod", "linux.mod"] {
                for list in [false, true] {
                    let (code, said) = told(from, platform, &[changed], list);
                    assert_eq!(code, Some(3), "{platform}/{changed}: {said}");
                    let sign = "is of another build of GRUB than the files beside it: ";
                    assert!(said.contains(sign), "{platform}/{changed}: {said}");
                }
            }
            // That kernel.img is another one, the list alone tells for sure.
            for changed in ["kernel.img", "ext2.mod", "fshelp.mod"] {
                let (code, said) = told(from, platform, &[changed], true);
                assert_eq!(code, Some(3), "{platform}/{changed}: {said}");
                let sign = format!("{platform}/{changed} is of another build of GRUB");
                assert!(said.contains(&sign), "{said}");
            }
        }
    }
    // regexp is the one module of 2.12 for BIOS machines that needs more of its kernel than 2.06 has.
    let (code, said) = told([new, old], "i386-pc", &["kernel.img"], false);
    assert_eq!(code, Some(3));
    expect![[r#"
        error: the boot loader cannot be made
          because: i386-pc/regexp.mod is of another build of GRUB than the files beside it: it needs `grub_abort`, which neither kernel.img nor the modules that it names have. Core image and modules must be of one build: install the package grub-pc-bin anew
    "#]].assert_eq(&said);
    let (code, said) = told([old, new], "i386-pc", &["kernel.img"], true);
    assert_eq!(code, Some(3));
    expect![[r#"
        error: the boot loader cannot be made
          because: i386-pc/kernel.img is of another build of GRUB than the files beside it: it is not the file that was installed with them. Core image and modules must be of one build: install the package grub-pc-bin anew
    "#]].assert_eq(&said);
    let (code, said) = told([old, new], "i386-pc", &["linux.mod"], false);
    assert_eq!(code, Some(3));
    expect![[r#"
        error: the boot loader cannot be made
          because: i386-pc/linux.mod is of another build of GRUB than the files beside it: it depends on `boot mmap normal relocator vbe verifiers video`, by moddep.lst on `relocator verifiers normal boot video mmap vbe`. Core image and modules must be of one build: install the package grub-pc-bin anew
    "#]].assert_eq(&said);
    let (code, said) = told([new, old], "x86_64-efi", &["kernel.img"], false);
    assert_eq!(code, Some(3));
    expect![[r#"
        error: the boot loader cannot be made
          because: x86_64-efi/bli.mod is of another build of GRUB than the files beside it: it needs `grub_efi_set_variable_to_string`, which neither kernel.img nor the modules that it names have. Core image and modules must be of one build: install the package grub-efi-amd64-bin anew
    "#]].assert_eq(&said);
}

#[test]
fn dpkg_tells_that_a_debian_has_the_kernel_of_another_grub() {
    let Some(tar) = rootfs::debian() else {
        return;
    };
    let Some(new) = grub_folder("trixie") else {
        return;
    };
    let desk = Desk::new();
    let image = std::fs::read(new.join("i386-pc/kernel.img")).unwrap();
    let path = "usr/lib/grub/i386-pc/kernel.img";
    rootfs::with_files(&tar, &desk.path("a.tar"), &[(path, "644", &image)]);
    desk.refused(
        &[
            "build",
            "a.tar",
            "-o",
            "out/disk.img",
            "--quiet",
            "--boot",
            "bios",
        ],
        3,
        expect![[r#"
            error: the boot loader cannot be made
              because: i386-pc/kernel.img is of another build of GRUB than the files beside it: it is not the file that was installed with them. Core image and modules must be of one build: install the package grub-pc-bin anew
        "#]],
    );
}

#[test]
fn a_core_img_beyond_the_memory_map_is_refused_with_the_limit() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let desk = Desk::new();
    desk.write("a.tar", &archive(&kernel()));
    mix(&grub, &grub, "i386-pc", &[], &desk.path("grub"));
    // Behind what its headers speak of, noise that does not compress.
    let path = desk.path("grub/i386-pc/ext2.mod");
    let mut module = std::fs::read(&path).unwrap();
    let mut noise = 1_u32;
    module.extend((0..500_000).map(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_le_bytes()[3]
    }));
    std::fs::write(&path, module).unwrap();
    for scheme in ["mbr", "gpt"] {
        let ran = desk.run(&[
            "build",
            "a.tar",
            "-o",
            "out/disk.img",
            "--quiet",
            "--grow-at-boot=none",
            "--boot",
            "bios",
            "--scheme",
            scheme,
            "--grub",
            "grub",
        ]);
        let said = ran.stderr.replace(|c: char| c.is_ascii_digit(), "N");
        assert!(ran.stderr.contains(" 454656: "), "{}", ran.stderr);
        assert_eq!((ran.code, desk.out().len()), (Some(3), 0), "{said}");
        expect![[r#"
            error: the boot loader cannot be made
              because: core.img takes NNNNNN bytes, GRUB's memory map leaves NNNNNN: build fewer modules into core.img
        "#]].assert_eq(&said);
    }
}

#[test]
fn a_kernel_without_initrd_or_modules_is_told() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let desk = Desk::new();
    for boot in ["bios", "uefi", "hybrid"] {
        desk.write(
            "a.tar",
            &archive(&[kernel()[0].clone(), kernel()[3].clone()]),
        );
        let grub = ["--boot", boot, "--grub", grub.to_str().unwrap()];
        let ran = desk.builds(
            "a.tar",
            &[&grub[..], &["--quiet", "--grow-at-boot=none"]].concat(),
        );
        expect![[r#"
            warning: /boot/vmlinuz-6.1.0-1-amd64 has no initrd in /boot: it is given root=PARTUUID=, and must have the drivers of its disk and ext4 built in
            warning: /boot/vmlinuz-6.1.0-1-amd64 has no modules: there is no /lib/modules/6.1.0-1-amd64, and what is not built into it or in its initrd will be missing
        "#]].assert_eq(&ran.stderr);
    }
    if let Some(cfg) = desk.debugfs("cat /boot/grub/grub.cfg") {
        assert!(cfg.contains(" root=PARTUUID="), "{cfg}");
    }
}
