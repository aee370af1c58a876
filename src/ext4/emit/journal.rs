//! The journal's superblock: an empty journal. The blocks behind it are zero and need no writing.

use crate::ext4::disk::journal::{JBD2_MAGIC_NUMBER, JBD2_SUPERBLOCK_V2, JournalSuperblock};
use crate::ext4::plan::Plan;
use crate::units::lo32;
use zerocopy::big_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

/// The superblock as mke2fs writes it: no features, the kernel turns checksums on when it mounts.
pub(super) fn superblock(plan: &Plan, out: &mut [u8]) {
    let mut jsb = JournalSuperblock::new_zeroed();
    jsb.h_magic = U32::new(JBD2_MAGIC_NUMBER);
    jsb.h_blocktype = U32::new(JBD2_SUPERBLOCK_V2);
    jsb.s_blocksize = U32::new(lo32(plan.geometry.block()));
    jsb.s_maxlen = U32::new(lo32(plan.geometry.journal_blocks));
    jsb.s_first = U32::new(1);
    jsb.s_sequence = U32::new(1);
    jsb.s_nr_users = U32::new(1);
    jsb.s_uuid = plan.identity.uuid;
    out[..1024].copy_from_slice(jsb.as_bytes());
}
