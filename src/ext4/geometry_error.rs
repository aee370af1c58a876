//! Why there is no filesystem of a shape.

use crate::units::TIB;

/// What would do instead.
fn enough(needed: Option<u64>) -> String {
    match needed {
        Some(needed) => format!("{needed} bytes are enough"),
        None => "choose a larger size".into(),
    }
}

impl GeometryError {
    /// Bytes of a filesystem that would be large enough, where this one is too small and somebody looked.
    #[must_use]
    pub fn needed(&self) -> Option<u64> {
        match self {
            Self::TooSmall { needed, .. } | Self::TooManyInodes { needed, .. } => *needed,
            _ => None,
        }
    }

    /// The same, knowing what would be enough.
    pub(super) fn with_needed(mut self, look: impl FnOnce() -> Option<u64>) -> Self {
        if let Self::TooSmall { needed, .. } | Self::TooManyInodes { needed, .. } = &mut self {
            *needed = needed.or_else(look);
        }
        self
    }
}

/// Why there is no such filesystem.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GeometryError {
    /// Smaller than its own tables.
    #[error(
        "{size} bytes are too small for an ext4 filesystem: its own tables would fill it; {}",
        enough(*needed)
    )]
    TooSmall {
        /// Size in bytes.
        size: u64,
        /// Bytes that would do; `None` where nobody looked.
        needed: Option<u64>,
    },
    /// More blocks than 32-bit extents reach, with room to spare.
    #[error(
        "a filesystem of {size} bytes: ext4 with blocks of {block_size} bytes ends at {} TiB here; \
             choose a smaller size{}", (block_size << 32) / TIB,
        if *block_size < 4096 { " or a larger `--block-size`" } else { "" }
    )]
    TooLarge {
        /// Size in bytes.
        size: u64,
        /// Bytes in a block.
        block_size: u64,
    },
    /// Descriptors that fill most of every group with a backup.
    #[error(
        "a filesystem of {size} bytes with blocks of {block_size}: its group descriptors would take more \
         than three quarters of a group (mke2fs spreads them by meta_bg then, which cannot be grown \
         by a resize inode); say a larger `--block-size`"
    )]
    TooManyDescriptors {
        /// Size in bytes.
        size: u64,
        /// Bytes in a block.
        block_size: u64,
    },
    /// More inodes than groups can hold.
    #[error(
        "{inodes} inodes do not fit a filesystem of {blocks} blocks; ask for fewer, or {}",
        enough(*needed)
    )]
    TooManyInodes {
        /// Inodes asked for.
        inodes: u64,
        /// Blocks of the filesystem.
        blocks: u64,
        /// Bytes that would do; `None` where nobody looked.
        needed: Option<u64>,
    },
    /// A journal that is none, or fills the filesystem.
    #[error(
        "a journal of {blocks} blocks of {block_size} bytes: it has from {least} to {most} here; say another \
         `--journal-size`"
    )]
    JournalSize {
        /// Blocks asked for.
        blocks: u64,
        /// Bytes in a block.
        block_size: u64,
        /// Fewest blocks.
        least: u64,
        /// Most blocks: half of what is free, for a filesystem of known size.
        most: u64,
    },
    /// The descriptors that a fitted filesystem needs exceed what was reserved for them.
    #[error(
        "the tree needs a filesystem of {needed} bytes, and the descriptors reserved before its first \
         byte was read reach {reach} bytes; say `--max-grow` of at least {needed}, a larger \
         `--block-size`, or the size as `--size`"
    )]
    PastMaxGrow {
        /// Size needed in bytes.
        needed: u64,
        /// Size that the descriptors reach in bytes.
        reach: u64,
    },
    /// A fitted filesystem of a given size that its content does not fit.
    #[error("the tree and the space asked for do not fit a filesystem of {size} bytes")]
    NotEnough {
        /// Size in bytes.
        size: u64,
    },
}
