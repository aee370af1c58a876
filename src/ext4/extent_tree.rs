//! Extent trees: how many nodes, level by level. Always filled, as e2fsck wants them narrow.

use crate::ext4::disk::extent::EXT4_EXT_ROOT_MAX;
use crate::units::count;

/// Entries of a node in a 4 KiB block: `(4096 - 12 - 4) / 12`.
pub(crate) const NODE_MAX: usize = 340;

/// Nodes of each level of the tree of `extents` extents, leaves first; none when the inode holds them.
#[must_use]
pub(crate) fn levels(extents: usize) -> Vec<usize> {
    let mut levels = Vec::new();
    let mut below = extents;
    while below > usize::from(EXT4_EXT_ROOT_MAX) {
        below = below.div_ceil(NODE_MAX);
        levels.push(below);
    }
    levels
}

/// Blocks of the tree.
#[must_use]
pub(crate) fn blocks(extents: usize) -> u64 {
    count(levels(extents).iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_a_level_when_the_inode_or_a_node_is_full() {
        assert_eq!(levels(0), [0; 0]);
        assert_eq!(levels(4), [0; 0]);
        assert_eq!(levels(5), [1]);
        assert_eq!(levels(4 * 340), [4]);
        assert_eq!(levels(4 * 340 + 1), [5, 1]);
        assert_eq!(levels(4 * 340 * 340), [1360, 4]);
        assert_eq!(levels(4 * 340 * 340 + 1), [1361, 5, 1]);
    }
}
