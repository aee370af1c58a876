//! Block bitmaps: which blocks nobody uses.

use super::{ReadError, Reader};
use crate::ext4::check::groups;
use crate::ext4::disk::group_desc::BG_BLOCK_UNINIT;
use crate::ext4::disk::superblock::RO_COMPAT_BIGALLOC;
use crate::units::{index, lo32};

/// Free blocks from `start` up to `end`.
pub(super) fn free(reader: &Reader, start: u64, end: u64) -> Result<u64, ReadError> {
    let geo = &reader.geo;
    let (mut at, end) = (start.max(geo.first_data_block), end.min(geo.blocks));
    let bigalloc = reader.sb.s_feature_ro_compat.get() & RO_COMPAT_BIGALLOC != 0;
    // One bit stands for a cluster.
    let ratio = if bigalloc {
        geo.blocks_per_group / u64::from(reader.sb.s_clusters_per_group.get().max(1))
    } else {
        1
    };
    let mut free = 0;
    while at < end {
        let group = (at - geo.first_data_block) / geo.blocks_per_group;
        let first = geo.group_start(lo32(group));
        let stop = end.min(first + geo.blocks_per_group);
        let desc = reader.group(lo32(group))?;
        if desc.bg_flags.get() & BG_BLOCK_UNINIT != 0 && geo.group_checksums() {
            // The bitmap was never written: all is free but what the group begins with.
            let (gdt, reserved) = reader.descriptor_blocks(lo32(group));
            let head = u64::from(reader.has_super(lo32(group))) + gdt + reserved;
            free += stop.saturating_sub(at.max(first + head));
        } else {
            let nr = groups::block_bitmap(&desc);
            let bits = reader.block(nr, || format!("the block bitmap of group {group}"))?;
            let used = |block: u64| {
                let bit = (block - first) / ratio;
                bits.get(index(bit / 8))
                    .is_none_or(|byte| byte >> (bit % 8) & 1 == 1)
            };
            free += (at..stop).map(|block| u64::from(!used(block))).sum::<u64>();
        }
        at = stop;
    }
    Ok(free)
}
