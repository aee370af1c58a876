//! The size of a block, and what follows from it alone.

use crate::units::KIB;

/// Bytes in an inode.
pub const INODE: u64 = 256;
/// Blocks that a directory's own map reaches, the most that mke2fs gives lost+found (`EXT2_NDIR_BLOCKS`).
const NDIR_BLOCKS: u64 = 12;

/// Bytes in a block: what every machine with 4 KiB pages can mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 1024 bytes; group 0 then begins at block 1.
    KiB1,
    /// 2048 bytes.
    KiB2,
    /// 4096 bytes.
    #[default]
    KiB4,
}

impl BlockSize {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::KiB1, Self::KiB2, Self::KiB4];

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        KIB << self.log()
    }

    /// `s_log_block_size`.
    #[must_use]
    pub const fn log(self) -> u32 {
        match self {
            Self::KiB1 => 0,
            Self::KiB2 => 1,
            Self::KiB4 => 2,
        }
    }

    /// `s_first_data_block`: the one that holds the superblock.
    #[must_use]
    pub const fn first_block(self) -> u64 {
        match self {
            Self::KiB1 => 1,
            Self::KiB2 | Self::KiB4 => 0,
        }
    }

    /// What a block of bitmap covers: the most blocks, and the most inodes, of a group.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.bytes() * 8
    }

    /// Block numbers in a block of the resize inode, and so the most blocks of descriptors it can reserve.
    #[must_use]
    pub const fn pointers(self) -> u64 {
        self.bytes() / 4
    }

    /// Inodes in a block of an inode table.
    #[must_use]
    pub const fn inodes(self) -> u64 {
        self.bytes() / INODE
    }

    /// Entries of an extent tree's node in a block (`ext4_ext_space_block`): 84, 169 or 340.
    #[must_use]
    pub fn extents(self) -> usize {
        (crate::units::index(self.bytes()) - 12) / 12
    }

    /// Blocks of lost+found, as mke2fs makes it: 16 KiB, but no more than a map without indirection.
    #[must_use]
    pub(crate) fn lost_found(self) -> u64 {
        (16 * KIB / self.bytes()).min(NDIR_BLOCKS)
    }

    /// Blocks that `bytes` bytes take.
    #[must_use]
    pub const fn blocks(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_kernels_arithmetic() {
        let all = BlockSize::ALL;
        assert_eq!(all.map(BlockSize::bytes), [1024, 2048, 4096]);
        assert_eq!(all.map(BlockSize::extents), [84, 169, 340]);
        assert_eq!(all.map(BlockSize::lost_found), [12, 8, 4]);
        assert_eq!(all.map(BlockSize::pointers), [256, 512, 1024]);
    }
}
