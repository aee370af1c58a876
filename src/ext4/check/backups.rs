//! Backup superblocks and copies of the descriptors: what repair would start from.
//!
//! e2fsck reads none of them while the primary is sound; the kernel verifies the checksum of a
//! backup before it updates it (label, growth). Counts, state and times of a backup go stale by
//! design; what says where things lie and who the filesystem is must be equal.

use zerocopy::FromBytes;

use super::report::Step;
use super::{Checker, groups};
use crate::ext4::checksum;
use crate::ext4::disk::superblock::{INCOMPAT_RECOVER, RO_COMPAT_ORPHAN_PRESENT, Superblock};
use crate::units::{index32, lo16};

/// Compares every backup with the primary.
pub(super) fn check(cx: &mut Checker) -> Step {
    let copies: Vec<u32> = cx.geo.backup_groups().collect();
    for group in copies {
        cx.cancel_point()?;
        let start = cx.geo.group_start(group);
        if cx.geo.contains(start, 1 + cx.geo.gdt_blocks) {
            check_superblock(cx, group, start)?;
            check_descriptors(cx, group, start + 1)?;
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
        s_inodes_per_group s_creator_os s_rev_level s_first_ino s_inode_size s_feature_compat
        s_uuid s_reserved_gdt_blocks s_journal_uuid s_journal_inum s_journal_dev s_hash_seed
        s_def_hash_version s_jnl_backup_type s_desc_size s_first_meta_bg s_jnl_blocks
        s_min_extra_isize s_want_extra_isize s_flags s_log_groups_per_flex s_checksum_type
        s_checksum_seed);
    // A mount sets and clears these two in the primary alone.
    let incompat = |sb: &Superblock| sb.s_feature_incompat.get() & !INCOMPAT_RECOVER;
    if incompat(a) != incompat(b) {
        return Some("s_feature_incompat");
    }
    let ro_compat = |sb: &Superblock| sb.s_feature_ro_compat.get() & !RO_COMPAT_ORPHAN_PRESENT;
    (ro_compat(a) != ro_compat(b)).then_some("s_feature_ro_compat")
}

fn check_descriptors(cx: &mut Checker, group: u32, first: u64) -> Step {
    let bytes = groups::table(cx, first)?;
    for (of, raw) in (0u32..).zip(bytes.chunks_exact(cx.geo.desc_size)) {
        let copy = groups::parse(raw);
        let primary = cx.groups[index32(of)];
        let same = groups::block_bitmap(&copy) == groups::block_bitmap(&primary)
            && groups::inode_bitmap(&copy) == groups::inode_bitmap(&primary)
            && groups::inode_table(&copy) == groups::inode_table(&primary);
        let sound = copy.bg_checksum.get() == checksum::group_desc(cx.seed, of, raw);
        let why = match (same, sound || !cx.geo.checksums) {
            (true, true) => continue,
            (false, _) => "places bitmaps or inode table elsewhere than the primary",
            (true, false) => "has a wrong bg_checksum",
        };
        let at = cx.geo.byte(first) + u64::from(of) * super::usage::at(cx.geo.desc_size);
        let place = format!("group {group} descriptor copy");
        cx.find(place, at, format!("the descriptor of group {of} {why}"))?;
    }
    Ok(())
}
