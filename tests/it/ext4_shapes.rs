//! Filesystems of every block size and profile: clean to e2fsck, read back by debugfs, grown and shrunk
//! by resize2fs without a check before, as small as they can be, refused where nobody could read them.

use crate::common::image::{build, try_build, write_tar};
use crate::common::member::Member;
use crate::tools;
use std::path::{Path, PathBuf};

const BLOCKS: [&str; 3] = ["1024", "2048", "4096"];
const PROFILES: [&str; 4] = ["default", "grub2.02", "modern", "pv"];
const MIB: u64 = 1 << 20;

fn have(programs: &[&str]) -> bool {
    programs.iter().all(|tool| tools::have(tool))
}

fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| ((n * 31 + seed) % 251) as u8 + 1)
        .collect()
}

/// Directories in one block, under one and under two levels of index; long links; attributes in blocks
/// of their own; files in many pieces.
fn tree(folder: &Path) -> PathBuf {
    let mut members = vec![
        Member::file("small", content(1, 700)),
        Member::file("large", content(2, 3_000_000)),
        Member::symlink("link", "t".repeat(900)),
        Member::file("attributes", content(3, 5)).xattr("user.long", "v".repeat(500)),
    ];
    for n in 0..40 {
        members.push(Member::file(format!("few/{n}"), content(n, n * 100)));
    }
    for n in 0..4000 {
        let name = format!("many/{n:05}-{}", "n".repeat(40));
        members.push(Member::symlink(name, "x"));
    }
    let members: Vec<Vec<u8>> = members.iter().map(Member::bytes).collect();
    write_tar(folder, "tree.tar", &members)
}

fn image_of(folder: &Path, tar: &Path, flags: &[&str]) -> PathBuf {
    let image = folder.join("disk.img");
    let base = ["--boot", "none", "--scheme", "none"];
    build(tar, &image, &[&base, flags].concat());
    image
}

#[track_caller]
fn assert_clean(image: &Path, what: &str) {
    let out = tools::run("e2fsck", &["-fn", image.to_str().unwrap()]);
    let says = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{what}: {says}");
}

#[track_caller]
fn assert_reads_back(image: &Path, what: &str) {
    let read = |command: &str| {
        let out = tools::run("debugfs", &["-R", command, image.to_str().unwrap()]);
        assert!(out.status.success(), "{what}: {command}");
        out.stdout
    };
    assert_eq!(read("cat /small"), content(1, 700), "{what}");
    assert!(read("cat /large") == content(2, 3_000_000), "{what}");
    assert_eq!(read("cat /few/39"), content(39, 3900), "{what}");
    let names = read("ls -p /many");
    let names = String::from_utf8(names).unwrap();
    assert_eq!(names.matches("-nnnn").count(), 4000, "{what}");
    let value = String::from_utf8(read("ea_get -V /attributes user.long")).unwrap();
    assert_eq!(value.trim_end(), "v".repeat(500), "{what}");
    let link = String::from_utf8(read("stat /link")).unwrap();
    assert!(link.contains("Size: 900"), "{what}: {link}");
}

#[test]
fn every_block_size_and_profile_is_clean_and_reads_back() {
    if !have(&["e2fsck", "debugfs"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = tree(folder.path());
    for block in BLOCKS {
        for profile in PROFILES {
            for journal in [&[][..], &["--journal-size", "none"]] {
                let flags = [&["--block-size", block, "--features", profile], journal].concat();
                let what = format!("{flags:?}");
                let image = image_of(folder.path(), &tar, &flags);
                assert_clean(&image, &what);
                assert_reads_back(&image, &what);
            }
            let flags = [
                "--block-size",
                block,
                "--features",
                profile,
                "--size",
                "97M",
            ];
            let image = image_of(folder.path(), &tar, &flags);
            assert_clean(&image, &format!("{flags:?}"));
            assert_reads_back(&image, &format!("{flags:?}"));
        }
    }
}

#[test]
fn resize2fs_needs_no_check_before_it_grows_or_shrinks_a_fresh_image() {
    if !have(&["e2fsck", "resize2fs", "debugfs"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = tree(folder.path());
    for block in BLOCKS {
        for profile in PROFILES {
            for max_grow in ["1G", "64G"] {
                if max_grow == "64G" && profile != "default" {
                    continue;
                }
                let flags = [
                    "--block-size",
                    block,
                    "--features",
                    profile,
                    "--max-grow",
                    max_grow,
                ];
                let what = format!("{flags:?}");
                let image = image_of(folder.path(), &tar, &flags);
                let name = image.to_str().unwrap();
                for target in [&["600M"][..], &["5G"]] {
                    let out = tools::run("resize2fs", &[&[name], target].concat());
                    let says = String::from_utf8_lossy(&out.stderr);
                    assert!(out.status.success(), "{what} {target:?}: {says}");
                    assert_clean(&image, &what);
                }
                assert_reads_back(&image, &what);
                let image = image_of(folder.path(), &tar, &flags);
                let out = tools::run("resize2fs", &["-M", name]);
                let says = String::from_utf8_lossy(&out.stderr);
                assert!(out.status.success(), "{what} -M: {says}");
                assert_clean(&image, &what);
                assert_reads_back(&image, &what);
            }
        }
    }
}

#[test]
fn a_link_longer_than_a_block_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let link = |len| {
        write_tar(
            folder.path(),
            "l.tar",
            &[Member::symlink("l", "t".repeat(len)).bytes()],
        )
    };
    let image = folder.path().join("disk.img");
    let flags = ["--scheme", "none", "--block-size", "1024"];
    build(&link(1023), &image, &flags);
    assert_clean(&image, "1023 bytes");
    std::fs::remove_file(&image).unwrap();
    let out = try_build(&link(1024), &image, &flags);
    let says = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{says}");
    assert!(
        says.contains("1024 bytes") && says.contains("--block-size"),
        "{says}"
    );
    assert!(!image.exists());
}

#[test]
fn a_rounded_disk_is_a_multiple_and_its_filesystem_fills_it() {
    if !have(&["e2fsck", "dumpe2fs"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = tree(folder.path());
    for block in BLOCKS {
        for (round, bytes) in [("64MiB", 64 * MIB), ("1GiB", 1024 * MIB), ("100kB", 0)] {
            let flags = ["--block-size", block, "--free", "1M", "--round", round];
            if bytes == 0 {
                let out = try_build(&tar, &folder.path().join("no.img"), &flags);
                assert_eq!(out.status.code(), Some(2), "{out:?}");
                continue;
            }
            let image = image_of(folder.path(), &tar, &flags);
            let size = image.metadata().unwrap().len();
            assert_eq!(size % bytes, 0);
            let header = tools::stdout("dumpe2fs", &["-h", image.to_str().unwrap()]);
            let count = header
                .lines()
                .find_map(|l| l.strip_prefix("Block count:"))
                .unwrap();
            let filled: u64 = count.trim().parse::<u64>().unwrap() * block.parse::<u64>().unwrap();
            assert!(size - filled < 2 * MIB, "{flags:?}: {filled} of {size}");
            assert_clean(&image, &format!("{flags:?}"));
        }
    }
}

#[test]
fn what_does_not_fit_says_what_is_needed_and_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let tar = tree(folder.path());
    let image = folder.path().join("disk.img");
    for block in BLOCKS {
        let flags = |size: &str| {
            ["--scheme", "none", "--block-size", block, "--size", size].map(str::to_owned)
        };
        let out = try_build(&tar, &image, &flags("3M"));
        let says = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(3), "{says}");
        let (before, _) = says.split_once(" bytes are missing").unwrap();
        let more: u64 = before.rsplit(' ').next().unwrap().parse().unwrap();
        build_with(&tar, &image, &flags(&(3 * MIB + more).to_string()));
        std::fs::remove_file(&image).unwrap();
    }
}

#[track_caller]
fn build_with(tar: &Path, image: &Path, flags: &[String]) {
    build(
        tar,
        image,
        &flags.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn sizes_that_no_descriptors_or_block_numbers_reach_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tar = write_tar(folder.path(), "e.tar", &[]);
    let image = folder.path().join("disk.img");
    for (block, size, why) in [
        ("1024", "800G", "three quarters of a group"),
        ("2048", "9T", "ends at 8 TiB"),
        ("4096", "17T", "ends at 16 TiB"),
    ] {
        let flags = ["--scheme", "none", "--block-size", block, "--size", size];
        let out = try_build(&tar, &image, &flags);
        let says = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(3), "{says}");
        assert!(says.contains(why), "{says}");
    }
    for size in ["900K", "200G"] {
        let flags = ["--scheme", "none", "--size", "4G", "--journal-size", size];
        let out = try_build(&tar, &image, &flags);
        let says = String::from_utf8_lossy(&out.stderr);
        assert!(says.contains("a journal of"), "{says}");
    }
}
