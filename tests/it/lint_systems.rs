//! `lint` on roots of other distributions than Debian, on what it cannot judge, and on images made to exhaust it.

use std::process::Stdio;
use std::sync::Arc;

use diskwright::archive::Rootfs;
use diskwright::ext4::{Builder, Format, Meta, Size};
use diskwright::inspect::lint::{Facts, Finding, Severity, Target, lint, of_image, of_rootfs};
use diskwright::read_at::ReadAt;
use diskwright::units::{MIB, Timestamp};

use super::common::desk::Desk;
use super::common::member::Member;
use super::common::{image, memory};
use super::lint::{NOW, UUID, archive, broken, good, initrd, put, without};

/// An archive of members of any kind.
fn facts(members: &[Member]) -> Facts {
    let folder = tempfile::tempdir().unwrap();
    let members: Vec<_> = members.iter().map(Member::bytes).collect();
    let tar = image::write_tar(folder.path(), "t.tar", &members);
    of_rootfs(&mut Rootfs::open(&[tar.as_os_str()]).unwrap(), NOW).unwrap()
}

/// What is said of some rules.
fn said(facts: &Facts, target: Target, rules: &[&str]) -> Vec<Finding> {
    let mut found = lint(facts, target);
    found.retain(|f| rules.contains(&f.rule));
    found
}

fn places(found: &[Finding]) -> Vec<(&str, &str, bool)> {
    let each = found.iter().map(|f| (f.rule, f.place.as_str(), f.judged));
    each.collect()
}

/// A bzImage that says its release, as far as lint reads it.
fn bz_image(release: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x20e..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
    let text = format!("{release} (builder@host) #1 SMP\0");
    bytes[0x600..0x600 + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// A system's kernel, its initrd, the folder of its modules, and what else tells them.
struct System {
    kernel: Vec<Member>,
    initrd: &'static str,
    modules: &'static str,
    more: Vec<Member>,
}

fn systems() -> Vec<System> {
    let file = |path: &str, data: &str| Member::file(path, data);
    vec![
        // Fedora.
        System {
            kernel: vec![file("boot/vmlinuz-6.11.4-301.fc41.x86_64", "kernel")],
            initrd: "boot/initramfs-6.11.4-301.fc41.x86_64.img",
            modules: "usr/lib/modules/6.11.4-301.fc41.x86_64",
            more: vec![
                file("boot/vmlinuz-0-rescue-0123456789abcdef", "kernel"),
                file("boot/initramfs-0-rescue-0123456789abcdef.img", ""),
            ],
        },
        // Arch, whose kernels are called by their packages.
        System {
            kernel: vec![file("boot/vmlinuz-linux-lts", "kernel")],
            initrd: "boot/initramfs-linux-lts.img",
            modules: "usr/lib/modules/6.6.58-1-lts",
            more: vec![file("usr/lib/modules/6.6.58-1-lts/pkgbase", "linux-lts\n")],
        },
        // And one whose package has a digit in its name.
        System {
            kernel: vec![file("boot/vmlinuz-linux-lts66", "kernel")],
            initrd: "boot/initramfs-linux-lts66.img",
            modules: "usr/lib/modules/6.6.58-1-own",
            more: vec![file(
                "usr/lib/modules/6.6.58-1-own/pkgbase",
                "linux-lts66\n",
            )],
        },
        // Alpine, by their flavours.
        System {
            kernel: vec![file("boot/vmlinuz-virt", "kernel")],
            initrd: "boot/initramfs-virt",
            modules: "lib/modules/6.6.58-0-virt",
            more: Vec::new(),
        },
        // openSUSE, by links to where the packages have them.
        System {
            kernel: vec![
                file("usr/lib/modules/6.4.0-1-default/vmlinuz", "kernel"),
                Member::symlink(
                    "boot/vmlinuz-6.4.0-1-default",
                    "../usr/lib/modules/6.4.0-1-default/vmlinuz",
                ),
                file("boot/vmlinux-6.4.0-1-default.xz", "for debuggers"),
            ],
            initrd: "boot/initrd-6.4.0-1-default",
            modules: "usr/lib/modules/6.4.0-1-default",
            more: Vec::new(),
        },
        // A kernel of one's own, which says what it is.
        System {
            kernel: vec![Member::file("boot/vmlinuz-mine", bz_image("6.12.1-mine+"))],
            initrd: "boot/initrd.img-mine",
            modules: "lib/modules/6.12.1-mine+",
            more: Vec::new(),
        },
    ]
}

#[test]
fn kernels_of_every_system_have_their_modules_and_their_initrd() {
    let with_nvme = initrd(&[("nvme.ko.zst", "module")]);
    let without = initrd(&[("modules.order", "nvme.ko\n"), ("virtio_blk.ko", "")]);
    for system in systems() {
        let ena = format!(
            "{}/kernel/drivers/net/ethernet/amazon/ena/ena.ko.xz",
            system.modules
        );
        let of = |initrd: &[u8], modules: &[&str]| {
            let mut members = system.kernel.clone();
            members.extend(system.more.clone());
            members.extend(modules.iter().map(|path| Member::file(path, "module")));
            members.push(Member::file(system.initrd, initrd));
            said(&facts(&members), Target::Ami, &["A003", "A018"])
        };
        let path = format!("/{}", system.initrd);
        let unread = b"\x02\x21\x4c\x18lz4";
        assert_eq!(of(&with_nvme, &[&ena]), [], "{path}");
        assert_eq!(
            places(&of(&without, &[&ena])),
            [("A003", path.as_str(), true)]
        );
        assert_eq!(
            places(&of(unread, &[&ena])),
            [("A003", path.as_str(), false)]
        );
        let kernel = of(&with_nvme, &[&format!("{}/other.ko", system.modules)]);
        assert_eq!((kernel[0].rule, kernel.len()), ("A003", 1), "{kernel:?}");
        assert!(kernel[0].message.contains("ena"), "{kernel:?}");
    }
}

#[test]
fn a_kernel_whose_modules_are_of_another_release_is_found() {
    let members = [
        Member::file("boot/vmlinuz-6.1.0", bz_image("6.1.7")),
        Member::file("lib/modules/6.1.0/kernel/ena.ko", "x"),
        Member::file("boot/vmlinuz-virt", "kernel"),
        Member::file("boot/vmlinuz-linux", "kernel"),
    ];
    let found = said(&facts(&members), Target::Ami, &["A018"]);
    let each = [
        ("A018", "/boot/vmlinuz-6.1.0", true),
        ("A018", "/boot/vmlinuz-linux", true),
        ("A018", "/boot/vmlinuz-virt", true),
    ];
    let mut told = places(&found);
    told.sort_unstable();
    assert_eq!(told, each);
    assert!(found.iter().any(|f| f.message.ends_with("/6.1.7")));
}

/// A bare filesystem of these files.
fn disk(files: &[(&str, &str)]) -> Arc<dyn ReadAt> {
    let mut fs = builder(64 * MIB);
    for (path, data) in files {
        fs.file(path, meta(), data.as_bytes().to_vec()).unwrap();
    }
    Arc::new(fs.finish().unwrap())
}

fn builder(size: u64) -> Builder {
    Builder::new(Format {
        size: Size::Bytes(size),
        uuid: Some(UUID.parse().unwrap()),
        label: "Root".into(),
        time: Some(Timestamp::from_secs(NOW)),
        ..Format::default()
    })
    .unwrap()
}

fn meta() -> Meta {
    Meta::new(0o644).at(Timestamp::from_secs(NOW))
}

#[test]
fn what_is_not_there_to_be_judged_is_information() {
    let empty = of_image(&disk(&[("etc/hosts", "127.0.0.1 localhost\n")]), NOW).unwrap();
    let found = said(&empty, Target::Marketplace, &["A001", "A003", "A018"]);
    let each = [("A001", "/boot", false), ("A018", "/boot", false)];
    assert_eq!(places(&found), each);
    assert!(found.iter().all(|f| f.severity == Severity::Info));
    // `build` writes the command line of what is no image yet.
    let rootfs = archive(&[put("etc/hosts", "127.0.0.1 localhost\n")]);
    assert_eq!(said(&rootfs, Target::Ami, &["A001"]), []);

    let mut files = without("var/lib/dpkg/status");
    let version = |files: &[_]| said(&archive(files), Target::Ami, &["A019"]);
    assert_eq!(places(&version(&files)), [("A019", "cloud-init", false)]);
    for (path, data) in [
        (
            "lib/apk/db/installed",
            "C:Q1\nP:cloud-init\nV:19.4-r1\nA:x86_64\n\n",
        ),
        ("var/lib/pacman/local/cloud-init-19.4-1/desc", "%NAME%\n"),
        (
            "usr/lib/python3.6/site-packages/cloud_init-19.4-py3.6.egg-info/PKG-INFO",
            "",
        ),
    ] {
        files.push(put(path, data));
        let found = version(&files);
        assert!(found.len() == 1 && found[0].judged, "{path}: {found:?}");
        assert!(found[0].message.starts_with("cloud-init 19.4"), "{found:?}");
        files.pop();
    }
}

#[test]
fn command_lines_are_found_in_every_loaders_files() {
    let console = |path: &str, text: &str| {
        let mut files = without("boot/grub/grub.cfg");
        files.push(put(path, text));
        broken(&archive(&files), Target::Ami)
    };
    for (path, verb) in [
        ("boot/grub2/grub.cfg", "linuxefi /vmlinuz"),
        ("boot/loader/entries/fedora.conf", "options"),
        ("boot/extlinux.conf", "  APPEND"),
        ("etc/kernel/cmdline", ""),
    ] {
        let line = |words: &str| format!("# first\n{verb} root=LABEL=x {words}\n");
        assert_eq!(console(path, &line("console=ttyS0")), [].into(), "{path}");
        assert_eq!(console(path, &line("quiet")), ["A001"].into(), "{path}");
    }
    assert_eq!(
        console("boot/grub/menu.lst", "kernel /k console=hvc0\n"),
        [].into()
    );
}

#[test]
fn the_entry_that_boots_first_is_judged() {
    let entry = |version: &str, words: &str| {
        let path = format!("boot/loader/entries/0123abcd-{version}.conf");
        put(&path, format!("options {words}\n"))
    };
    let of = |versions: &[(&str, &str)], more: &[(&str, &str)]| {
        let mut files = without("boot/grub/grub.cfg");
        files.extend(versions.iter().map(|(v, words)| entry(v, words)));
        files.extend(more.iter().map(|(path, text)| put(path, *text)));
        let found = said(&archive(&files), Target::Ami, &["A001", "A002"]);
        found.into_iter().map(|f| f.place).collect::<Vec<_>>()
    };
    let speaks = "root=LABEL=x console=ttyS0";
    let none: [String; 0] = [];
    let (old, new) = ("5.14.0-70.el9.x86_64", "5.14.0-162.el9.x86_64");
    let rescued = [("0-rescue", "quiet"), (old, "quiet"), (new, speaks)];
    assert_eq!(of(&rescued, &[]), none);
    assert_eq!(
        of(&[(old, speaks), (new, "quiet"), ("0-rescue", speaks)], &[]),
        [format!("/boot/loader/entries/0123abcd-{new}.conf:1")]
    );
    // What new entries are made of boots nothing.
    let of_new = ("etc/kernel/cmdline", "quiet root=/dev/sda1");
    assert_eq!(of(&[(new, speaks)], &[of_new]), none);
    // RHEL 8's entries take theirs from GRUB's environment.
    let (env, words) = (
        "boot/grub2/grubenv",
        "kernelopts=root=/dev/sda1 console=ttyS0\n",
    );
    let place = format!("/boot/loader/entries/0123abcd-{new}.conf:1");
    assert_eq!(
        of(&[(new, "$kernelopts")], &[(env, words)]),
        [place.as_str()]
    );
    // GRUB reads none that is larger than it writes them.
    let large = format!("{words}{}", "#".repeat(1024));
    assert_eq!(of(&[(new, "$kernelopts")], &[(env, &large)]), [place]);
}

#[test]
fn an_image_that_extlinux_boots_has_a_loader() {
    let loader = |path: &str| {
        let facts = of_image(&disk(&[(path, "x"), ("lib/ld-musl-x86_64.so.1", "")]), NOW);
        places(&said(&facts.unwrap(), Target::Ami, &["A006"])).len()
    };
    assert_eq!(loader("boot/ldlinux.sys"), 0);
    assert_eq!(loader("boot/extlinux/ldlinux.sys"), 0);
    assert_eq!(loader("boot/extlinux/ldlinux.c32"), 1);
}

#[test]
fn archives_may_have_absolute_names_and_more_that_says_nothing() {
    for before in ["/", "././", ".//./"] {
        let file = |path: &str, data: &[u8]| Member::file(format!("{before}{path}"), data);
        let members = [
            file("etc/machine-id", b"0123456789abcdef0123456789abcdef\n"),
            file("boot/vmlinuz-6.1.0", b"kernel"),
            file("boot/initrd.img-6.1.0", &initrd(&[("virtio.ko", "x")])),
            file("lib/modules/6.1.0/ena.ko", b"x"),
        ];
        let found = said(&facts(&members), Target::Ami, &["A003", "A007"]);
        let each = [
            ("A003", "/boot/initrd.img-6.1.0", true),
            ("A007", "/etc/machine-id", true),
        ];
        assert_eq!(places(&found), each, "{before}");
    }
}

#[test]
fn fstab_names_filesystems_as_mount_does() {
    let fstab = |line: &str| {
        let text = format!("# comment\n{line}\n");
        let facts = of_image(&disk(&[("etc/fstab", text.as_str())]), NOW).unwrap();
        said(&facts, Target::Ami, &["A010"])
    };
    for fine in [
        "LABEL=Root / ext4 defaults 0 1",
        "LABEL=\"Root\" /",
        "/dev/disk/by-label/Root / ext4",
        "UUID=11111111-2222-4333-8444-555555555555 / auto ro",
        "UUID=AAAA / ext4 rw,nofail 0 0",
        "LABEL=x /x xfs x-systemd.automount",
        "/swapfile none swap sw 0 0",
        "tmpfs /tmp tmpfs",
    ] {
        assert_eq!(fstab(fine), [], "{fine}");
    }
    for gone in [
        "LABEL=root / ext4 defaults 0 1",
        "LABEL=ROOT / ext4",
        "UUID=22222222-2222-4333-8444-555555555555 none swap sw 0 0",
        "PARTLABEL=Root / ext4 defaults",
    ] {
        assert_eq!(
            places(&fstab(gone)),
            [("A010", "/etc/fstab:2", true)],
            "{gone}"
        );
    }
    let zfs = fstab("UUID=AAAA /data zfs_member defaults 0 0");
    assert_eq!(places(&zfs), [("A010", "/etc/fstab:2", false)]);
}

#[test]
fn sshd_takes_the_first_value_and_has_its_defaults() {
    let main = "etc/ssh/sshd_config";
    let drop_in = |name: &str| format!("etc/ssh/sshd_config.d/{name}");
    let found = |files: &[(&str, &str)]| {
        let mut all = without(main);
        all.extend(files.iter().map(|(path, data)| put(path, *data)));
        let found = said(&archive(&all), Target::Marketplace, &["A009"]);
        let each = found.into_iter().map(|f| f.place);
        each.collect::<Vec<_>>()
    };
    let include = "Include /etc/ssh/sshd_config.d/*.conf\n";
    let (yes, no) = (
        "PasswordAuthentication yes\n",
        "passwordauthentication=no\n",
    );
    let (first, second) = (drop_in("10-a.conf"), drop_in("50-b.conf"));
    let none: [String; 0] = [];
    assert_eq!(found(&[]), none, "no sshd");
    assert_eq!(found(&[(main, "Port 22\n")]), ["/etc/ssh/sshd_config"]);
    assert_eq!(found(&[(main, no)]), none);
    assert_eq!(found(&[(main, &format!("{no}{yes}"))]), none);
    // Files of a folder that nothing includes mean nothing.
    assert_eq!(found(&[(main, no), (&first, yes)]), none);
    let including = format!("{include}{no}");
    let own = (main, including.as_str());
    let place = format!("/{first}:1");
    assert_eq!(found(&[own, (&first, yes)]), [place.as_str()]);
    assert_eq!(found(&[own, (&first, no), (&second, yes)]), none);
    assert_eq!(
        found(&[own, (&second, no), (&first, yes)]),
        [place.as_str()]
    );
    assert_eq!(found(&[own, (&drop_in("x.conf.bak"), yes)]), none);
    // What is matched holds for some, and to the end of its file.
    let matched = format!("{no}Match User a\n  {yes}Match all\nPermitRootLogin yes\n");
    let lines = ["/etc/ssh/sshd_config:3", "/etc/ssh/sshd_config:5"];
    assert_eq!(found(&[(main, &matched)]), lines);
    // One that includes itself.
    assert_eq!(
        found(&[(main, &format!("Include sshd_config\n{no}"))]),
        none
    );
}

#[test]
fn many_names_of_one_file_are_held_once() {
    let desk = Desk::new();
    let mut fs = builder(256 * MIB);
    let big = vec![b'#'; 1 << 20];
    for (first, folder) in [
        ("etc/ssh/big", "etc/ssh"),
        ("boot/loader/entries/big.conf", "boot/loader/entries"),
    ] {
        fs.file(first, meta(), big.clone()).unwrap();
        for n in 0..500 {
            fs.hard_link(format!("{folder}/{n}.conf"), first).unwrap();
        }
    }
    for n in 0..500 {
        fs.hard_link(format!("boot/vmlinuz-{n}"), "etc/ssh/big")
            .unwrap();
        fs.hard_link(format!("boot/initrd.img-{n}"), "etc/ssh/big")
            .unwrap();
        fs.file(format!("lib/modules/{n}/ena.ko"), meta(), Vec::new())
            .unwrap();
    }
    fs.file("etc/ssh/sshd_config", meta(), "Include *\n".repeat(10_000))
        .unwrap();
    let words = format!("kernelopts={}\n", "a ".repeat(500_000));
    fs.file("boot/grub2/grubenv", meta(), words).unwrap();
    let options = "options $kernelopts\n".repeat(50_000);
    fs.file("boot/loader/entries/a.conf", meta(), options)
        .unwrap();
    let fs = fs.finish().unwrap();
    let mut bytes = vec![0; fs.len().try_into().unwrap()];
    fs.read_exact_at(0, &mut bytes).unwrap();
    desk.write("disk.img", &bytes);
    let mut lint = desk.command(&["lint", "disk.img", "--target", "marketplace", "--json"]);
    let mut child = lint
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peak = memory::peak(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(peak < 100 << 20, "{peak} bytes");
}

#[test]
fn folders_in_themselves_and_deeper_than_paths_may_be_are_passed_over_and_counted() {
    let mut fs = builder(64 * MIB);
    let chain = |letter: &str| vec![letter.repeat(200); 15].join("/");
    let (first, second) = (chain("a"), chain("d"));
    for deep in [&first, &second] {
        fs.file(format!("{deep}/file"), meta(), Vec::new()).unwrap();
    }
    fs.file("etc/hosts", meta(), "127.0.0.1 localhost\n")
        .unwrap();
    let fs = fs.finish().unwrap();
    let mut bytes = vec![0; fs.len().try_into().unwrap()];
    fs.read_exact_at(0, &mut bytes).unwrap();
    let desk = Desk::new();
    // The second chain ends in its own beginning; the first goes on with the second, which is met again at `/`.
    for (bottom, unread) in [(&second, 1), (&first, 2)] {
        desk.write("disk.img", &bytes);
        let request = format!("link /{} /{bottom}/on", "d".repeat(200));
        let debugfs = std::process::Command::new("/sbin/debugfs")
            .args(["-w", "-R", &request])
            .arg(desk.path("disk.img"))
            .output()
            .unwrap();
        assert!(debugfs.status.success());
        let disk: Arc<dyn ReadAt> = Arc::new(std::fs::read(desk.path("disk.img")).unwrap());
        let facts = of_image(&disk, NOW).unwrap();
        assert_eq!(facts.unread(), unread);
        let ran = desk.run(&["lint", "disk.img"]);
        assert!(ran.stderr.contains("cannot be read"), "{}", ran.stderr);
    }
}

#[test]
fn a_person_is_told_what_could_not_be_judged_without_a_remedy_for_it() {
    let desk = Desk::new();
    let mut files = good();
    files.retain(|f| !f.path.starts_with("boot/"));
    let members: Vec<_> = files
        .iter()
        .map(|f| Member::file(&f.path, f.data.clone()).bytes())
        .collect();
    image::write_tar(desk.folder(), "t.tar", &members);
    let ran = desk.run(&["lint", "t.tar"]);
    assert_eq!(ran.code, Some(0));
    expect_test::expect![[r#"
        A018 info: /boot: no kernel is there (vmlinuz-* or kernel-*): what it needs cannot be judged; it may lie on a partition of its own
    "#]].assert_eq(&ran.stdout);
    let log: serde_json::Value =
        serde_json::from_str(&desk.run(&["lint", "t.tar", "--sarif"]).stdout).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!(
        (&result["kind"], &result["level"]),
        (&"open".into(), &"none".into())
    );
}
