//! Structures, inodes and files of ext2, ext3 and ext4. Names are those of Linux `fs/ext4`.

use super::Explanation;
use super::fields::{Show, Spec, fields, length, table};
use super::paths::path_of;
use crate::display::display_path;
use crate::ext4::disk::dirent::DirEntry2;
use crate::ext4::disk::extent::{EXT4_EXT_MAGIC, Extent, ExtentHeader, ExtentIdx};
use crate::ext4::disk::group_desc::GroupDesc;
use crate::ext4::disk::inode::{self as disk, EXT4_EXTENTS_FL};
use crate::ext4::disk::journal::{JBD2_MAGIC_NUMBER, JournalSuperblock};
use crate::ext4::disk::superblock::{INCOMPAT_64BIT, SUPERBLOCK_OFFSET, Superblock};
use crate::ext4::disk::xattr::{XattrEntry, XattrHeader};
use crate::ext4::read::{Inode, Reader};
use crate::inspect::map::What;
use crate::read_at::ReadAt;
use crate::units::{count, index, lo32};
use std::io;
use std::mem::offset_of;
use std::sync::Arc;

fields!(SUPERBLOCK: Superblock {
    s_inodes_count: Number, s_blocks_count_lo: Number, s_r_blocks_count_lo: Number,
    s_free_blocks_count_lo: Number, s_free_inodes_count: Number, s_first_data_block: Number,
    s_log_block_size: Number, s_log_cluster_size: Number, s_blocks_per_group: Number,
    s_clusters_per_group: Number, s_inodes_per_group: Number, s_mtime: Seconds, s_wtime: Seconds,
    s_mnt_count: Number, s_max_mnt_count: Number, s_magic: Number, s_state: Number, s_errors: Number,
    s_minor_rev_level: Number, s_lastcheck: Seconds, s_checkinterval: Number, s_creator_os: Number,
    s_rev_level: Number, s_def_resuid: Number, s_def_resgid: Number, s_first_ino: Number,
    s_inode_size: Number, s_block_group_nr: Number, s_feature_compat: Number,
    s_feature_incompat: Number, s_feature_ro_compat: Number, s_uuid: Uuid, s_volume_name: Text,
    s_last_mounted: Text, s_algorithm_usage_bitmap: Number, s_prealloc_blocks: Number,
    s_prealloc_dir_blocks: Number, s_reserved_gdt_blocks: Number, s_journal_uuid: Uuid,
    s_journal_inum: Number, s_journal_dev: Number, s_last_orphan: Number, s_hash_seed: Uuid,
    s_def_hash_version: Number, s_jnl_backup_type: Number, s_desc_size: Number,
    s_default_mount_opts: Number, s_first_meta_bg: Number, s_mkfs_time: Seconds, s_jnl_blocks: Bytes,
    s_blocks_count_hi: Number, s_r_blocks_count_hi: Number, s_free_blocks_count_hi: Number,
    s_min_extra_isize: Number, s_want_extra_isize: Number, s_flags: Number, s_raid_stride: Number,
    s_mmp_update_interval: Number, s_mmp_block: Number, s_raid_stripe_width: Number,
    s_log_groups_per_flex: Number, s_checksum_type: Number, s_encryption_level: Number,
    s_reserved_pad: Number, s_kbytes_written: Number, s_snapshot_inum: Number, s_snapshot_id: Number,
    s_snapshot_r_blocks_count: Number, s_snapshot_list: Number, s_error_count: Number,
    s_first_error_time: Seconds, s_first_error_ino: Number, s_first_error_block: Number,
    s_first_error_func: Text, s_first_error_line: Number, s_last_error_time: Seconds,
    s_last_error_ino: Number, s_last_error_line: Number, s_last_error_block: Number,
    s_last_error_func: Text, s_mount_opts: Text, s_usr_quota_inum: Number, s_grp_quota_inum: Number,
    s_overhead_clusters: Number, s_backup_bgs: Bytes, s_encrypt_algos: Bytes,
    s_encrypt_pw_salt: Bytes, s_lpf_ino: Number, s_prj_quota_inum: Number, s_checksum_seed: Number,
    s_wtime_hi: Number, s_mtime_hi: Number, s_mkfs_time_hi: Number, s_lastcheck_hi: Number,
    s_first_error_time_hi: Number, s_last_error_time_hi: Number, s_first_error_errcode: Number,
    s_last_error_errcode: Number, s_encoding: Number, s_encoding_flags: Number,
    s_orphan_file_inum: Number, s_reserved: Bytes, s_checksum: Number,
});

fields!(GROUP_DESC: GroupDesc {
    bg_block_bitmap_lo: Number, bg_inode_bitmap_lo: Number, bg_inode_table_lo: Number,
    bg_free_blocks_count_lo: Number, bg_free_inodes_count_lo: Number, bg_used_dirs_count_lo: Number,
    bg_flags: Number, bg_exclude_bitmap_lo: Number, bg_block_bitmap_csum_lo: Number,
    bg_inode_bitmap_csum_lo: Number, bg_itable_unused_lo: Number, bg_checksum: Number,
    bg_block_bitmap_hi: Number, bg_inode_bitmap_hi: Number, bg_inode_table_hi: Number,
    bg_free_blocks_count_hi: Number, bg_free_inodes_count_hi: Number, bg_used_dirs_count_hi: Number,
    bg_itable_unused_hi: Number, bg_exclude_bitmap_hi: Number, bg_block_bitmap_csum_hi: Number,
    bg_inode_bitmap_csum_hi: Number, bg_reserved: Number,
});

fields!(INODE: disk::Inode {
    i_mode: Octal, i_uid: Number, i_size_lo: Number, i_atime: Seconds, i_ctime: Seconds,
    i_mtime: Seconds, i_dtime: Seconds, i_gid: Number, i_links_count: Number, i_blocks_lo: Number,
    i_flags: Number, l_i_version: Number, i_block: Bytes, i_generation: Number, i_file_acl_lo: Number,
    i_size_high: Number, i_obso_faddr: Number, l_i_blocks_high: Number, l_i_file_acl_high: Number,
    l_i_uid_high: Number, l_i_gid_high: Number, l_i_checksum_lo: Number, l_i_reserved: Number,
    i_extra_isize: Number, i_checksum_hi: Number, i_ctime_extra: Number, i_mtime_extra: Number,
    i_atime_extra: Number, i_crtime: Seconds, i_crtime_extra: Number, i_version_hi: Number,
    i_projid: Number, i_xattr_area: Bytes,
});

fields!(EXTENT_HEADER: ExtentHeader {
    eh_magic: Number, eh_entries: Number, eh_max: Number, eh_depth: Number, eh_generation: Number,
});

fields!(EXTENT_IDX: ExtentIdx {
    ei_block: Number, ei_leaf_lo: Number, ei_leaf_hi: Number, ei_unused: Number,
});

fields!(EXTENT: Extent {
    ee_block: Number, ee_len: Number, ee_start_hi: Number, ee_start_lo: Number,
});

fields!(DIRENT: DirEntry2 {
    inode: Number, rec_len: Number, name_len: Number, file_type: Number,
});

fields!(XATTR_HEADER: XattrHeader {
    h_magic: Number, h_refcount: Number, h_blocks: Number, h_hash: Number, h_checksum: Number,
    h_reserved: Bytes,
});

fields!(XATTR_ENTRY: XattrEntry {
    e_name_len: Number, e_name_index: Number, e_value_offs: Number, e_value_inum: Number,
    e_value_size: Number, e_hash: Number,
});

fields!(JOURNAL_SUPERBLOCK: JournalSuperblock {
    h_magic: Big, h_blocktype: Big, h_sequence: Big, s_blocksize: Big, s_maxlen: Big, s_first: Big,
    s_sequence: Big, s_start: Big, s_errno: Big, s_feature_compat: Big, s_feature_incompat: Big,
    s_feature_ro_compat: Big, s_uuid: Uuid, s_nr_users: Big, s_dynsuper: Big, s_max_transaction: Big,
    s_max_trans_data: Big, s_checksum_type: Number, s_padding2: Bytes, s_num_fc_blks: Big, s_head: Big,
    s_padding: Bytes, s_checksum: Big, s_users: Bytes,
});

table!(JOURNAL_HEADER {
    0 + 4 "h_magic": Big,
    4 + 4 "h_blocktype": Big,
    8 + 4 "h_sequence": Big,
});

/// What is known of a filesystem that lies at a byte of a disk.
pub(super) struct Ext4<'a> {
    pub(super) reader: Reader,
    fs: &'a dyn ReadAt,
    start: u64,
    /// The byte, from the start of the filesystem.
    pub(super) inside: u64,
}

/// Explains a byte of the filesystem `fs`, which lies at byte `start` of the disk.
pub(super) fn explain(
    fs: &Arc<dyn ReadAt>,
    start: u64,
    what: What,
    e: &mut Explanation,
) -> io::Result<()> {
    let Ok(reader) = Reader::open(Arc::clone(fs)) else {
        return Ok(());
    };
    let inside = e.offset - start;
    if inside < reader.blocks().saturating_mul(reader.block_size()) {
        e.block = Some(inside / reader.block_size());
    }
    let ext4 = Ext4 {
        reader,
        fs,
        start,
        inside,
    };
    ext4.structure(what, e)?;
    if let Some(ino) = e.inode {
        let path = path_of(&ext4.reader, ino);
        e.path = path.map(|p| display_path(&p).to_string());
    }
    Ok(())
}

impl Ext4<'_> {
    fn structure(&self, what: What, e: &mut Explanation) -> io::Result<()> {
        let size = self.reader.block_size();
        let block = self.inside / size;
        match what {
            What::Superblock(group) => {
                let first = self.reader.group_start(group) * size;
                let at = if group == 0 { SUPERBLOCK_OFFSET } else { first };
                e.take(SUPERBLOCK, self.start + at, &self.read(at, 1024)?);
            }
            What::GroupDescriptors(copy) => {
                self.descriptor(0, self.reader.super_block(copy) + 1, e)?;
            }
            What::MetaDescriptors => {
                let mut all = self.reader.meta_descriptors();
                if let Some((first, _)) = all.find(|(_, lies)| *lies == block) {
                    self.descriptor(first, block, e)?;
                }
            }
            What::BlockBitmap(group) => self.block_bits(group, e)?,
            What::InodeBitmap(group) => self.inode_bits(group, e)?,
            What::InodeTable(group) => self.inode(group, e)?,
            What::Journal => self.journal(e)?,
            What::Xattr(ino) => {
                e.inode = Some(ino);
                let bytes = self.read(block * size, size)?;
                e.take(XATTR_HEADER, self.start + block * size, &bytes);
                if e.field.is_none() {
                    self.xattr(&bytes, self.start + block * size, e);
                }
            }
            What::BlockPointers(ino) => {
                e.inode = Some(ino);
                let bytes = self.read(block * size, size)?;
                extent_node(&bytes, self.start + block * size, e);
            }
            What::Directory(ino) => {
                e.inode = Some(ino);
                let bytes = self.read(block * size, size)?;
                directory(&bytes, self.start + block * size, e);
            }
            What::File(ino) | What::Zero(ino) => {
                e.inode = Some(ino);
                e.file_offset = self.place(ino);
            }
            other => e.inode = other.inode(),
        }
        Ok(())
    }

    pub(super) fn read(&self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; index(len.min(self.fs.len().saturating_sub(at)))];
        self.fs.read_exact_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The group descriptor of the byte, in a table of them that begins with that of group `first`.
    fn descriptor(&self, first: u32, block: u64, e: &mut Explanation) -> io::Result<()> {
        let sb = self.reader.superblock();
        let len = match sb.s_feature_incompat.get() & INCOMPAT_64BIT {
            0 => 32,
            _ => u64::from(sb.s_desc_size.get().max(32)),
        };
        let table = block * self.reader.block_size();
        let n = self.inside.saturating_sub(table) / len;
        let group = u64::from(first) + n;
        if group < u64::from(self.reader.groups()) {
            let at = table + n * len;
            e.element = Some(format!("descriptor of group {group}"));
            e.take(GROUP_DESC, self.start + at, &self.read(at, len)?);
        }
        Ok(())
    }

    fn inode(&self, group: u32, e: &mut Explanation) -> io::Result<()> {
        let sb = self.reader.superblock();
        let (size, per_group) = (self.reader.inode_size(), sb.s_inodes_per_group.get());
        let at = self.inside / size * size;
        let first = group.checked_mul(per_group).and_then(|n| n.checked_add(1));
        let Some((first, table)) = first.and_then(|nr| Some((nr, self.reader.inode(nr).ok()?)))
        else {
            return Ok(());
        };
        let nr = first + lo32((at.saturating_sub(table.offset)) / size);
        if nr - first >= per_group {
            return Ok(());
        }
        e.element = Some(format!("inode {nr}"));
        let bytes = self.read(at, size)?;
        e.take(INODE, self.start + at, &bytes);
        let Ok(inode) = self.reader.inode(nr) else {
            return Ok(());
        };
        if !inode.in_use() {
            e.element = Some(format!("inode {nr}, not in use"));
            return Ok(());
        }
        e.inode = Some(nr);
        let block = offset_of!(disk::Inode, i_block);
        let extents = (block..block + 60).contains(&index(self.inside - at));
        if extents && inode.flag(EXT4_EXTENTS_FL) {
            extent_node(&inode.disk.i_block, self.start + at + count(block), e);
        }
        Ok(())
    }

    /// Which byte of the file it is.
    fn place(&self, ino: u32) -> Option<u64> {
        let size = self.reader.block_size();
        let inode: Inode = self.reader.inode(ino).ok()?;
        let block = self.inside / size;
        let mapping = self.reader.mapping(&inode).ok()?;
        let run = mapping.runs.iter().find(|r| {
            let blocks = r.physical..r.physical.saturating_add(r.len);
            blocks.contains(&block)
        })?;
        Some((run.logical + (block - run.physical)) * size + self.inside % size)
    }

    fn journal(&self, e: &mut Explanation) -> io::Result<()> {
        let size = self.reader.block_size();
        let at = self.inside / size * size;
        let bytes = self.read(at, size)?;
        let nr = self
            .place(disk::EXT4_JOURNAL_INO)
            .map_or(0, |place| place / size);
        let word = |at: usize| {
            bytes
                .get(at..at + 4)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u32::from_be_bytes)
        };
        if word(0) != JBD2_MAGIC_NUMBER {
            e.element = Some(format!("block {nr} of the journal"));
            return Ok(());
        }
        let kind = match word(4) {
            1 => "descriptor",
            2 => "commit",
            3 | 4 => "superblock",
            5 => "revocation",
            _ => "unknown",
        };
        e.element = Some(format!("block {nr} of the journal, {kind}"));
        let table = if kind == "superblock" {
            JOURNAL_SUPERBLOCK
        } else {
            JOURNAL_HEADER
        };
        e.take(table, self.start + at, &bytes);
        Ok(())
    }

    /// The entry of a block of extended attributes.
    fn xattr(&self, bytes: &[u8], at: u64, e: &mut Explanation) {
        let mut from = size_of::<XattrHeader>();
        while let Some(entry) = bytes.get(from..from + size_of::<XattrEntry>()) {
            if entry.starts_with(&[0; 4]) {
                break;
            }
            let name = from + entry.len();
            let end = (name + usize::from(entry[0])).next_multiple_of(4);
            let place = at + count(from);
            if (place..at + count(end)).contains(&e.offset) {
                let name = bytes
                    .get(name..name + usize::from(entry[0]))
                    .unwrap_or_default();
                e.element = Some(format!("entry {}", display_path(name)));
                e.take(XATTR_ENTRY, place, entry);
                return;
            }
            from = end;
        }
    }
}

/// The field of a node of an extent tree that begins at byte `at` of the disk.
fn extent_node(bytes: &[u8], at: u64, e: &mut Explanation) {
    let word = |at: usize| {
        bytes
            .get(at..at + 2)
            .map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
    };
    if word(0) != EXT4_EXT_MAGIC {
        return;
    }
    const ENTRY: usize = size_of::<Extent>();
    let Some(n) = index(e.offset - at).checked_sub(ENTRY).map(|b| b / ENTRY) else {
        e.take(EXTENT_HEADER, at, bytes);
        return;
    };
    if n < usize::from(word(2)) {
        let from = ENTRY * (n + 1);
        let table = if word(6) == 0 { EXTENT } else { EXTENT_IDX };
        e.take(
            table,
            at + count(from),
            bytes.get(from..).unwrap_or_default(),
        );
    }
}

/// The entry of a block of a directory that begins at byte `at` of the disk.
fn directory(bytes: &[u8], at: u64, e: &mut Explanation) {
    const HEAD: usize = size_of::<DirEntry2>();
    let mut from = 0;
    while let Some(head) = bytes.get(from..from + HEAD) {
        // In a block of 64 KiB, 0 and 65535 stand for all of it.
        let len = match usize::from(u16::from_le_bytes([head[4], head[5]])) {
            0 | 0xffff => bytes.len() - from,
            len => len,
        };
        if len < HEAD {
            break;
        }
        if (at + count(from)..at + count(from + len)).contains(&e.offset) {
            let ino = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let name = bytes.get(from + HEAD..from + HEAD + usize::from(head[6]));
            let name = display_path(name.unwrap_or_default()).to_string();
            e.element = Some(match ino {
                0 => "entry that is not in use".to_owned(),
                ino => format!("entry {name}, inode {ino}"),
            });
            e.take(DIRENT, at + count(from), head);
            return;
        }
        from += len;
    }
}
