//! What a filesystem shall be like, beside its content.

use super::block_size::BlockSize;
use super::features::Features;

/// How to make a filesystem: what mke2fs takes as options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes in a block (`-b`).
    pub block_size: BlockSize,
    /// Features (`-O`).
    pub features: Features,
    /// Inodes, at least (`-N`).
    pub inodes: Option<u64>,
    /// Bytes of the filesystem for each inode (`-i`); by its size when `None`.
    pub inode_ratio: Option<u64>,
    /// Percentage of the blocks that only root may use (`-m`), 0 to 50.
    pub reserved_percent: u8,
    /// The journal (`-J size=`).
    pub journal: Journal,
    /// Bytes to which the filesystem can grow online by its reserved descriptors (`-E resize`).
    pub max_grow: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: BlockSize::default(),
            features: Features::DEFAULT,
            inodes: None,
            inode_ratio: None,
            reserved_percent: 5,
            journal: Journal::BySize,
            max_grow: None,
        }
    }
}

/// The journal of a filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// As large as mke2fs makes it; none below 2048 blocks.
    #[default]
    BySize,
    /// That many bytes.
    Bytes(u64),
    /// None.
    None,
}
