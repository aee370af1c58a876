//! What holds for any geometry, any list of files, any names and any attributes.

use super::alloc::Allocator;
use super::block_set::BlockSet;
use super::block_size::BlockSize;
use super::features::Features;
use super::fit::{Available, Fit, FitSize, Need, Reached, descriptor_blocks};
use super::geometry::Geometry;
use super::geometry_error::GeometryError;
use super::options::Options;
use super::place::Placement;
use super::plan::directory::{Layout, Room, rec_len};
use super::plan::xattr::{Holder, encode};
use super::tables::{Tables, supers};
use crate::entry::{DataRun, Entry, EntryKind};
use crate::ext4::dirhash::{Chars, half_md4};
use crate::tree::{ROOT, Tree};
use crate::units::{count, index, index32};
use proptest::prelude::*;
use std::ops::Range;

fn options() -> impl Strategy<Value = Options> {
    let sizes = prop::sample::select(&BlockSize::ALL);
    let large = Features::MODERN.with_large_dir();
    let features = prop::sample::select(vec![Features::DEFAULT, Features::PV, large]);
    let ratio = prop::option::weighted(0.2, 1u64 << 12..1 << 20);
    (sizes, features, ratio, 0u8..=50).prop_map(
        |(block_size, features, inode_ratio, reserved_percent)| Options {
            block_size,
            features,
            inode_ratio,
            reserved_percent,
            ..Options::default()
        },
    )
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let size = prop_oneof![
        1u64 << 21..1 << 30,
        1u64 << 30..1 << 38,
        1u64 << 38..1 << 44
    ];
    let inodes = prop::option::weighted(0.3, prop_oneof![1u64..5000, 1u64..3_000_000]);
    let grow = prop::option::weighted(0.3, any::<u64>());
    (size, options(), inodes, grow).prop_filter_map(
        "mke2fs would refuse",
        |(size, options, inodes, max_grow)| {
            let options = Options {
                inodes,
                max_grow,
                ..options
            };
            Geometry::of_size(size, &options).ok()
        },
    )
}

/// Whether the ranges, in any order, are disjoint and end by `end`.
fn disjoint(mut ranges: Vec<Range<u64>>, end: u64) -> bool {
    ranges.sort_by_key(|r| r.start);
    ranges.windows(2).all(|w| w[0].end <= w[1].start) && ranges.iter().all(|r| r.end <= end)
}

fn need() -> impl Strategy<Value = Need> {
    let available = prop_oneof![
        (0u64..1 << 36).prop_map(Available::Bytes),
        (0u8..=40, 0u64..1 << 28)
            .prop_map(|(percent, at_least)| Available::Percent { percent, at_least }),
    ];
    let content = prop_oneof![0u64..3000, 0u64..1 << 22];
    let inodes = prop_oneof![12u64..3000, 12u64..2_000_000];
    (content, inodes, available, options()).prop_map(|(content, inodes, available, options)| Need {
        content,
        inodes,
        fit: Fit {
            available,
            size: FitSize::Least,
        },
        descriptor_blocks: descriptor_blocks(1 << 41, &options),
        options,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_geometry_holds_its_own_tables(g in geometry()) {
        let bits = g.block() * 8;
        prop_assert_eq!(g.groups, (g.blocks - g.first_block()).div_ceil(g.blocks_per_group));
        prop_assert!(g.blocks_per_group <= bits && g.blocks_per_group % 8 == 0);
        prop_assert!(g.group_start(g.groups - 1) < g.blocks);
        prop_assert_eq!(g.gdt_blocks, g.groups.div_ceil(g.block() / g.features.descriptor()));
        prop_assert!(g.reserved_gdt_blocks <= g.block() / 4);
        prop_assert!(g.inodes_per_group <= bits && g.inodes_per_group % 8 == 0);
        prop_assert_eq!(g.inodes_per_group * 256 % g.block(), 0);
        let last = g.group_blocks(g.groups - 1);
        prop_assert!(last >= 2 + g.inode_table_blocks() + g.super_blocks(g.groups - 1), "{:?}", g);
        let supers = (0..g.groups).filter(|&n| Geometry::has_super(n));
        prop_assert!(supers.skip(1).eq(g.backups()));
    }

    #[test]
    fn tables_of_mke2fs_are_disjoint_and_inside(g in geometry().prop_filter("quick", |g| g.groups < 1000)) {
        let mut used = supers(&g);
        let mut all: Vec<_> = used.iter().collect();
        if let Some(t) = Tables::as_mke2fs(&g, &mut used) {
            all.extend(t.block_bitmap.iter().chain(&t.inode_bitmap).map(|&b| b..b + 1));
            all.extend(t.inode_table.iter().map(|&b| b..b + g.inode_table_blocks()));
            prop_assert_eq!(used.len(), all.iter().map(|r| r.end - r.start).sum::<u64>());
            prop_assert_eq!(t.inode_table.len(), t.block_bitmap.len());
            prop_assert!(disjoint(all, g.blocks));
        }
    }

    #[test]
    fn fitted_is_enough_and_nothing_smaller_is(
        need in need(),
        gap in 0u64..40_000,
        any_less in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        // What placing shows, as good as any: it rises with the tables.
        let place = |g: &Geometry| Reached {
            end: need.content + gap + g.overhead() + g.orphan_blocks(),
            extra: u64::from(g.journal_blocks > 40_000),
        };
        let fitted = Geometry::fitted(&need, |g| Ok::<_, GeometryError>(place(g)));
        let Ok(g) = fitted else { return Ok(()) };
        prop_assert!(need.satisfied_by(&g, &place(&g)), "{:?}", g);
        let near = 1..=60u64;
        let far = [100, 500, 1000, 3000, 9000, 20_000, 33_000].into_iter();
        let near_and_far = near.chain(far).filter_map(|less| g.blocks.checked_sub(less));
        let any_less = any_less.iter().map(|at| count(at.index(index(g.blocks))));
        for blocks in near_and_far.chain(any_less) {
            let exactly = Need { fit: Fit { size: FitSize::Exactly(blocks), ..need.fit }, ..need };
            let smaller = Geometry::fitted(&exactly, |g| Ok::<_, GeometryError>(place(g)));
            prop_assert!(smaller.is_err(), "{:?} is enough, {:?} was chosen", smaller, g);
        }
    }

    #[test]
    fn rounded_is_enough_and_no_smaller_multiple_is(need in need(), mib in 1u64..3000) {
        let place = |g: &Geometry| Reached { end: g.overhead(), extra: 0 };
        let (multiple, offset) = (mib << 20, 1 << 20);
        let round = Need { fit: Fit { size: FitSize::Round { multiple, offset }, ..need.fit }, ..need };
        let Ok(g) = Geometry::fitted(&round, |g| Ok::<_, GeometryError>(place(g))) else { return Ok(()) };
        let disk = (offset + g.blocks * g.block()).next_multiple_of(multiple);
        prop_assert!(need.satisfied_by(&g, &place(&g)), "{:?}", g);
        let least = Geometry::fitted(&need, |g| Ok::<_, GeometryError>(place(g))).unwrap();
        prop_assert!(least.blocks <= g.blocks);
        // The rest is less than a last group needs.
        let rest = (disk - offset) / g.block() - g.blocks;
        prop_assert!(rest == 0 || rest < 52 + g.inode_table_blocks() + g.super_blocks(0), "{}", rest);
    }

    #[test]
    fn the_allocator_goes_up_and_leaves_out_what_is_reserved(
        reserved in prop::collection::vec((0u64..2000, 1u64..80), 0..12),
        wants in prop::collection::vec((1u64..120, any::<bool>()), 1..60),
        end in 500u64..3000,
    ) {
        let mut set = BlockSet::default();
        reserved.iter().for_each(|&(at, len)| set.insert(at..at + len));
        let mut alloc = Allocator::sized(&set, end);
        let (mut at, mut sum) = (0, 0);
        for (want, whole) in wants {
            let run = if whole {
                alloc.take_contiguous(want).map(|b| b..b + want)
            } else {
                alloc.take(want)
            };
            let Some(run) = run else { continue };
            prop_assert!(run.start >= at && run.end <= end && !run.is_empty());
            prop_assert!(run.end - run.start <= want);
            prop_assert_eq!(set.count_in(&run), 0);
            at = run.end;
            sum += run.end - run.start;
        }
        prop_assert_eq!(alloc.taken().len(), sum);
    }

    #[test]
    fn every_block_of_data_is_mapped_once_and_no_hole_is(
        files in prop::collection::vec(prop::collection::vec((0u64..30_000, 1u64..30_000), 0..40), 1..8),
        reserved in prop::collection::vec((0u64..500, 1u64..20), 0..30),
    ) {
        let mut set = BlockSet::default();
        reserved.iter().for_each(|&(at, len)| set.insert(at..at + len));
        let (mut alloc, mut placement) = (Allocator::sized(&set, 1 << 20), Placement::new(BlockSize::KiB4));
        let mut taken = BlockSet::default();
        for gaps in files {
            let (mut runs, mut at) = (Vec::new(), 0);
            for (gap, len) in gaps {
                runs.push(DataRun { offset: at + gap, len });
                at += gap + len;
            }
            let id = placement.add(&mut alloc, at + 5, Some(&runs)).unwrap();
            let mut wanted = BlockSet::default();
            runs.iter().for_each(|r| wanted.insert(r.offset / 4096..(r.offset + r.len).div_ceil(4096)));
            let mut mapped = BlockSet::default();
            for e in placement.extents(id) {
                let logical = u64::from(e.logical)..u64::from(e.logical) + u64::from(e.len);
                prop_assert_eq!(mapped.count_in(&logical) + taken.count_in(&e.blocks()), 0);
                mapped.insert(logical);
                taken.insert(e.blocks());
            }
            prop_assert_eq!(&mapped, &wanted);
            for r in runs {
                let (at, room) = placement.locate(id, r.offset).unwrap();
                prop_assert!(room > 0 && at % 4096 == r.offset % 4096);
                prop_assert_eq!(taken.count_in(&(at / 4096..at / 4096 + 1)), 1);
            }
        }
        prop_assert_eq!(alloc.taken(), &taken);
    }

    #[test]
    fn a_directory_is_in_hash_order_and_no_block_overflows(
        names in prop::collection::hash_set(prop::collection::vec(1u8..=255, 1..=255), 0..400),
        many in prop_oneof![3 => Just(0_u32), 1 => 1u32..12_000],
        seed in any::<[u32; 4]>(),
        o in options(),
    ) {
        let room = Room::new(o.block_size, o.features);
        let mut tree = Tree::new();
        let names = names.into_iter().filter(|n| !n.contains(&b'/') && n != b"." && n != b"..");
        let long = (0..many).map(|n| format!("{n:0240}").into_bytes());
        for path in names.chain(long) {
            tree.insert(&entry(path)).unwrap();
        }
        let sorted = tree.sorted();
        match Layout::new(&tree, &sorted, ROOT, &seed, 1, room).unwrap() {
            Layout::Linear { blocks } => {
                let bytes: usize = tree.children(&sorted, ROOT).map(|c| rec_len(c.name)).sum();
                prop_assert!(blocks == 1 && 24 + bytes <= room.linear);
            }
            layout @ Layout::Htree { .. } => {
                let blocks = layout.blocks();
                let Layout::Htree { order, leaves, levels } = layout else { unreachable!() };
                prop_assert_eq!(blocks, count(levels.blocks()));
                prop_assert_eq!(levels.reached(), (0..leaves.len()).collect::<Vec<_>>());
                let mut seen = order.clone();
                seen.sort_unstable();
                prop_assert!(seen.iter().enumerate().all(|(i, &n)| i == index32(n)));
                prop_assert_eq!(seen.len(), tree.children(&sorted, ROOT).len());
                let hash = |nth| half_md4(tree.nth_child(&sorted, ROOT, nth).name, &seed, Chars::Signed).0;
                prop_assert!(order.windows(2).all(|w| hash(w[0]) <= hash(w[1])));
                for (n, leaf) in leaves.iter().enumerate() {
                    let end = leaves.get(n + 1).map_or(order.len(), |l| index32(l.first));
                    let names = &order[index32(leaf.first)..end];
                    let bytes: usize =
                        names.iter().map(|&c| rec_len(tree.nth_child(&sorted, ROOT, c).name)).sum();
                    prop_assert!(bytes <= room.linear && !names.is_empty());
                    let before = n.checked_sub(1).map(|_| hash(order[index32(leaf.first) - 1]));
                    prop_assert_eq!(leaf.hash & !1, hash(names[0]));
                    prop_assert_eq!(leaf.hash & 1 == 1, before == Some(hash(names[0])));
                }
            }
        }
    }

    #[test]
    fn attributes_are_in_the_kernels_order_or_refused(
        set in prop::collection::btree_map("(user|trusted|security)\\.[a-z]{1,40}", 0usize..900, 1..12),
        block in prop::sample::select(vec![1024_usize, 2048, 4096]),
    ) {
        let set: Vec<_> = set.into_iter().map(|(n, len)| (n.into_bytes(), vec![b'v'; len])).collect();
        let padded = |n: usize| n.next_multiple_of(4);
        let needed: usize = set.iter().map(|(n, v)| {
            let prefix = n.iter().position(|&b| b == b'.').unwrap() + 1;
            padded(16 + n.len() - prefix) + padded(v.len())
        }).sum();
        let Ok(done) = encode(&set, Holder::File, block, |e| panic!("{e}")) else {
            prop_assert!(needed + 36 > block, "{} bytes fit a block", needed);
            return Ok(());
        };
        let (mut found, mut total) = (Vec::new(), 0);
        let lists = [(done.body.map(|b| b[..].to_vec()), 4, 4), (done.block, 32, 0)];
        for (bytes, first, base) in lists {
            let Some(bytes) = bytes else { continue };
            let (mut at, mut last) = (first, None);
            while bytes[at..at + 4] != [0; 4] {
                let (len, prefix) = (usize::from(bytes[at]), bytes[at + 1]);
                let word = |n: usize| u32::from_le_bytes(bytes[at + n..at + n + 4].try_into().unwrap());
                let name = bytes[at + 16..at + 16 + len].to_vec();
                let key = (prefix, len, name.clone());
                prop_assert!(last.as_ref().is_none_or(|l| *l < key), "order");
                last = Some(key);
                let from = usize::from(u16::from_le_bytes([bytes[at + 2], bytes[at + 3]])) + base;
                let value = if word(8) == 0 { Vec::new() } else { bytes[from..from + index32(word(8))].to_vec() };
                total += 1;
                let space: &[u8] = match prefix { 1 => b"user.", 4 => b"trusted.", _ => b"security." };
                found.push(([space, &name].concat(), value));
                at += padded(16 + len);
            }
        }
        found.sort();
        prop_assert_eq!(total, set.len());
        prop_assert_eq!(found, set);
    }
}

fn entry(path: Vec<u8>) -> Entry {
    Entry::new(path, EntryKind::Fifo)
}
