//! What `e2fsck -fn` accepts and a kernel or a repair would trip over.

use super::fixtures::{rich, tools};
use super::lab::{Case, Lab};
use super::{GROUP, SB, TOOLS};
use crate::ext4::check::Finding;

/// Damage that `e2fsck -fn` accepts without a word.
const BLIND_SPOTS: &[Case] = &[
    (
        |l| {
            // The last of the reserved blocks: e2fsck stops at a quarter of them.
            let last = usize::from(l.bytes[SB + 0xCE]) + 1;
            l.flip(last * 4096 + 1, 1);
        },
        "resize inode reserved GDT block",
        "the kernel wants",
    ),
    (
        |l| {
            let at = l.follow(l.inode("large") + 0x68);
            let first = l.bytes[at + 32..at + 64].to_vec();
            let second = l.bytes[at + 56..at + 88].to_vec();
            assert_ne!(first, second);
            // user.large (16 + 8) before trusted.more (16 + 4): swap them.
            let swapped = [&l.bytes[at + 56..at + 76], &l.bytes[at + 32..at + 56]].concat();
            l.put(at + 32, &swapped);
            l.put(at + 12, &[0; 4]);
            l.seal_xattr(at);
        },
        "/large",
        "order the kernel searches in",
    ),
    (
        |l| {
            let at = l.follow(l.inode("large") + 0x68);
            l.put(at + 12, &[1, 2, 3, 4]);
            l.seal_xattr(at);
        },
        "/large",
        "h_hash is",
    ),
    (
        |l| {
            // The value of the only xattr lies at the end of the inode.
            let at = l.inode("deep/holes");
            let value = at + 0xA4 + usize::from(l.bytes[at + 0xA6]);
            assert_eq!(l.word(value), 1, "a_version");
            l.put(value, &[2]);
            l.put(at + 0xA4 + 12, &[0; 4]);
            l.seal_inode("deep/holes");
        },
        "/deep/holes",
        "a_version is 2",
    ),
    (
        |l| {
            l.put(l.inode("large") + 0x88, &[0xFC, 0xFF, 0xFF, 0xFF]);
            l.seal_inode("large");
        },
        "/large",
        "nanoseconds",
    ),
    (
        |l| {
            l.flip(GROUP + 0x20, 8);
            l.seal_superblock(GROUP);
        },
        "group 1 backup superblock",
        "s_blocks_per_group differs",
    ),
    (
        |l| l.flip(GROUP + 4096, 8),
        "group 1 descriptor copy",
        "elsewhere",
    ),
    (
        |l| {
            l.as_made();
            l.flip(SB + 0x248, 1);
            l.seal_superblock(SB);
        },
        "superblock",
        "s_overhead_clusters",
    ),
];

#[test]
fn what_e2fsck_lets_pass_is_found() {
    if !tools(&TOOLS) {
        return;
    }
    let image = rich(10);
    let mut lab = Lab::new(&image);
    for (n, (damage, structure, message)) in BLIND_SPOTS.iter().enumerate() {
        damage(&mut lab);
        image.write(&lab.bytes);
        assert_eq!(
            image.e2fsck(),
            Some(0),
            "case {n}: e2fsck sees it now, say so in the list"
        );
        let found = lab.findings();
        let named = |f: &Finding| f.structure.contains(structure) && f.message.contains(message);
        assert!(
            found.len() == 1 && found.iter().all(named),
            "case {n}, {message}: {found:#?}"
        );
        lab.mend();
    }
}
