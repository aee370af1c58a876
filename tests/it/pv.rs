//! Images for PV-GRUB: a menu by GRUB 0.97's grammar, what is refused and what is told.

use crate::common::desk::Desk;
use crate::common::tarball::{archive, file};
use crate::tools::have;
use diskwright::archive::Rootfs;
use diskwright::image::{Boot, BuildError, PlanSpool, Spec, build};
use diskwright::observe::Silent;
use expect_test::{Expect, expect};
use std::collections::BTreeMap;

/// An entry of menu.lst.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stanza {
    pub(crate) title: String,
    pub(crate) commands: BTreeMap<String, String>,
}

/// menu.lst as GRUB 0.97 reads it: numbers in front, then stanzas of commands, each once and in this order.
pub(crate) fn menu(text: &str) -> (BTreeMap<String, usize>, Vec<Stanza>) {
    let (mut numbers, mut stanzas) = (BTreeMap::new(), Vec::<Stanza>::new());
    // A line of the last stanza says that it ends there.
    assert!(
        text.ends_with('\n') && !text.contains(['\\', '\t', '\r']),
        "{text}"
    );
    for line in text.lines() {
        // `NEW_HEAPSIZE`: what is behind is dropped.
        assert!(line.len() < 1500, "{line}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap();
        assert!(!rest.starts_with(' ') && !rest.ends_with(' '), "{line:?}");
        if word == "title" {
            stanzas.push(Stanza {
                title: rest.into(),
                ..Stanza::default()
            });
            continue;
        }
        let Some(stanza) = stanzas.last_mut() else {
            assert!(["default", "fallback", "timeout"].contains(&word), "{line}");
            assert!(
                numbers.insert(word.into(), rest.parse().unwrap()).is_none(),
                "{line}"
            );
            continue;
        };
        let order = ["root", "kernel", "initrd"];
        assert_eq!(word, order[stanza.commands.len()], "{line}");
        stanza.commands.insert(word.into(), rest.into());
    }
    for stanza in &stanzas {
        assert_eq!(stanza.commands["root"], "(hd0)");
        assert!(stanza.commands["kernel"].len() < 1024, "{stanza:?}");
        for word in ["kernel", "initrd"] {
            assert!(stanza.commands[word].starts_with("/boot/"), "{stanza:?}");
        }
    }
    for word in ["default", "fallback"] {
        assert!(
            numbers.get(word).is_none_or(|&n| n < stanzas.len()),
            "{numbers:?}"
        );
    }
    (numbers, stanzas)
}

/// An ELF file of 32 bits, which PV-GRUB loads as it is.
const KERNEL: &[u8] = b"\x7fELF\x01";

fn small(versions: &[&str]) -> Vec<Vec<u8>> {
    let mut members = Vec::new();
    for version in versions {
        members.push(file(&format!("boot/vmlinuz-{version}"), KERNEL));
        members.push(file(&format!("boot/initrd.img-{version}"), b"initrd"));
        members.push(file(&format!("lib/modules/{version}/modules.dep"), b""));
    }
    members
}

const BUILD: [&str; 8] = [
    "build",
    "a.tar",
    "-o",
    "out/disk.img",
    "--quiet",
    "--boot",
    "pv",
    "--grow-at-boot=none",
];

#[track_caller]
fn told(members: &[Vec<u8>], flags: &[&str], code: i32, expected: Expect) {
    let desk = Desk::new();
    desk.write("a.tar", &archive(members));
    desk.refused(&[&BUILD[..], flags].concat(), code, expected);
}

#[track_caller]
fn builds(members: &[Vec<u8>], flags: &[&str], expected: Expect) -> Desk {
    let desk = Desk::new();
    desk.write("a.tar", &archive(members));
    let ran = desk.run(&[&BUILD[..], flags].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    expected.assert_eq(&ran.stderr);
    desk.fsck();
    desk
}

#[test]
fn kernels_come_newest_first_and_the_second_is_the_fallback() {
    if !have("debugfs") {
        return;
    }
    let members = small(&["5.10.0-9-amd64", "6.1.0-10-amd64", "5.10.0-10-amd64"]);
    let desk = builds(&members, &["--root-by", "label"], expect![]);
    let text = desk.debugfs("cat /boot/grub/menu.lst").unwrap();
    let (numbers, stanzas) = menu(&text);
    assert_eq!((numbers["default"], numbers["fallback"]), (0, 2));
    let titles: Vec<_> = stanzas.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "Linux, with Linux 6.1.0-10-amd64",
            "Linux, with Linux 6.1.0-10-amd64 (recovery mode)",
            "Linux, with Linux 5.10.0-10-amd64",
            "Linux, with Linux 5.10.0-10-amd64 (recovery mode)",
            "Linux, with Linux 5.10.0-9-amd64",
            "Linux, with Linux 5.10.0-9-amd64 (recovery mode)",
        ]
    );
    assert_eq!(
        stanzas[2].commands["kernel"],
        "/boot/vmlinuz-5.10.0-10-amd64 root=LABEL=root ro console=hvc0"
    );
    let info = desk.run(&["info", "out/disk.img"]).stdout;
    assert!(info.contains("no partition table"), "{info}");
    let fstab = desk.debugfs("cat /etc/fstab").unwrap();
    assert!(fstab.contains("\nLABEL=root / ext4 "), "{fstab}");
}

#[test]
fn what_is_the_default_may_be_said_and_changes_nothing() {
    let desk = builds(&small(&["6.1.0-10-amd64"]), &["--seed", "x"], expect![]);
    let first = std::fs::read(desk.path("out/disk.img")).unwrap();
    std::fs::remove_file(desk.path("out/disk.img")).unwrap();
    let again = desk.run(
        &[
            &BUILD[..],
            &["--seed", "x", "--scheme", "none", "--features", "pv"],
        ]
        .concat(),
    );
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(first == std::fs::read(desk.path("out/disk.img")).unwrap());
}

#[test]
fn what_pv_grub_cannot_start_is_refused_with_the_reason() {
    let members = small(&["6.1.0-10-amd64"]);
    told(
        &members,
        &["--scheme", "gpt"],
        2,
        expect![[r#"
        error: --boot pv needs a disk without a partition table: PV-GRUB of the kind hd0 reads the filesystem at its first byte
        help: leave out --scheme gpt, or say --boot none
    "#]],
    );
    told(
        &members,
        &["--scheme", "mbr"],
        2,
        expect![[r#"
        error: --boot pv needs a disk without a partition table: PV-GRUB of the kind hd0 reads the filesystem at its first byte
        help: leave out --scheme mbr, or say --boot none
    "#]],
    );
    told(
        &members,
        &["--features", "modern"],
        2,
        expect![[r#"
        error: --features modern: PV-GRUB refuses 64bit and knows no metadata_csum
        help: leave it out: --boot pv has --features pv
    "#]],
    );
    told(
        &members,
        &["--features", "default"],
        2,
        expect![[r#"
        error: --features default: PV-GRUB refuses 64bit and knows no metadata_csum
        help: leave it out: --boot pv has --features pv
    "#]],
    );
    told(
        &members,
        &["--large-dir"],
        2,
        expect![[r#"
        error: --large-dir: those for whom --features pv is do not read it
        help: leave out one of them
    "#]],
    );
    told(
        &members,
        &["--root-by", "partuuid"],
        2,
        expect![[r#"
            error: --root-by partuuid needs a partition, and --boot pv makes none
        "#]],
    );
    told(
        &members,
        &["--label", "seventeen bytes!!"],
        2,
        expect![[r#"
        error: invalid value 'seventeen bytes!!' for '--label <LABEL>': 17 bytes long; ext4 has room for 16

        For more information, try '--help'.
    "#]],
    );
    told(
        &members,
        &["--cmdline", &"a ".repeat(512)],
        3,
        expect![[r#"
            error: the boot loader cannot be made
              because: kernel command line `/boot/vmlinuz-6.1.0-10-amd64 root=UUID=0a7abb95-1e52-8e1d-97…` has 1024 bytes or more: Xen hands on no more
        "#]],
    );
    told(
        &[file("etc/os-release", b"")],
        &[],
        3,
        expect![[r#"
        error: the rootfs has no kernel: nothing in /boot or / is called vmlinuz-*; on Debian the package linux-image-cloud-amd64 brings one. Say `--boot none` for an image that need not boot
    "#]],
    );
    let no_kernel = [
        file("boot/vmlinuz-1", b"no kernel"),
        file("boot/initrd.img-1", b""),
    ];
    told(
        &no_kernel,
        &[],
        3,
        expect![[r#"
        warning: /boot/vmlinuz-1 has no modules: there is no /lib/modules/1, and what is not built into it or in its initrd will be missing
        error: the boot loader cannot be made
          because: /boot/vmlinuz-1: setup_header.header is missing, must be `HdrS` of a bzImage, or an ELF file, for PV-GRUB
    "#]],
    );
    // A library's user has no flags that say it beforehand.
    let desk = Desk::new();
    desk.write("a.tar", &archive(&members));
    let mut rootfs = Rootfs::open(&[desk.path("a.tar").as_os_str()]).unwrap();
    let spec = Spec {
        boot: Boot::Pv,
        ..Spec::default()
    };
    let refused = build(&mut rootfs, &spec, &mut PlanSpool::default(), &Silent);
    assert!(matches!(
        refused,
        Err(BuildError::PvRefuses { profile: "default" })
    ));
    let arm = [&members[..], &[file("lib/ld-linux-aarch64.so.1", b"")]].concat();
    told(
        &arm,
        &[],
        3,
        expect![[r#"
        error: the rootfs is for arm64, and PV-GRUB is for x86 alone: say `--boot uefi`, or leave `--boot` out
    "#]],
    );
}

#[test]
fn a_disk_without_partitions_is_grown_by_cloud_init_alone() {
    let desk = Desk::new();
    let build = |more: &[Vec<u8>], flags: &[&str]| {
        let members = [&small(&["6.1.0-10-amd64"]), more].concat();
        desk.write("a.tar", &archive(&members));
        desk.run(&[&BUILD[..7], &["--force"], flags].concat())
    };
    let refused = build(&[], &["--grow-at-boot", "repart"]);
    assert_eq!(refused.code, Some(3));
    expect![[r#"
        error: `--grow-at-boot repart` cannot work: systemd-repart grows partitions, and the disk has none; mend that, or say `--grow-at-boot auto`
    "#]]
    .assert_eq(&refused.stderr);
    expect![[r#"
        warning: on a larger disk the root stays as it is: the rootfs has no cloud-init, which would run resize2fs; `--grow-at-boot none` if that is meant
    "#]]
    .assert_eq(&build(&[], &[]).stderr);
    assert_eq!(build(&[file("usr/bin/cloud-init", b"")], &[]).stderr, "");
}

#[test]
fn what_may_fail_at_boot_is_told() {
    let bare = [file("boot/vmlinuz-6.1.0-1-amd64", KERNEL)];
    let desk = builds(
        &bare,
        &[],
        expect![[r#"
        warning: /boot/vmlinuz-6.1.0-1-amd64 has no initrd in /boot: it is given root=/dev/xvda1, and must have the drivers of its disk and ext4 built in
        warning: /boot/vmlinuz-6.1.0-1-amd64 has no modules: there is no /lib/modules/6.1.0-1-amd64, and what is not built into it or in its initrd will be missing
    "#]],
    );
    if let Some(menu) = desk.debugfs("cat /boot/grub/menu.lst") {
        assert!(
            menu.contains(" root=/dev/xvda1 ro ") && !menu.contains("initrd"),
            "{menu}"
        );
    }
    let older = [
        small(&["6.1.0-10-amd64"]),
        vec![file("boot/vmlinuz-5", b"x"), file("boot/initrd.img-5", b"")],
    ];
    builds(
        &older.concat(),
        &[],
        expect![[r#"
        warning: /boot/vmlinuz-5: setup_header.header is missing, must be `HdrS` of a bzImage, or an ELF file, for PV-GRUB: it is not in the menu
    "#]],
    );
    let own = vec![file("boot/grub/menu.lst", b"title x\nkernel /boot/old\n")];
    let desk = builds(
        &[small(&["6.1.0-10-amd64"]), own].concat(),
        &[],
        expect![[r#"
        warning: /boot/grub/menu.lst of the rootfs is replaced, and kept as /boot/grub/menu.lst.orig
    "#]],
    );
    if let Some(kept) = desk.debugfs("cat /boot/grub/menu.lst.orig") {
        assert_eq!(kept, "title x\nkernel /boot/old\n");
    }
}

#[test]
fn aki_prints_the_kernel_image_of_a_region() {
    let desk = Desk::new();
    let aki = |flags: &[&str]| desk.run(&[&["aki"], flags].concat());
    assert_eq!(aki(&["--region", "us-east-1"]).stdout, "aki-5c21674b\n");
    assert_eq!(
        aki(&["--region", "us-east-1", "--arch", "i386"]).stdout,
        "aki-04206613\n"
    );
    expect![[r#"
        {
          "region": "cn-north-1",
          "arch": "x86_64",
          "aki": "aki-9e8f1da7",
          "version": "1.04"
        }
    "#]]
    .assert_eq(&aki(&["--region", "cn-north-1", "--json"]).stdout);
    desk.refused(&["aki", "--region", "us-east-2"], 2, expect![[r#"
        error: no PV-GRUB for this architecture in the region `us-east-2`
        help: one of ap-northeast-1, ap-southeast-1, ap-southeast-2, ca-central-1, cn-north-1, eu-central-1, eu-west-1, sa-east-1, us-east-1, us-gov-west-1, us-west-1, us-west-2
    "#]]);
    desk.refused(
        &["aki", "--region", "ca-central-1", "--arch", "i386"],
        2,
        expect![[r#"
            error: no PV-GRUB for this architecture in the region `ca-central-1`
            help: one of ap-northeast-1, ap-southeast-1, ap-southeast-2, cn-north-1, eu-central-1, eu-west-1, sa-east-1, us-east-1, us-gov-west-1, us-west-1, us-west-2
        "#]],
    );
}
