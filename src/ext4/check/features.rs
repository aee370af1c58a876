//! Which features this checker reads, and the names of those it refuses.

use super::CheckError;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::Superblock;

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

/// What this checker cannot read, although it may be sound.
pub(super) fn unreadable(sb: &Superblock) -> Option<CheckError> {
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
