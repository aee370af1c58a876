//! What holds for any tree in any filesystem, whatever `diskwright::strategy` makes of them.
//!
//! Cases: 64 each; 1024 with `DISKWRIGHT_TEST_FULL`; as many as `DISKWRIGHT_TEST_CASES` says.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use diskwright::entry::{Entry, EntryKind};
use diskwright::ext4::{
    Builder, BuilderError, Filesystem, Fit, FitSize, Format, GeometryError, Holds, Options,
    PlanError, Size,
};
use diskwright::extent::{Content, Extent, Layout, tile};
use diskwright::observe::Silent;
use diskwright::read_at::ReadAt;
use diskwright::strategy::{self, File, Files};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::view;
use crate::tools::{have, run};

/// How every property is run.
pub fn config() -> ProptestConfig {
    let asked = std::env::var("DISKWRIGHT_TEST_CASES").map(|n| n.parse().unwrap());
    let full = std::env::var_os("DISKWRIGHT_TEST_FULL").is_some();
    ProptestConfig {
        failure_persistence: None,
        // A case is a filesystem: shrinking one takes as long as so many tests.
        max_shrink_iters: 2000,
        ..ProptestConfig::with_cases(asked.unwrap_or(if full { 1024 } else { 64 }))
    }
}

/// The filesystem; `None` when the files do not fit the size that was asked for.
fn make(format: &Format, files: &Files) -> Option<Filesystem> {
    let mut fs = Builder::new(format.clone()).unwrap();
    files.put(&mut fs).unwrap();
    match fs.finish() {
        Ok(fs) => Some(fs),
        Err(BuilderError::Plan(PlanError::Full { .. } | PlanError::TooManyFiles { .. }))
            if matches!(format.size, Size::Bytes(_)) =>
        {
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// Writes what is neither zero nor free; of free space, what `device` has in its first and last KiB.
fn write(fs: &Filesystem, device: &dyn ReadAt, path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(fs.len()).unwrap();
    let copy = |start: u64, len: u64| {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        device.read_exact_at(start, &mut bytes).unwrap();
        file.write_all_at(&bytes, start).unwrap();
    };
    for e in fs.extents() {
        match e.content {
            Content::Zero => {}
            Content::Free => {
                let some = e.len.min(64 << 10);
                copy(e.start, some);
                copy(e.end() - some, some);
            }
            _ => copy(e.start, e.len),
        }
    }
}

fn e2fsck(path: &Path) -> Result<(), TestCaseError> {
    let out = run("e2fsck", &["-fn", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stdout);
    prop_assert_eq!(out.status.code(), Some(0), "{}", said);
    Ok(())
}

fn verify(device: &dyn Layout) -> Result<(), TestCaseError> {
    let (summary, findings) = diskwright::ext4::check::check(device, &Silent).unwrap();
    prop_assert!(findings.is_empty(), "{}", findings[0]);
    prop_assert!(summary.complete);
    // No more than what the bitmaps call free: of blocks in use, most readers would miss the poison.
    let free = device
        .extents()
        .iter()
        .filter(|e| e.content == Content::Free);
    let free: u64 = free.map(|e| e.len).sum();
    // With blocks of 1 KiB, block 0 is the boot sector's: of no group, not free either.
    let boot = u64::from(summary.block_size == 1024);
    let unused = summary.blocks - summary.blocks_used - boot;
    prop_assert_eq!(free, unused * summary.block_size);
    Ok(())
}

/// The blocks that hold files' data: node and byte of the file, in the order of the blocks.
fn data_blocks(fs: &Filesystem) -> Vec<(u32, u64)> {
    let block = fs.block_size();
    let data = |e: &&Extent| matches!(e.content, Content::File { .. });
    let blocks = fs.extents().iter().filter(data);
    let blocks = blocks.flat_map(|e| e.start / block..e.end() / block);
    let held = blocks.map(|n| match fs.holds(n) {
        Holds::File { node, offset } => (node.0, offset),
        other => panic!("block {n} of a file's data holds {other:?}"),
    });
    held.collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn extents_tile_the_filesystem_and_name_every_block(
        (format, files) in (strategy::format(), strategy::files()),
    ) {
        let Some(fs) = make(&format, &files) else { return Ok(()) };
        prop_assert_eq!(tile(fs.extents(), fs.len()), Ok(()));
        for e in fs.extents() {
            for at in [e.start, e.end() - 1] {
                let right = matches!(
                    (e.content, fs.holds(at / fs.block_size())),
                    (Content::Bytes { .. }, Holds::Metadata(_))
                        | (Content::File { .. }, Holds::File { .. })
                        | (Content::Zero, Holds::Zero)
                        | (Content::Free, Holds::Free)
                );
                prop_assert!(right, "{e:?}: {}", fs.describe(at / fs.block_size()));
            }
        }
    }

    #[test]
    fn any_tree_is_clean_to_verify_and_e2fsck_even_with_poison_in_its_free_space(
        (format, files, seed) in (strategy::format(), strategy::files(), any::<u64>()),
    ) {
        let Some(fs) = make(&format, &files) else { return Ok(()) };
        let poisoned = fs.poisoned(seed);
        verify(&fs)?;
        verify(&poisoned)?;
        if have("e2fsck") {
            let folder = tempfile::tempdir().unwrap();
            for (name, device) in [("plain", &fs as &dyn ReadAt), ("poisoned", &poisoned)] {
                let path = folder.path().join(name);
                write(&fs, device, &path);
                e2fsck(&path)?;
            }
        }
    }

    #[test]
    fn another_reader_finds_the_tree_that_was_put_in_even_with_poison_in_the_free_space(
        (format, mut files, seed) in (strategy::format(), strategy::files(), any::<u64>()),
    ) {
        for file in &mut files.0 {
            // ext4-view 1.0.0 refuses inodes with times before 1970 and from 2038 to 2106, whose low 32 bits
            // are negative.
            file.entry.mtime.sec &= 0x3_7fff_ffff;
        }
        let Some(fs) = make(&format, &files) else { return Ok(()) };
        for device in [Arc::new(fs.clone()) as Arc<dyn ReadAt>, Arc::new(Poison(fs.clone(), seed))] {
            let differences = view::differences(device, &fs, &files);
            prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
    }

    #[test]
    fn two_builds_are_equal(
        (format, files) in (strategy::format(), strategy::files()),
    ) {
        let (Some(a), Some(b)) = (make(&format, &files), make(&format, &files)) else { return Ok(()) };
        prop_assert_eq!(a.extents(), b.extents());
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for e in a.extents().iter().filter(|e| matches!(e.content, Content::Bytes { .. })) {
            let len = usize::try_from(e.len).unwrap();
            x.resize(len, 0);
            y.resize(len, 0);
            a.read_exact_at(e.start, &mut x).unwrap();
            b.read_exact_at(e.start, &mut y).unwrap();
            prop_assert!(x == y, "{}", a.describe(e.start / a.block_size()));
        }
    }

    #[test]
    fn placement_depends_on_names_and_sizes_only(
        (format, files) in (strategy::format(), strategy::files()),
        (fill, mode, label) in (any::<u8>(), 0_u16..0o1000, "[a-z]{0,16}"),
    ) {
        let Some(one) = make(&format, &files) else { return Ok(()) };
        let mut changed = files;
        for file in &mut changed.0 {
            file.fill = file.fill.wrapping_add(fill);
            file.entry.mode ^= mode;
            file.entry.uid ^= u32::from(fill);
            file.entry.mtime.sec += 1;
        }
        // The hash seed stays: it decides where a large directory has its names, and how many blocks it takes.
        let format = Format { label, ..format };
        let other = make(&format, &changed).unwrap();
        prop_assert_eq!(one.extents(), other.extents());
        prop_assert_eq!(one.plan().pieces(), other.plan().pieces());
    }

    #[test]
    fn a_block_less_than_fitted_has_no_room(
        (format, files) in (strategy::format(), strategy::files()),
        less in less(),
    ) {
        nothing_smaller_fits(&format, &files, less)?;
    }

    #[test]
    fn a_block_less_than_fitted_has_no_room_for_inodes_of_many_groups(
        (options, files) in (strategy::options(), many_inodes()),
        less in less(),
    ) {
        let format = Format { size: Size::fit(0), options, ..Format::default() };
        let fs = nothing_smaller_fits(&format, &files, less)?.unwrap();
        let g = fs.plan().geometry();
        prop_assert!(g.inodes_per_group <= g.block() * 8);
        verify(&fs)?;
    }

    #[test]
    fn data_lies_in_the_order_in_which_it_came(
        (format, files) in (strategy::format(), strategy::files()),
    ) {
        let Some(fs) = make(&format, &files) else { return Ok(()) };
        let blocks = data_blocks(&fs);
        prop_assert!(blocks.is_sorted(), "{blocks:?}");
    }

    #[test]
    fn what_is_written_forward_is_what_is_read_at_any_offset(
        (format, files) in (small(), strategy::files()),
        reads in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..20_000), 1..20),
    ) {
        let Some(fs) = make(&format, &files) else { return Ok(()) };
        let mut whole = Vec::new();
        let written = fs.write_to(&mut whole);
        prop_assert!(written.is_ok(), "{written:?}");
        prop_assert_eq!(whole.len() as u64, fs.len());
        for (at, len) in reads {
            let at = at.index(whole.len());
            let mut part = vec![0; len.min(whole.len() - at)];
            let read = fs.read_exact_at(at as u64, &mut part);
            prop_assert!(read.is_ok(), "{read:?}");
            prop_assert!(part == whole[at..at + part.len()], "{} bytes at {at}", part.len());
        }
        let mut past = [0; 2];
        prop_assert!(fs.read_exact_at(fs.len() - 1, &mut past).is_err());
    }
}

/// By how many of its blocks a filesystem shall be smaller: one, few, or any number.
fn less() -> impl Strategy<Value = (u64, Index)> {
    (
        prop_oneof![2 => Just(1), 1 => 2_u64..40, 1 => Just(u64::MAX)],
        any::<Index>(),
    )
}

/// So many files without data that their inodes fill groups, and one that has some.
fn many_inodes() -> impl Strategy<Value = Files> {
    (1_usize..18_000, 0_u64..3_000_000).prop_map(|(n, size)| {
        let file = |path: &str, size| {
            let entry = Entry::new(path.as_bytes(), EntryKind::File { size, data: None });
            File { entry, fill: 0 }
        };
        let empty = (0..n).map(|n| file(&format!("{}/{n}", n / 4000), 0));
        Files(std::iter::once(file("data", size)).chain(empty).collect())
    })
}

/// The filesystem, when it is a fitted one, and that the planner has no room in one of less blocks.
fn nothing_smaller_fits(
    format: &Format,
    files: &Files,
    (less, any): (u64, Index),
) -> Result<Option<Filesystem>, TestCaseError> {
    let Size::Fit(fit) = format.size else {
        return Ok(None);
    };
    let fs = make(format, files).unwrap();
    let least = fs.blocks();
    // The planner itself is given that size and no other.
    let exactly = |blocks| {
        let size = FitSize::Exactly(blocks);
        let size = Size::Fit(Fit { size, ..fit });
        let mut fs = Builder::new(Format {
            size,
            ..format.clone()
        })
        .unwrap();
        files.put(&mut fs).unwrap();
        fs.finish()
    };
    prop_assert_eq!(exactly(least).unwrap().blocks(), least);
    let blocks = match less {
        u64::MAX => any.index(usize::try_from(least).unwrap()) as u64,
        less => least - less,
    };
    match exactly(blocks) {
        Err(BuilderError::Plan(PlanError::Geometry(GeometryError::NotEnough { .. }))) => {}
        other => prop_assert!(false, "{least} blocks, but {blocks} do too: {other:?}"),
    }
    Ok(Some(fs))
}

/// Formats that are read whole in no time.
fn small() -> impl Strategy<Value = Format> {
    strategy::format().prop_map(|format| Format {
        size: match format.size {
            Size::Bytes(n) => Size::Bytes(n % (8 << 20) + (4 << 20)),
            Size::Fit(_) => Size::default(),
        },
        options: Options {
            block_size: format.options.block_size,
            features: format.options.features,
            ..Options::default()
        },
        ..format
    })
}

/// A poisoned filesystem that owns it.
struct Poison(Filesystem, u64);

impl ReadAt for Poison {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.poisoned(self.1).read_exact_at(offset, buf)
    }
}
