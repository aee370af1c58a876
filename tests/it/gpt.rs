//! Disks with a GPT in every mode, as other people's partitioners, filesystem checkers and GRUB see them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use diskwright::archive::Rootfs;
use diskwright::extent::Content;
use diskwright::image::{self as library, Boot, Free, PlanSpool, Scheme, Size, Spec};
use diskwright::observe::Silent;
use serde_json::Value;

use crate::common::grub::grub_folder;
use crate::common::image;
use crate::common::member::Member;
use crate::tools::{have, run, stdout};

const MIB: u64 = 1 << 20;

/// A rootfs that is just enough to be given loaders.
fn rootfs(folder: &Path, linker: &str) -> PathBuf {
    let members = [
        Member::folder("./").bytes(),
        Member::file("boot/vmlinuz-6.1.0-1-cloud", vec![0x4d; 70_000]).bytes(),
        Member::file("boot/initrd.img-6.1.0-1-cloud", vec![0x1f; 90_000]).bytes(),
        Member::file(linker, "the dynamic linker").bytes(),
        Member::file("etc/os-release", "NAME=\"Some Linux\"\n").bytes(),
    ];
    image::write_tar(folder, "rootfs.tar", &members)
}

const LINKER: &str = "lib64/ld-linux-x86-64.so.2";

/// Scheme, boot, numbers of the partitions in the order of the disk, sector of root.
const MODES: [(&str, &str, &[u64], u64); 5] = [
    ("gpt", "none", &[1], 2048),
    ("gpt", "bios", &[14, 1], 8192),
    ("gpt", "uefi", &[15, 1], 262_144),
    ("auto", "hybrid", &[14, 15, 1], 262_144),
    ("auto", "auto", &[14, 15, 1], 262_144),
];

fn judges() -> bool {
    let tools = [
        "sgdisk",
        "sfdisk",
        "parted",
        "blkid",
        "e2fsck",
        "fsck.vfat",
        "mdir",
        "grub-fstest",
    ];
    tools.into_iter().all(have)
}

fn json(path: &str) -> Value {
    let table: Value = serde_json::from_str(&stdout("sfdisk", &["--json", path])).unwrap();
    table["partitiontable"].clone()
}

/// The partitions by their place on the disk: number, start, sectors.
fn partitions(table: &Value, path: &str) -> Vec<(u64, u64, u64)> {
    let list = table["partitions"].as_array().unwrap().iter();
    let mut list: Vec<_> = list
        .map(|p| {
            let number = p["node"].as_str().unwrap().strip_prefix(path).unwrap();
            let number = number.trim_start_matches('p').parse().unwrap();
            (
                number,
                p["start"].as_u64().unwrap(),
                p["size"].as_u64().unwrap(),
            )
        })
        .collect();
    list.sort_by_key(|p| p.1);
    list
}

/// The EFI system partition as a file of its own: fsck.vfat knows no offsets.
fn cut(disk: &Path, start: u64, len: u64) -> PathBuf {
    let (from, path) = (File::open(disk).unwrap(), disk.with_extension("esp"));
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    from.read_exact_at(&mut bytes, start).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Everybody's opinion on a disk.
#[track_caller]
fn assert_sound(disk: &Path, numbers: &[u64], root: u64) {
    let path = disk.to_str().unwrap();
    let said = stdout("sgdisk", &["-v", path]);
    assert!(said.contains("No problems found"), "{said}");
    assert!(!said.to_lowercase().contains("caution"), "{said}");
    let said = stdout("sfdisk", &["--verify", path]);
    assert!(said.contains("No errors detected"), "{said}");
    let said = stdout("parted", &["-s", "-m", path, "unit", "s", "print"]);
    assert!(said.contains(":gpt:"), "{said}");
    let said = stdout("blkid", &["-p", "-o", "export", path]);
    assert!(said.contains("PTTYPE=gpt"), "{said}");

    let table = json(path);
    let list = partitions(&table, path);
    let found: Vec<u64> = list.iter().map(|p| p.0).collect();
    assert_eq!(found, numbers, "{list:?}");
    for (number, start, sectors) in &list {
        assert!(
            start % 2048 == 0 && sectors % 2048 == 0,
            "{number}: {start}+{sectors}"
        );
    }
    assert_eq!(list.last().unwrap().1, root);
    let offset = format!("{}?offset={}", path, root * 512);
    let checked = run("e2fsck", &["-fn", &offset]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    let kernel = "(loop0,gpt1)/boot/vmlinuz-6.1.0-1-cloud";
    let read = run("grub-fstest", &[path, "cat", kernel]).stdout;
    assert!(
        read == vec![0x4d; 70_000],
        "GRUB reads {} bytes of the kernel",
        read.len()
    );

    if let Some((_, start, sectors)) = list.iter().find(|p| p.0 == 15) {
        let esp = cut(disk, start * 512, sectors * 512);
        let esp = esp.to_str().unwrap();
        let checked = run("fsck.vfat", &["-n", esp]);
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stdout)
        );
        let listing = stdout("mdir", &["-/", "-b", "-i", esp, "::"]);
        assert!(listing.contains("::/EFI/BOOT/BOOTX64.EFI"), "{listing}");
        let at = "(loop0,gpt15)/EFI/BOOT/BOOTX64.EFI";
        let read = run("grub-fstest", &[path, "cat", at]).stdout;
        assert!(
            read.starts_with(b"MZ"),
            "GRUB reads {} bytes of the loader",
            read.len()
        );
        let id = stdout("blkid", &["-p", "-o", "value", "-s", "UUID", esp]);
        let fstab = stdout("grub-fstest", &[path, "cat", "(loop0,gpt1)/etc/fstab"]);
        let line = format!("UUID={} /boot/efi vfat", id.trim());
        assert!(fstab.contains(&line), "{fstab}");
    }
    let verified = image::diskwright().args(["verify", path]).output().unwrap();
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
    let info = image::diskwright()
        .args(["info", "--json", path])
        .output()
        .unwrap();
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    for p in info["partitions"].as_array().unwrap() {
        let theirs = table["partitions"].as_array().unwrap().iter();
        let theirs = theirs.clone().find(|t| t["start"] == p["start"]).unwrap();
        let same = |ours: &str, key: &str| {
            let theirs = theirs[key].as_str().unwrap();
            assert!(
                theirs.eq_ignore_ascii_case(p[ours].as_str().unwrap()),
                "{key}: {p} {theirs}"
            );
        };
        same("kind", "type");
        same("partuuid", "uuid");
        same("label", "name");
    }
}

#[test]
fn every_mode_and_size_is_sound_to_every_partitioner() {
    if !judges() {
        return;
    }
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tar = rootfs(folder.path(), LINKER);
    let disk = folder.path().join("disk.img");
    for (scheme, boot, numbers, root) in MODES {
        for size in ["fit", "300M", "1000000000", "3G"] {
            // 10^9 is no multiple of the sector; the next one is no multiple of anything larger.
            let size = if size == "1000000000" {
                "1000000512"
            } else {
                size
            };
            let mut flags = vec!["--scheme", scheme, "--boot", boot, "--size", size];
            flags.extend(["--grub", grub.to_str().unwrap()]);
            image::build(&tar, &disk, &flags);
            eprintln!("{scheme} {boot} {size}");
            assert_sound(&disk, numbers, root);
            if size != "fit" {
                let len = disk.metadata().unwrap().len().to_string();
                assert!(
                    ["314572800", "1000000512", "3221225472"].contains(&len.as_str()),
                    "{len}"
                );
            }
        }
    }
}

fn built(tar: &Path, spec: &Spec) -> library::Built {
    let mut reader = Rootfs::open(&[tar.as_os_str()]).unwrap();
    library::build(&mut reader, spec, &mut PlanSpool::default(), &Silent).unwrap()
}

fn hybrid(grub: PathBuf) -> Spec {
    Spec {
        scheme: Scheme::Auto,
        boot: Boot::Hybrid,
        free: Free::Bytes(4 << 20),
        grub: vec![grub],
        ..Spec::default()
    }
}

#[test]
fn poison_in_what_is_free_is_noticed_by_nobody() {
    if !judges() {
        return;
    }
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tar = rootfs(folder.path(), LINKER);
    let disk = folder.path().join("disk.img");
    let flags = [
        "--boot",
        "hybrid",
        "--free",
        "4M",
        "--grub",
        grub.to_str().unwrap(),
    ];
    image::build(&tar, &disk, &flags);
    let built = built(&tar, &hybrid(grub));
    let file = File::options().write(true).open(&disk).unwrap();
    let mut poisoned = 0;
    for e in built
        .image
        .extents()
        .iter()
        .filter(|e| e.content == Content::Free)
    {
        let bytes = vec![0xa5; usize::try_from(e.len).unwrap()];
        file.write_all_at(&bytes, e.start).unwrap();
        poisoned += e.len;
    }
    // 124 MiB of ESP hold a loader of a few: most of it must be free, not zero.
    assert!(poisoned > 110 * MIB, "{poisoned} bytes are free");
    assert_sound(&disk, &[14, 15, 1], 262_144);
}

#[test]
fn extents_tile_every_mode_and_size() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tar = rootfs(folder.path(), LINKER);
    for (scheme, boot) in [
        (Scheme::Gpt, Boot::None),
        (Scheme::Gpt, Boot::Bios),
        (Scheme::Gpt, Boot::Uefi),
        (Scheme::Auto, Boot::Auto),
        (Scheme::Mbr, Boot::Auto),
        (Scheme::None, Boot::Auto),
    ] {
        for esp in [8 * MIB, 33 * MIB - 1, 100 * MIB] {
            for size in [
                Size::Fit,
                Size::Bytes(200 * MIB),
                Size::Bytes(200 * MIB + 512),
            ] {
                let spec = Spec {
                    scheme,
                    boot,
                    size,
                    esp_size: esp,
                    ..hybrid(grub.clone())
                };
                let built = built(&tar, &spec);
                built.image.verify().unwrap();
                let report = &built.report;
                for p in &report.partitions {
                    let end = (p.start + p.sectors) * 512;
                    assert!(end <= report.disk_size, "{p:?}");
                }
                let root = report.filesystem_offset + report.filesystem_size;
                assert!(root <= report.disk_size);
            }
        }
    }
}

#[test]
fn verify_tells_of_a_destroyed_copy_and_reads_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let tar = rootfs(folder.path(), LINKER);
    let disk = folder.path().join("disk.img");
    // `pv` has no checksum of the superblock: one flag of it can be set alone.
    let flags = ["--scheme=gpt", "--boot=none", "--free=4M", "--features=pv"];
    image::build(&tar, &disk, &flags);
    let len = disk.metadata().unwrap().len();
    let verify = || {
        let out = image::diskwright()
            .args(["verify", "--quiet"])
            .arg(&disk)
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let whole = std::fs::read(&disk).unwrap();
    let broken = |from: u64, to: u64| {
        std::fs::write(&disk, &whole).unwrap();
        let file = File::options().write(true).open(&disk).unwrap();
        let junk = vec![0x5a; usize::try_from(to - from).unwrap()];
        file.write_all_at(&junk, from).unwrap();
    };
    for (from, to, at, copy) in [
        (512, 34 * 512, 512, "primary GPT"),
        (1024, 1025, 512, "primary GPT"),
        (len - 512, len, len - 512, "backup GPT"),
        (len - 33 * 512, len - 33 * 512 + 1, len - 512, "backup GPT"),
    ] {
        broken(from, to);
        let (code, said) = verify();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("byte {at}, {copy}: ")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let info = stdout(
            env!("CARGO_BIN_EXE_diskwright"),
            &["info", disk.to_str().unwrap()],
        );
        assert!(info.contains("partition 1 `root`: sector 2048"), "{info}");
        if have("sgdisk") {
            // What sgdisk makes of the copy that is left has the same partitions.
            let repaired = disk.to_str().unwrap();
            run("sgdisk", &["-e", repaired]);
            assert_eq!(partitions(&json(repaired), repaired)[0].1, 2048);
        }
    }
    // A filesystem that cannot be checked does not hide what is known of the table.
    broken(len - 512, len);
    let file = File::options().write(true).open(&disk).unwrap();
    // `needs_recovery` in s_feature_incompat.
    file.write_all_at(&[whole[0x10_0460] | 4], 0x10_0460)
        .unwrap();
    let out = image::diskwright()
        .arg("verify")
        .arg(&disk)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(3));
    let (said, why) = (
        String::from_utf8(out.stdout).unwrap(),
        String::from_utf8(out.stderr).unwrap(),
    );
    assert!(
        said.starts_with(&format!("byte {}, backup GPT: ", len - 512)),
        "{said}"
    );
    assert!(why.contains("needs_recovery"), "{why}");
    broken(512, 34 * 512);
    let file = File::options().write(true).open(&disk).unwrap();
    file.write_all_at(&[0x5a; 512], len - 512).unwrap();
    let out = image::diskwright()
        .arg("verify")
        .arg(&disk)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(3));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("neither copy can be read"), "{said}");
}

#[test]
fn what_cannot_boot_is_refused_with_what_would_help() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let grub = grub.to_str().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let nothing = empty.to_str().unwrap();
    let pc = rootfs(folder.path(), LINKER);
    let arm_folder = tempfile::tempdir().unwrap();
    let arm = rootfs(arm_folder.path(), "lib/ld-linux-aarch64.so.1");
    let unknown_folder = tempfile::tempdir().unwrap();
    let unknown = rootfs(unknown_folder.path(), "lib/ld-linux.so.2");
    let cases: [(&Path, &[&str], i32, &str); 12] = [
        (
            &pc,
            &["--boot", "uefi", "--grub", nothing],
            3,
            "no loader for UEFI on x86-64",
        ),
        (
            &pc,
            &["--boot", "hybrid", "--grub", nothing],
            3,
            "grub-pc-bin",
        ),
        (
            &pc,
            &["--boot", "uefi", "--esp-size", "1M", "--grub", grub],
            3,
            "--esp-size ",
        ),
        (
            &pc,
            &["--boot", "uefi", "--size", "100M", "--grub", grub],
            3,
            "begins at byte 134217728",
        ),
        (
            &pc,
            &["--size", "100M", "--grub", grub],
            3,
            "with `--boot bios` root begins at 1 MiB",
        ),
        (
            &arm,
            &["--boot", "bios", "--grub", grub],
            3,
            "no machine of that kind has a BIOS",
        ),
        (
            &arm,
            &["--boot", "hybrid", "--grub", grub],
            3,
            "no machine of that kind has a BIOS",
        ),
        (
            &arm,
            &["--scheme", "mbr", "--grub", grub],
            3,
            "which needs a GPT",
        ),
        (
            &unknown,
            &["--boot", "uefi", "--grub", grub],
            3,
            "what machines the rootfs is for",
        ),
        (
            &pc,
            &["--scheme", "none", "--boot", "hybrid"],
            2,
            "need --scheme gpt",
        ),
        (
            &pc,
            &["--scheme", "mbr", "--boot", "uefi"],
            2,
            "need --scheme gpt",
        ),
        (
            &pc,
            &["--label", "seventeen bytes!!"],
            2,
            "ext4 has room for 16",
        ),
    ];
    for (tar, flags, code, want) in cases {
        let out = image::try_build(tar, &disk, flags);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{flags:?}: {said}");
        let squeezed = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(want), "{flags:?}: {said}");
        assert!(!disk.exists(), "{flags:?} leaves an image");
    }
}

#[test]
fn an_esp_that_is_too_small_is_refused_with_the_size_that_does() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let tar = rootfs(folder.path(), LINKER);
    let build = |esp: &str| {
        let flags = ["--boot", "uefi", "--free", "4M", "--esp-size", esp];
        let grub = ["--grub", grub.to_str().unwrap()];
        let out = image::try_build(&tar, &disk, &[&flags[..], &grub].concat());
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    let (code, said) = build("1M");
    assert_eq!(code, Some(3), "{said}");
    assert!(!disk.exists());
    let (_, named) = said.split_once("say `--esp-size ").unwrap();
    let named: u64 = named.split_once("M`").unwrap().0.parse().unwrap();
    let (code, said) = build(&format!("{}M", named - 1));
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = build(&format!("{named}M"));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_arm64_rootfs_gets_an_arm64_root_and_loader() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let arm = rootfs(folder.path(), "lib/ld-linux-aarch64.so.1");
    let spec = Spec {
        boot: Boot::Auto,
        ..hybrid(grub)
    };
    let report = built(&arm, &spec).report;
    assert_eq!((report.scheme, report.boot), ("gpt", "uefi"));
    assert_eq!(
        report.partitions[0].kind,
        "b921b045-1df0-41c3-af44-4c6f280d3fae"
    );
    assert_eq!(report.partitions.len(), 2);
    assert!(report.boot_why.unwrap().contains("UEFI on arm64"));
}
