//! The superblock: what must hold before anything else can be read, then the rest.

use zerocopy::FromBytes;

use super::report::{Report, Step, Stop};
use super::{CheckError, Checker};
use crate::ext4::checksum;
use crate::ext4::dirhash::Chars;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::{SUPERBLOCK_OFFSET, Superblock};
use crate::read_at::ReadAt;
use crate::units::{count, index32, lo32};

/// Compat bits that change nothing this checker reads, or that it reads.
const COMPAT_KNOWN: u32 = disk::COMPAT_DIR_PREALLOC
    | disk::COMPAT_IMAGIC_INODES
    | disk::COMPAT_HAS_JOURNAL
    | disk::COMPAT_EXT_ATTR
    | disk::COMPAT_RESIZE_INODE
    | disk::COMPAT_DIR_INDEX
    | disk::COMPAT_SPARSE_SUPER2
    | disk::COMPAT_FAST_COMMIT
    | disk::COMPAT_STABLE_INODES
    | disk::COMPAT_ORPHAN_FILE;
/// Incompat bits this checker reads.
const INCOMPAT_KNOWN: u32 = disk::INCOMPAT_FILETYPE
    | disk::INCOMPAT_RECOVER
    | disk::INCOMPAT_META_BG
    | disk::INCOMPAT_EXTENTS
    | disk::INCOMPAT_64BIT
    | disk::INCOMPAT_FLEX_BG
    | disk::INCOMPAT_CSUM_SEED
    | disk::INCOMPAT_LARGEDIR;
/// `ro_compat` bits this checker reads.
const RO_COMPAT_KNOWN: u32 = disk::RO_COMPAT_SPARSE_SUPER
    | disk::RO_COMPAT_LARGE_FILE
    | disk::RO_COMPAT_HUGE_FILE
    | disk::RO_COMPAT_GDT_CSUM
    | disk::RO_COMPAT_DIR_NLINK
    | disk::RO_COMPAT_EXTRA_ISIZE
    | disk::RO_COMPAT_METADATA_CSUM
    | disk::RO_COMPAT_READONLY
    | disk::RO_COMPAT_ORPHAN_PRESENT;
/// Names of bits outside the known ones, as mke2fs and dumpe2fs have them.
const COMPAT_NAMES: &[(u32, &str)] = &[(0x80, "snapshot_bitmap"), (0x40, "lazy_bg")];
const INCOMPAT_NAMES: &[(u32, &str)] = &[
    (disk::INCOMPAT_COMPRESSION, "compression"),
    (disk::INCOMPAT_JOURNAL_DEV, "journal_dev"),
    (disk::INCOMPAT_MMP, "mmp"),
    (disk::INCOMPAT_EA_INODE, "ea_inode"),
    (disk::INCOMPAT_DIRDATA, "dirdata"),
    (disk::INCOMPAT_INLINE_DATA, "inline_data"),
    (disk::INCOMPAT_ENCRYPT, "encrypt"),
    (disk::INCOMPAT_CASEFOLD, "casefold"),
];
const RO_COMPAT_NAMES: &[(u32, &str)] = &[
    (disk::RO_COMPAT_BTREE_DIR, "btree_dir"),
    (0x80, "snapshot"),
    (disk::RO_COMPAT_QUOTA, "quota"),
    (disk::RO_COMPAT_BIGALLOC, "bigalloc"),
    (0x800, "replica"),
    (disk::RO_COMPAT_PROJECT, "project"),
    (0x4000, "shared_blocks"),
    (disk::RO_COMPAT_VERITY, "verity"),
];

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
    /// Blocks of all descriptors.
    pub(super) gdt_blocks: u64,
    /// Of them those that lie after a superblock: all without `meta_bg`.
    pub(super) gdt_blocks_after_super: u64,
    /// Blocks reserved after each copy.
    pub(super) reserved_gdt_blocks: u64,
    /// Blocks of a group's inode table.
    pub(super) itable_blocks: u64,
    /// `metadata_csum` is set.
    pub(super) checksums: bool,
    /// `gdt_csum` is set, and not `metadata_csum`.
    pub(super) gdt_csum: bool,
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
        match self.backups {
            _ if group == 0 => true,
            Backups::Every => true,
            Backups::Sparse => group == 1 || [3, 5, 7].iter().any(|p| is_power(group, *p)),
            Backups::Two(groups) => groups.contains(&group),
        }
    }

    /// Whether a group's flags and `bg_itable_unused` may be believed.
    pub(super) fn group_checksums(&self) -> bool {
        self.checksums || self.gdt_csum
    }

    /// Descriptors in a block.
    fn descs_per_block(&self) -> u64 {
        self.block_size / count(self.desc_size)
    }

    /// Where block `n` of the descriptors lies. Under `meta_bg` (Linux `fs/ext4/super.c`,
    /// `descriptor_loc`) each block from `s_first_meta_bg` on lies in the first of the groups it
    /// describes.
    pub(super) fn gdt_block(&self, n: u64) -> u64 {
        if n < self.gdt_blocks_after_super {
            return self.first_data_block + 1 + n;
        }
        self.meta_gdt_block(lo32(n * self.descs_per_block()))
    }

    fn meta_gdt_block(&self, group: u32) -> u64 {
        self.group_start(group) + u64::from(self.has_super(group))
    }

    /// Groups with block `n` of the descriptors, the first left out, and where it lies there.
    pub(super) fn gdt_copies(&self, n: u64) -> Vec<(u32, u64)> {
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
    pub(super) fn gdt_backup_groups(&self) -> impl Iterator<Item = u32> {
        self.backup_groups().filter(|g| self.has_gdt(*g))
    }

    /// Whether descriptors follow the group's superblock, if it has one. Groups that `meta_bg`
    /// describes have none there (e2fsprogs `ext2fs_super_and_bgd_loc2`).
    pub(super) fn has_gdt(&self, group: u32) -> bool {
        let block = u64::from(group) / self.descs_per_block();
        self.gdt_blocks_after_super == self.gdt_blocks || block < self.gdt_blocks_after_super
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
    // What a damaged superblock asks for is no feature of the filesystem.
    let damaged = sb.s_feature_ro_compat.get() & disk::RO_COMPAT_METADATA_CSUM != 0
        && checksum::superblock(&zerocopy::transmute!(*sb)) != sb.s_checksum.get();
    let why = match (unreadable(sb), geometry_of(sb, len)) {
        (Some(e), _) if !damaged => return Err(Stop::Error(e)),
        (Some(e), _) => e.to_string(),
        (None, Ok(geo)) => return Ok(Some(geo)),
        (None, Err(why)) => why,
    };
    let damage = if damaged {
        "s_checksum is wrong and "
    } else {
        ""
    };
    let why = format!("{damage}{why}; nothing else was checked");
    report.add("superblock", SUPERBLOCK_OFFSET, why)?;
    Ok(None)
}

/// What this checker cannot read, although it may be sound.
fn unreadable(sb: &Superblock) -> Option<CheckError> {
    let words = [
        (
            "s_feature_compat",
            sb.s_feature_compat,
            COMPAT_KNOWN,
            COMPAT_NAMES,
        ),
        (
            "s_feature_incompat",
            sb.s_feature_incompat,
            INCOMPAT_KNOWN,
            INCOMPAT_NAMES,
        ),
        (
            "s_feature_ro_compat",
            sb.s_feature_ro_compat,
            RO_COMPAT_KNOWN,
            RO_COMPAT_NAMES,
        ),
    ];
    let mut names = Vec::new();
    for (field, word, known, named) in words {
        let mut unknown = word.get() & !known;
        for (bit, name) in named.iter().filter(|(bit, _)| word.get() & bit != 0) {
            names.push((*name).to_owned());
            unknown &= !bit;
        }
        if unknown != 0 {
            names.push(format!("0x{unknown:x} of {field}"));
        }
    }
    if sb.s_rev_level.get() == 0 {
        names.push("revision 0".into());
    }
    if sb.s_feature_compat.get() & disk::COMPAT_HAS_JOURNAL != 0 && sb.s_journal_inum.get() == 0 {
        names.push("an external journal".into());
    }
    if !names.is_empty() {
        return Some(CheckError::Unsupported {
            names: names.join(", "),
        });
    }
    let recover = sb.s_feature_incompat.get() & disk::INCOMPAT_RECOVER != 0;
    recover.then_some(CheckError::NeedsRecovery)
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
    if !inode_size.is_power_of_two() || !(128..=block_size).contains(&inode_size) {
        return Err(format!(
            "s_inode_size {inode_size} is no power of two from 128 to the block size"
        ));
    }
    if sb.s_rev_level.get() != disk::EXT4_DYNAMIC_REV || sb.s_first_ino.get() > inodes {
        return Err("s_rev_level or s_first_ino is wrong".into());
    }
    let incompat = sb.s_feature_incompat.get();
    let ro_compat = sb.s_feature_ro_compat.get();
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
    let has_resize_inode = sb.s_feature_compat.get() & disk::COMPAT_RESIZE_INODE != 0;
    if has_resize_inode && sb.s_feature_incompat.get() & disk::INCOMPAT_META_BG != 0 {
        find(
            "s_feature_*: the kernel grows no filesystem with both resize_inode and meta_bg".into(),
        )?;
    }
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
    if !has_resize_inode && sb.s_reserved_gdt_blocks.get() != 0 {
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
