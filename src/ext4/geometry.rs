//! The shape of a filesystem: groups, inode tables, descriptors. Arithmetic alone; nothing is written.
//!
//! ```text
//!  group 0                                                    group 1 (has a backup)
//!  |sb|GDT|reserved GDT|bitmaps and inode tables of 16 groups … |sb|GDT|reserved GDT| data …
//! ```
//! [`Geometry::of_size`] does the sums of mke2fs 1.47.0 (`ext2fs_initialize`,
//! `calc_reserved_gdt_blocks`, `ext2fs_default_journal_size`); `tests/it/ext4_geometry.rs` compares them
//! with the program. [`super::fit`] finds the smallest filesystem for a given content by the same sums.

use super::block_size::BlockSize;
use super::features::Features;
use super::geometry_error::GeometryError;
use super::options::{Journal, Options};
use crate::units::{KIB, MIB, TIB, count, count32};

/// `s_log_groups_per_flex`: 16 groups share one place for their bitmaps and tables.
pub const LOG_GROUPS_PER_FLEX: u8 = 4;
/// Groups in a flex group.
pub const FLEX: u64 = 1 << LOG_GROUPS_PER_FLEX;
/// Inodes before the first that a file can have.
pub const FIRST_INODE: u64 = 11;
/// Blocks that must be left over in a last group for it to be worth its tables (mke2fs).
pub(super) const LAST_GROUP_SPARE: u64 = 50;
/// Blocks that the kernel's growing transaction may touch beside reserved descriptors: six, and room.
pub(super) const GROWTH_CREDITS: u64 = 16;

/// Fewest and most blocks of a journal (`JBD2_MIN_JOURNAL_BLOCKS`, `JBD2_MAX_JOURNAL_BLOCKS`).
pub(super) const JOURNAL_BLOCKS: (u64, u64) = (1024, 10_240_000);
/// Most bytes of an orphan file by default (`EXT4_DEFAULT_ORPHAN_FILE_SIZE`).
const ORPHAN_FILE: u64 = 2 * MIB;

/// What the size of a filesystem is a multiple of, when mke2fs takes it from a device.
pub(super) const PAGE: u64 = 4 * KIB;

/// The shape of a filesystem. Counts are in blocks unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in a block.
    pub block_size: BlockSize,
    /// Features; without a journal where there is no room for one.
    pub features: Features,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks in a group; eight times the bytes of a block but for a few small sizes.
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
    /// Blocks of the journal; 0 without one.
    pub journal_blocks: u64,
}

impl Geometry {
    /// What mke2fs makes of a device of `size` bytes.
    ///
    /// # Errors
    /// When mke2fs would refuse too, or would set `meta_bg`.
    pub fn of_size(size: u64, options: &Options) -> Result<Self, GeometryError> {
        let bs = options.block_size;
        // mke2fs takes no part of a page of the device (4 KiB, whatever the host's).
        let asked = size / PAGE * PAGE / bs.bytes();
        let too_large = GeometryError::TooLarge {
            size,
            block_size: bs.bytes(),
        };
        if asked > u64::from(u32::MAX) {
            return Err(too_large);
        }
        let too_small = GeometryError::TooSmall { size, needed: None };
        let ratio = options
            .inode_ratio
            .unwrap_or_else(|| inode_ratio(asked * bs.bytes()));
        let wanted = options
            .inodes
            .unwrap_or(asked * bs.bytes() / ratio)
            .max(FIRST_INODE + 1);
        let reserved_blocks = asked * u64::from(options.reserved_percent) / 100;
        let mut g = Self {
            reserved_blocks,
            ..Self::blank(asked, options)?
        };
        let too_many = GeometryError::TooManyInodes {
            inodes: wanted,
            blocks: asked,
            needed: None,
        };
        loop {
            if g.blocks <= g.first_block() {
                return Err(too_small);
            }
            g.groups = (g.blocks - g.first_block()).div_ceil(g.blocks_per_group);
            g.gdt_blocks = g.groups.div_ceil(g.descriptors_per_block());
            let per_group = wanted.div_ceil(g.groups);
            if per_group > bs.bits() {
                // mke2fs makes groups smaller until each needs no more than one inode bitmap.
                if g.blocks_per_group < 256 {
                    return Err(too_many);
                }
                g.blocks_per_group -= 8;
                g.blocks = asked;
                continue;
            }
            g.inodes_per_group = round_inodes(per_group, g.groups, bs.inodes());
            g.reserved_gdt_blocks = g.reserved_for_growth(options.max_grow);
            g.lengthen_journal(options.journal);
            if g.reserved_gdt_blocks + g.gdt_blocks > g.blocks_per_group * 3 / 4 {
                return Err(GeometryError::TooManyDescriptors {
                    size,
                    block_size: bs.bytes(),
                });
            }
            if 3 + g.inode_table_blocks() + g.reserved_gdt_blocks + g.gdt_blocks
                > g.blocks_per_group
            {
                return Err(too_many);
            }
            let rest = (g.blocks - g.first_block()) % g.blocks_per_group;
            let overhead = 2 + g.inode_table_blocks() + g.super_blocks(g.groups - 1);
            if g.groups == 1 && rest != 0 && rest < overhead {
                return Err(too_small);
            }
            if rest != 0 && rest < overhead + LAST_GROUP_SPARE {
                g.blocks -= rest;
                // The share that the first guess came to, of the size that is left.
                g.reserved_blocks = reserved_blocks * g.blocks / asked;
                continue;
            }
            return Ok(g);
        }
    }

    /// What follows from the size alone.
    pub(super) fn blank(blocks: u64, options: &Options) -> Result<Self, GeometryError> {
        let bs = options.block_size;
        let journal_blocks = match options.journal {
            Journal::BySize => journal_blocks(blocks),
            Journal::Bytes(bytes) => bytes / bs.bytes(),
            Journal::None => 0,
        };
        let (least, most) = JOURNAL_BLOCKS;
        if matches!(options.journal, Journal::Bytes(_)) && !(least..=most).contains(&journal_blocks)
        {
            return Err(GeometryError::JournalSize {
                blocks: journal_blocks,
                block_size: bs.bytes(),
                least,
                most,
            });
        }
        let features = match journal_blocks {
            0 => options.features.without_journal(),
            _ => options.features,
        };
        Ok(Self {
            block_size: bs,
            features,
            blocks,
            blocks_per_group: bs.bits(),
            groups: 0,
            inodes_per_group: 0,
            gdt_blocks: 0,
            reserved_gdt_blocks: 0,
            reserved_blocks: blocks * u64::from(options.reserved_percent) / 100,
            journal_blocks,
        })
    }

    /// Makes a journal whose length nobody chose as long as growing takes.
    ///
    /// The kernel adds groups in one transaction that may touch every reserved descriptor block
    /// (`ext4_flex_group_add`: six more for itself), and a transaction may fill a quarter of the journal, in
    /// newer kernels less its own descriptors. In a shorter one online growth ends with ENOSPC; mke2fs makes
    /// such filesystems.
    pub(super) fn lengthen_journal(&mut self, asked: Journal) {
        if asked == Journal::BySize && self.journal_blocks > 0 {
            let least = 4 * (self.reserved_gdt_blocks + GROWTH_CREDITS);
            self.journal_blocks = self.journal_blocks.max(least);
        }
    }

    /// Reserved descriptor blocks, as `calc_reserved_gdt_blocks`: room to grow 1024-fold, or to
    /// `max_grow` bytes.
    fn reserved_for_growth(&self, max_grow: Option<u64>) -> u64 {
        let limit = u64::from(u32::MAX);
        let blocks = match max_grow {
            // `-E resize` counts from block 0.
            Some(bytes) => (bytes / self.block_size.bytes()).clamp(self.blocks, limit),
            None => (self.blocks * 1024).min(limit) - self.first_block(),
        };
        let gdt = blocks
            .div_ceil(self.blocks_per_group)
            .div_ceil(self.descriptors_per_block());
        gdt.saturating_sub(self.gdt_blocks)
            .min(self.block_size.pointers())
    }

    /// Bytes to which it grows by its descriptors, used and reserved. Past them the kernel turns it into a
    /// filesystem with `meta_bg` and goes on, online too (`ext4_convert_meta_bg`).
    #[must_use]
    pub fn reach(&self) -> u64 {
        let descriptors =
            (self.gdt_blocks + self.reserved_gdt_blocks) * self.descriptors_per_block();
        descriptors * self.blocks_per_group * self.block()
    }

    /// Group descriptors in a block.
    #[must_use]
    pub fn descriptors_per_block(&self) -> u64 {
        self.block_size.bytes() / self.features.descriptor()
    }

    /// Bytes in a block.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.block_size.bytes()
    }

    /// First block of group 0: 1 with blocks of 1 KiB, whose block 0 belongs to no group.
    #[must_use]
    pub fn first_block(&self) -> u64 {
        self.block_size.first_block()
    }

    /// Blocks of one group's inode table.
    #[must_use]
    pub fn inode_table_blocks(&self) -> u64 {
        self.inodes_per_group / self.block_size.inodes()
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
        self.first_block() + group * self.blocks_per_group
    }

    /// Blocks in `group`: fewer in the last.
    #[must_use]
    pub fn group_blocks(&self, group: u64) -> u64 {
        (self.blocks - self.group_start(group)).min(self.blocks_per_group)
    }

    /// Groups that begin with a backup, in order.
    pub fn backups(&self) -> impl Iterator<Item = u64> {
        super_groups(self.groups).into_iter().skip(1)
    }

    /// Blocks that the filesystem keeps for itself, which `df` leaves out of its total:
    /// `s_overhead_clusters`.
    #[must_use]
    pub fn overhead(&self) -> u64 {
        let supers = count(super_groups(self.groups).len());
        self.first_block()
            + supers * self.super_blocks(0)
            + self.groups * (2 + self.inode_table_blocks())
            + self.journal_blocks
    }

    /// Blocks of the orphan file (`ext2fs_default_orphan_file_blocks`); 0 without one.
    #[must_use]
    pub fn orphan_blocks(&self) -> u64 {
        if !self.features.orphan_file() {
            return 0;
        }
        match self.blocks {
            n if n < 128 * KIB => 32,
            // Blocks by bytes, as it stands in e2fsprogs and the kernel's documentation.
            n if n < ORPHAN_FILE => n / self.block(),
            _ => ORPHAN_FILE / self.block(),
        }
    }

    /// Blocks that the kernel holds back beside the reserved ones, for delayed allocation
    /// (`ext4_calculate_resv_clusters`): 2 %, at most 4096.
    #[must_use]
    pub fn kernel_reserve(&self) -> u64 {
        (self.blocks / 50).min(4096)
    }
}

/// Groups below `groups` that have a superblock, in order.
pub(super) fn super_groups(groups: u64) -> Vec<u64> {
    let powers = |base: u64| std::iter::successors(Some(base), move |n| n.checked_mul(base));
    let mut list: Vec<u64> = [0, 1].into_iter().filter(|&n| n < groups).collect();
    for base in [3, 5, 7] {
        list.extend(powers(base).take_while(|&n| n < groups));
    }
    list.sort_unstable();
    list
}

/// Inodes of a group as mke2fs rounds them: whole table blocks ("waste not, want not"), then down to a
/// multiple of 8, which with blocks of 1 KiB may be fewer than were asked for.
fn round_inodes(per_group: u64, groups: u64, per_block: u64) -> u64 {
    let mut ask = per_group.max(1);
    loop {
        let n = ask.next_multiple_of(per_block).max(8) & !7;
        if n * groups > u64::from(u32::MAX) {
            ask -= 1;
        } else if n * groups < FIRST_INODE + 1 {
            ask += 8;
        } else {
            return n;
        }
    }
}

fn is_power(mut n: u64, base: u64) -> bool {
    while n > 1 && n.is_multiple_of(base) {
        n /= base;
    }
    n == 1
}

/// Bytes per inode by size: the types `floppy`, `small`, default, `big` and `huge` of mke2fs.conf.
pub(super) fn inode_ratio(bytes: u64) -> u64 {
    match bytes {
        n if n < 3 * MIB => 8 * KIB,
        n if n < 512 * MIB => 4 * KIB,
        n if n < 4 * TIB => 16 * KIB,
        n if n < 16 * TIB => 32 * KIB,
        _ => 64 * KIB,
    }
}

/// Blocks of the journal by blocks of the filesystem: `ext2fs_default_journal_size`.
pub(super) fn journal_blocks(blocks: u64) -> u64 {
    const STEPS: [(u64, u64); 8] = [
        (2048, 0),
        (32 * KIB, 1024),
        (256 * KIB, 4096),
        (512 * KIB, 8192),
        (4096 * KIB, 16_384),
        (8192 * KIB, 32_768),
        (16_384 * KIB, 65_536),
        (32_768 * KIB, 131_072),
    ];
    STEPS
        .iter()
        .find(|(below, _)| blocks < *below)
        .map_or(262_144, |&(_, journal)| journal)
}

/// A group number as it stands on disk.
#[must_use]
pub fn group_nr(group: u64) -> u32 {
    count32(crate::units::index(group))
}
