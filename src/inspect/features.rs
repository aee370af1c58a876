//! Names of ext4's features, as e2fsprogs has them.

use crate::ext4::disk::superblock as sb;

const COMPAT: [(u32, &str); 10] = [
    (sb::COMPAT_DIR_PREALLOC, "dir_prealloc"),
    (sb::COMPAT_IMAGIC_INODES, "imagic_inodes"),
    (sb::COMPAT_HAS_JOURNAL, "has_journal"),
    (sb::COMPAT_EXT_ATTR, "ext_attr"),
    (sb::COMPAT_RESIZE_INODE, "resize_inode"),
    (sb::COMPAT_DIR_INDEX, "dir_index"),
    (sb::COMPAT_SPARSE_SUPER2, "sparse_super2"),
    (sb::COMPAT_FAST_COMMIT, "fast_commit"),
    (sb::COMPAT_STABLE_INODES, "stable_inodes"),
    (sb::COMPAT_ORPHAN_FILE, "orphan_file"),
];

const INCOMPAT: [(u32, &str); 16] = [
    (sb::INCOMPAT_COMPRESSION, "compression"),
    (sb::INCOMPAT_FILETYPE, "filetype"),
    (sb::INCOMPAT_RECOVER, "needs_recovery"),
    (sb::INCOMPAT_JOURNAL_DEV, "journal_dev"),
    (sb::INCOMPAT_META_BG, "meta_bg"),
    (sb::INCOMPAT_EXTENTS, "extent"),
    (sb::INCOMPAT_64BIT, "64bit"),
    (sb::INCOMPAT_MMP, "mmp"),
    (sb::INCOMPAT_FLEX_BG, "flex_bg"),
    (sb::INCOMPAT_EA_INODE, "ea_inode"),
    (sb::INCOMPAT_DIRDATA, "dirdata"),
    (sb::INCOMPAT_CSUM_SEED, "metadata_csum_seed"),
    (sb::INCOMPAT_LARGEDIR, "large_dir"),
    (sb::INCOMPAT_INLINE_DATA, "inline_data"),
    (sb::INCOMPAT_ENCRYPT, "encrypt"),
    (sb::INCOMPAT_CASEFOLD, "casefold"),
];

const RO_COMPAT: [(u32, &str); 13] = [
    (sb::RO_COMPAT_SPARSE_SUPER, "sparse_super"),
    (sb::RO_COMPAT_LARGE_FILE, "large_file"),
    (sb::RO_COMPAT_HUGE_FILE, "huge_file"),
    (sb::RO_COMPAT_GDT_CSUM, "uninit_bg"),
    (sb::RO_COMPAT_DIR_NLINK, "dir_nlink"),
    (sb::RO_COMPAT_EXTRA_ISIZE, "extra_isize"),
    (sb::RO_COMPAT_QUOTA, "quota"),
    (sb::RO_COMPAT_BIGALLOC, "bigalloc"),
    (sb::RO_COMPAT_METADATA_CSUM, "metadata_csum"),
    (sb::RO_COMPAT_READONLY, "read-only"),
    (sb::RO_COMPAT_PROJECT, "project"),
    (sb::RO_COMPAT_VERITY, "verity"),
    (sb::RO_COMPAT_ORPHAN_PRESENT, "orphan_present"),
];

/// The names of all bits of compat, incompat and ro_compat; one without a name is `FEATURE_I31`, as
/// dumpe2fs has it.
pub(super) fn names(words: [u32; 3]) -> Vec<String> {
    let tables: [(char, &[(u32, &str)]); 3] = [('C', &COMPAT), ('I', &INCOMPAT), ('R', &RO_COMPAT)];
    let mut list = Vec::new();
    for (word, (letter, table)) in words.into_iter().zip(tables) {
        for bit in (0..32).filter(|bit| word >> bit & 1 == 1) {
            let known = table.iter().find(|(mask, _)| *mask == 1 << bit);
            list.push(known.map_or_else(|| format!("FEATURE_{letter}{bit}"), |k| k.1.into()));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn known_bits_have_names_and_others_numbers() {
        assert_eq!(
            names([0x3C, 0x2C2, 0x46B]).join(" "),
            "has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super \
             large_file huge_file dir_nlink extra_isize metadata_csum"
        );
        let odd = ["FEATURE_C31", "FEATURE_I5", "FEATURE_R2"];
        assert_eq!(names([1 << 31, 1 << 5, 1 << 2]), odd);
    }
}
