//! Root filesystems that could not boot: refused with what to add, or mended with a warning.

use crate::common::desk::{Desk, Ran};
use crate::common::tarball::{Header, archive, file, pax};
use crate::tools::skip;
use expect_test::{Expect, expect};
use std::path::Path;

const PLATFORM: &str = "usr/lib/grub/i386-pc";
const BUILD: [&str; 4] = ["build", "a.tar", "-o", "out/disk.img"];
/// Without the warning that nothing in these root filesystems would grow the root.
const QUIET: [&str; 3] = ["--quiet", "--grow-at-boot", "none"];

/// For a BIOS, and with no GRUB but the rootfs's own: this machine has one.
const BIOS: [&str; 4] = ["--boot", "bios", "--grub", "no-grub"];

/// What becomes of a file of GRUB; `None` leaves it out.
type Change = dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>>;

/// GRUB's files of this machine, as members below the same path.
fn grub(change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let folder = Path::new("/").join(PLATFORM);
    if !folder.join("kernel.img").is_file() {
        skip("the package grub-pc-bin is not installed");
        return None;
    }
    let mut names = crate::common::desk::names(&folder);
    names.retain(|n| !n.ends_with(".efi"));
    let member = |name: &String| {
        let data = change(name, std::fs::read(folder.join(name)).unwrap())?;
        Some(file(&format!("{PLATFORM}/{name}"), &data))
    };
    Some(names.iter().filter_map(member).collect())
}

fn kernel() -> Vec<Vec<u8>> {
    vec![
        file("boot/vmlinuz-6.1.0-1-amd64", b"kernel"),
        file("boot/initrd.img-6.1.0-1-amd64", b"initrd"),
        file("lib/modules/6.1.0-1-amd64/modules.dep", b""),
    ]
}

fn desk(members: &[Vec<u8>]) -> Desk {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("no-grub")).unwrap();
    desk.write("a.tar", &archive(members));
    desk
}

#[track_caller]
fn refused(members: &[Vec<u8>], expected: Expect) {
    let desk = desk(members);
    let mut ran = desk.run(&[&BUILD[..], &QUIET, &BIOS].concat());
    // Where the tables of an ELF file lie depends on GRUB's version.
    let words = ran.stderr.split(' ').scan("", |before, word| {
        let table = word.starts_with("0x") || *before == "byte";
        *before = word;
        Some(if table { "TABLE" } else { word })
    });
    ran.stderr = words.collect::<Vec<_>>().join(" ");
    desk.told(&ran, 3, expected);
}

#[track_caller]
fn mended(members: &[Vec<u8>], flags: &[&str], expected: Expect) -> Desk {
    let desk = desk(members);
    let ran: Ran = desk.builds("a.tar", &[&QUIET[..], &BIOS, flags].concat());
    expected.assert_eq(&ran.stderr);
    desk.fsck();
    desk
}

#[test]
fn a_rootfs_without_kernel_or_grub_is_refused_with_the_packages_to_add() {
    refused(
        &[file("etc/os-release", b"NAME=X\n")],
        expect![[r#"
        error: the rootfs has no kernel: nothing in /boot or / is called vmlinuz-*; on Debian the package linux-image-cloud-amd64 brings one. Say `--boot none` for an image that need not boot
    "#]],
    );
    refused(
        &kernel(),
        expect![[r#"
        error: there is no GRUB for BIOS machines: /usr/lib/grub/i386-pc of the rootfs is missing or empty; on Debian the package grub-pc-bin brings it. `--grub DIR` names another folder like /usr/lib/grub; say `--boot none` for an image that need not boot
    "#]],
    );
    let folder = Header::new(PLATFORM, b'5', 0).block();
    refused(
        &[kernel(), vec![folder]].concat(),
        expect![[r#"
            error: there is no GRUB for BIOS machines: /usr/lib/grub/i386-pc of the rootfs is missing or empty; on Debian the package grub-pc-bin brings it. `--grub DIR` names another folder like /usr/lib/grub; say `--boot none` for an image that need not boot
        "#]],
    );
    refused(
        &[kernel(), vec![file(PLATFORM, b"")]].concat(),
        expect![[r#"
            error: there is no GRUB for BIOS machines: /usr/lib/grub/i386-pc of the rootfs is missing or empty; on Debian the package grub-pc-bin brings it. `--grub DIR` names another folder like /usr/lib/grub; say `--boot none` for an image that need not boot
        "#]],
    );
}

#[test]
fn damaged_files_of_grub_are_refused_by_name() {
    let rootfs = |change: &Change| grub(change).map(|files| [kernel(), files].concat());
    let cut = |name: &'static str, len: usize| {
        rootfs(&move |n, mut data| {
            if n == name {
                data.truncate(len);
            }
            Some(data)
        })
    };
    let without = |name: &'static str| rootfs(&move |n, data| (n != name).then_some(data));
    let moddep = rootfs(&|n, data| {
        let text = String::from_utf8_lossy(&data);
        let kept = text.lines().filter(|l| !l.starts_with("ext2:"));
        let kept = kept.map(|l| format!("{l}\n")).collect::<String>();
        Some(if n == "moddep.lst" {
            kept.into_bytes()
        } else {
            data
        })
    });
    for (members, expected) in [
        (
            without("kernel.img"),
            expect![[r#"
                error: the boot loader cannot be made
                  because: GRUB's i386-pc/kernel.img is missing: add the package grub-pc-bin to the rootfs
            "#]],
        ),
        (
            without("ext2.mod"),
            expect![[r#"
                error: the boot loader cannot be made
                  because: GRUB's i386-pc/ext2.mod is missing: add the package grub-pc-bin to the rootfs
            "#]],
        ),
        (
            without("moddep.lst"),
            expect![[r#"
                error: the boot loader cannot be made
                  because: GRUB's i386-pc/moddep.lst is missing: add the package grub-pc-bin to the rootfs
            "#]],
        ),
        (
            moddep,
            expect![[r#"
                error: the boot loader cannot be made
                  because: GRUB module `ext2` is not in moddep.lst
            "#]],
        ),
        (
            cut("kernel.img", 0),
            expect![[r#"
                error: the boot loader cannot be made
                  because: i386-pc/kernel.img: length is 0, must be at least 52 bytes of Elf32_Ehdr
            "#]],
        ),
        (
            cut("kernel.img", 1000),
            expect![[r#"
                error: the boot loader cannot be made
                  because: i386-pc/kernel.img: Elf32_Ehdr.e_shoff is TABLE with 6 sections, must be inside 1000 bytes
            "#]],
        ),
        (
            cut("boot.img", 100),
            expect![[r#"
                error: the boot loader cannot be made
                  because: i386-pc/boot.img: length is 100, must be 512 bytes
            "#]],
        ),
        (
            cut("diskboot.img", 100),
            expect![[r#"
                error: the boot loader cannot be made
                  because: i386-pc/diskboot.img: length is 100, must be 512 bytes
            "#]],
        ),
        (
            cut("lzma_decompress.img", 1),
            expect![[r#"
                error: the boot loader cannot be made
                  because: i386-pc/lzma_decompress.img: length is 1, must be 28 to 3584 bytes
            "#]],
        ),
        (
            cut("ext2.mod", 100),
            expect![[r#"
                error: the boot loader cannot be made
                  because: i386-pc/ext2.mod: Elf32_Ehdr.e_shoff is up to byte TABLE must be inside the file's 100 bytes
            "#]],
        ),
        (
            cut("moddep.lst", 0),
            expect![[r#"
                error: the boot loader cannot be made
                  because: GRUB module `ext2` is not in moddep.lst
            "#]],
        ),
    ] {
        let Some(members) = members else { return };
        refused(&members, expected);
    }
}

#[test]
fn a_grub_cfg_of_the_rootfs_is_replaced_with_a_warning_or_kept() {
    let own = |text: &str| {
        let files = grub(|_, data| Some(data))?;
        let cfg = vec![file("boot/grub/grub.cfg", text.as_bytes())];
        Some([kernel(), files, cfg].concat())
    };
    let foreign = "search --no-floppy --fs-uuid --set=root 11111111-2222-3333-4444-555555555555\n\
        menuentry x { linux /boot/vmlinuz-6.1.0-1-amd64 root=UUID=11111111-2222-3333-4444-555555555555 }\n";
    let Some(members) = own(foreign) else { return };
    let desk = mended(
        &members,
        &[],
        expect![[r#"
        warning: /boot/grub/grub.cfg of the rootfs names the root UUID=11111111-2222-3333-4444-555555555555, which is not in this image: it is replaced, and kept as /boot/grub/grub.cfg.orig
    "#]],
    );
    if let Some(kept) = desk.debugfs("cat /boot/grub/grub.cfg.orig") {
        assert_eq!(kept, foreign);
        let now = desk.debugfs("cat /boot/grub/grub.cfg").unwrap();
        assert!(now != foreign && now.contains("menuentry"), "{now}");
    }
    let ours = ["--uuid", "11111111-2222-3333-4444-555555555555"];
    let desk = mended(&members, &ours, expect![]);
    if let Some(now) = desk.debugfs("cat /boot/grub/grub.cfg") {
        assert_eq!(now, foreign);
        assert!(!desk.debugfs("ls /boot/grub").unwrap().contains(".orig"));
    }
}

#[test]
fn an_fstab_with_entries_is_kept_and_one_without_is_replaced() {
    for (text, kept) in [
        ("# UNCONFIGURED FSTAB\n\n", false),
        ("/dev/sda1 / ext4 defaults 0 1\n", true),
        ("   \n# x\ntmpfs /tmp tmpfs\n", true),
    ] {
        let Some(files) = grub(|_, data| Some(data)) else {
            return;
        };
        let fstab = vec![file("etc/fstab", text.as_bytes())];
        let desk = mended(&[kernel(), files, fstab].concat(), &[], expect![]);
        if let Some(now) = desk.debugfs("cat /etc/fstab") {
            assert_eq!(now == text, kept, "{now}");
            assert!(kept || now.contains(" / ext4 "), "{now}");
        }
    }
}

#[test]
fn a_command_line_cannot_break_out_of_grub_cfg() {
    let Some(files) = grub(|_, data| Some(data)) else {
        return;
    };
    let members = [kernel(), files].concat();
    for cmdline in [
        "a='b c'",
        "a=\"b c\"",
        "x; reboot",
        "$(id) `id` ${x}",
        "back\\slash {} #",
    ] {
        let desk = desk(&members);
        let ran = desk.run(&[&BUILD[..], &QUIET, &BIOS, &["--cmdline", cmdline]].concat());
        if ran.code == Some(3) {
            assert!(ran.stderr.contains("error: "), "{ran:?}");
            assert_eq!(desk.out().len(), 0);
            continue;
        }
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let Some(cfg) = desk.debugfs("cat /boot/grub/grub.cfg") else {
            return;
        };
        if crate::tools::have("grub-script-check") {
            desk.write("grub.cfg", cfg.as_bytes());
            let path = desk.path("grub.cfg");
            crate::tools::stdout("grub-script-check", &[path.to_str().unwrap()]);
        }
    }
}

#[test]
fn a_rootfs_with_odd_names_in_boot_is_no_trouble() {
    let Some(files) = grub(|_, data| Some(data)) else {
        return;
    };
    let odd = vec![
        [
            pax(b'x', &[("path", b"boot/vmlinuz-\xff\n'\"$(x)")]),
            file("x", b"kernel"),
        ]
        .concat(),
        Header::new("boot/vmlinuz-9-loop", b'2', 0)
            .link("vmlinuz-9-loop")
            .block(),
        Header::new("boot/vmlinuz-8-folder", b'5', 0).block(),
    ];
    let desk = mended(&[kernel(), files, odd].concat(), &[], expect![]);
    if let Some(cfg) = desk.debugfs("cat /boot/grub/grub.cfg") {
        assert!(
            cfg.contains("vmlinuz-6.1.0-1-amd64") && !cfg.contains("$(x)"),
            "{cfg}"
        );
    }
}

#[test]
fn a_root_that_nothing_would_grow_is_told_and_a_grower_that_is_missing_refused() {
    let Some(files) = grub(|_, data| Some(data)) else {
        return;
    };
    let mut members = [kernel(), files].concat();
    let desk = Desk::new();
    desk.write("a.tar", &archive(&members));
    let build = |extra: &[&str]| desk.run(&[&BUILD[..], &["--quiet"], extra].concat());
    desk.told(&build(&["--grow-at-boot", "repart"]), 3, expect![[r#"
        error: `--grow-at-boot repart` cannot work: systemd-repart needs a GPT; mend that, or say `--grow-at-boot auto`
    "#]]);
    members.push(file("usr/bin/cloud-init", b""));
    desk.write("a.tar", &archive(&members));
    desk.told(&build(&["--grow-at-boot", "cloud-init"]), 3, expect![[r#"
        error: `--grow-at-boot cloud-init` cannot work: the cloud-init of the rootfs lacks growpart, without which it grows nothing and says nothing (Debian: cloud-guest-utils); mend that, or say `--grow-at-boot auto`
    "#]]);
    expect![[r#"
        warning: on a larger disk the root stays as it is: systemd-repart needs a GPT, and the cloud-init of the rootfs lacks growpart, without which it grows nothing and says nothing (Debian: cloud-guest-utils); `--grow-at-boot none` if that is meant
    "#]].assert_eq(&build(&[]).stderr);
    members.push(file("usr/bin/growpart", b""));
    desk.write("a.tar", &archive(&members));
    assert_eq!(build(&["--force"]).stderr, "");
}

#[test]
fn features_that_the_rootfs_own_e2fsck_refuses_are_told() {
    let desk = Desk::new();
    let warned = |version: &str, flags: &[&str]| {
        let status = format!(
            "Package: e2fsprogs\nStatus: install ok installed\nVersion: {version}\n\nPackage: zlib1g\n"
        );
        let status = file("var/lib/dpkg/status", status.as_bytes());
        desk.write("a.tar", &archive(&[status]));
        let fixed = ["--boot", "none", "--quiet"];
        desk.builds("a.tar", &[&fixed[..], flags].concat()).stderr
    };
    let modern = ["--features", "modern"];
    expect![[r#"
        warning: `--features modern`: the e2fsck of the rootfs (1.46.6~rc1-1.1+b1) refuses a root with orphan_file, which it knows from 1.47 on, and so does a boot that checks its root: leave out `--features modern`, or give the rootfs a newer e2fsprogs
    "#]].assert_eq(&warned("1.46.6~rc1-1.1+b1", &modern));
    expect![[r#"
        warning: `--large-dir`: the e2fsck of the rootfs (1.43.4-2+deb9u2) refuses a root with large_dir, which it knows from 1.44 on, and so does a boot that checks its root: leave out `--large-dir`, or give the rootfs a newer e2fsprogs
    "#]].assert_eq(&warned("1.43.4-2+deb9u2", &["--large-dir"]));
    assert_eq!(warned("1.47.0-2", &modern), "");
    assert_eq!(warned("1.46.2-2", &["--large-dir"]), "");
    assert_eq!(warned("1.42", &[]), "");
}

/// ext2.mod tests the incompatible features against a literal: here it becomes that of 2.02.
#[test]
fn features_that_the_rootfs_own_grub_does_not_read_are_refused_by_flag() {
    let test = |read: u32| (!read).to_le_bytes();
    let old = grub(|name, mut data| {
        let at = data.windows(4).position(|bytes| bytes == test(0x1_63D6));
        if let Some(at) = at.filter(|_| name == "ext2.mod") {
            data[at..at + 4].copy_from_slice(&test(0x03D6));
        }
        Some(data)
    });
    let Some(old) = old else { return };
    let members = [kernel(), old].concat();
    let told = |flags: &[&str], expected: Expect| {
        let desk = desk(&members);
        let ran = desk.run(&[&BUILD[..], &QUIET, &BIOS, flags].concat());
        desk.told(&ran, 3, expected);
    };
    told(
        &["--large-dir"],
        expect![[r#"
        error: the GRUB of the rootfs could not read its root: ext2.mod refuses the incompatible features 0x4000 of `--large-dir` (0x2000 is metadata_csum_seed and 0x4000 is large_dir, which GRUB reads from 2.12 and Debian's from 2.06-8 on); leave out `--large-dir`
    "#]],
    );
    told(
        &["--large-dir", "--features", "modern"],
        expect![[r#"
        error: the GRUB of the rootfs could not read its root: ext2.mod refuses the incompatible features 0x6000 of `--features modern` and `--large-dir` (0x2000 is metadata_csum_seed and 0x4000 is large_dir, which GRUB reads from 2.12 and Debian's from 2.06-8 on); leave out `--features modern` and `--large-dir`
    "#]],
    );
    let Some(new) = grub(|_, data| Some(data)) else {
        return;
    };
    mended(
        &[kernel(), new].concat(),
        &["--large-dir"],
        expect![[r#""#]],
    );
}
