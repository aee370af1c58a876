//! The shape of a filesystem: groups, inode tables, descriptors. Arithmetic alone; nothing is written.
//!
//! ```text
//!  group 0                                                    group 1 (has a backup)
//!  |sb|GDT|reserved GDT|bitmaps and inode tables of 16 groups … |sb|GDT|reserved GDT| data …
//! ```
//! [`Geometry::of_size`] does the sums of mke2fs 1.47.0 (`ext2fs_initialize`,
//! `calc_reserved_gdt_blocks`, `ext2fs_default_journal_size`); `tests/it/ext4_geometry.rs` compares them
//! with the program at a hundred sizes. [`Geometry::fitted`] finds the smallest filesystem for a
//! given content by the same sums.

use crate::units::{GIB, KIB, MIB, TIB, count32};

/// Bytes in a block.
pub const BLOCK: u64 = 4096;
/// Bytes in an inode.
pub const INODE: u64 = 256;
/// Bytes in a group descriptor (`64bit`).
pub const DESC: u64 = 64;
/// Group descriptors in a block.
pub const DESC_PER_BLOCK: u64 = BLOCK / DESC;
/// `s_log_groups_per_flex`: 16 groups share one place for their bitmaps and tables.
pub const LOG_GROUPS_PER_FLEX: u8 = 4;
/// Groups in a flex group.
pub const FLEX: u64 = 1 << LOG_GROUPS_PER_FLEX;
/// One block of bitmap covers so many blocks.
const BITMAP_BITS: u64 = BLOCK * 8;
/// Entries in a block of the resize inode, and so the most blocks of descriptors it can reserve.
pub const ADDR_PER_BLOCK: u64 = BLOCK / 4;
/// Inodes before the first that a file can have.
pub const FIRST_INODE: u64 = 11;
/// Blocks that must be left over in a last group for it to be worth its tables (mke2fs).
const LAST_GROUP_SPARE: u64 = 50;
/// Inodes in a table block.
pub const INODES_PER_BLOCK: u64 = BLOCK / INODE;

/// The shape of a filesystem. Counts are in blocks unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks in a group; 32,768 but for a few small sizes.
    pub blocks_per_group: u64,
    /// Groups.
    pub groups: u64,
    /// Inodes in a group.
    pub inodes_per_group: u64,
    /// Blocks of descriptors.
    pub gdt_blocks: u64,
    /// Blocks reserved behind them for growth.
    pub reserved_gdt_blocks: u64,
    /// Blocks that only root may use.
    pub reserved_blocks: u64,
    /// Blocks of the journal; 0 below 8 MiB.
    pub journal_blocks: u64,
}

/// Why there is no such filesystem.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GeometryError {
    /// Smaller than its own tables.
    #[error(
        "{size} bytes are too small for an ext4 filesystem: its own tables would fill it; \
             choose a larger size"
    )]
    TooSmall {
        /// Size in bytes.
        size: u64,
    },
    /// More blocks than 32-bit extents reach, with room to spare.
    #[error(
        "a filesystem of {size} bytes: ext4 with 4 KiB blocks ends at 16 TiB here; \
             choose a smaller size"
    )]
    TooLarge {
        /// Size in bytes.
        size: u64,
    },
    /// More inodes than groups can hold.
    #[error(
        "{inodes} inodes do not fit a filesystem of {blocks} blocks; ask for fewer or a larger disk"
    )]
    TooManyInodes {
        /// Inodes asked for.
        inodes: u64,
        /// Blocks of the filesystem.
        blocks: u64,
    },
    /// The descriptors that a fitted filesystem needs exceed what was reserved for them.
    #[error(
        "the tree needs a filesystem of {needed} bytes, and the descriptors reserved before its first \
         byte was read reach {reach} bytes; say `--max-grow` of at least {needed}"
    )]
    PastMaxGrow {
        /// Size needed in bytes.
        needed: u64,
        /// Size that the descriptors reach in bytes.
        reach: u64,
    },
}

impl Geometry {
    /// What mke2fs makes of a device of `size` bytes; `inodes` as its `-N`, `max_grow` as its
    /// `-E resize` (bytes).
    ///
    /// # Errors
    /// When mke2fs would refuse too.
    pub fn of_size(
        size: u64,
        inodes: Option<u64>,
        max_grow: Option<u64>,
    ) -> Result<Self, GeometryError> {
        let asked = size / BLOCK;
        if asked > u64::from(u32::MAX) {
            return Err(GeometryError::TooLarge { size });
        }
        let wanted = inodes
            .unwrap_or(asked * BLOCK / inode_ratio(asked))
            .max(FIRST_INODE + 1);
        let reserved_blocks = asked * 5 / 100;
        let mut g = Self {
            blocks: asked,
            blocks_per_group: BITMAP_BITS,
            groups: 0,
            inodes_per_group: 0,
            gdt_blocks: 0,
            reserved_gdt_blocks: 0,
            reserved_blocks,
            journal_blocks: 0,
        };
        loop {
            g.groups = g.blocks.div_ceil(g.blocks_per_group);
            if g.groups == 0 {
                return Err(GeometryError::TooSmall { size });
            }
            g.gdt_blocks = g.groups.div_ceil(DESC_PER_BLOCK);
            let per_group = wanted.div_ceil(g.groups);
            if per_group > BITMAP_BITS {
                // mke2fs makes groups smaller until each needs no more than one inode bitmap.
                if g.blocks_per_group < 256 {
                    return Err(GeometryError::TooManyInodes {
                        inodes: wanted,
                        blocks: asked,
                    });
                }
                g.blocks_per_group -= 8;
                g.blocks = asked;
                continue;
            }
            g.inodes_per_group = round_inodes(per_group, g.groups);
            g.reserved_gdt_blocks = g.reserved_for_growth(max_grow.map(|b| b / BLOCK));
            g.journal_blocks = journal_blocks(asked, g.reserved_gdt_blocks);
            if 3 + g.inode_table_blocks() + g.reserved_gdt_blocks + g.gdt_blocks
                > g.blocks_per_group
            {
                return Err(GeometryError::TooManyInodes {
                    inodes: wanted,
                    blocks: asked,
                });
            }
            let rest = g.blocks % g.blocks_per_group;
            let overhead = 2 + g.inode_table_blocks() + g.super_blocks(g.groups - 1);
            if g.groups == 1 && rest != 0 && rest < overhead {
                return Err(GeometryError::TooSmall { size });
            }
            if rest != 0 && rest < overhead + LAST_GROUP_SPARE {
                g.blocks -= rest;
                // The share that the first guess came to, of the size that is left.
                g.reserved_blocks = reserved_blocks * g.blocks / asked;
                if g.blocks == 0 {
                    return Err(GeometryError::TooSmall { size });
                }
                continue;
            }
            return Ok(g);
        }
    }

    /// Reserved descriptor blocks, as `calc_reserved_gdt_blocks`: room to grow 1024-fold, or to
    /// `max_grow` blocks.
    fn reserved_for_growth(&self, max_grow: Option<u64>) -> u64 {
        let limit = u64::from(u32::MAX);
        let blocks = max_grow
            .unwrap_or(self.blocks * 1024)
            .clamp(self.blocks, limit);
        let gdt = blocks
            .div_ceil(self.blocks_per_group)
            .div_ceil(DESC_PER_BLOCK);
        (gdt - self.gdt_blocks).min(ADDR_PER_BLOCK)
    }

    /// Blocks of one group's inode table.
    #[must_use]
    pub fn inode_table_blocks(&self) -> u64 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    /// Inodes in all.
    #[must_use]
    pub fn inodes(&self) -> u64 {
        self.inodes_per_group * self.groups
    }

    /// Whether `group` begins with a superblock and descriptors (`sparse_super`).
    #[must_use]
    pub fn has_super(group: u64) -> bool {
        group <= 1 || [3, 5, 7].iter().any(|&base| is_power(group, base))
    }

    /// Blocks of superblock, descriptors and reserved descriptors at the start of `group`.
    #[must_use]
    pub fn super_blocks(&self, group: u64) -> u64 {
        if Self::has_super(group) {
            1 + self.gdt_blocks + self.reserved_gdt_blocks
        } else {
            0
        }
    }

    /// First block of `group`.
    #[must_use]
    pub fn group_start(&self, group: u64) -> u64 {
        group * self.blocks_per_group
    }

    /// Blocks in `group`: fewer in the last.
    #[must_use]
    pub fn group_blocks(&self, group: u64) -> u64 {
        (self.blocks - self.group_start(group)).min(self.blocks_per_group)
    }

    /// Groups that begin with a backup, in order.
    pub fn backups(&self) -> impl Iterator<Item = u64> {
        (1..self.groups).filter(|&g| Self::has_super(g))
    }

    /// Blocks that the filesystem keeps for itself, which `df` leaves out of its total:
    /// `s_overhead_clusters`.
    #[must_use]
    pub fn overhead(&self) -> u64 {
        let supers: u64 = (0..self.groups).map(|g| self.super_blocks(g)).sum();
        supers + self.groups * (2 + self.inode_table_blocks()) + self.journal_blocks
    }

    /// Blocks that the kernel holds back beside the reserved ones, for delayed allocation
    /// (`ext4_calculate_resv_clusters`): 2 %, at most 4096.
    #[must_use]
    pub fn kernel_reserve(&self) -> u64 {
        (self.blocks / 50).min(4096)
    }

    /// The descriptors of a fitted filesystem, decided before its size is known: as many blocks as
    /// `max_grow` bytes need, used and reserved together.
    #[must_use]
    pub fn descriptor_blocks(max_grow: u64) -> u64 {
        let groups = max_grow.div_ceil(BLOCK).div_ceil(BITMAP_BITS);
        // One block is always in use; no more than the resize inode can list are reserved.
        groups.div_ceil(DESC_PER_BLOCK).clamp(1, ADDR_PER_BLOCK + 1)
    }

    /// The smallest filesystem in which `need.content` blocks are used beside its own tables and
    /// `need.available` are left for `df` to show; to within a block a group, the rounding of inode tables.
    ///
    /// # Errors
    /// When its descriptors do not fit `descriptor_blocks`, or it is over 16 TiB.
    pub fn fitted(need: &Need) -> Result<Self, GeometryError> {
        let mut blocks = need.content.max(1);
        loop {
            let g = Self::fitted_at(need, blocks)?;
            let used = g.overhead() + need.content;
            let available = match need.available {
                Available::Blocks(n) => n,
                Available::Percent { percent, at_least } => {
                    (g.blocks * u64::from(percent)).div_ceil(100).max(at_least)
                }
            };
            let wanted = used + g.reserved_blocks + g.kernel_reserve() + available;
            let wanted = g.legal(wanted.max(need.reach).max(g.blocks));
            if wanted <= g.blocks {
                return Ok(g);
            }
            // Every term grows with the size, so the sizes rise to the least that satisfies itself.
            blocks = wanted;
        }
    }

    fn fitted_at(need: &Need, blocks: u64) -> Result<Self, GeometryError> {
        if blocks > u64::from(u32::MAX) {
            return Err(GeometryError::TooLarge {
                size: blocks.saturating_mul(BLOCK),
            });
        }
        let groups = blocks.div_ceil(BITMAP_BITS);
        let gdt_blocks = groups.div_ceil(DESC_PER_BLOCK);
        if gdt_blocks > need.descriptor_blocks {
            let reach = need.descriptor_blocks * DESC_PER_BLOCK * BITMAP_BITS * BLOCK;
            return Err(GeometryError::PastMaxGrow {
                needed: blocks * BLOCK,
                reach,
            });
        }
        let inodes = need.inodes.max(blocks / (16 * KIB / BLOCK));
        let per_group = inodes.div_ceil(groups);
        if per_group > BITMAP_BITS {
            // Too many small files for so few groups: as many groups as their inodes need.
            let groups = inodes.div_ceil(BITMAP_BITS);
            return Self::fitted_at(need, (groups - 1) * BITMAP_BITS + 1);
        }
        let reserved_gdt_blocks = (need.descriptor_blocks - gdt_blocks).min(ADDR_PER_BLOCK);
        Ok(Self {
            blocks,
            blocks_per_group: BITMAP_BITS,
            groups,
            inodes_per_group: round_inodes(per_group, groups),
            gdt_blocks,
            reserved_gdt_blocks,
            reserved_blocks: blocks * 5 / 100,
            journal_blocks: journal_blocks(blocks, reserved_gdt_blocks),
        })
    }

    /// The shape of a legal size for `need`, whether it meets it or not.
    #[cfg(test)]
    pub(crate) fn of_shape(need: &Need, blocks: u64) -> Option<Self> {
        let g = Self::fitted_at(need, blocks.max(1)).ok()?;
        (g.legal(g.blocks) == g.blocks).then_some(g)
    }

    /// The least size from `blocks` on whose last group could stand on its own: the kernel, growing a
    /// filesystem, drops a last group that cannot hold its tables and some data.
    fn legal(&self, blocks: u64) -> u64 {
        let rest = blocks % self.blocks_per_group;
        let group = blocks / self.blocks_per_group;
        let overhead = 2 + self.inode_table_blocks() + self.super_blocks(group) + LAST_GROUP_SPARE;
        if rest == 0 || rest >= overhead {
            blocks
        } else {
            blocks - rest + overhead
        }
    }
}

/// What a fitted filesystem must hold.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Blocks in use beside superblocks, descriptors, bitmaps, inode tables and the journal.
    pub content: u64,
    /// Blocks at least, because of what lies at their end: what replaced files gave back, and gaps
    /// before superblocks, are no use to what comes behind.
    pub reach: u64,
    /// Inodes, at least; one per 16 KiB are made in any case.
    pub inodes: u64,
    /// Space for the running system.
    pub available: Available,
    /// From [`Geometry::descriptor_blocks`].
    pub descriptor_blocks: u64,
}

/// What `df` shall show as available, in blocks.
#[derive(Clone, Copy, Debug)]
pub enum Available {
    /// So many.
    Blocks(u64),
    /// A share of the filesystem.
    Percent {
        /// 0 to 90.
        percent: u8,
        /// And no fewer than this.
        at_least: u64,
    },
}

fn round_inodes(per_group: u64, groups: u64) -> u64 {
    // Whole table blocks ("waste not, want not", mke2fs), which are multiples of 8 too.
    let mut n = per_group.max(1).next_multiple_of(INODES_PER_BLOCK);
    while n * groups > u64::from(u32::MAX) {
        n -= INODES_PER_BLOCK;
    }
    // A first group must reach past the reserved inodes and lost+found.
    n.max(INODES_PER_BLOCK)
}

fn is_power(mut n: u64, base: u64) -> bool {
    while n > 1 && n.is_multiple_of(base) {
        n /= base;
    }
    n == 1
}

/// Bytes per inode by size: the types `floppy`, `small`, default, `big` and `huge` of mke2fs.conf.
fn inode_ratio(blocks: u64) -> u64 {
    match blocks * BLOCK {
        n if n < 3 * MIB => 8 * KIB,
        n if n < 512 * MIB => 4 * KIB,
        n if n < 4 * TIB => 16 * KIB,
        n if n < 16 * TIB => 32 * KIB,
        _ => 64 * KIB,
    }
}

/// Blocks of the journal by size of the filesystem: `ext2fs_default_journal_size`, and what growing takes.
///
/// The kernel adds groups in one transaction that may touch every reserved descriptor block
/// (`ext4_flex_group_add`: six more for itself), and a transaction may fill a quarter of the journal, in newer
/// kernels less its own descriptors. A journal too short for that makes online growth end with ENOSPC.
fn journal_blocks(blocks: u64, reserved_gdt_blocks: u64) -> u64 {
    const STEPS: [(u64, u64); 8] = [
        (2048, 0),
        (32_768, 1024),
        (GIB / BLOCK, 4096),
        (2 * GIB / BLOCK, 8192),
        (16 * GIB / BLOCK, 16_384),
        (32 * GIB / BLOCK, 32_768),
        (64 * GIB / BLOCK, 65_536),
        (128 * GIB / BLOCK, 131_072),
    ];
    let step = STEPS.iter().find(|(below, _)| blocks < *below);
    match step.map_or(262_144, |&(_, journal)| journal) {
        0 => 0,
        usual => usual.max(4 * (reserved_gdt_blocks + 16)),
    }
}

/// A group number as it stands on disk.
#[must_use]
pub fn group_nr(group: u64) -> u32 {
    count32(crate::units::index(group))
}
