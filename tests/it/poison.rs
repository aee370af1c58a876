//! Poison: random bytes in every extent that an image calls `Free`. Nobody may notice: not e2fsck, not
//! `verify`, not GRUB, not a Debian that boots from it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use diskwright::extent::Content;
use diskwright::image::Image;

use crate::boot_debian::{boot, can_boot};
use crate::common::rootfs;
use crate::tools::{have, stdout};

/// splitmix64: a poison that can be made again.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Poisons every `Free` extent of the image in `path`; gives their bytes before and in the filesystem.
fn poison(image: &Image, path: &Path, filesystem: u64) -> (u64, u64) {
    let disk = File::options().write(true).open(path).unwrap();
    let mut random = Random(0x5eed);
    let mut buffer = vec![0; 1 << 20];
    let (mut before, mut inside) = (0, 0);
    for extent in image.extents() {
        if extent.content != Content::Free {
            continue;
        }
        *(if extent.start < filesystem {
            &mut before
        } else {
            &mut inside
        }) += extent.len;
        let mut at = extent.start;
        while at < extent.end() {
            let len = usize::try_from(extent.end() - at)
                .unwrap()
                .min(buffer.len());
            random.fill(&mut buffer[..len]);
            disk.write_all_at(&buffer[..len], at).unwrap();
            at += len as u64;
        }
    }
    (before, inside)
}

#[test]
fn poison_in_every_free_extent_is_noticed_by_nobody() {
    if !(can_boot() && rootfs::judges() && have("dumpe2fs")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("poison.img");
    let built = rootfs::image(&debian, &path);
    let base = built.report.filesystem_offset;
    let (before, inside) = poison(&built.image, &path, base);

    // No less than what e2fsprogs takes for free: else the test would spare what it should hit.
    let said = stdout("dumpe2fs", &["-h", &rootfs::filesystem(&path, &built)]);
    let free = said
        .lines()
        .find_map(|line| line.strip_prefix("Free blocks:"));
    let free: u64 = free.unwrap().trim().parse().unwrap();
    assert_eq!(
        inside,
        free * 4096,
        "bytes of Free extents, and of free blocks"
    );
    assert!(
        before > 512 << 10,
        "only {before} bytes before the filesystem are free"
    );

    rootfs::assert_e2fsck_clean(&path, &built);
    let verified = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["verify", "--quiet"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
    rootfs::assert_grub_reads(&path, &debian);
    boot(&path, false, Vec::new(), false);
}

#[test]
fn grub_reads_grub_cfg_kernel_and_modules_as_the_tar_has_them() {
    if !rootfs::judges() {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("debian.img");
    let built = rootfs::image(&debian, &path);
    rootfs::assert_e2fsck_clean(&path, &built);
    rootfs::assert_grub_reads(&path, &debian);
}
