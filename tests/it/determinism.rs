//! Same archive, same spec: same bytes, whatever the machine. Which bytes they were is `golden`'s.

use crate::common::image::sha256;
use crate::common::member::Member;
use crate::common::{features, image};
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
    for wrapper in [
        &["sh", "-c", "umask 0777; exec \"$@\"", "sh"][..],
        &["taskset", "-c", "0"],
    ] {
        if tools::have(wrapper[0]) {
            assert_eq!(wrapped(wrapper, &tar, &disk), expected, "{wrapper:?}");
        }
    }
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let there = memory.path().join("disk.img");
        assert_eq!(digest(&tar, &there, |c| c), expected, "another filesystem");
    }
}

fn wrapped(wrapper: &[&str], tar: &Path, disk: &Path) -> String {
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(env!("CARGO_BIN_EXE_diskwright"));
    command
        .args(["build", "--quiet", "--boot", "none", "--free", "4M", "-o"])
        .arg(disk)
        .arg(tar);
    let output = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // An umask may have taken our own right to read it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(disk, mode).unwrap();
    let digest = sha256(disk);
    std::fs::remove_file(disk).unwrap();
    digest
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
