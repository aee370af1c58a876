//! What the bits of a byte of a bitmap say.

use super::Explanation;
use super::ext4::Ext4;
use crate::ext4::disk::group_desc::{BG_BLOCK_UNINIT, BG_INODE_UNINIT};
use crate::ext4::disk::superblock::{
    RO_COMPAT_BIGALLOC, RO_COMPAT_GDT_CSUM, RO_COMPAT_METADATA_CSUM,
};
use std::io;

/// What a bitmap is of.
struct Bitmap {
    /// `block` or `inode`.
    of: &'static str,
    /// What its first bit stands for.
    first: u64,
    /// How many a bit stands for: under `bigalloc` the blocks of a cluster.
    ratio: u64,
    /// How many there are in its group.
    there: u64,
    /// The flag of the group's descriptor when it was never written.
    unwritten: Option<&'static str>,
}

impl Ext4<'_> {
    pub(super) fn block_bits(&self, group: u32, e: &mut Explanation) -> io::Result<()> {
        let sb = self.reader.superblock();
        let ratio = match sb.s_feature_ro_compat.get() & RO_COMPAT_BIGALLOC {
            0 => 1,
            _ => u64::from(sb.s_blocks_per_group.get() / sb.s_clusters_per_group.get().max(1)),
        };
        let bitmap = Bitmap {
            of: "block",
            first: self.reader.group_start(group),
            ratio: ratio.max(1),
            there: self.reader.group_len(group),
            unwritten: self.unwritten(group, BG_BLOCK_UNINIT, "BLOCK_UNINIT"),
        };
        self.bits(&bitmap, e)
    }

    pub(super) fn inode_bits(&self, group: u32, e: &mut Explanation) -> io::Result<()> {
        let per_group = u64::from(self.reader.superblock().s_inodes_per_group.get());
        let bitmap = Bitmap {
            of: "inode",
            first: u64::from(group) * per_group + 1,
            ratio: 1,
            there: per_group,
            unwritten: self.unwritten(group, BG_INODE_UNINIT, "INODE_UNINIT"),
        };
        self.bits(&bitmap, e)
    }

    /// The name of a flag of the group's descriptor, if it is set and descriptors have flags.
    fn unwritten(&self, group: u32, flag: u16, name: &'static str) -> Option<&'static str> {
        let flags = RO_COMPAT_GDT_CSUM | RO_COMPAT_METADATA_CSUM;
        let desc = self.reader.group(group).ok()?;
        let known = self.reader.superblock().s_feature_ro_compat.get() & flags != 0;
        (known && desc.bg_flags.get() & flag != 0).then_some(name)
    }

    fn bits(&self, map: &Bitmap, e: &mut Explanation) -> io::Result<()> {
        let Bitmap { of, ratio, .. } = *map;
        let from = self.inside % self.reader.block_size() * 8;
        let bits = map.there.div_ceil(ratio);
        if from >= bits {
            e.element = Some(format!("padding: the group has {} {of}s", map.there));
            return Ok(());
        }
        let (to, end) = ((from + 8).min(bits), map.first + map.there - 1);
        let first = |bit: u64| map.first + bit * ratio;
        let last = |bit: u64| (first(bit) + ratio - 1).min(end);
        let clusters = match ratio {
            1 => String::new(),
            n => format!(" in clusters of {n}"),
        };
        let what = format!("{of}s {} to {}{clusters}", first(from), last(to - 1));
        if let Some(flag) = map.unwritten {
            e.element = Some(format!("{what}, never written (bg_flags has {flag})"));
            return Ok(());
        }
        let byte = self.read(self.inside, 1)?.first().copied().unwrap_or(0);
        let set = (from..to).filter(|bit| byte >> (bit - from) & 1 == 1);
        let used: Vec<String> = set
            .map(|bit| match ratio {
                1 => first(bit).to_string(),
                _ => format!("{} to {}", first(bit), last(bit)),
            })
            .collect();
        let in_use = match used.len() {
            0 => "none in use".to_owned(),
            8 => "all in use".to_owned(),
            _ if ratio == 1 => format!("in use: {}", used.join(" ")),
            _ => format!("in use: {}", used.join(", ")),
        };
        e.element = Some(format!("{what}, {in_use}"));
        Ok(())
    }
}
