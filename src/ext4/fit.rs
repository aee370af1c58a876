//! The smallest filesystem for a given content, by arithmetic.
//!
//! All that a filesystem of `b` blocks must hold grows with `b`, as long as the number of its groups stays
//! the same; a group more can make inode tables smaller, which share their inodes among the groups. So
//! for each number of groups, from the least up, the sizes are raised to the least that satisfies itself,
//! and the first found is the smallest of all.
//!
//! Groups have as many blocks as their bitmap has bits, even where a tree has so many inodes that groups
//! are there for their sake alone (four files and more for each of its blocks). mke2fs would make groups
//! smaller, which does not suit what shall fit now and grow later:
//!
//! - Inodes per group are for life. 400 MiB made by `mke2fs -N 1000000` and grown to 100 GiB by resize2fs
//!   have 255 million inodes, and 39 GiB free: 61 % are inode tables. In such large groups they are at most
//!   6 %, or a quarter with blocks of 1 KiB. What smaller groups save are holes, in an image as in a snapshot.
//! - Reserved descriptors reach as far as their groups are large: a tenth of `max_grow` in groups of a tenth.
//! - Data is placed, around the backups at the starts of groups, before the number of files is known.

use super::geometry::{GROWTH_CREDITS, Geometry, LAST_GROUP_SPARE};
use super::geometry_error::GeometryError;
use super::options::{Journal, Options};
use crate::units::KIB;

/// Bytes for each inode, unless there are more files.
const INODE_RATIO: u64 = 16 * KIB;

/// What `df` shall show as available, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Available {
    /// So many.
    Bytes(u64),
    /// A share of the filesystem.
    Percent {
        /// 0 to 90.
        percent: u8,
        /// And no fewer than this.
        at_least: u64,
    },
}

/// Which of the sizes that would do a fitted filesystem has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FitSize {
    /// The smallest.
    #[default]
    Least,
    /// The smallest that ends, from `offset` bytes on, at a multiple of `multiple` bytes; what a last group
    /// too small for its own tables would take is left over.
    Round {
        /// Bytes.
        multiple: u64,
        /// Bytes before the filesystem.
        offset: u64,
    },
    /// So many blocks and no other.
    Exactly(u64),
}

/// A filesystem made to fit its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Space for the running system.
    pub available: Available,
    /// Its size.
    pub size: FitSize,
}

/// What a fitted filesystem must hold.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Blocks in use beside superblocks, descriptors, bitmaps, inode tables and the journal.
    pub content: u64,
    /// Inodes, at least; one per 16 KiB are made in any case.
    pub inodes: u64,
    /// Size, and space for the running system.
    pub fit: Fit,
    /// From [`descriptor_blocks`].
    pub descriptor_blocks: u64,
    /// How it shall be made.
    pub options: Options,
}

/// What placing in a shape showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// One past the last block handed out: what replaced files gave back, and gaps before superblocks,
    /// are no use to what comes behind.
    pub end: u64,
    /// Blocks beside the content.
    pub extra: u64,
}

/// The descriptors of a fitted filesystem, decided before its size is known: as many blocks as `max_grow`
/// bytes need, used and reserved together, and no more than a journal of chosen length can take in a
/// quarter of it: growing past them goes without (`meta_bg`), and needs less of a journal.
#[must_use]
pub fn descriptor_blocks(max_grow: u64, options: &Options) -> u64 {
    let block_size = options.block_size;
    let groups = block_size.blocks(max_grow).div_ceil(block_size.bits());
    let per_block = block_size.bytes() / options.features.descriptor();
    let most = match options.journal {
        Journal::Bytes(bytes) => (block_size.blocks(bytes) / 4).saturating_sub(GROWTH_CREDITS),
        Journal::BySize | Journal::None => block_size.pointers(),
    };
    // One block is always in use; no more than the resize inode can list are reserved.
    groups
        .div_ceil(per_block)
        .clamp(1, block_size.pointers().min(most) + 1)
}

impl Geometry {
    /// The smallest filesystem in which `need.content` blocks are used beside its own tables and
    /// `need.fit.available` is left for `df` to show. `place` says where placing all else in a shape ends.
    ///
    /// # Errors
    /// When its descriptors do not fit `descriptor_blocks`, it has more blocks than 32 bits count, or
    /// [`FitSize::Exactly`] is not enough.
    pub fn fitted<E: From<GeometryError>>(
        need: &Need,
        mut place: impl FnMut(&Self) -> Result<Reached, E>,
    ) -> Result<Self, E> {
        let bs = need.options.block_size;
        if let FitSize::Exactly(blocks) = need.fit.size {
            let g = Self::of_shape(need, blocks)?;
            let fits = match &g {
                Some(g) => need.satisfied_by(g, &place(g)?),
                None => false,
            };
            let size = blocks * bs.bytes();
            return Ok(g
                .filter(|_| fits)
                .ok_or(GeometryError::NotEnough { size })?);
        }
        let bits = bs.bits();
        let least = need.content.max(need.least_available());
        let mut groups = least.div_ceil(bits).max(need.inodes.div_ceil(bits)).max(1);
        let least = loop {
            if let Some(g) = Self::fitted_in(need, groups, &mut place)? {
                break g;
            }
            groups += 1;
        };
        let FitSize::Round { multiple, offset } = need.fit.size else {
            return Ok(least);
        };
        let mut disk = offset + least.blocks * bs.bytes();
        loop {
            disk = disk.next_multiple_of(multiple.max(bs.bytes()));
            let blocks = (disk - offset) / bs.bytes();
            let (blocks, inside) = Self::at(need, blocks)?.whole_groups();
            if let Some(g) = Self::of_shape(need, blocks)?.filter(|_| inside)
                && need.satisfied_by(&g, &place(&g)?)
            {
                return Ok(g);
            }
            disk += 1;
        }
    }

    /// The smallest in `groups` groups, if that many are enough.
    fn fitted_in<E: From<GeometryError>>(
        need: &Need,
        groups: u64,
        place: &mut impl FnMut(&Self) -> Result<Reached, E>,
    ) -> Result<Option<Self>, E> {
        let bs = need.options.block_size;
        let last = bs.first_block() + groups * bs.bits();
        let mut blocks = last - bs.bits() + 1;
        let mut reached = Reached::default();
        loop {
            let g = Self::at(need, blocks)?;
            if g.inodes() < need.inodes {
                return Ok(None);
            }
            let wanted = g.legal(need.blocks_for(&g, &reached).max(g.blocks));
            if wanted > last {
                return Ok(None);
            }
            if wanted > blocks {
                blocks = wanted;
                continue;
            }
            let now = place(&g)?;
            if now.end <= blocks && now.extra <= reached.extra {
                return Ok(Some(g));
            }
            reached = Reached {
                end: now.end.max(reached.end),
                extra: now.extra.max(reached.extra),
            };
        }
    }

    /// The shape of `blocks` blocks for `need`, if there is one: a last group that could not stand on its
    /// own makes none, and neither do more inodes than the groups can hold.
    ///
    /// # Errors
    /// As [`Geometry::fitted`].
    pub fn of_shape(need: &Need, blocks: u64) -> Result<Option<Self>, GeometryError> {
        if blocks <= need.options.block_size.first_block() {
            return Ok(None);
        }
        let g = Self::at(need, blocks)?;
        Ok(Some(g).filter(|g| g.legal(blocks) == blocks && g.inodes() >= need.inodes))
    }

    fn at(need: &Need, blocks: u64) -> Result<Self, GeometryError> {
        let bs = need.options.block_size;
        let size = blocks.saturating_mul(bs.bytes());
        if blocks > u64::from(u32::MAX) {
            return Err(GeometryError::TooLarge {
                size,
                block_size: bs.bytes(),
            });
        }
        let g = Self::blank(blocks, &need.options)?;
        let groups = (blocks - bs.first_block()).div_ceil(bs.bits());
        let gdt_blocks = groups.div_ceil(g.descriptors_per_block());
        if gdt_blocks > need.descriptor_blocks {
            let reach = need.descriptor_blocks * g.descriptors_per_block() * bs.bits() * bs.bytes();
            return Err(GeometryError::PastMaxGrow {
                needed: size,
                reach,
            });
        }
        let ratio = need.options.inode_ratio.unwrap_or(INODE_RATIO);
        let inodes = need.inodes.max(size / ratio);
        // Whole table blocks, which with blocks of 1 KiB are not always multiples of 8.
        let per_group = inodes.div_ceil(groups).next_multiple_of(bs.inodes().max(8));
        let mut g = Self {
            groups,
            inodes_per_group: per_group.min(bs.bits()),
            gdt_blocks,
            reserved_gdt_blocks: (need.descriptor_blocks - gdt_blocks).min(bs.pointers()),
            ..g
        };
        g.lengthen_journal(need.options.journal);
        Ok(g)
    }

    /// The least size from `blocks` on whose last group could stand on its own: the kernel, growing a
    /// filesystem, drops a last group that cannot hold its tables and some data.
    fn legal(&self, blocks: u64) -> u64 {
        let inside = blocks - self.first_block();
        let rest = inside % self.blocks_per_group;
        let group = inside / self.blocks_per_group;
        let overhead = 2 + self.inode_table_blocks() + self.super_blocks(group) + LAST_GROUP_SPARE;
        if rest == 0 || rest >= overhead {
            blocks
        } else {
            blocks - rest + overhead
        }
    }

    /// The blocks without a last group that could not stand on its own, and whether any are left.
    fn whole_groups(&self) -> (u64, bool) {
        if self.legal(self.blocks) == self.blocks {
            return (self.blocks, true);
        }
        let blocks = self.group_start(self.groups - 1);
        (blocks, blocks > self.first_block())
    }
}

impl Need {
    /// Bytes as blocks.
    fn least_available(&self) -> u64 {
        let (Available::Bytes(n) | Available::Percent { at_least: n, .. }) = self.fit.available;
        self.options.block_size.blocks(n)
    }

    /// Blocks that a filesystem of `g`'s shape must have.
    fn blocks_for(&self, g: &Geometry, reached: &Reached) -> u64 {
        let available = match self.fit.available {
            Available::Bytes(_) => self.least_available(),
            Available::Percent { percent, .. } => (g.blocks * u64::from(percent))
                .div_ceil(100)
                .max(self.least_available()),
        };
        let used = g.overhead() + g.orphan_blocks() + self.content + reached.extra;
        (used + g.reserved_blocks + g.kernel_reserve() + available).max(reached.end)
    }

    /// Whether `g` is enough, where placing ended at `reached`.
    #[must_use]
    pub fn satisfied_by(&self, g: &Geometry, reached: &Reached) -> bool {
        g.inodes() >= self.inodes && self.blocks_for(g, reached) <= g.blocks
    }
}
