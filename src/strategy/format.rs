//! Filesystems of any shape.

use crate::ext4::{BlockSize, Builder, Features, Format, Journal, Options, Size};
use crate::seed::Seed;
use crate::units::{GIB, MIB, TIB};
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// Fitted filesystems with little or much room, and filesystems of a size, small and odd sizes among
/// them; of every block size and set of features, with any number of inodes, any room to grow, with and
/// without a journal. [`Builder::new`] takes every one.
pub fn format() -> impl Strategy<Value = Format> + Clone {
    let free = prop_oneof![2 => Just(0), 1 => 0..4 * MIB, 1 => 0..300 * MIB];
    let size = prop_oneof![
        4 => free.prop_map(Size::fit),
        2 => (2 * MIB..64 * MIB).prop_map(Size::Bytes),
        1 => (64 * MIB..GIB).prop_map(Size::Bytes),
    ];
    (size, options(), "[a-z]{0,16}", any::<u8>())
        .prop_map(|(size, options, label, seed)| Format {
            size,
            options,
            label,
            seed: Seed::from_text(&seed.to_string()),
            ..Format::default()
        })
        .prop_filter("mke2fs would refuse it", |format| {
            Builder::new(format.clone()).is_ok()
        })
}

/// How to make a filesystem, whatever its size.
pub fn options() -> impl Strategy<Value = Options> + Clone {
    let block_size = prop_oneof![
        2 => Just(BlockSize::KiB4),
        1 => Just(BlockSize::KiB2),
        1 => Just(BlockSize::KiB1),
    ];
    let features = prop_oneof![
        3 => Just(Features::DEFAULT),
        1 => Just(Features::MODERN),
        1 => Just(Features::PV),
    ];
    let inodes = weighted(0.3, prop_oneof![12_u64..300, 12_u64..200_000]);
    // Descriptors must reach what a fitted filesystem comes to.
    let grow = weighted(
        0.3,
        prop_oneof![2 * GIB..TIB, any::<u64>().prop_map(|n| n.max(2 * GIB))],
    );
    let journal = prop_oneof![4 => Just(Journal::BySize), 1 => Just(Journal::None)];
    let reserved = prop_oneof![3 => Just(5), 1 => 0_u8..=50];
    (block_size, features, inodes, grow, journal, reserved).prop_map(
        |(block_size, features, inodes, max_grow, journal, reserved_percent)| Options {
            block_size,
            features,
            inodes,
            max_grow,
            journal,
            reserved_percent,
            ..Options::default()
        },
    )
}
