//! The superblock: byte 1024 of the filesystem, and its backups.
//!
//! ```text
//! byte 0       1024            2048
//! │ boot sector │ Superblock    │ …        group 0
//!
//! group g of 1, 3, 5, 7, 9, 25, 27, 49, …: the copy lies at byte 0 of the group's first block
//! ```
//! Mirrors `struct ext4_super_block` of Linux `fs/ext4/ext4.h`.
//!
//! We always write as zero: the snapshot, quota, encryption, casefold, RAID, MMP and orphan-file
//! fields (features we do not set), the error log, `s_mtime` and `s_mnt_count` (never mounted),
//! `s_journal_uuid` and `s_journal_dev` (e2fsck takes a journal UUID for an external journal), and
//! `s_checksum_seed` (without `metadata_csum_seed` the seed is made from `s_uuid`).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Byte of the primary superblock, whatever the block size.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// `s_magic`.
pub const EXT4_SUPER_MAGIC: u16 = 0xEF53;

/// `s_state`: cleanly unmounted.
pub const EXT4_VALID_FS: u16 = 1;
/// `s_state`: errors were found.
pub const EXT4_ERROR_FS: u16 = 2;
/// `s_state`: orphans are being recovered.
pub const EXT4_ORPHAN_FS: u16 = 4;

/// `s_errors`: carry on (mke2fs's default).
pub const EXT4_ERRORS_CONTINUE: u16 = 1;
/// `s_creator_os`: Linux.
pub const EXT4_OS_LINUX: u32 = 0;
/// `s_rev_level`: inode size and features are in the superblock.
pub const EXT4_DYNAMIC_REV: u32 = 1;
/// `s_first_ino` of every dynamic-revision filesystem: the first inode that is not reserved.
pub const EXT4_GOOD_OLD_FIRST_INO: u32 = 11;
/// `s_checksum_type`: CRC32C, the only one.
pub const EXT4_CRC32C_CHKSUM: u8 = 1;
/// `s_flags`: directory hashes take name bytes as signed characters.
pub const EXT2_FLAGS_SIGNED_HASH: u32 = 1;
/// `s_flags`: directory hashes take name bytes as unsigned characters.
pub const EXT2_FLAGS_UNSIGNED_HASH: u32 = 2;
/// `s_jnl_backup_type`: `s_jnl_blocks` holds the journal inode's `i_block` and size.
pub const EXT3_JNL_BACKUP_BLOCKS: u8 = 1;
/// `s_default_mount_opts`: `user_xattr`.
pub const EXT4_DEFM_XATTR_USER: u32 = 0x4;
/// `s_default_mount_opts`: `acl`.
pub const EXT4_DEFM_ACL: u32 = 0x8;

/// compat: preallocates directory blocks (never implemented).
pub const COMPAT_DIR_PREALLOC: u32 = 0x1;
/// compat: AFS server inodes.
pub const COMPAT_IMAGIC_INODES: u32 = 0x2;
/// compat: has a journal.
pub const COMPAT_HAS_JOURNAL: u32 = 0x4;
/// compat: has extended attributes.
pub const COMPAT_EXT_ATTR: u32 = 0x8;
/// compat: GDT blocks are reserved for growth, listed in inode 7.
pub const COMPAT_RESIZE_INODE: u32 = 0x10;
/// compat: directories may have an htree.
pub const COMPAT_DIR_INDEX: u32 = 0x20;
/// compat: at most two backup superblocks. The kernel refuses to grow such a filesystem.
pub const COMPAT_SPARSE_SUPER2: u32 = 0x200;
/// compat: fast commits.
pub const COMPAT_FAST_COMMIT: u32 = 0x400;
/// compat: inode numbers and UUID are stable.
pub const COMPAT_STABLE_INODES: u32 = 0x800;
/// compat: an orphan file may be present.
pub const COMPAT_ORPHAN_FILE: u32 = 0x1000;

/// incompat: compressed files (never implemented).
pub const INCOMPAT_COMPRESSION: u32 = 0x1;
/// incompat: directory entries carry a file type.
pub const INCOMPAT_FILETYPE: u32 = 0x2;
/// incompat: the journal needs recovery.
pub const INCOMPAT_RECOVER: u32 = 0x4;
/// incompat: this is an external journal.
pub const INCOMPAT_JOURNAL_DEV: u32 = 0x8;
/// incompat: group descriptors lie in meta block groups.
pub const INCOMPAT_META_BG: u32 = 0x10;
/// incompat: files may have extents.
pub const INCOMPAT_EXTENTS: u32 = 0x40;
/// incompat: 64-bit block numbers, descriptors of `s_desc_size` bytes.
pub const INCOMPAT_64BIT: u32 = 0x80;
/// incompat: multiple-mount protection.
pub const INCOMPAT_MMP: u32 = 0x100;
/// incompat: bitmaps and inode tables of a group may lie in another group.
pub const INCOMPAT_FLEX_BG: u32 = 0x200;
/// incompat: large xattrs live in inodes.
pub const INCOMPAT_EA_INODE: u32 = 0x400;
/// incompat: data in directory entries (never implemented).
pub const INCOMPAT_DIRDATA: u32 = 0x1000;
/// incompat: the checksum seed is `s_checksum_seed`.
pub const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// incompat: htrees of three levels, directories over 2 GiB.
pub const INCOMPAT_LARGEDIR: u32 = 0x4000;
/// incompat: small files live in the inode.
pub const INCOMPAT_INLINE_DATA: u32 = 0x8000;
/// incompat: encrypted files.
pub const INCOMPAT_ENCRYPT: u32 = 0x10000;
/// incompat: case-folded directories.
pub const INCOMPAT_CASEFOLD: u32 = 0x20000;

/// `ro_compat`: backups only in groups 0, 1 and powers of 3, 5, 7.
pub const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
/// `ro_compat`: files over 2 GiB.
pub const RO_COMPAT_LARGE_FILE: u32 = 0x2;
/// `ro_compat`: directories as B-trees (never implemented).
pub const RO_COMPAT_BTREE_DIR: u32 = 0x4;
/// `ro_compat`: `i_blocks` has 48 bits.
pub const RO_COMPAT_HUGE_FILE: u32 = 0x8;
/// `ro_compat`: group descriptors carry a CRC16.
pub const RO_COMPAT_GDT_CSUM: u32 = 0x10;
/// `ro_compat`: more than 65,000 subdirectories, link count 1 then.
pub const RO_COMPAT_DIR_NLINK: u32 = 0x20;
/// `ro_compat`: inodes have extra fields after byte 128.
pub const RO_COMPAT_EXTRA_ISIZE: u32 = 0x40;
/// `ro_compat`: quota inodes.
pub const RO_COMPAT_QUOTA: u32 = 0x100;
/// `ro_compat`: allocation in clusters of blocks.
pub const RO_COMPAT_BIGALLOC: u32 = 0x200;
/// `ro_compat`: CRC32C over all metadata.
pub const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
/// `ro_compat`: must be mounted read-only.
pub const RO_COMPAT_READONLY: u32 = 0x1000;
/// `ro_compat`: project quota.
pub const RO_COMPAT_PROJECT: u32 = 0x2000;
/// `ro_compat`: fs-verity.
pub const RO_COMPAT_VERITY: u32 = 0x8000;
/// `ro_compat`: the orphan file holds entries.
pub const RO_COMPAT_ORPHAN_PRESENT: u32 = 0x10000;

/// `struct ext4_super_block`, 1024 bytes. All times are seconds since 1970.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Superblock {
    /// Inodes in all groups.
    pub s_inodes_count: U32,
    /// Blocks of the filesystem, low half.
    pub s_blocks_count_lo: U32,
    /// Blocks only root may use, low half.
    pub s_r_blocks_count_lo: U32,
    /// Free blocks, low half.
    pub s_free_blocks_count_lo: U32,
    /// Free inodes.
    pub s_free_inodes_count: U32,
    /// First block of group 0: 1 with 1 KiB blocks, else 0.
    pub s_first_data_block: U32,
    /// Block size is `1024 << s_log_block_size`.
    pub s_log_block_size: U32,
    /// Equals `s_log_block_size` without bigalloc.
    pub s_log_cluster_size: U32,
    /// Blocks in a group.
    pub s_blocks_per_group: U32,
    /// Equals `s_blocks_per_group` without bigalloc.
    pub s_clusters_per_group: U32,
    /// Inodes in a group; a multiple of 8 that fills whole inode-table blocks.
    pub s_inodes_per_group: U32,
    /// Last mount.
    pub s_mtime: U32,
    /// Last write of the superblock.
    pub s_wtime: U32,
    /// Mounts since the last check.
    pub s_mnt_count: U16,
    /// Mounts after which to check; 0xFFFF: never.
    pub s_max_mnt_count: U16,
    /// [`EXT4_SUPER_MAGIC`].
    pub s_magic: U16,
    /// [`EXT4_VALID_FS`] and its siblings.
    pub s_state: U16,
    /// What the kernel does on errors.
    pub s_errors: U16,
    /// Minor revision, 0.
    pub s_minor_rev_level: U16,
    /// Last check.
    pub s_lastcheck: U32,
    /// Seconds between checks; 0: never.
    pub s_checkinterval: U32,
    /// [`EXT4_OS_LINUX`].
    pub s_creator_os: U32,
    /// [`EXT4_DYNAMIC_REV`].
    pub s_rev_level: U32,
    /// User who may use reserved blocks.
    pub s_def_resuid: U16,
    /// Group who may use reserved blocks.
    pub s_def_resgid: U16,
    /// First inode that is not reserved.
    pub s_first_ino: U32,
    /// Bytes of an inode.
    pub s_inode_size: U16,
    /// Group this copy lies in.
    pub s_block_group_nr: U16,
    /// `COMPAT_*` bits: unknown ones may be ignored.
    pub s_feature_compat: U32,
    /// `INCOMPAT_*` bits: unknown ones forbid to read.
    pub s_feature_incompat: U32,
    /// `RO_COMPAT_*` bits: unknown ones forbid to write.
    pub s_feature_ro_compat: U32,
    /// UUID; also the checksum seed.
    pub s_uuid: [u8; 16],
    /// Label, padded with NUL.
    pub s_volume_name: [u8; 16],
    /// Where it was last mounted.
    pub s_last_mounted: [u8; 64],
    /// Unused.
    pub s_algorithm_usage_bitmap: U32,
    /// Unused.
    pub s_prealloc_blocks: u8,
    /// Unused.
    pub s_prealloc_dir_blocks: u8,
    /// Blocks reserved after each GDT copy for growth.
    pub s_reserved_gdt_blocks: U16,
    /// UUID of an external journal; zero.
    pub s_journal_uuid: [u8; 16],
    /// Inode of the journal, 8.
    pub s_journal_inum: U32,
    /// Device of an external journal; zero.
    pub s_journal_dev: U32,
    /// Head of the list of inodes to delete; 0 when clean.
    pub s_last_orphan: U32,
    /// Seed of the directory hash.
    pub s_hash_seed: [U32; 4],
    /// Default directory hash, `DX_HASH_*`.
    pub s_def_hash_version: u8,
    /// [`EXT3_JNL_BACKUP_BLOCKS`].
    pub s_jnl_backup_type: u8,
    /// Bytes of a group descriptor with 64bit.
    pub s_desc_size: U16,
    /// `EXT4_DEFM_*` bits.
    pub s_default_mount_opts: U32,
    /// First meta block group.
    pub s_first_meta_bg: U32,
    /// When the filesystem was made.
    pub s_mkfs_time: U32,
    /// Copy of the journal inode: `i_block[15]`, `i_size_high`, `i_size_lo`.
    pub s_jnl_blocks: [U32; 17],
    /// Blocks of the filesystem, high half.
    pub s_blocks_count_hi: U32,
    /// Reserved blocks, high half.
    pub s_r_blocks_count_hi: U32,
    /// Free blocks, high half.
    pub s_free_blocks_count_hi: U32,
    /// Every inode has at least this `i_extra_isize`.
    pub s_min_extra_isize: U16,
    /// New inodes should have this `i_extra_isize`.
    pub s_want_extra_isize: U16,
    /// `EXT2_FLAGS_*` bits.
    pub s_flags: U32,
    /// RAID stride.
    pub s_raid_stride: U16,
    /// Seconds between MMP checks.
    pub s_mmp_update_interval: U16,
    /// Block of MMP.
    pub s_mmp_block: U64,
    /// RAID stripe width in blocks.
    pub s_raid_stripe_width: U32,
    /// Groups of a flex group are `1 << s_log_groups_per_flex`.
    pub s_log_groups_per_flex: u8,
    /// [`EXT4_CRC32C_CHKSUM`].
    pub s_checksum_type: u8,
    /// Encryption version.
    pub s_encryption_level: u8,
    /// Padding.
    pub s_reserved_pad: u8,
    /// KiB written in its life.
    pub s_kbytes_written: U64,
    /// Inode of the active snapshot.
    pub s_snapshot_inum: U32,
    /// Number of the active snapshot.
    pub s_snapshot_id: U32,
    /// Blocks reserved for the snapshot.
    pub s_snapshot_r_blocks_count: U64,
    /// Head of the snapshot list.
    pub s_snapshot_list: U32,
    /// Errors seen.
    pub s_error_count: U32,
    /// Time of the first error.
    pub s_first_error_time: U32,
    /// Inode of the first error.
    pub s_first_error_ino: U32,
    /// Block of the first error.
    pub s_first_error_block: U64,
    /// Function of the first error.
    pub s_first_error_func: [u8; 32],
    /// Line of the first error.
    pub s_first_error_line: U32,
    /// Time of the last error.
    pub s_last_error_time: U32,
    /// Inode of the last error.
    pub s_last_error_ino: U32,
    /// Line of the last error.
    pub s_last_error_line: U32,
    /// Block of the last error.
    pub s_last_error_block: U64,
    /// Function of the last error.
    pub s_last_error_func: [u8; 32],
    /// Default mount options as text.
    pub s_mount_opts: [u8; 64],
    /// Inode of user quota.
    pub s_usr_quota_inum: U32,
    /// Inode of group quota.
    pub s_grp_quota_inum: U32,
    /// Blocks that metadata takes; 0: the kernel computes it.
    pub s_overhead_clusters: U32,
    /// Groups with backups under `sparse_super2`.
    pub s_backup_bgs: [U32; 2],
    /// Encryption algorithms.
    pub s_encrypt_algos: [u8; 4],
    /// Salt of encryption.
    pub s_encrypt_pw_salt: [u8; 16],
    /// Inode of lost+found; 0 in practice.
    pub s_lpf_ino: U32,
    /// Inode of project quota.
    pub s_prj_quota_inum: U32,
    /// Checksum seed under `metadata_csum_seed`.
    pub s_checksum_seed: U32,
    /// Bits 32 to 39 of `s_wtime`.
    pub s_wtime_hi: u8,
    /// Bits 32 to 39 of `s_mtime`.
    pub s_mtime_hi: u8,
    /// Bits 32 to 39 of `s_mkfs_time`.
    pub s_mkfs_time_hi: u8,
    /// Bits 32 to 39 of `s_lastcheck`.
    pub s_lastcheck_hi: u8,
    /// Bits 32 to 39 of `s_first_error_time`.
    pub s_first_error_time_hi: u8,
    /// Bits 32 to 39 of `s_last_error_time`.
    pub s_last_error_time_hi: u8,
    /// Code of the first error.
    pub s_first_error_errcode: u8,
    /// Code of the last error.
    pub s_last_error_errcode: u8,
    /// Character set of casefold.
    pub s_encoding: U16,
    /// Flags of casefold.
    pub s_encoding_flags: U16,
    /// Inode of the orphan file.
    pub s_orphan_file_inum: U32,
    /// Padding to the end of the block.
    pub s_reserved: [U32; 94],
    /// CRC32C of the 1020 bytes before, seed `!0`.
    pub s_checksum: U32,
}

const _: () = assert!(size_of::<Superblock>() == 1024);
const _: () = assert!(std::mem::offset_of!(Superblock, s_uuid) == 0x68);
const _: () = assert!(std::mem::offset_of!(Superblock, s_jnl_blocks) == 0x10C);
const _: () = assert!(std::mem::offset_of!(Superblock, s_error_count) == 0x194);
const _: () = assert!(std::mem::offset_of!(Superblock, s_checksum_seed) == 0x270);
const _: () = assert!(std::mem::offset_of!(Superblock, s_checksum) == 0x3FC);
