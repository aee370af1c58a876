//! Which features of ext4 a GRUB reads, as its own module says.
//!
//! `grub_ext2_mount` (`grub-core/fs/ext2.c`) tests `s_feature_incompat` against the complement of what it
//! supports or ignores, and refuses the filesystem when a bit is left. On x86 that complement is a literal
//! of the code, so that the module of the rootfs says for itself what no version number could: Debian took
//! `metadata_csum_seed` into 2.06-8, other vendors into other builds. Bits and whole words beyond
//! `s_feature_incompat` are never tested.

/// What was supported or ignored, from the newest GRUB to 2.02.
const READ: [u32; 4] = [
    // 2.12, Debian's 2.06-8: and large_dir.
    0x1_63D6, // 7fd5feff9 of July 2021: and metadata_csum_seed.
    0x1_23D6, // 2.04 and 2.06: and encrypt.
    0x1_03D6, // 2.02: filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg.
    0x03D6,
];

/// What every GRUB from 2.02 on reads.
pub const READ_SINCE_2_02: u32 = READ[3];

/// The bits of `s_feature_incompat` that `ext2.mod` reads; `None` when none of the known tests is in it.
#[must_use]
pub fn readable_incompat(module: &[u8]) -> Option<u32> {
    READ.into_iter().find(|read| {
        let literal = (!read).to_le_bytes();
        module.windows(4).any(|bytes| bytes == literal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_tells_the_builds_apart() {
        for read in READ {
            let code = [
                &[0xF7, 0x05, 1, 2, 3, 4][..],
                &(!read).to_le_bytes(),
                &[0x75],
            ]
            .concat();
            assert_eq!(readable_incompat(&code), Some(read));
        }
        assert_eq!(readable_incompat(b"another compiler"), None);
    }
}
