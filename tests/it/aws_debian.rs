//! A Debian goes to AWS and comes back, on volumes that are encrypted.

use crate::boot_debian::{boot, can_boot};
use crate::common::cloud::Cloud;
use crate::common::image::{build, device, offset_of};
use crate::common::rootfs::{debian, debian_of, with_files};
use crate::common::upgrade::upgraded;
use crate::fake_ebs::{BLOCK, Manner};
use crate::tools::{have, run};
use diskwright::sink::map::{Class, Map};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn encrypted() -> Cloud {
    Cloud::with(Manner {
        encrypts: true,
        ..Manner::default()
    })
}

/// A volume of the snapshot, as a file.
fn volume(cloud: &Cloud, id: &str, name: &str, like: &str) -> std::path::PathBuf {
    let path = cloud.desk.path(name);
    let file = File::create(&path).unwrap();
    let len = std::fs::metadata(cloud.desk.path(like)).unwrap().len();
    cloud.fake.state().volume(id, &file, len);
    path
}

/// What e2fsck says about the root filesystem of a disk.
fn fsck(disk: &Path, offset: u64) -> Option<bool> {
    let device = device(disk, offset);
    have("e2fsck").then(|| run("e2fsck", &["-fn", &device]).status.success())
}

/// Free space is not sent, and nobody misses it, though it reads as noise. Whoever takes every hole of the image for
/// free space has noise in files, and e2fsck does not see it.
#[test]
fn a_debian_boots_from_an_encrypted_volume_with_every_zero_that_counts() {
    let Some(tar) = debian() else { return };
    let cloud = encrypted();
    let with_zeros = cloud.desk.path("zeros.tar");
    let zeros = vec![0; 4 << 20];
    with_files(&tar, &with_zeros, &[("var/lib/zeros", "0644", &zeros)]);
    let image = cloud.desk.path("disk.img");
    let map = cloud.desk.path("disk.map");
    build(
        &with_zeros,
        &image,
        &["--map-file", map.to_str().unwrap(), "--size", "2G"],
    );
    std::fs::remove_file(&with_zeros).unwrap();
    let offset = offset_of(&image);

    let figures = cloud.figures(&["disk.img", "--map-file", "disk.map"]);
    let free = figures["free"].as_u64().unwrap();
    assert!(free > 2000, "{figures}");
    let id = figures["snapshot-id"].as_str().unwrap();
    let back = volume(&cloud, id, "back.img", "disk.img");
    assert_ne!(fsck(&back, offset), Some(false));
    reads_alike(&map, &image, &back);
    let verify = cloud.desk.run(&["verify", "back.img"]);
    assert_eq!(verify.code, Some(0), "{verify:?}");
    assert_ne!(file(&cloud, &back, offset).map(|f| f == zeros), Some(false));

    if can_boot() {
        boot(&back, false, Vec::new(), false);
    }

    let id = cloud.snapshot(&["disk.img", "--holes", "skip"]);
    let back = volume(&cloud, &id, "back.img", "disk.img");
    assert_ne!(file(&cloud, &back, offset).map(|f| f == zeros), Some(true));
}

/// Byte for byte, but for what the map calls free.
fn reads_alike(map: &Path, one: &Path, other: &Path) {
    let map = Map::parse(&std::fs::read(map).unwrap()).unwrap();
    let (one, other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    for region in map.regions.iter().filter(|r| r.class != Class::Free) {
        let end = region.start + region.len;
        for at in (region.start..end).step_by(1 << 20) {
            let len = usize::try_from((end - at).min(1 << 20)).unwrap();
            let [a, b] = &mut buffers;
            one.read_exact_at(&mut a[..len], at).unwrap();
            other.read_exact_at(&mut b[..len], at).unwrap();
            assert!(a[..len] == b[..len], "byte {at} and on, {:?}", region.class);
        }
    }
}

/// `/var/lib/zeros` of a disk, as debugfs reads it.
fn file(cloud: &Cloud, disk: &Path, offset: u64) -> Option<Vec<u8>> {
    let to = cloud.desk.path("zeros");
    let dump = format!("dump /var/lib/zeros {}", to.display());
    have("debugfs").then(|| {
        run("debugfs", &["-R", &dump, &device(disk, offset)]);
        std::fs::read(&to).unwrap()
    })
}

/// An ext4 without uninit_bg, as every ext3 is, has inode tables that count to their last byte: there the zeros
/// that `coldsnap --omit-zero-blocks` leaves out are damage that e2fsck sees. (With uninit_bg it is the zeros of
/// files alone: what the group descriptors call unused, nobody reads.)
#[test]
fn a_debian_without_its_zeros_is_damaged() {
    let Some(tar) = debian() else { return };
    if !(have("tune2fs") && have("e2fsck")) {
        return;
    }
    let cloud = encrypted();
    let image = cloud.desk.path("disk.img");
    build(&tar, &image, &["--size", "1G"]);
    let offset = offset_of(&image);
    for feature in ["^metadata_csum", "^uninit_bg"] {
        crate::tools::stdout("tune2fs", &["-O", feature, &device(&image, offset)]);
    }
    assert_eq!(fsck(&image, offset), Some(true));
    // Every zero a hole.
    let sparse = cloud.desk.path("sparse.img");
    let (from, to) = (image.to_str().unwrap(), sparse.to_str().unwrap());
    crate::tools::stdout("cp", &["--sparse=always", from, to]);
    for (holes, clean) in [("skip", false), ("send", true)] {
        let id = cloud.snapshot(&["sparse.img", "--holes", holes]);
        let back = volume(&cloud, &id, "back.img", "disk.img");
        assert_eq!(fsck(&back, offset), Some(clean), "{holes}");
    }
}

/// Two Debians an upgrade of bash and tzdata apart.
#[test]
fn an_upgraded_debian_sends_what_differs() {
    let (Some(tar), Some(newer)) = (debian(), debian_of("trixie")) else {
        return;
    };
    let cloud = encrypted();
    let (old, new) = (cloud.desk.path("old.img"), cloud.desk.path("new.img"));
    let after = cloud.desk.path("upgraded.tar");
    upgraded(&tar, &newer, &["bash", "tzdata"], &after);
    for (tar, name) in [(&tar, "old"), (&after, "new")] {
        let map = cloud.desk.path(&format!("{name}.map"));
        let image = cloud.desk.path(&format!("{name}.img"));
        build(
            tar,
            &image,
            &["--size", "1G", "--map-file", map.to_str().unwrap()],
        );
    }
    std::fs::remove_file(&after).unwrap();

    let parent = cloud.snapshot(&[
        "old.img",
        "--map-file",
        "old.map",
        "--block-map",
        "old.blocks",
    ]);
    let figures = cloud.figures(&[
        "new.img",
        "--map-file",
        "new.map",
        "--parent",
        &parent,
        "--parent-blocks",
        "old.blocks",
    ]);
    let differ = blocks_that_differ(&old, &new);
    let sent = figures["sent"].as_u64().unwrap();
    eprintln!("{sent} blocks sent, {differ} differ: {figures}");
    assert!(sent * 10 <= differ * 12, "{sent} sent, {differ} differ");

    // The same volume as of all blocks at once.
    let whole = cloud.snapshot(&["new.img", "--map-file", "new.map"]);
    let by_parts = volume(
        &cloud,
        figures["snapshot-id"].as_str().unwrap(),
        "parts.img",
        "new.img",
    );
    assert_ne!(fsck(&by_parts, offset_of(&new)), Some(false));
    let whole_blocks = {
        let state = cloud.fake.state();
        state.blocks(&whole).keys().copied().collect::<Vec<_>>()
    };
    let (parts, image) = (File::open(&by_parts).unwrap(), File::open(&new).unwrap());
    for nr in whole_blocks {
        assert!(
            block(&parts, u64::from(nr)) == block(&image, u64::from(nr)),
            "block {nr}"
        );
    }
}

fn block(file: &File, nr: u64) -> Vec<u8> {
    let size = u64::try_from(BLOCK).unwrap();
    let len = file.metadata().unwrap().len();
    let mut bytes = vec![0; usize::try_from(size.min(len - nr * size)).unwrap()];
    file.read_exact_at(&mut bytes, nr * size).unwrap();
    bytes
}

fn blocks_that_differ(one: &Path, other: &Path) -> u64 {
    let (one, other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let blocks = one.metadata().unwrap().len() / u64::try_from(BLOCK).unwrap();
    let differ = (0..blocks).filter(|nr| block(&one, *nr) != block(&other, *nr));
    u64::try_from(differ.count()).unwrap()
}
