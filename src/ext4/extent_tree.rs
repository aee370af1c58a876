//! Extent trees: how many nodes, level by level. Always filled, as e2fsck wants them narrow.

use crate::ext4::block_size::BlockSize;
use crate::ext4::disk::extent::EXT4_EXT_ROOT_MAX;
use crate::units::count;

/// Nodes of each level of the tree of `extents` extents, leaves first; none when the inode holds them.
#[must_use]
pub(crate) fn levels(extents: usize, block_size: BlockSize) -> Vec<usize> {
    let mut levels = Vec::new();
    let mut below = extents;
    while below > usize::from(EXT4_EXT_ROOT_MAX) {
        below = below.div_ceil(block_size.extents());
        levels.push(below);
    }
    levels
}

/// Blocks of the tree.
#[must_use]
pub(crate) fn blocks(extents: usize, block_size: BlockSize) -> u64 {
    count(levels(extents, block_size).iter().sum())
}

#[cfg(test)]
mod tests {
    use crate::ext4::block_size::BlockSize;

    #[test]
    fn grows_a_level_when_the_inode_or_a_node_is_full() {
        let levels = |extents| super::levels(extents, BlockSize::KiB4);
        assert_eq!(levels(0), [0; 0]);
        assert_eq!(levels(4), [0; 0]);
        assert_eq!(levels(5), [1]);
        assert_eq!(levels(4 * 340), [4]);
        assert_eq!(levels(4 * 340 + 1), [5, 1]);
        assert_eq!(levels(4 * 340 * 340), [1360, 4]);
        assert_eq!(levels(4 * 340 * 340 + 1), [1361, 5, 1]);
        assert_eq!(super::levels(4 * 84 + 1, BlockSize::KiB1), [5, 1]);
    }
}
