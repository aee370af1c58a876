//! Backup superblocks and copies of the descriptors: what repair would start from.
//!
//! e2fsck reads none of them while the primary is sound; the kernel verifies the checksum of a
//! backup before it updates it (label, growth). Counts, state and times of a backup go stale by
//! design; what says where things lie and who the filesystem is must be equal.

use zerocopy::FromBytes;

use super::report::Step;
use super::{Checker, groups};
use crate::ext4::checksum;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::Superblock;
use crate::units::{index32, lo16};

/// Compares every backup with the primary.
pub(super) fn check(cx: &mut Checker) -> Step {
    let copies: Vec<u32> = cx.geo.backup_groups().collect();
    for group in copies {
        cx.cancel_point()?;
        let start = cx.geo.group_start(group);
        if cx.geo.contains(start, 1) {
            check_superblock(cx, group, start)?;
        }
    }
    for n in 0..cx.geo.gdt_blocks {
        cx.cancel_point()?;
        for (group, block) in cx.geo.gdt_copies(n) {
            if cx.geo.contains(block, 1) {
                check_descriptors(cx, n, group, block)?;
            }
        }
    }
    Ok(())
}

fn check_superblock(cx: &mut Checker, group: u32, block: u64) -> Step {
    let at = cx.geo.byte(block);
    let mut bytes = [0; 1024];
    cx.read(at, &mut bytes)?;
    let copy = Superblock::read_from_bytes(&bytes).expect("both have 1024 bytes");
    let place = format!("group {group} backup superblock");
    if let Some(field) = first_difference(&cx.sb, &copy) {
        cx.find(
            place.clone(),
            at,
            format!("{field} differs from the primary superblock"),
        )?;
    }
    if copy.s_block_group_nr.get() != lo16(group) {
        let why = format!("s_block_group_nr is {}, not {group}", copy.s_block_group_nr);
        cx.find(place.clone(), at, why)?;
    }
    let crc = checksum::superblock(&bytes);
    if cx.geo.checksums && copy.s_checksum.get() != crc {
        let is = copy.s_checksum.get();
        cx.find(
            place,
            at,
            format!("s_checksum is 0x{is:08x}, the copy has 0x{crc:08x}"),
        )?;
    }
    Ok(())
}

/// The first field that says where things lie and is not equal.
fn first_difference(a: &Superblock, b: &Superblock) -> Option<&'static str> {
    macro_rules! compare {
        ($($field:ident)*) => {
            $(if a.$field != b.$field { return Some(stringify!($field)); })*
        };
    }
    compare!(s_magic s_inodes_count s_blocks_count_lo s_blocks_count_hi s_first_data_block
        s_log_block_size s_log_cluster_size s_blocks_per_group s_clusters_per_group
        s_inodes_per_group s_creator_os s_rev_level s_first_ino s_inode_size
        s_uuid s_journal_uuid s_journal_inum s_journal_dev s_hash_seed
        s_def_hash_version s_jnl_backup_type s_desc_size s_first_meta_bg s_jnl_blocks
        s_min_extra_isize s_want_extra_isize s_log_groups_per_flex s_checksum_type
        s_checksum_seed s_backup_bgs s_orphan_file_inum);
    // Without the inode that lists them the blocks are not reserved, whatever the field says.
    if a.s_feature_compat.get() & disk::COMPAT_RESIZE_INODE != 0
        && a.s_reserved_gdt_blocks != b.s_reserved_gdt_blocks
    {
        return Some("s_reserved_gdt_blocks");
    }
    // The kernel sets and clears these in the primary alone.
    const COMPAT: u32 = disk::COMPAT_EXT_ATTR;
    const INCOMPAT: u32 = disk::INCOMPAT_RECOVER;
    const RO_COMPAT: u32 = disk::RO_COMPAT_ORPHAN_PRESENT
        | disk::RO_COMPAT_LARGE_FILE
        | disk::RO_COMPAT_HUGE_FILE
        | disk::RO_COMPAT_DIR_NLINK;
    let words = |sb: &Superblock| {
        [
            sb.s_feature_compat.get() & !COMPAT,
            sb.s_feature_incompat.get() & !INCOMPAT,
            sb.s_feature_ro_compat.get() & !RO_COMPAT,
        ]
    };
    let names = [
        "s_feature_compat",
        "s_feature_incompat",
        "s_feature_ro_compat",
    ];
    let pairs = words(a).into_iter().zip(words(b)).zip(names);
    pairs
        .filter(|((a, b), _)| a != b)
        .map(|(_, name)| name)
        .next()
}

/// Compares the copy at `block` in `group` of block `n` of the descriptors.
fn check_descriptors(cx: &mut Checker, n: u64, group: u32, block: u64) -> Step {
    let (first, len) = groups::gdt_span(&cx.geo, n);
    let mut bytes = vec![0; len];
    cx.read(cx.geo.byte(block), &mut bytes)?;
    for (at, raw) in (0..).zip(bytes.chunks_exact(cx.geo.desc_size)) {
        let of = first + at;
        let copy = groups::parse(raw);
        let primary = cx.groups[index32(of)];
        let same = groups::block_bitmap(&copy) == groups::block_bitmap(&primary)
            && groups::inode_bitmap(&copy) == groups::inode_bitmap(&primary)
            && groups::inode_table(&copy) == groups::inode_table(&primary);
        let crc = groups::desc_checksum(cx, of, raw);
        let sound = crc.is_none_or(|crc| copy.bg_checksum.get() == crc);
        let why = match (same, sound) {
            (true, true) => continue,
            (false, _) => "places bitmaps or inode table elsewhere than the primary",
            (true, false) => "has a wrong bg_checksum",
        };
        let at = cx.geo.byte(block) + u64::from(at) * super::usage::at(cx.geo.desc_size);
        let place = format!("group {group} descriptor copy");
        cx.find(place, at, format!("the descriptor of group {of} {why}"))?;
    }
    Ok(())
}
