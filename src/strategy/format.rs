//! Filesystems of any shape.

use crate::ext4::{BlockSize, Builder, Features, Format, Options};
use crate::seed::Seed;
use crate::units::{GIB, KIB, MIB, TIB};
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// Fitted filesystems with little or much room, and filesystems of a size, small and odd sizes among
/// them; of any block size and profile of features, with any number of inodes and any room to grow. [`Builder::new`] takes every one.
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
    let options = (options(), inodes, grow).prop_map(|(options, inodes, max_grow)| Options {
        inodes: inodes.map(u64::from),
        max_grow: max_grow.map(|n| n / KIB * KIB),
        ..options
    });
    (size, free, options, label, any::<u8>())
        .prop_map(|(size, free, options, label, seed)| Format {
            size,
            // A fitted one must reach what it holds, however small its blocks are.
            options: Options {
                max_grow: options
                    .max_grow
                    .map(|n| if size.is_none() { n.max(2 * GIB) } else { n }),
                ..options
            },
            free: if size.is_some() { 0 } else { free },
            label,
            seed: Seed::from_text(&seed.to_string()),
            ..Format::default()
        })
        .prop_filter("mke2fs would refuse it", |format| {
            Builder::new(format.clone()).is_ok()
        })
}

/// Block sizes, features and reserves; the default first.
fn options() -> impl Strategy<Value = Options> + Clone {
    let sizes = vec![BlockSize::KiB4, BlockSize::KiB2, BlockSize::KiB1];
    let features = vec![Features::DEFAULT, Features::MODERN, Features::PV];
    (select(sizes), select(features), 0_u8..=50).prop_map(|(block_size, features, reserved)| {
        Options {
            block_size,
            features,
            reserved_percent: if reserved > 40 { reserved } else { 5 },
            ..Options::default()
        }
    })
}
