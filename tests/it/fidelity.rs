//! Every file comes back: type, mode, owner, size, content, link count, target, device, nanosecond times and
//! xattrs, read by other people's readers and compared with what the tar says.

use crate::common::{debugfs, features, image, manifest, mounted};
use crate::tools;
use std::path::Path;

fn through_debugfs(tar: &Path, flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    image::build(tar, &disk, flags);
    let found = debugfs::read(
        &image::device(&disk, image::offset_of(&disk)),
        folder.path(),
    );
    manifest::assert_same(&found, &manifest::of_tar(tar));
}

fn judges() -> bool {
    tools::have("debugfs") && tools::have("python3")
}

#[test]
fn every_feature_comes_back_through_debugfs() {
    if !judges() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = image::write_tar(folder.path(), "features.tar", &features::members());
    for flags in [
        &["--boot", "none"][..],
        // Backup superblocks every few MiB: files in many extents.
        &[
            "--boot", "none", "--scheme", "none", "--size", "600M", "--inodes", "1234567",
        ],
        &["--boot", "none", "--size", "1G"],
    ] {
        through_debugfs(&tar, flags);
    }
}

#[test]
fn every_file_of_debian_comes_back_through_debugfs() {
    let Some(tar) = crate::common::rootfs::debian().filter(|_| judges()) else {
        return;
    };
    through_debugfs(&tar, &["--boot", "none"]);
}

/// libext2fs behind system calls: names are looked up as a program does it.
#[test]
fn every_feature_comes_back_through_a_mount() {
    if !tools::have("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tar = image::write_tar(folder.path(), "features.tar", &features::members());
    let disk = folder.path().join("disk.img");
    image::build(&tar, &disk, &["--scheme", "none"]);
    if let Some(found) = mounted::read(&disk, folder.path()) {
        let mut expected = manifest::of_tar(&tar);
        // fuse2fs gives whole seconds; debugfs has shown the rest.
        for time in expected.values_mut().flat_map(|r| &mut r.times) {
            time.nsec = 0;
        }
        manifest::assert_same(&found, &expected);
    }
}
