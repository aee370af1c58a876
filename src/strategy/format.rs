//! Filesystems of any shape.

use crate::ext4::{Builder, Format};
use crate::seed::Seed;
use crate::units::{GIB, KIB, MIB, TIB};
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// Fitted filesystems with little or much room, and filesystems of a size, small and odd sizes among
/// them; with any number of inodes and any room to grow. [`Builder::new`] takes every one.
pub fn format() -> impl Strategy<Value = Format> + Clone {
    let size = prop_oneof![
        4 => Just(None),
        2 => (2 * MIB..64 * MIB).prop_map(Some),
        1 => (64 * MIB..GIB).prop_map(Some),
    ];
    let free = prop_oneof![2 => Just(0), 1 => 0..4 * MIB, 1 => 0..300 * MIB];
    let inodes = weighted(0.3, prop_oneof![12_u32..300, 12_u32..40_000]);
    let grow = weighted(
        0.3,
        prop_oneof![Just(0), 0..TIB, any::<u64>().prop_map(|n| n >> 8)],
    );
    let label = "[a-z]{0,16}";
    (size, free, inodes, grow, label, any::<u8>())
        .prop_map(|(size, free, inodes, max_grow, label, seed)| Format {
            size,
            free: if size.is_some() { 0 } else { free },
            inodes,
            max_grow: max_grow.map(|n| n / KIB * KIB),
            label,
            seed: Seed::from_text(&seed.to_string()),
            ..Format::default()
        })
        .prop_filter("mke2fs would refuse it", |format| {
            Builder::new(format.clone()).is_ok()
        })
}
