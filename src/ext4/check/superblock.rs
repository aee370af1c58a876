//! The superblock: what must hold before anything else can be read, then the rest.

use zerocopy::FromBytes;

use super::geometry::Geometry;
use super::report::{Report, Step, Stop};
use super::{CheckError, Checker, features, geometry};
use crate::ext4::checksum;
use crate::ext4::dirhash::Chars;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::{SUPERBLOCK_OFFSET, Superblock};
use crate::read_at::ReadAt;
use crate::units::count;

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
pub(in crate::ext4) fn wide(hi: u32, lo: u32) -> u64 {
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
    let why = match (features::unreadable(sb), geometry::of(sb, len)) {
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
