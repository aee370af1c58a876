//! Same archive, same spec: same bytes, whatever the machine. Which bytes they were is `golden`'s.

use crate::common::image::sha256;
use crate::common::member::Member;
use crate::common::{features, grub::grub_folder, image, rootfs};
use crate::tools;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds with what `change` makes of the command; the image's digest.
fn digest(tar: &Path, disk: &Path, change: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut command = image::diskwright();
    command
        .args(["build", "--quiet", "--boot", "none", "--free", "4M", "-o"])
        .arg(disk)
        .arg(tar);
    change(&mut command);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    let digest = sha256(disk);
    std::fs::remove_file(disk).unwrap();
    digest
}

fn features_tar(folder: &Path) -> PathBuf {
    image::write_tar(folder, "features.tar", &features::members())
}

#[test]
fn compression_and_pipes_do_not_reach_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let (tar, disk) = (features_tar(folder.path()), folder.path().join("disk.img"));
    let expected = digest(&tar, &disk, |c| c);
    for (tool, extension) in [
        ("gzip", "gz"),
        ("zstd", "zst"),
        ("xz", "xz"),
        ("bzip2", "bz2"),
    ] {
        if !tools::have(tool) {
            continue;
        }
        let compressed = PathBuf::from(format!("{}.{extension}", tar.display()));
        let out = tools::run(tool, &["-1", "-k", "-c", tar.to_str().unwrap()]);
        std::fs::write(&compressed, out.stdout).unwrap();
        assert_eq!(digest(&compressed, &disk, |c| c), expected, "{tool}");
        assert_eq!(
            through_pipe(&compressed, &disk),
            expected,
            "{tool} through a pipe"
        );
    }
    assert_eq!(through_pipe(&tar, &disk), expected, "tar through a pipe");
}

/// The archive on standard input, in pieces of odd sizes, with pauses.
fn through_pipe(archive: &Path, disk: &Path) -> String {
    let bytes = std::fs::read(archive).unwrap();
    let mut command = image::diskwright();
    command
        .args([
            "build", "--quiet", "--boot", "none", "--free", "4M", "-", "-o",
        ])
        .arg(disk);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut rest = &bytes[..];
    for n in 0_usize.. {
        let len = (n * 7919 % 60_013 + 1).min(rest.len());
        stdin.write_all(&rest[..len]).unwrap();
        rest = &rest[len..];
        if rest.is_empty() {
            break;
        }
        if n % 16 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let digest = sha256(disk);
    std::fs::remove_file(disk).unwrap();
    digest
}

#[test]
fn the_environment_does_not_reach_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let (tar, disk) = (features_tar(folder.path()), folder.path().join("disk.img"));
    let expected = digest(&tar, &disk, |c| c);
    let elsewhere = tempfile::tempdir().unwrap();
    for (key, value) in [
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANG", "de_DE.ISO-8859-1"),
        ("TZ", "Pacific/Kiritimati"),
        ("TMPDIR", elsewhere.path().to_str().unwrap()),
        ("HOME", "/nonexistent"),
        ("PATH", "/nonexistent"),
        ("USER", "somebody"),
        ("RUST_LOG", "trace"),
    ] {
        assert_eq!(
            digest(&tar, &disk, |c| c.env(key, value)),
            expected,
            "{key}={value}"
        );
    }
    assert_eq!(
        digest(&tar, &disk, |c| c.env_clear()),
        expected,
        "no environment"
    );
    let moved = digest(&tar, &disk, |c| c.current_dir(elsewhere.path()));
    assert_eq!(moved, expected, "another working directory");
    let other = elsewhere.path().join("another name.raw");
    assert_eq!(digest(&tar, &other, |c| c), expected, "another output");
    let copy = elsewhere.path().join("another.archive");
    std::fs::copy(&tar, &copy).unwrap();
    assert_eq!(
        digest(&copy, &disk, |c| c),
        expected,
        "another name of the archive"
    );
    let flags = ["--boot", "none", "--free", "4M"];
    assert_eq!(always_the_same(&tar, &flags, folder.path()), expected);
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let there = memory.path().join("disk.img");
        assert_eq!(digest(&tar, &there, |c| c), expected, "another filesystem");
    }
}

/// Every way an image boots: flags, and the dynamic linker, by which a rootfs is known to be for a machine.
const MODES: [(&[&str], &str); 9] = [
    (&["--boot", "none"], AMD64),
    (&["--boot", "none", "--scheme", "none"], AMD64),
    (&["--boot", "bios"], AMD64),
    (&["--boot", "bios", "--scheme", "gpt"], AMD64),
    (&["--boot", "uefi"], AMD64),
    (&["--boot", "hybrid"], AMD64),
    (&["--boot", "pv"], AMD64),
    (&["--boot", "auto"], AMD64),
    (&["--boot", "uefi"], ARM64),
];
const AMD64: &str = "lib64/ld-linux-x86-64.so.2";
const ARM64: &str = "lib/ld-linux-aarch64.so.1";

/// The image that `build` with these arguments makes when started by `wrapper`.
fn built_by(wrapper: &[&str], tar: &Path, flags: &[&str], folder: &Path) -> String {
    let disk = folder.join("disk.img");
    let program = [env!("CARGO_BIN_EXE_diskwright")];
    let line = [wrapper, &program].concat();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).args(["build", "--quiet", "-o"]);
    command.arg(&disk).arg(tar).args(flags);
    let output = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    // An umask may have taken our own right to read it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&disk, mode).unwrap();
    let digest = sha256(&disk);
    std::fs::remove_file(&disk).unwrap();
    digest
}

/// Another user's shell on another day: umask, time zone, locale, home, where temporary files go.
const ELSEWHERE: [&str; 4] = [
    "sh",
    "-c",
    "umask 0777; export TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8 HOME=/nonexistent USER=somebody; \
     TMPDIR=/dev/shm exec \"$@\"",
    "sh",
];

/// The digest of an image of `tar`, which everything that must not reach it leaves as it is.
#[track_caller]
fn always_the_same(tar: &Path, flags: &[&str], folder: &Path) -> String {
    let first = built_by(&["env"], tar, flags, folder);
    let one_cpu = ["taskset", "-c", "0"];
    for wrapper in [&["env"][..], &ELSEWHERE, &one_cpu] {
        if tools::have(wrapper[0]) {
            let again = built_by(wrapper, tar, flags, folder);
            assert_eq!(again, first, "{flags:?} by {wrapper:?}");
        }
    }
    first
}

#[test]
fn every_mode_is_the_same_bytes_again_and_anywhere() {
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // The same GRUB by another name.
    let link = folder.path().join("grub");
    std::os::unix::fs::symlink(&grub, &link).unwrap();
    let tar = |linker: &str| {
        let mut members = features::members();
        members.extend([
            // An ELF file of 32 bits, which PV-GRUB takes as it is.
            Member::file("boot/vmlinuz-6.1.0-1-cloud", "\x7fELF\x01 and more").bytes(),
            Member::file("boot/initrd.img-6.1.0-1-cloud", vec![0x1f; 90_000]).bytes(),
            Member::file(linker, "the dynamic linker").bytes(),
            Member::file("etc/os-release", "NAME=\"Some Linux\"\n").bytes(),
        ]);
        image::write_tar(folder.path(), "rootfs.tar", &members)
    };
    let mut seen = Vec::new();
    for (mode, linker) in MODES {
        let tar = tar(linker);
        let flags = |grub: &Path| {
            let mut all = mode.to_vec();
            let grub = grub.to_str().unwrap().to_owned();
            all.extend(["--free", "4M", "--grow-at-boot", "none", "--grub"]);
            let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
            all.push(grub);
            all
        };
        let strings = flags(&grub);
        let first: Vec<&str> = strings.iter().map(String::as_str).collect();
        let digest = always_the_same(&tar, &first, folder.path());
        let strings = flags(&link);
        let linked: Vec<&str> = strings.iter().map(String::as_str).collect();
        let by_link = built_by(&["env"], &tar, &linked, folder.path());
        assert_eq!(by_link, digest, "{mode:?}: GRUB by another path");
        seen.push(digest);
    }
    // What `auto` picks is what could have been said; all others differ.
    let hybrid = MODES
        .iter()
        .position(|(m, _)| m.contains(&"hybrid"))
        .unwrap();
    let auto = MODES.iter().position(|(m, _)| m.contains(&"auto")).unwrap();
    assert_eq!(seen.remove(auto), seen[hybrid]);
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
}

/// A kernel that is compressed anew, 15,000 files, every module of GRUB.
#[test]
fn a_debian_is_the_same_bytes_again_and_anywhere() {
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for mode in ["hybrid", "pv"] {
        let flags = ["--boot", mode, "--grub", grub.to_str().unwrap()];
        always_the_same(&debian, &flags, folder.path());
    }
}

fn small(name: &str, mode: u32, content: &[u8]) -> Vec<Vec<u8>> {
    vec![
        Member::folder("./").bytes(),
        Member::file("a", features::content(1, 20_000)).bytes(),
        Member::file(name, content).mode(mode).bytes(),
        Member::file("z", features::content(2, 9000)).bytes(),
    ]
}

#[test]
fn names_modes_specs_and_the_epoch_do() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let tar = |members: &[Vec<u8>]| image::write_tar(folder.path(), "small.tar", members);
    let base = small("file", 0o644, b"content");
    let mut seen = vec![digest(&tar(&base), &disk, |c| c)];
    assert_eq!(digest(&tar(&base), &disk, |c| c), seen[0]);
    let mut other = |digest: String, what: &str| {
        assert!(!seen.contains(&digest), "{what} changes the image");
        seen.push(digest);
    };
    other(
        digest(&tar(&small("filf", 0o644, b"content")), &disk, |c| c),
        "a name",
    );
    other(
        digest(&tar(&small("file", 0o640, b"content")), &disk, |c| c),
        "a mode",
    );
    other(
        digest(&tar(&small("file", 0o644, b"contents")), &disk, |c| c),
        "a size",
    );
    let tar = tar(&base);
    for flags in [
        &["--label", "other"][..],
        &["--seed", "other"],
        &["--hostname", "other"],
        &["--scheme", "none"],
        &["--size", "200M", "--free", "10%"],
        &["--free", "70M"],
        &["--inodes", "99999"],
        &["--max-grow", "1T"],
        &["--uuid", "11111111-2222-3333-4444-555555555555"],
    ] {
        other(digest(&tar, &disk, |c| c.args(flags)), flags[0]);
    }
    let epoch = digest(&tar, &disk, |c| c.env("SOURCE_DATE_EPOCH", "1600000000"));
    other(epoch, "SOURCE_DATE_EPOCH");
}

#[test]
fn content_changes_its_own_blocks_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let images = [b"content A", b"content B"].map(|content| {
        let tar = image::write_tar(folder.path(), "small.tar", &small("file", 0o644, content));
        let disk = folder.path().join("disk.img");
        image::build(&tar, &disk, &["--boot", "none"]);
        std::fs::read(disk).unwrap()
    });
    let blocks = images[0].chunks(4096).zip(images[1].chunks(4096));
    let differ: Vec<_> = blocks.filter(|(a, b)| a != b).collect();
    assert_eq!(differ.len(), 1, "blocks that differ");
    assert!(differ[0].0.starts_with(b"content A") && differ[0].1.starts_with(b"content B"));
}
