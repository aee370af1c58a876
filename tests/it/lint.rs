//! Every rule of `lint`: an image that keeps all of them, and for each rule one that breaks it alone.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use diskwright::archive::Rootfs;
use diskwright::ext4::{Builder, Features, Format, Meta, Size, options::Options};
use diskwright::fat::{FatFile, FatSpec, volume};
use diskwright::image::Disk;
use diskwright::inspect::lint::{CATALOGUE, Facts, Severity, Target, lint, of_image, of_rootfs};
use diskwright::partition::{EFI_SYSTEM, GptLayout, GptPartition, ROOT_X86_64, gpt};
use diskwright::read_at::ReadAt;
use diskwright::units::{GIB, Lba, MIB, SECTOR, Timestamp};
use uuid::Uuid;

use super::common::desk::Desk;
use super::common::image;
use super::common::member::Member;
use super::common::rootfs::debian;

/// Noon of 23 November 2026.
pub(super) const NOW: i64 = 1_795_435_200;
pub(super) const UUID: &str = "11111111-2222-4333-8444-555555555555";
pub(super) const MODULES: &str = "usr/lib/modules/6.1.0";

/// A file of the root filesystem.
#[derive(Clone)]
pub(super) struct Put {
    pub(super) path: String,
    pub(super) data: Vec<u8>,
    pub(super) mode: u16,
    pub(super) mtime: i64,
}

pub(super) fn put(path: &str, data: impl Into<Vec<u8>>) -> Put {
    Put {
        path: path.into(),
        data: data.into(),
        mode: 0o644,
        mtime: NOW - 1_000_000,
    }
}

/// A root filesystem that breaks no rule.
pub(super) fn good() -> Vec<Put> {
    let builtin = "kernel/drivers/nvme/host/nvme.ko\n";
    let status = "Package: base-files\nVersion: 12\n\nPackage: cloud-init\nVersion: 22.4.2-1\n";
    vec![
        put("boot/vmlinuz-6.1.0", "kernel"),
        put(&format!("{MODULES}/modules.builtin"), builtin),
        put(
            &format!("{MODULES}/kernel/drivers/net/ethernet/amazon/ena/ena.ko.xz"),
            "x",
        ),
        put(
            "boot/grub/grub.cfg",
            format!("linux /boot/vmlinuz-6.1.0 root=UUID={UUID} ro console=ttyS0,115200n8\n"),
        ),
        put(
            "etc/fstab",
            format!(
                "UUID={UUID} / ext4 defaults 0 1\n# LABEL=x /x ext4 defaults 0 0\nLABEL=far /y ext4 nofail 0 0\n"
            ),
        ),
        put("etc/hosts", "127.0.0.1 localhost\n"),
        put("etc/hostname", "localhost\n"),
        put("etc/machine-id", "uninitialized\n"),
        put(
            "etc/shadow",
            "root:*:19000:0:99999:7:::\nadmin:!:19000:0:99999:7:::\n",
        ),
        put(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\n+::::::\nold:*:1:1::/:/bin/false\n",
        ),
        put(
            "etc/ssh/sshd_config",
            "PermitRootLogin no\nPasswordAuthentication no\n",
        ),
        put("lib64/ld-linux-x86-64.so.2", "elf"),
        put("usr/bin/cloud-init", "x"),
        put("usr/bin/growpart", "x"),
        put("usr/bin/su", "x"),
        put("var/lib/dpkg/status", status),
    ]
}

/// The image of a root filesystem: a GPT, an EFI system partition with `loader`, the root; 1 GiB.
pub(super) struct Image {
    files: Vec<Put>,
    features: Features,
    loader: Option<&'static str>,
    size: u64,
    time: i64,
}

impl Image {
    pub(super) fn of(files: Vec<Put>) -> Self {
        // Files show no later time than that of their filesystem.
        let time = files.iter().map(|f| f.mtime).max().unwrap();
        Self {
            files,
            features: Features::DEFAULT,
            loader: Some("EFI/BOOT/BOOTX64.EFI"),
            size: GIB,
            time,
        }
    }

    pub(super) fn disk(&self) -> Arc<dyn ReadAt> {
        let mut fs = Builder::new(Format {
            size: Size::Bytes(256 * MIB),
            uuid: Some(UUID.parse().unwrap()),
            time: Some(Timestamp::from_secs(self.time)),
            options: Options {
                features: self.features,
                ..Options::default()
            },
            ..Format::default()
        });
        let fs_mut = fs.as_mut().unwrap();
        for file in &self.files {
            let meta = Meta::new(file.mode).at(Timestamp::from_secs(file.mtime));
            fs_mut.file(&file.path, meta, file.data.clone()).unwrap();
        }
        let fs = fs.unwrap().finish().unwrap();
        let (esp, root) = (2048, 2048 + 32 * MIB / SECTOR);
        let part = |number, kind, start, end: u64| GptPartition {
            number,
            kind,
            guid: Uuid::from_u128(u128::from(number)),
            start: Lba(start),
            sectors: end - start,
            name: "part",
        };
        let parts = [
            part(15, EFI_SYSTEM, esp, root),
            part(1, ROOT_X86_64, root, root + fs.len() / SECTOR),
        ];
        let table = gpt(&GptLayout {
            disk_guid: Uuid::from_u128(1),
            disk_sectors: self.size / SECTOR,
            partitions: if self.loader.is_some() {
                &parts
            } else {
                &parts[1..]
            },
        });
        let table = table.unwrap();
        let mut disk = Disk::new(self.size).unwrap();
        let back = self.size - table.back.len() as u64;
        disk.put_bytes(0, table.front).unwrap();
        disk.put_bytes(back, table.back).unwrap();
        disk.put(root * SECTOR, fs).unwrap();
        if let Some(path) = self.loader {
            let spec = FatSpec {
                size: (root - esp) * SECTOR,
                start: Lba(esp),
                id: 7,
                label: b"ESP        ",
                time: Timestamp::from_secs(NOW - 1_000_000),
            };
            let esp_volume = volume(
                &spec,
                &[FatFile {
                    path,
                    data: b"loader",
                }],
            )
            .unwrap();
            let mut bytes = vec![0; (32 * MIB).try_into().unwrap()];
            esp_volume.bytes.read_exact_at(0, &mut bytes).unwrap();
            disk.put_bytes(esp * SECTOR, bytes).unwrap();
        }
        Arc::new(disk)
    }
}

/// The same disk, sparse: all of it is a hole.
struct Sparse(Arc<dyn ReadAt>);

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buf)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        Ok(offset..self.len())
    }
}

pub(super) fn archive(files: &[Put]) -> Facts {
    let folder = tempfile::tempdir().unwrap();
    let member = |f: &Put| {
        let file = Member::file(&f.path, f.data.clone()).mode(f.mode.into());
        file.mtime(&f.mtime.to_string()).bytes()
    };
    let members: Vec<_> = files.iter().map(member).collect();
    let tar = image::write_tar(folder.path(), "t.tar", &members);
    of_rootfs(&mut Rootfs::open(&[tar.as_os_str()]).unwrap(), NOW).unwrap()
}

/// Rules that are broken.
pub(super) fn broken(facts: &Facts, target: Target) -> BTreeSet<&'static str> {
    lint(facts, target).iter().map(|f| f.rule).collect()
}

/// The good files, one replaced or added.
pub(super) fn with(file: Put) -> Vec<Put> {
    let mut files = good();
    files.retain(|f| f.path != file.path);
    files.push(file);
    files
}

/// The good files, with nvme in no kernel and an initrd of these modules.
pub(super) fn with_initrd(modules: &[(&str, &str)]) -> Vec<Put> {
    let mut files = with(put(&format!("{MODULES}/modules.builtin"), "\n"));
    files.push(put("boot/initrd.img-6.1.0", initrd(modules)));
    files
}

/// An initrd with these files in its folder of modules, as cpio(1) makes it, packed with gzip.
pub(super) fn initrd(modules: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("lib/modules");
    std::fs::create_dir_all(&own).unwrap();
    for (name, data) in modules {
        std::fs::write(own.join(name), data).unwrap();
    }
    let made = std::process::Command::new("sh")
        .args(["-c", "find . | cpio --quiet -o -H newc | gzip"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    made.stdout
}

pub(super) fn without(path: &str) -> Vec<Put> {
    let mut files = good();
    files.retain(|f| f.path != path);
    files
}

#[test]
fn every_rule_has_one_that_breaks_it_and_one_that_does_not() {
    let image = |image: &Image| of_image(&image.disk(), NOW).unwrap();
    let both = Image::of(good());
    for target in [Target::Ami, Target::Marketplace] {
        assert_eq!(lint(&image(&both), target), []);
        assert_eq!(lint(&archive(&good()), target), []);
    }
    let line = |words: &str| {
        put(
            "boot/grub/grub.cfg",
            format!("\tlinux /boot/vmlinuz-6.1.0 {words}\n"),
        )
    };
    let setcap = "if command -v setcap >/dev/null; then setcap cap_net_raw+ep /bin/ping; fi\n";
    let mut ping = with(put("var/lib/dpkg/info/iputils-ping.postinst", setcap));
    ping.push(Put {
        mode: 0o755,
        ..put("bin/ping", "x")
    });
    let cases: Vec<(&str, Vec<Put>)> = vec![
        ("A001", with(line(&format!("root=UUID={UUID} ro quiet")))),
        ("A002", with(line("root=/dev/xvda1 console=ttyS0"))),
        (
            "A002",
            with(put("etc/fstab", "/dev/nvme0n1p1 / ext4 defaults 0 1\n")),
        ),
        (
            "A003",
            with(put(&format!("{MODULES}/modules.builtin"), "kernel/x.ko\n")),
        ),
        (
            "A003",
            without(&format!(
                "{MODULES}/kernel/drivers/net/ethernet/amazon/ena/ena.ko.xz"
            )),
        ),
        // A list of modules names it, and it is not there.
        (
            "A003",
            with_initrd(&[("modules.order", "kernel/drivers/nvme/host/nvme.ko\n")]),
        ),
        ("A003", {
            let mut files = with(put(&format!("{MODULES}/modules.builtin"), "\n"));
            files.push(put("boot/initrd.img-6.1.0", "070701 no archive"));
            files
        }),
        (
            "A007",
            with(put("etc/machine-id", "0123456789abcdef0123456789abcdef\n")),
        ),
        (
            "A007",
            with(put(
                "var/lib/dbus/machine-id",
                "0123456789abcdef0123456789abcdef\n",
            )),
        ),
        ("A008", with(put("etc/ssh/ssh_host_ed25519_key", "PRIVATE"))),
        (
            "A009",
            with(put("root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n")),
        ),
        (
            "A009",
            with(put("home/me/.bash_history", "aws configure\n")),
        ),
        ("A009", with(put("home/me/.aws/credentials", "[default]\n"))),
        (
            "A009",
            with(put("etc/shadow", "root:$y$j9T$x$y:19000::::::\n")),
        ),
        ("A009", with(put("etc/shadow", "root::19000::::::\n"))),
        (
            "A009",
            with(put("etc/passwd", "guest::1000:1000::/:/bin/sh\n")),
        ),
        ("A011", without("usr/bin/cloud-init")),
        ("A011", without("usr/bin/growpart")),
        (
            "A012",
            with(put("etc/resolv.conf", "nameserver 10.1.2.3\n")),
        ),
        ("A012", with(put("etc/hostname", "0123456789ab\n"))),
        (
            "A012",
            with(put(
                "etc/apt/apt.conf.d/99proxy",
                "Acquire::http::Proxy \"http://10.0.0.1:3142\";\n",
            )),
        ),
        ("A013", ping),
        (
            "A015",
            with(Put {
                mtime: NOW + 900_000,
                ..put("etc/late", "x")
            }),
        ),
        ("A018", with(put("boot/vmlinuz-6.9.9", "kernel"))),
        (
            "A019",
            with(put(
                "var/lib/dpkg/status",
                "Package: cloud-init\nVersion: 18.3-6\n",
            )),
        ),
        ("A020", with(put(".dockerenv", ""))),
        ("A020", with(put("etc/hosts", ""))),
    ];
    let mut seen = BTreeSet::new();
    for (rule, files) in cases {
        assert_eq!(
            broken(&archive(&files), Target::Ami),
            [rule].into(),
            "archive"
        );
        assert_eq!(
            broken(&image(&Image::of(files)), Target::Ami),
            [rule].into(),
            "image"
        );
        seen.insert(rule);
    }
    let other = |change: fn(&mut Image)| {
        let mut other = Image::of(good());
        change(&mut other);
        image(&other)
    };
    let sparse: Arc<dyn ReadAt> = Arc::new(Sparse(both.disk()));
    let mut changed = archive(&with(Put {
        mode: 0o4755,
        ..put("usr/bin/su", "x")
    }));
    changed.compare(&archive(&good()));
    let mut same = archive(&good());
    same.compare(&archive(&good()));
    assert_eq!(broken(&same, Target::Ami), [].into());
    for (rule, facts) in [
        ("A004", other(|i| i.features = Features::MODERN)),
        ("A005", other(|i| i.loader = Some("EFI/debian/grubx64.efi"))),
        ("A006", other(|i| i.loader = None)),
        (
            "A010",
            of_image(
                &Image::of(with(put(
                    "etc/fstab",
                    "LABEL=gone /srv ext4 defaults 0 2\n",
                )))
                .disk(),
                NOW,
            )
            .unwrap(),
        ),
        ("A014", changed),
        ("A015", other(|i| i.time = NOW + 900_000)),
        ("A016", other(|i| i.size -= MIB)),
        ("A017", of_image(&sparse, NOW).unwrap()),
    ] {
        assert_eq!(broken(&facts, Target::Ami), [rule].into());
        seen.insert(rule);
    }
    let all: BTreeSet<&str> = CATALOGUE.iter().map(|r| r.id).collect();
    assert_eq!(seen, all);
}

#[test]
fn the_marketplace_is_stricter() {
    let key = with(put("root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n"));
    let severity = |target| lint(&archive(&key), target)[0].severity;
    assert_eq!(severity(Target::Ami), Severity::Warning);
    assert_eq!(severity(Target::Marketplace), Severity::Error);
    let sshd = archive(&with(put(
        "etc/ssh/sshd_config",
        "  PasswordAuthentication yes\n",
    )));
    assert_eq!(broken(&sshd, Target::Ami), [].into());
    assert_eq!(broken(&sshd, Target::Marketplace), ["A009"].into());
}

#[test]
fn findings_are_told_as_text_json_and_sarif_and_give_exit_code_1() {
    let desk = Desk::new();
    let files = with(put("etc/machine-id", "0123456789abcdef0123456789abcdef\n"));
    let members: Vec<_> = files
        .iter()
        .map(|f| Member::file(&f.path, f.data.clone()).bytes())
        .collect();
    image::write_tar(desk.folder(), "root fs.tar", &members);
    let ran = desk.run(&["lint", "root fs.tar"]);
    assert_eq!(ran.code, Some(1));
    expect_test::expect![[r"
        A007 warning: /etc/machine-id: it holds an id
             mend: Empty /etc/machine-id and remove /var/lib/dbus/machine-id.
    "]]
    .assert_eq(&ran.stdout);
    let allowed = desk.run(&["lint", "root fs.tar", "--allow", "a007,A020"]);
    assert_eq!((allowed.code, allowed.stdout.as_str()), (Some(0), ""));
    let json: serde_json::Value =
        serde_json::from_str(&desk.run(&["lint", "root fs.tar", "--json"]).stdout).unwrap();
    assert_eq!(
        (&json[0]["rule"], &json[0]["severity"]),
        (&"A007".into(), &"warning".into())
    );
    let sarif: serde_json::Value =
        serde_json::from_str(&desk.run(&["lint", "root fs.tar", "--sarif"]).stdout).unwrap();
    let run = &sarif["runs"][0];
    assert_eq!(
        run["tool"]["driver"]["rules"].as_array().unwrap().len(),
        CATALOGUE.len()
    );
    let result = &run["results"][0];
    assert_eq!(
        run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize]["id"],
        "A007"
    );
    let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(place, "root%20fs.tar");
    let rule = desk.run(&["lint", "--explain", "A004"]);
    assert!(
        rule.code == Some(0)
            && rule
                .stdout
                .starts_with("A004: GRUB reads the root filesystem\n")
    );
    let rules = desk.run(&["lint", "--rules"]).stdout;
    assert!(
        CATALOGUE
            .iter()
            .all(|r| rules.contains(r.id) && rules.contains(r.mend))
    );
    assert_eq!(desk.run(&["lint", "--explain", "B1"]).code, Some(2));
    assert_eq!(desk.run(&["lint"]).code, Some(2));
}

#[test]
fn the_image_of_a_debian_is_fit_to_be_an_ami() {
    let Some(tar) = debian() else { return };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    image::build(&tar, &disk, &[]);
    for path in [&disk, &tar] {
        let out = image::diskwright()
            .arg("lint")
            .arg(path)
            .arg("--json")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert_eq!(out.status.code(), Some(0), "{said}");
    }
}
