//! Our reader of ext2, ext3 and ext4 against debugfs, on filesystems that mke2fs and debugfs made.

use std::fs::File;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskwright::ext4::read::Reader;
use diskwright::read_at::FileAt;

use super::common::manifest::assert_same;
use super::common::{debugfs, ours, run};
use super::tools;

/// Arguments of mke2fs, one filesystem each.
pub const SHAPES: [&str; 13] = [
    "-t ext2 -b 1024",
    "-t ext2 -b 4096 -I 128 -O ^filetype,^sparse_super,^resize_inode",
    "-t ext3 -b 2048 -I 128",
    "-t ext4 -b 4096",
    "-t ext4 -b 1024 -O inline_data",
    "-t ext4 -b 4096 -I 1024 -O inline_data,ea_inode,large_dir",
    "-t ext4 -b 4096 -O ^extents,^64bit,^metadata_csum,uninit_bg",
    "-t ext4 -b 1024 -O ^resize_inode,meta_bg -g 1024",
    "-t ext4 -b 1024 -O ^has_journal,sparse_super2 -g 512",
    "-t ext4 -b 4096 -O bigalloc -C 65536",
    "-t ext4 -b 1024 -O bigalloc -C 8192",
    "-t ext4 -b 65536",
    "-t ext4 -b 1024 -O quota,project,mmp,verity,encrypt,casefold,orphan_file,metadata_csum_seed",
];

/// A folder with what any filesystem holds.
fn tree(folder: &Path) -> PathBuf {
    let tree = folder.join("tree");
    if tree.exists() {
        return tree;
    }
    std::fs::create_dir_all(tree.join("many/deep/deeper")).unwrap();
    for n in 0..300 {
        std::fs::write(tree.join(format!("many/a name of some length, {n}")), "x").unwrap();
    }
    for len in [0, 1, 59, 60, 61, 100, 160, 800, 1023, 4096, 60_001, 700_000] {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 % 251 + len % 100) as u8).collect();
        std::fs::write(tree.join(format!("file-{len}")), bytes).unwrap();
    }
    std::fs::hard_link(tree.join("file-61"), tree.join("many/hard")).unwrap();
    for len in [1, 59, 60, 61, 200, 1000] {
        let target: String = (0..len)
            .map(|i| char::from(b'a' + (i * 7 % 26) as u8))
            .collect();
        symlink(target, tree.join(format!("link-{len}"))).unwrap();
    }
    let holes = File::create(tree.join("holes")).unwrap();
    for n in 0..80 {
        holes.write_all_at(b"data", n * 20_000).unwrap();
    }
    holes.set_len(5_000_000).unwrap();
    tree
}

/// A filesystem by mke2fs, then touched by debugfs, whose commands may do what a plain user may not.
pub fn filesystem(folder: &Path, shape: &str) -> PathBuf {
    let image = folder.join("fs.img");
    let _ = std::fs::remove_file(&image);
    let (tree, name) = (tree(folder), image.to_str().unwrap());
    let mut args: Vec<&str> = vec!["-q", "-F", "-N", "1024", "-d", tree.to_str().unwrap()];
    args.extend(shape.split(' '));
    args.extend([name, "48M"]);
    run(folder, "mke2fs", &args);
    std::fs::write(folder.join("value"), vec![b'v'; 700]).unwrap();
    std::fs::write(folder.join("large"), vec![b'V'; 30_000]).unwrap();
    let mut script = "mknod null c 1 3\nmknod wide b 300 65535\nmknod pipe p\n\
                      ea_set file-1 user.small tiny\n\
                      ea_set -f value file-60 user.block\nea_set file-60 security.x y\n\
                      set_inode_field file-61 uid 70001\nset_inode_field file-61 gid 4294967294\n\
                      set_inode_field file-61 mode 0104755\n"
        .to_owned();
    if shape.contains("ea_inode") {
        script += "ea_set -f large file-100 user.large\n";
    }
    if !shape.contains("ext2") && !shape.contains("ext3") && !shape.contains("^extents") {
        // Blocks that were set aside and never written.
        script += "fallocate holes 10 12\n";
    }
    let commands = folder.join("commands");
    std::fs::write(&commands, script).unwrap();
    let out = run(
        folder,
        "debugfs",
        &["-w", "-f", commands.to_str().unwrap(), name],
    );
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{shape}: {said}");
    image
}

fn open(image: &Path) -> Reader {
    let disk = FileAt::new(File::open(image).unwrap()).unwrap();
    Reader::open(Arc::new(disk)).unwrap()
}

#[test]
fn every_file_is_read_as_debugfs_reads_it_on_filesystems_of_every_shape() {
    if !tools::have("mke2fs") || !tools::have("debugfs") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for shape in SHAPES {
        let image = filesystem(folder.path(), shape);
        let reader = open(&image);
        let found = ours::read(&reader);
        assert_eq!(reader.warnings(), [], "{shape}");
        assert!(found.len() > 320, "{shape}");
        println!("{shape}");
        assert_same(
            &found,
            &debugfs::read(image.to_str().unwrap(), folder.path()),
        );
    }
}
