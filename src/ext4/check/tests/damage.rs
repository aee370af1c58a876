//! One damaged field, one finding that names it.

use super::fixtures::{rich, tools};
use super::lab::{Case, Lab};
use super::{GROUP, SB, TOOLS};
use crate::ext4::check::Finding;

/// Rows of "structure", "message" of the finding, and the damage.
macro_rules! cases {
    ($($structure:literal, $message:literal <= |$l:ident| $damage:expr;)*) => {
        &[$((|$l| $damage, $structure, $message)),*]
    };
}

const SUPERBLOCK: &[Case] = cases! {
    "superblock", "s_checksum is" <= |l| l.flip(SB + 0x3FC, 1);
    "superblock", "s_state is 0x3" <= |l| l.put(SB + 0x3A, &[3]);
    "superblock", "s_free_blocks_count is" <= |l| l.flip(SB + 0xC, 1);
    "superblock", "s_free_inodes_count is" <= |l| l.flip(SB + 0x10, 1);
    "superblock", "s_checksum is wrong and this checker does not read filesystems with ea_inode" <= |l| l.flip(SB + 0x61, 4);
    "superblock", "s_blocks_count" <= |l| l.flip(SB + 7, 1);
    "superblock", "s_inodes_count" <= |l| l.flip(SB + 0x28, 8);
    "superblock", "s_blocks_per_group" <= |l| l.flip(SB + 0x20, 8);
    "superblock", "s_log_block_size 9" <= |l| l.put(SB + 0x18, &[9]);
    "superblock", "s_first_data_block 1" <= |l| l.flip(SB + 0x14, 1);
    "superblock", "s_inode_size 768" <= |l| l.put(SB + 0x58, &[0, 3]);
    "superblock", "s_desc_size 65" <= |l| l.flip(SB + 0xFE, 1);
    "superblock", "s_reserved_gdt_blocks 1025" <= |l| l.put(SB + 0xCE, &[1, 4]);
    "superblock", "s_block_group_nr is 1" <= |l| l.flip(SB + 0x5A, 1);
    "superblock", "orphan" <= |l| l.flip(SB + 0xE8, 1);
    "superblock", "s_overhead_clusters" <= |l| { l.as_made(); l.flip(SB + 0x248, 1); };
    "superblock", "s_jnl_blocks" <= |l| l.flip(SB + 0x10C + 8, 1);
    "superblock", "s_journal_uuid" <= |l| l.flip(SB + 0xD0, 1);
    "superblock", "s_min_extra_isize" <= |l| l.flip(SB + 0x15C, 1);
    "inode 2 /", "i_checksum is" <= |l| l.flip(SB + 0x68, 1);
    "group 1 backup superblock", "s_uuid differs" <= |l| l.flip(GROUP + 0x68, 1);
    "group 1 backup superblock", "s_block_group_nr is 3" <= |l| l.flip(GROUP + 0x5A, 2);
    "group 1 backup superblock", "s_checksum" <= |l| l.flip(GROUP + 0x3F0, 2);
    "group 1 descriptor copy", "elsewhere than the primary" <= |l| l.flip(GROUP + 4096, 2);
    "group 1 descriptor copy", "wrong bg_checksum" <= |l| l.flip(GROUP + 4096 + 0xC, 2);
};

const GROUPS: &[Case] = cases! {
    "group 0 descriptor", "bg_checksum" <= |l| l.flip(4096 + 0x1E, 1);
    "group 0 descriptor", "overlaps" <= |l| l.put(4096, &l.copy(4104, 4));
    "group 0 descriptor", "outside the filesystem" <= |l| l.put(4096 + 3, &[0xFF]);
    "group 0 descriptor", "outside the filesystem" <= |l| l.put(4096 + 0x28, &[0xFF]);
    "group 0 descriptor", "bg_free_blocks_count is" <= |l| l.flip(4096 + 0xC, 1);
    "group 0 descriptor", "bg_free_inodes_count is" <= |l| l.flip(4096 + 0xE, 1);
    "group 0 descriptor", "bg_used_dirs_count is" <= |l| l.flip(4096 + 0x10, 1);
    "group 0 block bitmap", "BLOCK_UNINIT, but" <= |l| l.flip(4096 + 0x12, 2);
    "group 0 descriptor", "INODE_UNINIT" <= |l| l.flip(4096 + 0x12, 1);
    "group 1 descriptor", "unknown bits" <= |l| l.flip(4096 + 64 + 0x12, 0x10);
    "group 1 descriptor", "last group may not" <= |l| l.put(4096 + 64 + 0x12, &[2]);
    "group 0 descriptor", "bg_itable_unused" <= |l| l.put(4096 + 0x1D, &[0xFF]);
    "group 0 block bitmap", "bg_block_bitmap_csum" <= |l| l.flip(4096 + 0x18, 1);
    "group 0 inode bitmap", "bg_inode_bitmap_csum" <= |l| l.flip(4096 + 0x3A, 1);
    "group 0 block bitmap", "block 0 is in use but not marked" <= |l| l.flip(l.follow(4096), 1);
    "group 1 block bitmap", "(1 blocks" <= |l| l.flip(l.follow(4096 + 64) + 200, 1);
    "group 1 block bitmap", "past the end" <= |l| l.flip(l.follow(4096 + 64) + 4095, 1);
    "group 0 inode bitmap", "inode 2 is in use but not marked" <= |l| l.flip(l.follow(4100), 2);
    "group 0 inode bitmap", "marked but not in use" <= |l| l.flip(l.follow(4100) + 1000, 2);
    "group 0 inode bitmap", "past the inodes" <= |l| l.flip(l.follow(4100) + 4095, 2);
};

const INODES: &[Case] = cases! {
    "/large", "i_checksum is" <= |l| l.flip(l.inode("large") + 0x7C, 1);
    "/large", "no file type" <= |l| l.put(l.inode("large") + 1, &[0x30]);
    "/large", "i_dtime is 9" <= |l| l.put(l.inode("large") + 0x14, &[9]);
    "/large", "i_links_count is 6, directories hold 2" <= |l| l.flip(l.inode("large") + 0x1A, 4);
    "inode 2 /", "which is not in use" <= |l| l.put(l.inode("fast") + 0x1A, &[0]);
    "/large", "i_blocks is" <= |l| l.flip(l.inode("large") + 0x1C, 8);
    "/large", "the extents end at block" <= |l| l.put(l.inode("large") + 4, &[1, 0, 0, 0]);
    "/one", "without holes" <= |l| l.put(l.inode("one") + 4, &[1]);
    "/large", "i_extra_isize is 30" <= |l| l.put(l.inode("large") + 0x80, &[30]);
    "/large", "i_mtime_extra has 1073741823" <= |l| l.put(l.inode("large") + 0x88, &[0xFF; 4]);
    "/large", "i_crtime_extra" <= |l| l.put(l.inode("large") + 0x97, &[0xFF]);
    "/large", "no feature allows" <= |l| l.flip(l.inode("large") + 0x22, 0x20);
    "/large", "INDEX_FL" <= |l| l.flip(l.inode("large") + 0x21, 0x10);
    "/large", "a block, blocks 127754+1, lies outside" <= |l| l.flip(l.inode("large") + 0x22, 8);
    "/large", "eh_magic" <= |l| l.flip(l.inode("large") + 0x28, 1);
    "/large", "eh_entries" <= |l| l.flip(l.inode("large") + 0x2A, 8);
    "/large", "eh_depth 6" <= |l| l.put(l.inode("large") + 0x2E, &[6]);
    "/large", "ee_len is 0" <= |l| l.put(l.inode("large") + 0x38, &[0, 0]);
    "/large", "outside the filesystem" <= |l| l.put(l.inode("large") + 0x3A, &[1]);
    "/large", "the group descriptors of group 0" <=
        |l| l.put(l.inode("large") + 0x3C, &[1, 0, 0, 0]);
    "inode", "which belongs to another structure" <=
        |l| l.put(l.inode("slow") + 0x3C, &l.copy(l.inode("large") + 0x3C, 4));
    "/deep/holes", "et_checksum" <= |l| l.flip(l.follow(l.inode("deep/holes") + 0x38) + 4092, 1);
    "/deep/holes", "eh_depth" <= |l| l.flip(l.follow(l.inode("deep/holes") + 0x38) + 6, 2);
    "/deep/holes", "overlaps its" <= |l| l.flip(l.follow(l.inode("deep/holes") + 0x38) + 24, 8);
    "/fast", "not the length of the target" <= |l| l.put(l.inode("fast") + 4, &[5]);
    "/slow", "one block that ends with NUL" <= |l| l.put(l.data("slow") + 9, &[0]);
    "/null", "device number" <= |l| l.put(l.inode("null") + 0x30, &[1]);
    "/fifo", "or not empty" <= |l| l.put(l.inode("fifo") + 0x28, &[1]);
    "/fifo", "i_size 1" <= |l| l.put(l.inode("fifo") + 4, &[1]);
    "inode 2 /", "no root directory" <= |l| l.put(l.inode("root") + 1, &[0x81]);
};

const DIRECTORIES: &[Case] = cases! {
    "/deep", "makes no sense" <= |l| l.flip(l.data("deep") + 4, 1);
    "/deep", "\".\" with its inode" <= |l| l.put(l.data("deep") + 4, &[24]);
    "/deep", "\"..\" is inode" <= |l| l.flip(l.data("deep") + 12, 1);
    "/deep", "no name of an entry" <= |l| l.put(l.entry("deep", "linked") + 8, b"/");
    "/deep", "no name of an entry" <= |l| l.put(l.entry("deep", "linked") + 6, b"\0");
    "/deep", "det_checksum is" <= |l| l.put(l.entry("deep", "linked") + 8, b"L");
    "/deep", "linked has file_type 2" <= |l| l.put(l.entry("deep", "linked") + 7, &[2]);
    "/deep", "the reserved inode 5" <= |l| l.put(l.entry("deep", "linked"), &[5, 0]);
    "/deep", "which is not in use" <= |l| l.put(l.entry("deep", "linked"), &[0, 0x3F]);
    "inode", "directories hold 1 links" <= |l| l.put(l.entry("deep", "linked"), &[0; 4]);
    "inode", "no directory holds a name" <= |l| l.put(l.entry("deep", "er"), &[0; 4]);
    "/deep", "second link to the directory" <=
        |l| l.put(l.entry("deep", "er"), &l.ino("deep").to_le_bytes());
    "inode", "lies in itself" <= |l| {
        l.put(l.entry("deep", "er"), &l.ino("deep").to_le_bytes());
        l.put(l.entry("root", "deep"), &[0;
        4]);
    };
    "/deep", "ends without its tail" <= |l| l.put(l.data("deep") + 4091, &[0]);
    "inode 2 /", "slow is there twice" <= |l| l.put(l.entry("root", "fast") + 8, b"slow");
    "/one", "dx_root_info" <= |l| l.put(l.data("one") + 28, &[9]);
    "/one", "indirect_levels 2" <= |l| l.put(l.data("one") + 30, &[2]);
    "/one", "507 fit" <= |l| l.flip(l.data("one") + 32, 1);
    "/one", "count 2304" <= |l| l.put(l.data("one") + 34, &[0, 9]);
    "/one", "dt_checksum" <= |l| l.flip(l.data("one") + 4092, 1);
    "/one", "outside its leaf's range" <= |l| l.put(l.data("one") + 43, &[0]);
    "/one", "out of order" <= |l| l.put(l.data("one") + 48, &[0; 4]);
    "/one", "past the end or twice" <= |l| l.put(l.data("one") + 52, &[1]);
    "/one", "no htree entry points at" <= |l| l.put(l.data("one") + 52, &[1]);
    "/one", "outside its leaf's range" <= |l| l.flip(SB + 0xEC, 1);
};

const XATTRS: &[Case] = cases! {
    "/large", "neither xattrs nor zeros" <= |l| l.flip(l.inode("large") + 0xA0, 1);
    "/large", "e_name_index 99" <= |l| l.put(l.inode("large") + 0xA5, &[99]);
    "/large", "xattr in the inode" <= |l| l.put(l.inode("large") + 0xA6, &[90]);
    "/large", "i_file_acl" <= |l| l.put(l.inode("large") + 0x68, &[0, 0, 0, 0xFF]);
    "/large", "the group descriptors" <= |l| l.put(l.inode("large") + 0x68, &[1, 0, 0, 0]);
    "/large", "h_magic" <= |l| l.flip(l.follow(l.inode("large") + 0x68), 1);
    "xattr block", "h_refcount is 2, 1" <= |l| l.put(l.follow(l.inode("large") + 0x68) + 4, &[2]);
    "/large", "h_hash" <= |l| l.put(l.follow(l.inode("large") + 0x68) + 12, &[2]);
    "/large", "h_checksum" <= |l| l.flip(l.follow(l.inode("large") + 0x68) + 16, 2);
    "/large", "e_hash is" <= |l| l.flip(l.follow(l.inode("large") + 0x68) + 44, 2);
    "/large", "multiple of 4" <= |l| l.flip(l.follow(l.inode("large") + 0x68) + 34, 1);
    "/large", "leaves its space" <= |l| l.put(l.follow(l.inode("large") + 0x68) + 43, &[1]);
    "/deep/holes", "no directory" <= |l| l.put(l.inode("deep/holes") + 0xA5, &[3]);
};

const JOURNAL_AND_RESIZE: &[Case] = cases! {
    "journal superblock", "h_magic" <= |l| l.flip(l.data("journal"), 1);
    "journal superblock", "s_blocksize" <= |l| l.flip(l.data("journal") + 0xC + 2, 1);
    "journal superblock", "s_maxlen" <= |l| l.flip(l.data("journal") + 0x13, 1);
    "journal superblock", "s_first" <= |l| l.flip(l.data("journal") + 0x17, 2);
    "journal superblock", "s_start is 1" <= |l| l.flip(l.data("journal") + 0x1F, 1);
    "journal superblock", "s_errno" <= |l| l.flip(l.data("journal") + 0x23, 1);
    "journal superblock", "s_checksum" <= |l| l.put(l.data("journal") + 0x2B, &[0x10]);
    "inode 8", "journal" <= |l| l.put(l.inode("journal") + 7, &[0]);
    "inode 7", "i_size is" <= |l| l.flip(l.inode("resize") + 4, 1);
    "inode 7", "i_blocks is" <= |l| l.flip(l.inode("resize") + 0x1C, 8);
    "inode 7", "beside the double indirect" <= |l| l.flip(l.inode("resize") + 0x28, 1);
    "inode 7", "the DIND block uses block 1" <= |l| l.put(l.inode("resize") + 0x5C, &[1, 0]);
    "resize inode DIND", "entry 2 is" <= |l| l.flip(l.follow(l.inode("resize") + 0x5C) + 8, 1);
    "resize inode reserved GDT block 3", "the kernel wants 32771" <= |l| l.flip(3 * 4096, 1);
};

#[test]
fn every_damage_is_named() {
    if !tools(&TOOLS) {
        return;
    }
    let mut lab = Lab::new(&rich(10));
    assert_eq!(lab.findings(), []);
    let tables = [
        SUPERBLOCK,
        GROUPS,
        INODES,
        DIRECTORIES,
        XATTRS,
        JOURNAL_AND_RESIZE,
    ];
    let mut missed = Vec::new();
    for (t, table) in tables.into_iter().enumerate() {
        for (n, (damage, structure, message)) in table.iter().enumerate() {
            damage(&mut lab);
            let found = lab.findings();
            lab.mend();
            let named =
                |f: &Finding| f.structure.contains(structure) && f.message.contains(message);
            if !found.iter().any(named) {
                let found: Vec<_> = found.iter().take(8).map(ToString::to_string).collect();
                missed.push(format!(
                    "table {t} case {n}, {structure}: {message}\n  {found:#?}"
                ));
            }
        }
    }
    assert_eq!(lab.findings(), [], "the last damage was not mended");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
