//! The features of a filesystem, and every field on disk that depends on one.
//!
//! | feature | what it changes |
//! |---|---|
//! | `has_journal` | inode 8, `s_journal_inum`, `s_jnl_blocks` |
//! | `64bit` | descriptors of 64 bytes instead of 32, `s_desc_size` |
//! | `metadata_csum` | CRC32C in superblock, descriptors, bitmaps, inodes, extent nodes, xattr blocks; tails of directory blocks and htree nodes, and so how much those hold; `s_checksum_type` |
//! | `uninit_bg` | CRC-16 in descriptors |
//! | either of them | `bg_flags`, `bg_itable_unused` |
//! | `metadata_csum_seed` | `s_checksum_seed` |
//! | `orphan_file` | one inode and its blocks, `s_orphan_file_inum` |
//! | `large_dir` | `indirect_levels` of a directory's index may be 2 |
//!
//! All others are the same in every profile. Bits: Linux `fs/ext4/ext4.h`.

use super::disk::superblock as bit;
use std::fmt;

/// `s_feature_compat`, `s_feature_incompat` and `s_feature_ro_compat`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features {
    compat: u32,
    incompat: u32,
    ro_compat: u32,
}

impl Features {
    /// What mke2fs 1.47.0 of Debian 12 sets: words 0x3C, 0x2C2, 0x46B. GRUB reads it from 2.02 on: it
    /// refuses incompatible bits alone, and knows `filetype`, `extents`, `flex_bg`, `meta_bg` and
    /// `64bit` since then.
    pub const DEFAULT: Self = Self {
        compat: bit::COMPAT_HAS_JOURNAL
            | bit::COMPAT_EXT_ATTR
            | bit::COMPAT_RESIZE_INODE
            | bit::COMPAT_DIR_INDEX,
        incompat: bit::INCOMPAT_FILETYPE
            | bit::INCOMPAT_EXTENTS
            | bit::INCOMPAT_64BIT
            | bit::INCOMPAT_FLEX_BG,
        ro_compat: bit::RO_COMPAT_SPARSE_SUPER
            | bit::RO_COMPAT_LARGE_FILE
            | bit::RO_COMPAT_HUGE_FILE
            | bit::RO_COMPAT_DIR_NLINK
            | bit::RO_COMPAT_EXTRA_ISIZE
            | bit::RO_COMPAT_METADATA_CSUM,
    };

    /// What mke2fs sets from 1.47.1 on: `metadata_csum_seed` (the UUID can be changed while mounted) and
    /// `orphan_file` (deleted open files no longer wait for one lock).
    pub const MODERN: Self = Self {
        compat: Self::DEFAULT.compat | bit::COMPAT_ORPHAN_FILE,
        incompat: Self::DEFAULT.incompat | bit::INCOMPAT_CSUM_SEED,
        ro_compat: Self::DEFAULT.ro_compat,
    };

    /// What PV-GRUB and kernels of 2010 understand. PV-GRUB is GRUB 0.97 with Xen's
    /// `stubdom/grub.patches/60ext4.diff`: it reads extents and 256-byte inodes and follows
    /// `bg_inode_table` wherever `flex_bg` put it, but its test for `64bit` is inverted and refuses every
    /// such filesystem. Linux 2.6.32 mounts all of these read-write; `metadata_csum` came with 3.5.
    pub const PV: Self = Self {
        compat: Self::DEFAULT.compat,
        incompat: Self::DEFAULT.incompat & !bit::INCOMPAT_64BIT,
        ro_compat: Self::DEFAULT.ro_compat & !bit::RO_COMPAT_METADATA_CSUM
            | bit::RO_COMPAT_GDT_CSUM,
    };

    /// `s_feature_compat`.
    #[must_use]
    pub const fn compat(self) -> u32 {
        self.compat
    }

    /// `s_feature_incompat`.
    #[must_use]
    pub const fn incompat(self) -> u32 {
        self.incompat
    }

    /// `s_feature_ro_compat`.
    #[must_use]
    pub const fn ro_compat(self) -> u32 {
        self.ro_compat
    }

    /// The same without a journal, and so without an orphan file: mke2fs leaves it out too.
    #[must_use]
    pub(crate) const fn without_journal(self) -> Self {
        Self {
            compat: self.compat & !(bit::COMPAT_HAS_JOURNAL | bit::COMPAT_ORPHAN_FILE),
            ..self
        }
    }

    /// The same with `large_dir`, which Linux reads from 4.13 on, e2fsck from 1.44, GRUB from 2.12 (Debian's
    /// from 2.06-8).
    #[must_use]
    pub const fn with_large_dir(self) -> Self {
        Self {
            incompat: self.incompat | bit::INCOMPAT_LARGEDIR,
            ..self
        }
    }

    /// Whether all metadata bears a CRC32C.
    #[must_use]
    pub const fn metadata_csum(self) -> bool {
        self.ro_compat & bit::RO_COMPAT_METADATA_CSUM != 0
    }

    /// Whether group descriptors bear a CRC-16 (`uninit_bg`).
    #[must_use]
    pub const fn gdt_csum(self) -> bool {
        self.ro_compat & bit::RO_COMPAT_GDT_CSUM != 0
    }

    /// Whether bitmaps and tables may be marked as not in use: a checksum must vouch for the mark.
    #[must_use]
    pub const fn uninit(self) -> bool {
        self.metadata_csum() || self.gdt_csum()
    }

    /// Whether the superblock holds the seed of all checksums.
    #[must_use]
    pub const fn csum_seed(self) -> bool {
        self.incompat & bit::INCOMPAT_CSUM_SEED != 0
    }

    /// Whether there is a file that lists deleted open files.
    #[must_use]
    pub const fn orphan_file(self) -> bool {
        self.compat & bit::COMPAT_ORPHAN_FILE != 0
    }

    /// Whether the index of a directory may have three levels.
    #[must_use]
    pub const fn large_dir(self) -> bool {
        self.incompat & bit::INCOMPAT_LARGEDIR != 0
    }

    /// Whether block numbers have 64 bits.
    #[must_use]
    pub const fn bits64(self) -> bool {
        self.incompat & bit::INCOMPAT_64BIT != 0
    }

    /// Bytes of a group descriptor.
    #[must_use]
    pub const fn descriptor(self) -> u64 {
        if self.bits64() { 64 } else { 32 }
    }

    /// Bytes of the checksum tail of a directory block.
    #[must_use]
    pub const fn dirent_tail(self) -> usize {
        if self.metadata_csum() { 12 } else { 0 }
    }

    /// Bytes of the checksum tail of an htree node.
    #[must_use]
    pub const fn dx_tail(self) -> usize {
        if self.metadata_csum() { 8 } else { 0 }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Features({:#x} {:#x} {:#x})",
            self.compat, self.incompat, self.ro_compat
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_mke2fs() {
        let words = |f: Features| (f.compat(), f.incompat(), f.ro_compat());
        assert_eq!(words(Features::DEFAULT), (0x3C, 0x2C2, 0x46B));
        assert_eq!(words(Features::MODERN), (0x103C, 0x22C2, 0x46B));
        assert_eq!(words(Features::PV), (0x3C, 0x242, 0x7B));
        let large = Features::DEFAULT.with_large_dir();
        assert_eq!(words(large), (0x3C, 0x42C2, 0x46B));
    }

    #[test]
    fn the_default_has_no_bit_that_grub_2_02_refuses() {
        // grub-core/fs/ext2.c, EXT2_DRIVER_SUPPORTED_INCOMPAT of 2.02.
        let read = bit::INCOMPAT_FILETYPE
            | bit::INCOMPAT_EXTENTS
            | bit::INCOMPAT_FLEX_BG
            | bit::INCOMPAT_META_BG
            | bit::INCOMPAT_64BIT;
        assert_eq!(Features::DEFAULT.incompat() & !read, 0);
        assert_eq!(Features::PV.incompat() & !read, 0);
    }
}
