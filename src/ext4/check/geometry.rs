//! The superblock's numbers, once they make sense together, and where they put things.

use super::superblock::wide;
use crate::ext4::checksum;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::{SUPERBLOCK_OFFSET, Superblock};
use crate::units::{count, index32, lo32};

/// Fewest blocks of a group that mke2fs allows: a damaged number must not make millions of groups.
const BLOCKS_PER_GROUP_MIN: u64 = 256;

/// The superblock's numbers once they are known to make sense together.
#[derive(Clone, Debug)]
pub(in crate::ext4) struct Geometry {
    /// Bytes of a block.
    pub(in crate::ext4) block_size: u64,
    /// Blocks of the filesystem.
    pub(in crate::ext4) blocks: u64,
    /// First block of group 0.
    pub(in crate::ext4) first_data_block: u64,
    /// Blocks in a full group.
    pub(in crate::ext4) blocks_per_group: u64,
    /// Inodes in a group.
    pub(in crate::ext4) inodes_per_group: u32,
    /// Inodes of the filesystem.
    pub(in crate::ext4) inodes: u32,
    /// Bytes of an inode.
    pub(in crate::ext4) inode_size: usize,
    /// Bytes of a group descriptor.
    pub(in crate::ext4) desc_size: usize,
    /// Block groups.
    pub(in crate::ext4) groups: u32,
    /// Blocks of all descriptors.
    pub(in crate::ext4) gdt_blocks: u64,
    /// Of them those that lie after a superblock: all without `meta_bg`.
    pub(in crate::ext4) gdt_blocks_after_super: u64,
    /// Blocks reserved after each copy.
    pub(in crate::ext4) reserved_gdt_blocks: u64,
    /// Blocks of a group's inode table.
    pub(in crate::ext4) itable_blocks: u64,
    /// `metadata_csum` is set.
    pub(in crate::ext4) checksums: bool,
    /// `gdt_csum` is set, and not `metadata_csum`.
    pub(in crate::ext4) gdt_csum: bool,
    backups: Backups,
}

/// Which groups have a copy of the superblock.
#[derive(Clone, Copy, Debug)]
enum Backups {
    /// All.
    Every,
    /// `sparse_super`: 1 and powers of 3, 5, 7.
    Sparse,
    /// `sparse_super2`: these two; 0 is none.
    Two([u32; 2]),
}

impl Geometry {
    /// First block of a group.
    pub(in crate::ext4) fn group_start(&self, group: u32) -> u64 {
        self.first_data_block + u64::from(group) * self.blocks_per_group
    }

    /// Blocks of a group; the last may be short.
    pub(in crate::ext4) fn group_len(&self, group: u32) -> u64 {
        self.blocks_per_group
            .min(self.blocks.saturating_sub(self.group_start(group)))
    }

    /// Byte of a block.
    pub(in crate::ext4) fn byte(&self, block: u64) -> u64 {
        block.saturating_mul(self.block_size)
    }

    /// Whether `len` blocks from `start` lie in the groups of the filesystem.
    pub(in crate::ext4) fn contains(&self, start: u64, len: u64) -> bool {
        start >= self.first_data_block && start.checked_add(len).is_some_and(|e| e <= self.blocks)
    }

    /// Whether the group has a superblock and descriptors.
    pub(in crate::ext4) fn has_super(&self, group: u32) -> bool {
        match self.backups {
            _ if group == 0 => true,
            Backups::Every => true,
            Backups::Sparse => group == 1 || [3, 5, 7].iter().any(|p| is_power(group, *p)),
            Backups::Two(groups) => groups.contains(&group),
        }
    }

    /// Whether a group's flags and `bg_itable_unused` may be believed.
    pub(in crate::ext4) fn group_checksums(&self) -> bool {
        self.checksums || self.gdt_csum
    }

    /// Descriptors in a block.
    pub(in crate::ext4) fn descs_per_block(&self) -> u64 {
        self.block_size / count(self.desc_size)
    }

    /// Where block `n` of the descriptors lies. Under `meta_bg` (Linux `fs/ext4/super.c`,
    /// `descriptor_loc`) each block from `s_first_meta_bg` on lies in the first of the groups it
    /// describes.
    pub(in crate::ext4) fn gdt_block(&self, n: u64) -> u64 {
        if n < self.gdt_blocks_after_super {
            return self.super_block(0) + 1 + n;
        }
        self.meta_gdt_block(lo32(n * self.descs_per_block()))
    }

    fn meta_gdt_block(&self, group: u32) -> u64 {
        self.super_block(group) + u64::from(self.has_super(group))
    }

    /// The block of the superblock or its copy, if the group has one: its first, but where blocks of 1 KiB in
    /// clusters begin with that of the loader (e2fsprogs `ext2fs_super_and_bgd_loc2`).
    pub(in crate::ext4) fn super_block(&self, group: u32) -> u64 {
        let loader =
            group == 0 && self.first_data_block == 0 && self.block_size == SUPERBLOCK_OFFSET;
        self.group_start(group) + u64::from(loader)
    }

    /// Groups with block `n` of the descriptors, the first left out, and where it lies there.
    pub(in crate::ext4) fn gdt_copies(&self, n: u64) -> Vec<(u32, u64)> {
        if n < self.gdt_blocks_after_super {
            let after_super = |g| (g, self.group_start(g) + 1 + n);
            return self.gdt_backup_groups().map(after_super).collect();
        }
        let (first, len) = (n * self.descs_per_block(), self.descs_per_block());
        // With one descriptor a block there are no three groups to choose from.
        let others = [first + 1, first + len - 1];
        let others = &others[..usize::from(len > 1) + usize::from(len > 2)];
        let there = others.iter().filter(|g| **g < u64::from(self.groups));
        let there = there.map(|g| lo32(*g));
        there.map(|g| (g, self.meta_gdt_block(g))).collect()
    }

    /// Groups whose superblock copy is followed by descriptors.
    pub(in crate::ext4) fn gdt_backup_groups(&self) -> impl Iterator<Item = u32> {
        self.backup_groups().filter(|g| self.has_gdt(*g))
    }

    /// Whether descriptors follow the group's superblock, if it has one. Groups that `meta_bg`
    /// describes have none there (e2fsprogs `ext2fs_super_and_bgd_loc2`).
    pub(in crate::ext4) fn has_gdt(&self, group: u32) -> bool {
        let block = u64::from(group) / self.descs_per_block();
        self.gdt_blocks_after_super == self.gdt_blocks || block < self.gdt_blocks_after_super
    }

    /// The groups with a copy of the superblock, ascending, group 0 left out. There may be many groups, and
    /// few copies.
    pub(in crate::ext4) fn backup_groups(&self) -> Box<dyn Iterator<Item = u32>> {
        let groups = self.groups;
        let mut few = match self.backups {
            Backups::Every => return Box::new(1..groups),
            Backups::Sparse => {
                let powers = |base: u32| {
                    std::iter::successors(Some(base), move |n| n.checked_mul(base))
                        .take_while(move |n| *n < groups)
                };
                let all = [3, 5, 7].into_iter().flat_map(powers);
                all.chain([1]).collect()
            }
            Backups::Two(two) => two.to_vec(),
        };
        few.retain(|g| (1..groups).contains(g));
        few.sort_unstable();
        few.dedup();
        Box::new(few.into_iter())
    }

    /// Group and place in it of an inode, which must not be 0.
    pub(in crate::ext4) fn inode_place(&self, ino: u32) -> (u32, u32) {
        (
            (ino - 1) / self.inodes_per_group,
            (ino - 1) % self.inodes_per_group,
        )
    }

    /// Checksum seed of the filesystem.
    pub(in crate::ext4) fn seed(&self, sb: &Superblock) -> u32 {
        if sb.s_feature_incompat.get() & disk::INCOMPAT_CSUM_SEED != 0 {
            return sb.s_checksum_seed.get();
        }
        checksum::fs_seed(&sb.s_uuid)
    }
}

fn is_power(n: u32, base: u32) -> bool {
    let mut power = base;
    while power < n {
        power = power.saturating_mul(base);
    }
    power == n
}

/// The geometry, or why there is none. The filesystem must fit into `len` bytes.
pub(in crate::ext4) fn of(sb: &Superblock, len: u64) -> Result<Geometry, String> {
    let incompat = sb.s_feature_incompat.get();
    let ro_compat = sb.s_feature_ro_compat.get();
    let log = sb.s_log_block_size.get();
    let cluster = sb.s_log_cluster_size.get();
    let bigalloc = ro_compat & disk::RO_COMPAT_BIGALLOC != 0;
    // 19: a cluster of 512 MiB, EXT2_MAX_CLUSTER_LOG_SIZE of e2fsprogs.
    if log > 6 || cluster < log || cluster > if bigalloc { 19 } else { log } {
        return Err(format!(
            "s_log_block_size {log} and s_log_cluster_size {cluster} make no sense"
        ));
    }
    let block_size = 1024u64 << log;
    let blocks = wide(sb.s_blocks_count_hi.get(), sb.s_blocks_count_lo.get());
    if blocks
        .checked_mul(block_size)
        .is_none_or(|bytes| bytes > len)
    {
        return Err(format!(
            "s_blocks_count {blocks} blocks of {block_size} bytes exceed {len} bytes"
        ));
    }
    let first_data_block = u64::from(sb.s_first_data_block.get());
    if first_data_block != u64::from(cluster == 0) || blocks <= first_data_block {
        return Err(format!(
            "s_first_data_block {first_data_block} of {blocks} blocks is wrong"
        ));
    }
    let per_group = u64::from(sb.s_blocks_per_group.get());
    let clusters = u64::from(sb.s_clusters_per_group.get());
    if per_group < BLOCKS_PER_GROUP_MIN
        || per_group % 8 != 0
        || clusters > block_size * 8
        || clusters << (cluster - log) != per_group
    {
        return Err(format!(
            "s_blocks_per_group {per_group} (or s_clusters_per_group) is wrong"
        ));
    }
    let groups = (blocks - first_data_block).div_ceil(per_group);
    let inodes_per_group = sb.s_inodes_per_group.get();
    let (ipg, inodes) = (u64::from(inodes_per_group), sb.s_inodes_count.get());
    if ipg == 0 || ipg % 8 != 0 || ipg > block_size * 8 || groups * ipg != u64::from(inodes) {
        return Err(format!(
            "s_inodes_count {inodes} is not {groups} groups of {ipg}"
        ));
    }
    // Revision 0 is ext2 of before 1995: the field did not exist.
    let old = sb.s_rev_level.get() == 0;
    let inode_size = u64::from(if old { 128 } else { sb.s_inode_size.get() });
    if !inode_size.is_power_of_two() || !(128..=block_size).contains(&inode_size) {
        return Err(format!(
            "s_inode_size {inode_size} is no power of two from 128 to the block size"
        ));
    }
    if sb.s_rev_level.get() > disk::EXT4_DYNAMIC_REV || !old && sb.s_first_ino.get() > inodes {
        return Err("s_rev_level or s_first_ino is wrong".into());
    }
    let wide_desc = incompat & disk::INCOMPAT_64BIT != 0;
    let desc_size = u64::from(if wide_desc { sb.s_desc_size.get() } else { 32 });
    if wide_desc && !(desc_size.is_power_of_two() && (64..=1024).contains(&desc_size)) {
        return Err(format!(
            "s_desc_size {desc_size} is no power of two from 64 to 1024"
        ));
    }
    let gdt_blocks = groups.div_ceil(block_size / desc_size);
    let meta = incompat & disk::INCOMPAT_META_BG != 0;
    let first_meta = u64::from(sb.s_first_meta_bg.get());
    if meta && first_meta > gdt_blocks {
        return Err(format!(
            "s_first_meta_bg {first_meta} exceeds the {gdt_blocks} blocks of descriptors"
        ));
    }
    let after_super = if meta { first_meta } else { gdt_blocks };
    // Growth turns to meta_bg when the reserved blocks are used up.
    let reserved = if meta {
        0
    } else {
        u64::from(sb.s_reserved_gdt_blocks.get())
    };
    let room = per_group.min(blocks - first_data_block);
    if reserved > block_size / 4 || 1 + after_super + reserved > room {
        return Err(format!(
            "s_reserved_gdt_blocks {reserved} do not fit a group"
        ));
    }
    let checksums = ro_compat & disk::RO_COMPAT_METADATA_CSUM != 0;
    let backups = if sb.s_feature_compat.get() & disk::COMPAT_SPARSE_SUPER2 != 0 {
        Backups::Two(sb.s_backup_bgs.map(zerocopy::little_endian::U32::get))
    } else if ro_compat & disk::RO_COMPAT_SPARSE_SUPER != 0 {
        Backups::Sparse
    } else {
        Backups::Every
    };
    Ok(Geometry {
        block_size,
        blocks,
        first_data_block,
        blocks_per_group: per_group,
        inodes_per_group,
        inodes,
        inode_size: index32(lo32(inode_size)),
        desc_size: index32(lo32(desc_size)),
        groups: lo32(groups),
        gdt_blocks,
        gdt_blocks_after_super: after_super,
        reserved_gdt_blocks: reserved,
        itable_blocks: (ipg * inode_size).div_ceil(block_size),
        checksums,
        gdt_csum: !checksums && ro_compat & disk::RO_COMPAT_GDT_CSUM != 0,
        backups,
    })
}
