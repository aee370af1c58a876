//! The superblock and its backups.

use super::extents::{root, system_extents};
use crate::ext4::block_size::INODE;
use crate::ext4::checksum;
use crate::ext4::disk::inode::{EXT4_JOURNAL_INO, EXTRA_ISIZE};
use crate::ext4::disk::superblock::{
    EXT2_FLAGS_SIGNED_HASH, EXT3_JNL_BACKUP_BLOCKS, EXT4_CRC32C_CHKSUM, EXT4_DEFM_ACL,
    EXT4_DEFM_XATTR_USER, EXT4_DYNAMIC_REV, EXT4_ERRORS_CONTINUE, EXT4_GOOD_OLD_FIRST_INO,
    EXT4_SUPER_MAGIC, EXT4_VALID_FS, Superblock,
};
use crate::ext4::geometry::{LOG_GROUPS_PER_FLEX, group_nr};
use crate::ext4::plan::Plan;
use crate::units::{hi32, index, lo16, lo32};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

/// DX_HASH_HALF_MD4.
const HASH_VERSION: u8 = 1;

/// Puts the superblock that belongs at the start of `group` into its block.
pub(super) fn render(plan: &Plan, group: u64, out: &mut [u8]) {
    let mut sb = superblock(plan);
    sb.s_block_group_nr = U16::new(lo16(group_nr(group)));
    let mut bytes = [0; 1024];
    bytes.copy_from_slice(sb.as_bytes());
    if plan.geometry.features.metadata_csum() {
        sb.s_checksum = U32::new(checksum::superblock(&bytes));
    }
    // The primary one lies at byte 1024, a block of its own with blocks of 1 KiB; a backup begins its block.
    let own_block = group > 0 || plan.geometry.first_block() > 0;
    let at = if own_block { 0 } else { 1024 };
    out[at..at + 1024].copy_from_slice(sb.as_bytes());
}

fn superblock(plan: &Plan) -> Superblock {
    let (g, id) = (&plan.geometry, &plan.identity);
    let time = U32::new(lo32(u64::try_from(id.time.sec).unwrap_or(0)));
    let free = g.blocks - plan.used_blocks();
    let mut sb = Superblock::new_zeroed();
    sb.s_inodes_count = U32::new(lo32(g.inodes()));
    sb.s_blocks_count_lo = U32::new(lo32(g.blocks));
    sb.s_blocks_count_hi = U32::new(hi32(g.blocks));
    sb.s_r_blocks_count_lo = U32::new(lo32(g.reserved_blocks));
    sb.s_r_blocks_count_hi = U32::new(hi32(g.reserved_blocks));
    sb.s_free_blocks_count_lo = U32::new(lo32(free));
    sb.s_free_blocks_count_hi = U32::new(hi32(free));
    sb.s_free_inodes_count = U32::new(lo32(g.inodes() - plan.used_inodes()));
    sb.s_first_data_block = U32::new(lo32(g.first_block()));
    sb.s_log_block_size = U32::new(g.block_size.log());
    sb.s_log_cluster_size = U32::new(g.block_size.log());
    sb.s_blocks_per_group = U32::new(lo32(g.blocks_per_group));
    sb.s_clusters_per_group = U32::new(lo32(g.blocks_per_group));
    sb.s_inodes_per_group = U32::new(lo32(g.inodes_per_group));
    sb.s_wtime = time;
    sb.s_max_mnt_count = U16::new(u16::MAX);
    sb.s_magic = U16::new(EXT4_SUPER_MAGIC);
    sb.s_state = U16::new(EXT4_VALID_FS);
    sb.s_errors = U16::new(EXT4_ERRORS_CONTINUE);
    // Not before s_wtime, or resize2fs asks for an e2fsck first.
    sb.s_lastcheck = time;
    sb.s_mkfs_time = time;
    sb.s_rev_level = U32::new(EXT4_DYNAMIC_REV);
    sb.s_first_ino = U32::new(EXT4_GOOD_OLD_FIRST_INO);
    sb.s_inode_size = U16::new(lo16(lo32(INODE)));
    sb.s_feature_compat = U32::new(g.features.compat());
    sb.s_feature_incompat = U32::new(g.features.incompat());
    sb.s_feature_ro_compat = U32::new(g.features.ro_compat());
    sb.s_uuid = id.uuid;
    sb.s_volume_name = id.label;
    sb.s_reserved_gdt_blocks = U16::new(lo16(lo32(g.reserved_gdt_blocks)));
    sb.s_hash_seed = id.hash_seed_words().map(U32::new);
    sb.s_def_hash_version = HASH_VERSION;
    if g.features.bits64() {
        sb.s_desc_size = U16::new(lo16(lo32(g.features.descriptor())));
    }
    sb.s_default_mount_opts = U32::new(EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL);
    sb.s_min_extra_isize = U16::new(EXTRA_ISIZE);
    sb.s_want_extra_isize = U16::new(EXTRA_ISIZE);
    sb.s_flags = U32::new(EXT2_FLAGS_SIGNED_HASH);
    sb.s_log_groups_per_flex = LOG_GROUPS_PER_FLEX;
    if g.features.metadata_csum() {
        sb.s_checksum_type = EXT4_CRC32C_CHKSUM;
    }
    if g.features.csum_seed() {
        sb.s_checksum_seed = U32::new(checksum::fs_seed(&id.uuid));
    }
    sb.s_orphan_file_inum = U32::new(plan.orphan_inode().unwrap_or(0));
    sb.s_kbytes_written = U64::new(plan.used_blocks() * (g.block() / 1024));
    sb.s_overhead_clusters = U32::new(lo32(g.overhead()));
    if g.journal_blocks > 0 {
        sb.s_journal_inum = U32::new(EXT4_JOURNAL_INO);
        sb.s_jnl_backup_type = EXT3_JNL_BACKUP_BLOCKS;
        let extents = system_extents(&plan.journal);
        let map = root(&extents, plan.journal.node, g.block_size);
        for (word, bytes) in sb.s_jnl_blocks.iter_mut().zip(map.chunks_exact(4)) {
            *word = U32::new(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        let size = g.journal_blocks * g.block();
        sb.s_jnl_blocks[15] = U32::new(hi32(size));
        sb.s_jnl_blocks[16] = U32::new(lo32(size));
    }
    debug_assert_eq!(index(INODE), 256);
    sb
}
