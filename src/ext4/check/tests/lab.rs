//! An image in memory, to be damaged and mended.

use super::SB;
use super::fixtures::{Image, data_at, inode_at};
use crate::ext4::check::{Finding, check};
use crate::ext4::checksum;
use crate::observe::Silent;
use crate::units::{count, index32};

/// An image that can be damaged and mended.
pub(super) struct Lab {
    pub(super) bytes: Vec<u8>,
    undo: Vec<(usize, Vec<u8>)>,
    inos: Vec<(&'static str, u32)>,
}

impl Lab {
    pub(super) fn new(image: &Image) -> Self {
        let paths = [
            "large",
            "one",
            "fast",
            "slow",
            "null",
            "fifo",
            "deep",
            "deep/holes",
            "deep/er",
        ];
        let mut inos: Vec<_> = paths.into_iter().map(|p| (p, image.ino(p))).collect();
        inos.extend([
            ("root", 2),
            ("resize", 7),
            ("journal", 8),
            ("lost+found", 11),
        ]);
        Self {
            bytes: image.bytes(),
            undo: Vec::new(),
            inos,
        }
    }

    pub(super) fn ino(&self, path: &str) -> u32 {
        self.inos.iter().find(|(p, _)| *p == path).unwrap().1
    }

    pub(super) fn inode(&self, path: &str) -> usize {
        inode_at(&self.bytes, self.ino(path))
    }

    pub(super) fn data(&self, path: &str) -> usize {
        data_at(&self.bytes, self.ino(path))
    }

    pub(super) fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    /// Byte of the block whose number stands at `at`.
    pub(super) fn follow(&self, at: usize) -> usize {
        index32(self.word(at)) * 4096
    }

    pub(super) fn copy(&self, at: usize, len: usize) -> Vec<u8> {
        self.bytes[at..at + len].to_vec()
    }

    pub(super) fn put(&mut self, at: usize, new: &[u8]) {
        self.undo
            .push((at, self.bytes[at..at + new.len()].to_vec()));
        self.bytes[at..at + new.len()].copy_from_slice(new);
    }

    pub(super) fn flip(&mut self, at: usize, mask: u8) {
        self.put(at, &[self.bytes[at] ^ mask]);
    }

    /// As if nothing had written to the filesystem since mke2fs: `s_wtime` and `s_lastcheck`.
    pub(super) fn as_made(&mut self) {
        let made = self.copy(SB + 0x108, 4);
        self.put(SB + 0x30, &made);
        self.put(SB + 0x40, &made);
    }

    pub(super) fn mend(&mut self) {
        for (at, old) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.bytes[at..at + old.len()].copy_from_slice(&old);
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        check(&self.bytes, &Silent).unwrap().1
    }

    /// Byte of the entry `name` in the first block of a linear directory.
    pub(super) fn entry(&self, path: &str, name: &str) -> usize {
        let mut at = self.data(path);
        loop {
            let len = usize::from(self.bytes[at + 6]);
            if &self.bytes[at + 8..at + 8 + len] == name.as_bytes() {
                return at;
            }
            let rec_len = u16::from_le_bytes([self.bytes[at + 4], self.bytes[at + 5]]);
            assert!(rec_len > 0, "{name} is not in {path}");
            at += usize::from(rec_len);
        }
    }
}

/// What to damage, the structure a finding must name, and words of its message.
pub(super) type Case = (fn(&mut Lab), &'static str, &'static str);

/// Checksums made right again, so that nothing but the damage itself can be found.
impl Lab {
    fn fs_seed(&self) -> u32 {
        checksum::fs_seed(self.bytes[SB + 0x68..SB + 0x78].try_into().unwrap())
    }

    pub(super) fn seal_inode(&mut self, path: &str) {
        let at = self.inode(path);
        let seed = checksum::inode_seed(self.fs_seed(), self.ino(path), self.word(at + 0x64));
        let crc = checksum::inode(seed, &self.bytes[at..at + 256]).to_le_bytes();
        self.put(at + 0x7C, &crc[..2]);
        self.put(at + 0x82, &crc[2..]);
    }

    pub(super) fn seal_superblock(&mut self, at: usize) {
        let crc = checksum::superblock(self.bytes[at..at + 1024].try_into().unwrap());
        self.put(at + 0x3FC, &crc.to_le_bytes());
    }

    pub(super) fn seal_xattr(&mut self, at: usize) {
        let nr = count(at / 4096);
        let crc = checksum::xattr_block(self.fs_seed(), nr, &self.bytes[at..at + 4096]);
        self.put(at + 16, &crc.to_le_bytes());
    }
}
