//! The orphan file: a list of inodes that are deleted and still open, empty here.
//!
//! ```text
//! │ inode number, inode number, … 0 │ ob_magic │ ob_checksum │   every block of the file
//! ```

use crate::ext4::checksum;
use crate::ext4::disk::orphan::{EXT4_ORPHAN_BLOCK_MAGIC, OrphanBlockTail};
use crate::ext4::plan::Plan;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// The block of the orphan file at block `nr` of the filesystem.
pub(super) fn block(plan: &Plan, nr: u64, out: &mut [u8]) {
    let tail = out.len() - size_of::<OrphanBlockTail>();
    let seed = plan
        .orphan_inode()
        .and_then(|inode| super::inode::seed(plan, inode));
    let sum = seed.map_or(0, |seed| checksum::orphan_block(seed, nr, &out[..tail]));
    let raw = OrphanBlockTail {
        ob_magic: U32::new(EXT4_ORPHAN_BLOCK_MAGIC),
        ob_checksum: U32::new(sum),
    };
    out[tail..].copy_from_slice(raw.as_bytes());
}
