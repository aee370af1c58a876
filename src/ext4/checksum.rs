//! Every checksum of `metadata_csum`, over byte slices.
//!
//! | structure | seed | bytes |
//! |---|---|---|
//! | superblock | `!0` | all before `s_checksum` |
//! | group descriptor | filesystem | group number, descriptor with `bg_checksum` as zero; low 16 bits |
//! | block bitmap | filesystem | `s_clusters_per_group / 8` bytes |
//! | inode bitmap | filesystem | `s_inodes_per_group / 8` bytes |
//! | inode | inode | the inode, both checksum fields as zero |
//! | directory leaf | inode | the block before the tail |
//! | htree node | inode | up to the last slot in use, the tail's reserved word, a zero word |
//! | extent node | inode | the block before the tail |
//! | xattr block | filesystem | block number (64 bits), the block with `h_checksum` as zero |
//! | orphan file block | inode | block number (64 bits), the inode numbers before the tail |
//! | journal superblock | `!0` | the struct with `s_checksum` as zero; only with journal features |
//!
//! Filesystem seed: CRC of the UUID. Inode seed: that, continued over the inode's number and
//! generation. Source: Linux `Documentation/filesystems/ext4/checksums.rst`.

use std::mem::offset_of;

use crate::checksum::crc32c;
use crate::ext4::disk::group_desc::GroupDesc;
use crate::ext4::disk::inode::{EXT4_GOOD_OLD_INODE_SIZE, Inode};
use crate::ext4::disk::superblock::Superblock;
use crate::ext4::disk::xattr::XattrHeader;
use crate::units::lo16;

/// The seed of the filesystem: the CRC of its UUID.
#[must_use]
pub fn fs_seed(uuid: &[u8; 16]) -> u32 {
    crc32c(!0, uuid)
}

/// The seed of one inode's structures.
#[must_use]
pub fn inode_seed(fs_seed: u32, inode: u32, generation: u32) -> u32 {
    crc32c(
        crc32c(fs_seed, &inode.to_le_bytes()),
        &generation.to_le_bytes(),
    )
}

/// `s_checksum` of the 1024 bytes of a superblock (its last four are not read).
#[must_use]
pub fn superblock(bytes: &[u8; 1024]) -> u32 {
    crc32c(!0, &bytes[..offset_of!(Superblock, s_checksum)])
}

/// `bg_checksum` of a descriptor of 32 or 64 bytes.
#[must_use]
pub fn group_desc(fs_seed: u32, group: u32, desc: &[u8]) -> u16 {
    let at = offset_of!(GroupDesc, bg_checksum);
    let crc = crc32c(fs_seed, &group.to_le_bytes());
    lo16(with_zeros(crc, desc, at, 2))
}

/// `bg_checksum` under `gdt_csum` (`uninit_bg`): CRC-16/ARC's polynomial, started with ones, over
/// UUID, group number and the descriptor without the field. Source: Linux
/// `Documentation/filesystems/ext4/checksums.rst`, `lib/crc16.c`.
#[must_use]
pub fn group_desc_crc16(uuid: &[u8; 16], group: u32, desc: &[u8]) -> u16 {
    let at = offset_of!(GroupDesc, bg_checksum).min(desc.len());
    let crc = crc16(crc16(crc16(!0, uuid), &group.to_le_bytes()), &desc[..at]);
    crc16(crc, desc.get(at + 2..).unwrap_or_default())
}

/// The polynomial x^16 + x^15 + x^2 + 1, lowest bit first, without a final inversion.
fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(seed, |crc, byte| {
        let bit = |crc: u16| (crc >> 1) ^ (if crc & 1 == 1 { 0xA001 } else { 0 });
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| bit(crc))
    })
}

/// `ob_checksum` of the block of the orphan file at block `nr`, whose inode numbers are `entries`.
#[must_use]
pub fn orphan_block(inode_seed: u32, nr: u64, entries: &[u8]) -> u32 {
    crc32c(crc32c(inode_seed, &nr.to_le_bytes()), entries)
}

/// The checksum of a block or inode bitmap; the caller cuts `bitmap` to the bytes that count.
#[must_use]
pub fn bitmap(fs_seed: u32, bitmap: &[u8]) -> u32 {
    crc32c(fs_seed, bitmap)
}

/// The checksum of an inode of any size. `i_checksum_hi` exists from `i_extra_isize` 4 on: a smaller
/// inode keeps only the low 16 bits, and the checksum covers what stands in the place of the rest.
#[must_use]
pub fn inode(inode_seed: u32, bytes: &[u8]) -> u32 {
    let lo = offset_of!(Inode, l_i_checksum_lo);
    let hi = offset_of!(Inode, i_checksum_hi);
    let small = usize::from(EXT4_GOOD_OLD_INODE_SIZE).min(bytes.len());
    let crc = with_zeros(inode_seed, &bytes[..small], lo, 2);
    let extra = match bytes[small..] {
        [lo, hi, ..] => u16::from_le_bytes([lo, hi]),
        _ => 0,
    };
    if extra >= 4 && bytes.len() >= hi + 2 {
        with_zeros(crc, &bytes[small..], hi - small, 2)
    } else {
        crc32c(crc, &bytes[small..])
    }
}

/// `det_checksum` of a directory block that ends with a tail.
#[must_use]
pub fn dirent_block(inode_seed: u32, block: &[u8]) -> u32 {
    crc32c(inode_seed, &block[..block.len().saturating_sub(12)])
}

/// `dt_checksum` of an htree node whose slots begin at byte `entries`, `count` of them in use and
/// `limit` that fit; `None` when they do not fit `block`.
#[must_use]
pub fn dx_node(
    inode_seed: u32,
    block: &[u8],
    entries: usize,
    count: u16,
    limit: u16,
) -> Option<u32> {
    let used = block.get(..entries + usize::from(count) * 8)?;
    let tail = entries + usize::from(limit) * 8;
    let reserved = block.get(tail..tail + 4)?;
    Some(crc32c(crc32c(crc32c(inode_seed, used), reserved), &[0; 4]))
}

/// `et_checksum` of an extent node whose tail lies at byte `tail`.
#[must_use]
pub fn extent_block(inode_seed: u32, block: &[u8], tail: usize) -> u32 {
    crc32c(inode_seed, &block[..tail.min(block.len())])
}

/// `h_checksum` of the xattr block at block `nr`.
#[must_use]
pub fn xattr_block(fs_seed: u32, nr: u64, block: &[u8]) -> u32 {
    let crc = crc32c(fs_seed, &nr.to_le_bytes());
    with_zeros(crc, block, offset_of!(XattrHeader, h_checksum), 4)
}

/// `s_checksum` of a journal superblock with journal checksums.
#[must_use]
pub fn journal_superblock(bytes: &[u8; 1024]) -> u32 {
    with_zeros(
        !0,
        bytes,
        offset_of!(super::disk::journal::JournalSuperblock, s_checksum),
        4,
    )
}

/// CRC of `bytes` with the `len` (at most 4) bytes at `at` as zero.
fn with_zeros(seed: u32, bytes: &[u8], at: usize, len: usize) -> u32 {
    let (before, rest) = bytes.split_at(at.min(bytes.len()));
    let hole = len.min(rest.len());
    crc32c(crc32c(crc32c(seed, before), &[0; 4][..hole]), &rest[hole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_counts_as_zeros() {
        assert_eq!(with_zeros(7, b"abXXcd", 2, 2), crc32c(7, b"ab\0\0cd"));
        assert_eq!(with_zeros(7, b"ab", 2, 2), crc32c(7, b"ab"));
        assert_eq!(with_zeros(7, b"abX", 2, 2), crc32c(7, b"ab\0"));
    }

    #[test]
    fn crc16_is_the_one_called_arc() {
        assert_eq!(crc16(0, b"123456789"), 0xBB3D);
    }

    #[test]
    fn an_inode_checksum_ignores_what_its_own_fields_hold() {
        let mut a = [0x5A; 256];
        let crc = inode(1, &a);
        a[0x7C..0x7E].fill(1);
        a[0x82..0x84].fill(2);
        assert_eq!(inode(1, &a), crc);
        a[0x84] ^= 1;
        assert_ne!(inode(1, &a), crc);
    }

    #[test]
    fn crc16_is_the_catalogue_entry_arc_but_for_its_start() {
        assert_eq!(crc16(0, b"123456789"), 0xBB3D);
    }

    #[test]
    fn a_node_with_more_slots_than_its_block_has_no_checksum() {
        assert_eq!(dx_node(0, &[0; 4096], 32, 600, 507), None);
        assert_eq!(dx_node(0, &[0; 4096], 32, 2, 600), None);
        assert!(dx_node(0, &[0; 4096], 32, 507, 507).is_some());
    }
}
