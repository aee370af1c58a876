//! The superblock: what must hold before anything else can be read, then the rest.

use zerocopy::FromBytes;

use super::report::{Report, Step};
use super::{CheckError, Checker};
use crate::ext4::checksum;
use crate::ext4::dirhash::Chars;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::{SUPERBLOCK_OFFSET, Superblock};
use crate::read_at::ReadAt;
use crate::units::{count, index32, lo32};

/// Compat bits that change nothing this checker reads.
const COMPAT_KNOWN: u32 = disk::COMPAT_DIR_PREALLOC
    | disk::COMPAT_IMAGIC_INODES
    | disk::COMPAT_HAS_JOURNAL
    | disk::COMPAT_EXT_ATTR
    | disk::COMPAT_RESIZE_INODE
    | disk::COMPAT_DIR_INDEX
    | disk::COMPAT_FAST_COMMIT
    | disk::COMPAT_STABLE_INODES
    | disk::COMPAT_ORPHAN_FILE;
/// Incompat bits this checker reads.
const INCOMPAT_KNOWN: u32 = disk::INCOMPAT_FILETYPE
    | disk::INCOMPAT_RECOVER
    | disk::INCOMPAT_EXTENTS
    | disk::INCOMPAT_64BIT
    | disk::INCOMPAT_FLEX_BG
    | disk::INCOMPAT_CSUM_SEED
    | disk::INCOMPAT_LARGEDIR;
/// Incompat bits without which nothing here can be read.
const INCOMPAT_NEEDED: u32 = disk::INCOMPAT_FILETYPE | disk::INCOMPAT_EXTENTS;
/// `ro_compat` bits this checker reads.
const RO_COMPAT_KNOWN: u32 = disk::RO_COMPAT_SPARSE_SUPER
    | disk::RO_COMPAT_LARGE_FILE
    | disk::RO_COMPAT_HUGE_FILE
    | disk::RO_COMPAT_DIR_NLINK
    | disk::RO_COMPAT_EXTRA_ISIZE
    | disk::RO_COMPAT_METADATA_CSUM
    | disk::RO_COMPAT_READONLY
    | disk::RO_COMPAT_ORPHAN_PRESENT;

/// The superblock's numbers once they are known to make sense together.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    /// Bytes of a block.
    pub(super) block_size: u64,
    /// Blocks of the filesystem.
    pub(super) blocks: u64,
    /// First block of group 0.
    pub(super) first_data_block: u64,
    /// Blocks in a full group.
    pub(super) blocks_per_group: u64,
    /// Inodes in a group.
    pub(super) inodes_per_group: u32,
    /// Inodes of the filesystem.
    pub(super) inodes: u32,
    /// Bytes of an inode.
    pub(super) inode_size: usize,
    /// Bytes of a group descriptor.
    pub(super) desc_size: usize,
    /// Block groups.
    pub(super) groups: u32,
    /// Blocks of one copy of the descriptors.
    pub(super) gdt_blocks: u64,
    /// Blocks reserved after each copy.
    pub(super) reserved_gdt_blocks: u64,
    /// Blocks of a group's inode table.
    pub(super) itable_blocks: u64,
    /// `metadata_csum` is set.
    pub(super) checksums: bool,
    sparse_super: bool,
}

impl Geometry {
    /// First block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        self.first_data_block + u64::from(group) * self.blocks_per_group
    }

    /// Blocks of a group; the last may be short.
    pub(super) fn group_len(&self, group: u32) -> u64 {
        self.blocks_per_group
            .min(self.blocks.saturating_sub(self.group_start(group)))
    }

    /// Byte of a block.
    pub(super) fn byte(&self, block: u64) -> u64 {
        block.saturating_mul(self.block_size)
    }

    /// Whether `len` blocks from `start` lie in the groups of the filesystem.
    pub(super) fn contains(&self, start: u64, len: u64) -> bool {
        start >= self.first_data_block && start.checked_add(len).is_some_and(|e| e <= self.blocks)
    }

    /// Whether the group has a superblock and descriptors.
    pub(super) fn has_super(&self, group: u32) -> bool {
        !self.sparse_super || group <= 1 || [3, 5, 7].iter().any(|p| is_power(group, *p))
    }

    /// The groups with a copy, ascending, group 0 left out.
    pub(super) fn backup_groups(&self) -> impl Iterator<Item = u32> {
        (1..self.groups).filter(|g| self.has_super(*g))
    }

    /// Group and place in it of an inode, which must not be 0.
    pub(super) fn inode_place(&self, ino: u32) -> (u32, u32) {
        (
            (ino - 1) / self.inodes_per_group,
            (ino - 1) % self.inodes_per_group,
        )
    }

    /// Checksum seed of the filesystem.
    pub(super) fn seed(&self, sb: &Superblock) -> u32 {
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

/// How the filesystem's directory hashes take characters.
pub(super) fn chars(sb: &Superblock) -> Chars {
    let unsigned = sb.s_flags.get() & disk::EXT2_FLAGS_UNSIGNED_HASH != 0;
    if unsigned {
        Chars::Unsigned
    } else {
        Chars::Signed
    }
}

/// A 64-bit number from its halves.
pub(super) fn wide(hi: u32, lo: u32) -> u64 {
    u64::from(hi) << 32 | u64::from(lo)
}

/// Reads the primary superblock.
pub(super) fn read(fs: &dyn ReadAt) -> Result<Superblock, CheckError> {
    if fs.len() < SUPERBLOCK_OFFSET * 2 {
        return Err(CheckError::TooShort { len: fs.len() });
    }
    let mut bytes = [0; 1024];
    super::read(fs, SUPERBLOCK_OFFSET, &mut bytes)?;
    let sb = Superblock::read_from_bytes(&bytes).expect("both have 1024 bytes");
    if sb.s_magic.get() != disk::EXT4_SUPER_MAGIC {
        return Err(CheckError::NotExt4 {
            found: sb.s_magic.get(),
        });
    }
    Ok(sb)
}

/// The geometry, or a finding that says why nothing else can be read.
pub(super) fn geometry(sb: &Superblock, len: u64, report: &mut Report) -> Step<Option<Geometry>> {
    let stop = |report: &mut Report, why: String| {
        report.add(
            "superblock",
            SUPERBLOCK_OFFSET,
            format!("{why}; nothing else was checked"),
        )?;
        Ok(None)
    };
    if let Some(why) = unreadable_feature(sb) {
        return stop(report, why);
    }
    match geometry_of(sb, len) {
        Ok(geo) => Ok(Some(geo)),
        Err(why) => stop(report, why),
    }
}

fn unreadable_feature(sb: &Superblock) -> Option<String> {
    let incompat = sb.s_feature_incompat.get();
    let ro_compat = sb.s_feature_ro_compat.get();
    if incompat & !INCOMPAT_KNOWN != 0 {
        let bits = incompat & !INCOMPAT_KNOWN;
        return Some(format!(
            "s_feature_incompat has 0x{bits:x}, which this checker cannot read"
        ));
    }
    if incompat & INCOMPAT_NEEDED != INCOMPAT_NEEDED {
        return Some(format!(
            "s_feature_incompat 0x{incompat:x} lacks filetype or extents"
        ));
    }
    if ro_compat & !RO_COMPAT_KNOWN != 0 {
        let bits = ro_compat & !RO_COMPAT_KNOWN;
        return Some(format!(
            "s_feature_ro_compat has 0x{bits:x}, which this checker cannot read"
        ));
    }
    let compat = sb.s_feature_compat.get() & !COMPAT_KNOWN;
    (compat != 0)
        .then(|| format!("s_feature_compat has 0x{compat:x}, which this checker cannot read"))
}

fn geometry_of(sb: &Superblock, len: u64) -> Result<Geometry, String> {
    let log = sb.s_log_block_size.get();
    if log > 6 || sb.s_log_cluster_size.get() != log {
        let cluster = sb.s_log_cluster_size.get();
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
    if first_data_block != u64::from(log == 0) || blocks <= first_data_block {
        return Err(format!(
            "s_first_data_block {first_data_block} of {blocks} blocks is wrong"
        ));
    }
    let per_group = u64::from(sb.s_blocks_per_group.get());
    if per_group == 0
        || per_group % 8 != 0
        || per_group > block_size * 8
        || sb.s_clusters_per_group != sb.s_blocks_per_group
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
    let inode_size = u64::from(sb.s_inode_size.get());
    if !inode_size.is_power_of_two() || !(256..=block_size).contains(&inode_size) {
        return Err(format!(
            "s_inode_size {inode_size} is not supported (256 to the block size)"
        ));
    }
    if sb.s_rev_level.get() != disk::EXT4_DYNAMIC_REV || sb.s_first_ino.get() > inodes {
        return Err("s_rev_level or s_first_ino is wrong".into());
    }
    let wide_desc = sb.s_feature_incompat.get() & disk::INCOMPAT_64BIT != 0;
    let desc_size = if wide_desc { 64 } else { 32 };
    if wide_desc && sb.s_desc_size.get() != 64 {
        return Err(format!("s_desc_size {} is not 64", sb.s_desc_size.get()));
    }
    let gdt_blocks = (groups * desc_size).div_ceil(block_size);
    let reserved = u64::from(sb.s_reserved_gdt_blocks.get());
    let room = per_group.min(blocks - first_data_block);
    if reserved > block_size / 4 || 1 + gdt_blocks + reserved > room {
        return Err(format!(
            "s_reserved_gdt_blocks {reserved} do not fit a group"
        ));
    }
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
        reserved_gdt_blocks: reserved,
        itable_blocks: (ipg * inode_size).div_ceil(block_size),
        checksums: sb.s_feature_ro_compat.get() & disk::RO_COMPAT_METADATA_CSUM != 0,
        sparse_super: sb.s_feature_ro_compat.get() & disk::RO_COMPAT_SPARSE_SUPER != 0,
    })
}

/// What the rest can be read without.
pub(super) fn check(cx: &mut Checker) -> Step {
    let sb = cx.sb;
    let mut find = |why: String| cx.report.add("superblock", SUPERBLOCK_OFFSET, why);
    let mut bytes = [0; 1024];
    super::read(cx.fs, SUPERBLOCK_OFFSET, &mut bytes).map_err(super::Stop::Error)?;
    let crc = checksum::superblock(&bytes);
    if cx.geo.checksums && sb.s_checksum.get() != crc {
        let is = sb.s_checksum.get();
        find(format!(
            "s_checksum is 0x{is:08x}, the superblock has 0x{crc:08x}"
        ))?;
    }
    if sb.s_state.get() != disk::EXT4_VALID_FS {
        find(format!(
            "s_state is 0x{:x}: the filesystem is not clean",
            sb.s_state.get()
        ))?;
    }
    if sb.s_feature_incompat.get() & disk::INCOMPAT_RECOVER != 0 {
        find("s_feature_incompat says that the journal needs recovery".into())?;
    }
    if sb.s_last_orphan.get() != 0
        || sb.s_feature_ro_compat.get() & disk::RO_COMPAT_ORPHAN_PRESENT != 0
    {
        find(format!(
            "s_last_orphan is {}: there are orphan inodes",
            sb.s_last_orphan
        ))?;
    }
    if sb.s_error_count.get() != 0 {
        find(format!("s_error_count is {}", sb.s_error_count))?;
    }
    if sb.s_block_group_nr.get() != 0 {
        find(format!(
            "s_block_group_nr is {}, not 0",
            sb.s_block_group_nr
        ))?;
    }
    let first_ino = sb.s_first_ino.get();
    if first_ino != disk::EXT4_GOOD_OLD_FIRST_INO {
        find(format!("s_first_ino is {first_ino}, not 11"))?;
    }
    let reserved = wide(sb.s_r_blocks_count_hi.get(), sb.s_r_blocks_count_lo.get());
    if reserved > cx.geo.blocks / 2 {
        find(format!(
            "s_r_blocks_count {reserved} is more than half of the filesystem"
        ))?;
    }
    let room = count(cx.geo.inode_size) - 128;
    for (name, size) in [
        ("s_min_extra_isize", sb.s_min_extra_isize),
        ("s_want_extra_isize", sb.s_want_extra_isize),
    ] {
        if u64::from(size.get()) > room || size.get() % 4 != 0 {
            find(format!("{name} {size} does not fit an inode"))?;
        }
    }
    if cx.geo.checksums && sb.s_checksum_type != disk::EXT4_CRC32C_CHKSUM {
        find(format!(
            "s_checksum_type is {}, not 1 (crc32c)",
            sb.s_checksum_type
        ))?;
    }
    let hashes = disk::EXT2_FLAGS_SIGNED_HASH | disk::EXT2_FLAGS_UNSIGNED_HASH;
    if sb.s_flags.get() & hashes == hashes || sb.s_def_hash_version > 5 {
        find("s_flags or s_def_hash_version names no directory hash".into())?;
    }
    let has_resize_inode = sb.s_feature_compat.get() & disk::COMPAT_RESIZE_INODE != 0;
    if !has_resize_inode && cx.geo.reserved_gdt_blocks != 0 {
        find("s_reserved_gdt_blocks is set without a resize inode".into())?;
    }
    if cx.geo.itable_blocks * cx.geo.block_size
        != u64::from(cx.geo.inodes_per_group) * count(cx.geo.inode_size)
    {
        find("s_inodes_per_group does not fill the last block of an inode table".into())?;
    }
    let backed = sb.s_feature_incompat.get() & disk::INCOMPAT_FLEX_BG != 0;
    if backed && sb.s_log_groups_per_flex > 31 {
        find(format!(
            "s_log_groups_per_flex {} is over 31",
            sb.s_log_groups_per_flex
        ))?;
    }
    Ok(())
}
