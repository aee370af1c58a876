//! The superblock: whether the filesystem can be read, and what is doubtful about it.

use super::{ReadError, Reader};
use crate::ext4::check::geometry::{self, Geometry};
use crate::ext4::checksum;
use crate::ext4::disk::superblock as disk;
use crate::ext4::disk::superblock::{SUPERBLOCK_OFFSET, Superblock};
use crate::read_at::ReadAt;
use zerocopy::{FromZeros, IntoBytes};

/// Incompat bits that this reader knows. An MMP block and a seed of checksums change nothing that is read;
/// encrypted files are refused one by one.
const KNOWN: u32 = disk::INCOMPAT_FILETYPE
    | disk::INCOMPAT_RECOVER
    | disk::INCOMPAT_META_BG
    | disk::INCOMPAT_EXTENTS
    | disk::INCOMPAT_64BIT
    | disk::INCOMPAT_MMP
    | disk::INCOMPAT_FLEX_BG
    | disk::INCOMPAT_EA_INODE
    | disk::INCOMPAT_CSUM_SEED
    | disk::INCOMPAT_LARGEDIR
    | disk::INCOMPAT_INLINE_DATA
    | disk::INCOMPAT_ENCRYPT
    | disk::INCOMPAT_CASEFOLD;

/// Names of the others.
const UNKNOWN: [(u32, &str); 3] = [
    (disk::INCOMPAT_COMPRESSION, "compression"),
    (disk::INCOMPAT_JOURNAL_DEV, "journal_dev"),
    (disk::INCOMPAT_DIRDATA, "dirdata"),
];

/// Reads the superblock and what follows from it.
pub(super) fn read(fs: &dyn ReadAt) -> Result<(Superblock, Geometry), ReadError> {
    let mut sb = Superblock::new_zeroed();
    let read = fs.read_exact_at(SUPERBLOCK_OFFSET, sb.as_mut_bytes());
    read.map_err(|source| ReadError::Read {
        what: "the superblock".into(),
        offset: SUPERBLOCK_OFFSET,
        len: 1024,
        source,
    })?;
    if sb.s_magic.get() != disk::EXT4_SUPER_MAGIC {
        let found = sb.s_magic.get();
        return Err(ReadError::NotExt { found });
    }
    let refused = sb.s_feature_incompat.get() & !KNOWN;
    if refused != 0 {
        let named = UNKNOWN.iter().filter(|(bit, _)| refused & bit != 0);
        let mut names: Vec<String> = named.clone().map(|(_, name)| (*name).to_owned()).collect();
        let nameless = named.fold(refused, |rest, (bit, _)| rest & !bit);
        if nameless != 0 {
            names.push(format!("0x{nameless:x} of s_feature_incompat"));
        }
        let names = names.join(", ");
        return Err(ReadError::Unsupported { names });
    }
    // The end of an image may be missing: what lies before it can be read.
    let geo = geometry::of(&sb, u64::MAX).map_err(|message| ReadError::Damaged {
        structure: "superblock".into(),
        offset: SUPERBLOCK_OFFSET,
        message,
    })?;
    Ok((sb, geo))
}

/// What is doubtful about the filesystem.
pub(super) fn warn(reader: &Reader) {
    let sb = &reader.sb;
    let warn = |message: String| reader.warn("superblock", SUPERBLOCK_OFFSET, message);
    if sb.s_feature_incompat.get() & disk::INCOMPAT_RECOVER != 0 {
        warn(
            "s_feature_incompat has needs_recovery: the filesystem was not unmounted cleanly, and what its \
             journal holds is not seen"
                .into(),
        );
    }
    if sb.s_state.get() & disk::EXT4_ERROR_FS != 0 {
        warn("s_state: the kernel found errors in it".into());
    }
    let crc = checksum::superblock(&zerocopy::transmute!(*sb));
    let sum = sb.s_feature_ro_compat.get() & disk::RO_COMPAT_METADATA_CSUM != 0;
    if sum && crc != sb.s_checksum.get() {
        let is = sb.s_checksum.get();
        warn(format!(
            "s_checksum is 0x{is:08x}, the superblock has 0x{crc:08x}"
        ));
    }
    let (len, there) = (reader.geo.byte(reader.geo.blocks), reader.fs.len());
    if len > there {
        warn(format!(
            "s_blocks_count makes {len} bytes, of which {there} are there"
        ));
    }
}
