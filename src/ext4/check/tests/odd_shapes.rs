//! Damage to structures that only some shapes of filesystem have, with checksums made right again.

use super::fixtures::{Image, tools};
use super::{SB, TOOLS};
use crate::ext4::check::{Finding, check};
use crate::ext4::checksum;
use crate::observe::Silent;
use crate::units::{count, index32};

/// An image, and where things lie in it.
struct Odd {
    bytes: Vec<u8>,
    block: usize,
    desc: usize,
}

impl Odd {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    fn put(&mut self, at: usize, new: &[u8]) {
        self.bytes[at..at + new.len()].copy_from_slice(new);
    }

    fn flip(&mut self, at: usize, mask: u8) {
        self.bytes[at] ^= mask;
    }

    /// Byte of a descriptor in the table after the superblock.
    fn descriptor(&self, group: usize) -> usize {
        (index32(self.word(SB + 0x14)) + 1) * self.block + group * self.desc
    }

    /// Byte of an inode of group 0.
    fn inode(&self, ino: usize) -> usize {
        let table = index32(self.word(self.descriptor(0) + 8));
        let size = usize::from(self.bytes[SB + 0x59]) * 256 + usize::from(self.bytes[SB + 0x58]);
        table * self.block + (ino - 1) * size
    }

    /// Byte of the block whose number stands at `at`.
    fn follow(&self, at: usize) -> usize {
        index32(self.word(at)) * self.block
    }

    fn orphans(&self) -> (usize, usize) {
        let inode = self.inode(index32(self.word(SB + 0x280)));
        (inode, self.follow(inode + 0x28 + 12 + 8))
    }

    fn seal_orphans(&mut self) {
        let (inode, at) = self.orphans();
        let seed = checksum::fs_seed(self.bytes[SB + 0x68..SB + 0x78].try_into().unwrap());
        let ino = self.word(SB + 0x280);
        let seed = checksum::inode_seed(seed, ino, self.word(inode + 0x64));
        let end = at + self.block - 8;
        let nr = count(at / self.block);
        let crc = checksum::orphan_block(seed, nr, &self.bytes[at..end]);
        self.put(end + 4, &crc.to_le_bytes());
    }

    /// Byte of the first block of the second group of 8 MiB.
    fn group_1(&self) -> usize {
        (index32(self.word(SB + 0x14)) + index32(self.word(SB + 0x20))) * self.block
    }
}

type Case = (&'static str, fn(&mut Odd), &'static str, &'static str);

const ORPHAN: &str = "-t ext4 -b 1024 -O orphan_file";
const META: &str = "-t ext4 -b 1024 -O ^resize_inode,meta_bg";
const CRC16: &str = "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit";
const MAPPED: &str = "-t ext3 -b 1024";
const PLAIN: &str = "-t ext4 -b 1024 -O ^metadata_csum,^uninit_bg,^64bit";

/// Arguments of mke2fs, damage, the structure a finding must name, words of its message.
const CASES: &[Case] = &[
    (
        ORPHAN,
        |o| {
            let at = o.orphans().1 + o.block - 8;
            o.flip(at, 1);
        },
        "inode",
        "ob_magic",
    ),
    (
        ORPHAN,
        |o| {
            let at = o.orphans().1 + o.block - 1;
            o.flip(at, 1);
        },
        "inode",
        "ob_checksum",
    ),
    (
        ORPHAN,
        |o| {
            let at = o.orphans().1;
            o.put(at, &[12]);
            o.seal_orphans();
        },
        "inode",
        "there are orphan inodes",
    ),
    (
        ORPHAN,
        |o| o.put(SB + 0x280, &[200]),
        "superblock",
        "is no orphan file",
    ),
    (
        META,
        |o| {
            let at = o.group_1() + o.block;
            assert_eq!(o.bytes[at..at + 64], o.bytes[o.descriptor(0)..][..64]);
            o.flip(at, 1);
        },
        "group 1 descriptor copy",
        "elsewhere",
    ),
    (
        META,
        |o| o.flip(o.group_1() + o.block + 0x1E, 1),
        "group 1 descriptor copy",
        "bg_checksum",
    ),
    (
        META,
        |o| o.put(SB + 0x104, &[99]),
        "superblock",
        "s_first_meta_bg 99",
    ),
    (
        META,
        |o| o.flip(SB + 0x5C, 0x10),
        "superblock",
        "both resize_inode and meta_bg",
    ),
    (
        CRC16,
        |o| o.flip(o.descriptor(2) + 0x1E, 1),
        "group 2 descriptor",
        "bg_checksum",
    ),
    (
        CRC16,
        |o| o.flip(o.descriptor(2) + 0x0C, 1),
        "group 2 descriptor",
        "bg_free_blocks_count",
    ),
    (
        PLAIN,
        |o| o.put(o.descriptor(2) + 0x12, &[1]),
        "group 2 descriptor",
        "uninitialised without",
    ),
    (
        MAPPED,
        |o| o.put(o.inode(11) + 0x28, &[0xFF; 4]),
        "inode 11",
        "a block, blocks 4294967295+1, lies outside",
    ),
    (
        MAPPED,
        |o| o.put(o.inode(8) + 0x28 + 48, &[1, 0, 0, 0]),
        "inode 8",
        "an indirect block uses block 1",
    ),
    (
        MAPPED,
        |o| {
            // The double indirect block as its own child.
            let dind = o.inode(8) + 0x28 + 52;
            let (at, own) = (o.follow(dind), o.bytes[dind..dind + 4].to_vec());
            o.put(at, &own);
        },
        "inode 8",
        "an indirect block uses block",
    ),
    (
        MAPPED,
        |o| o.put(o.inode(12) + 0x6C, &[0xFF]),
        "inode 12",
        "more than a block map reaches",
    ),
    (
        MAPPED,
        |o| o.flip(o.inode(12) + 0x22, 8),
        "inode 12",
        "EXTENTS_FL without the extents feature",
    ),
    (
        "-t ext4 -b 1024 -O ^dir_index",
        |o| o.flip(o.inode(11) + 0x21, 0x10),
        "inode 11",
        "INDEX_FL without the dir_index feature",
    ),
    (
        PLAIN,
        |o| o.put(o.inode(12) + 0x1A, &[0, 0]),
        "inode 12",
        "i_dtime is 0",
    ),
    (
        PLAIN,
        |o| o.put(o.inode(12) + 0x70, &[1]),
        "inode 12",
        "i_obso_faddr",
    ),
    (
        "-t ext4 -b 1024 -E resize=4000000",
        |o| {
            // The last of the reserved blocks, its last copy.
            let reserved = usize::from(o.bytes[SB + 0xCE]);
            let dind = o.follow(o.inode(7) + 0x28 + 52);
            let last = (0..256).rev().find(|n| o.word(dind + n * 4) != 0).unwrap();
            assert!(reserved > 4);
            let table = o.follow(dind + last * 4);
            let copy = (0..256).rev().find(|n| o.word(table + n * 4) != 0).unwrap();
            o.flip(table + copy * 4, 1);
        },
        "resize inode reserved GDT block",
        "the kernel wants",
    ),
    (
        "-t ext4 -b 1024 -O sparse_super2",
        |o| o.flip(o.group_1() + 0x68, 1),
        "group 1 backup superblock",
        "s_uuid differs",
    ),
    (
        "-t ext4 -b 1024 -I 128",
        |o| o.flip(o.inode(12) + 0x7C, 1),
        "inode 12",
        "i_checksum",
    ),
];

#[test]
fn damage_to_what_few_filesystems_have_is_named() {
    if !tools(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), vec![1; 30_000]).unwrap();
    let mut missed = Vec::new();
    for (args, damage, structure, message) in CASES {
        let args: Vec<&str> = args.split(' ').collect();
        let tree = ["-d", folder.path().to_str().unwrap()];
        let image = Image::shaped("40M", &[&args[..], &tree].concat());
        let bytes = image.bytes();
        assert_eq!(check(&bytes, &Silent).unwrap().1, [], "{args:?}");
        let wide = bytes[SB + 0x60] & 0x80 != 0;
        let mut odd = Odd {
            block: 1024 << bytes[SB + 0x18],
            desc: if wide { 64 } else { 32 },
            bytes,
        };
        damage(&mut odd);
        let found = check(&odd.bytes, &Silent).unwrap().1;
        let named = |f: &Finding| f.structure.contains(structure) && f.message.contains(message);
        if !found.iter().any(named) {
            missed.push(format!("{args:?}, {structure}: {message}\n{found:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
