//! Every shape that mke2fs, tune2fs and resize2fs give a filesystem is read, or refused by name.

use std::path::Path;

use super::TOOLS;
use super::fixtures::{Image, tools};
use crate::ext4::check::check;
use crate::observe::Silent;

/// Size and arguments of mke2fs.
const SHAPES: &[(&str, &str)] = &[
    ("2M", "-t ext4"),
    ("2M", "-t ext4 -b 1024"),
    ("3M", "-t ext4 -b 4096"),
    ("8193K", "-t ext4 -b 1024"),
    ("40M", "-t ext4 -b 1024"),
    ("40M", "-t ext4 -b 2048"),
    ("300M", "-t ext4 -b 1024 -O ^64bit"),
    ("300M", "-t ext4 -b 2048 -O ^metadata_csum"),
    ("300M", "-t ext4 -b 4096 -O ^metadata_csum,uninit_bg"),
    ("300M", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit"),
    ("300M", "-t ext4 -b 1024 -O ^metadata_csum,^64bit"),
    ("300M", "-t ext4 -O metadata_csum_seed"),
    ("300M", "-t ext4 -b 4096 -O metadata_csum_seed,orphan_file"),
    ("300M", "-t ext4 -b 1024 -O orphan_file"),
    ("300M", "-t ext4 -b 2048 -O orphan_file,^metadata_csum"),
    ("300M", "-t ext4 -O ^has_journal"),
    ("300M", "-t ext4 -b 1024 -O ^resize_inode,meta_bg"),
    ("300M", "-t ext4 -b 4096 -O ^resize_inode,meta_bg,^64bit"),
    ("2G", "-t ext4 -b 2048 -O ^resize_inode,meta_bg"),
    ("300M", "-t ext4 -b 1024 -O ^resize_inode"),
    ("300M", "-t ext4 -O ^flex_bg"),
    ("300M", "-t ext4 -b 1024 -O ^flex_bg,^resize_inode,meta_bg"),
    ("300M", "-t ext4 -O ^sparse_super,^resize_inode"),
    ("300M", "-t ext4 -b 1024 -O sparse_super2"),
    (
        "300M",
        "-t ext4 -b 1024 -O sparse_super2 -E num_backup_sb=1",
    ),
    ("300M", "-t ext4 -O ^dir_index,^dir_nlink,^huge_file"),
    ("300M", "-t ext4 -O ^extent,^64bit"),
    ("300M", "-t ext4 -O large_dir"),
    ("300M", "-t ext4 -O fast_commit"),
    ("300M", "-t ext4 -I 128"),
    ("300M", "-t ext4 -b 1024 -I 128 -O ^metadata_csum"),
    ("300M", "-t ext4 -b 4096 -I 1024"),
    ("300M", "-t ext4 -b 1024 -g 2048"),
    ("300M", "-t ext4 -G 1"),
    ("300M", "-t ext4 -b 1024 -G 64"),
    ("300M", "-t ext4 -E desc_size=128"),
    ("300M", "-t ext4 -E packed_meta_blocks=1"),
    ("300M", "-t ext4 -E lazy_itable_init=0"),
    ("300M", "-t ext4 -J size=16"),
    ("300M", "-t ext3"),
    ("300M", "-t ext3 -b 1024"),
    ("300M", "-t ext2"),
    ("300M", "-t ext2 -O none,filetype"),
    ("300M", "-t ext2 -O none"),
    ("5G", "-t ext4"),
    ("5G", "-t ext4 -b 1024 -O ^resize_inode,meta_bg"),
    ("64G", "-t ext4"),
    ("64G", "-t ext4 -b 2048 -O ^64bit"),
    ("64G", "-t ext4 -b 1024 -N 65536"),
];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[track_caller]
fn clean(image: &Image, what: &str) {
    let (summary, findings) = image.check();
    assert_eq!(findings, [], "{what}");
    assert!(summary.complete, "{what}");
}

#[test]
fn every_shape_of_mke2fs_is_clean() {
    if !tools(&TOOLS) {
        return;
    }
    for (size, args) in SHAPES {
        clean(
            &Image::shaped(size, &words(args)),
            &format!("{size} {args}"),
        );
    }
}

/// Files that fill extents, block maps, directories and xattr blocks.
fn tree(at: &Path) {
    for n in 0..700 {
        let name = format!("many/a name that takes some room in its block {n:04}");
        std::fs::create_dir_all(at.join("many")).unwrap();
        std::fs::write(at.join(name), vec![b'x'; n % 7 * 1000]).unwrap();
    }
    std::fs::write(at.join("large"), vec![1; 5_000_000]).unwrap();
    let holes = std::fs::File::create(at.join("holes")).unwrap();
    for n in 0..300 {
        std::os::unix::fs::FileExt::write_all_at(&holes, b"x", n * 70_000).unwrap();
    }
    std::os::unix::fs::symlink("short", at.join("short")).unwrap();
    std::os::unix::fs::symlink("l".repeat(300), at.join("long")).unwrap();
    std::fs::create_dir_all(at.join("a/b/c/d")).unwrap();
}

/// Shapes that change how files lie.
const FILLED: &[&str] = &[
    "-t ext4 -b 1024",
    "-t ext4 -b 2048",
    "-t ext4 -b 4096",
    "-t ext4 -b 1024 -O ^metadata_csum",
    "-t ext4 -b 1024 -O ^extent,^64bit",
    "-t ext4 -b 4096 -O ^64bit,metadata_csum_seed,orphan_file",
    "-t ext4 -b 1024 -O ^resize_inode,meta_bg -I 512",
    "-t ext3 -b 1024",
    "-t ext3 -b 4096 -I 128",
    "-t ext2 -b 1024 -O none",
];

#[test]
fn files_of_every_shape_are_clean_also_after_debugfs_and_e2fsck() {
    if !tools(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    for args in FILLED {
        let tree = folder.path().to_str().unwrap();
        let image = Image::shaped("120M", &[&words(args)[..], &["-d", tree]].concat());
        clean(&image, args);
        image.tool("e2fsck", &["-fyD"], &[]);
        clean(&image, &format!("{args}, e2fsck -fD"));
        image.debugfs(
            "rm large\nrm long\nunlink short\nmkdir new\nmknod new/pipe p\nmknod new/null c 1 3\n\
             symlink new/link to\nea_set many user.a b\nea_set holes user.big 0123456789\n\
             ea_rm many user.a\nrmdir a/b/c/d\n",
        );
        // debugfs counts links of what it unlinks no more than it frees it.
        image.tool("e2fsck", &["-fy"], &[]);
        clean(&image, &format!("{args}, debugfs"));
    }
}

#[test]
fn every_hash_of_names_is_followed() {
    if !tools(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let strange = "many/caf\u{e9} \u{1F600}";
    std::fs::write(folder.path().join(strange), "").unwrap();
    let image = Image::shaped(
        "60M",
        &[
            "-t",
            "ext4",
            "-b",
            "1024",
            "-d",
            folder.path().to_str().unwrap(),
        ],
    );
    for hash in ["legacy", "tea", "half_md4"] {
        for flag in ["1", "2"] {
            image.tool("tune2fs", &["-E", &format!("hash_alg={hash}")], &[]);
            image.debugfs(&format!("set_super_value flags {flag}\n"));
            image.tool("e2fsck", &["-fyD"], &[]);
            clean(&image, &format!("{hash} {flag}"));
        }
    }
}

#[test]
fn filesystems_that_resize2fs_grew_or_shrank_are_clean() {
    if !tools(&TOOLS) {
        return;
    }
    for (args, from, to) in [
        ("-t ext4 -b 4096", "100M", "900M"),
        ("-t ext4 -b 1024", "60M", "700M"),
        ("-t ext4 -b 1024 -O ^resize_inode", "60M", "3G"),
        ("-t ext4 -b 1024 -O ^resize_inode,meta_bg", "60M", "3G"),
        ("-t ext4 -b 1024 -E resize=100000", "60M", "4G"),
        ("-t ext4 -b 4096 -O ^64bit,^resize_inode", "100M", "20G"),
        ("-t ext4 -b 2048 -O ^metadata_csum,uninit_bg", "60M", "1G"),
        ("-t ext3 -b 1024", "60M", "400M"),
        ("-t ext4 -b 1024 -O sparse_super2", "60M", "400M"),
        ("-t ext4 -b 1024", "700M", "60M"),
        ("-t ext4 -b 4096", "900M", "300M"),
    ] {
        let image = Image::shaped(from, &words(args));
        image.tool("resize2fs", &["-f"], &[to]);
        clean(&image, &format!("{args}, {from} to {to}"));
    }
}

#[test]
fn what_tune2fs_changes_is_clean() {
    if !tools(&TOOLS) {
        return;
    }
    let image = Image::shaped(
        "100M",
        &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^64bit"],
    );
    // `s_overhead_clusters` is compared only while nothing was written after mke2fs.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for args in [
        &["-O", "metadata_csum"][..],
        &["-L", "label"],
        &["-U", "01234567-89ab-cdef-0123-456789abcdef"],
        &["-O", "metadata_csum_seed"],
        &["-U", "11234567-89ab-cdef-0123-456789abcdef"],
        &["-O", "^has_journal"],
        &["-j"],
        &["-m", "1"],
        &["-O", "^resize_inode"],
        &["-I", "512"],
        &["-O", "orphan_file"],
        &["-O", "^orphan_file"],
    ] {
        image.tool("tune2fs", &[&["-f"], args].concat(), &[]);
        if args.contains(&"^resize_inode") {
            image.tool("e2fsck", &["-fy"], &[]);
        }
        clean(&image, &args.join(" "));
    }
    image.tool("resize2fs", &["-b"], &[]);
    clean(&image, "resize2fs -b");
}

#[test]
fn what_it_cannot_read_is_refused_by_name() {
    if !tools(&TOOLS) {
        return;
    }
    for feature in [
        "inline_data",
        "ea_inode",
        "bigalloc",
        "quota",
        "encrypt",
        "casefold",
        "verity",
        "mmp",
    ] {
        let image = Image::shaped("60M", &["-t", "ext4", "-b", "4096", "-O", feature]);
        let error = check(&image.bytes(), &Silent).unwrap_err().to_string();
        assert!(error.contains(feature), "{error}");
    }
    let image = Image::shaped("60M", &["-t", "ext4"]);
    image.debugfs("feature needs_recovery\n");
    let error = check(&image.bytes(), &Silent).unwrap_err().to_string();
    assert!(error.contains("not unmounted cleanly"), "{error}");
}
