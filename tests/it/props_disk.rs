//! What holds for any disk with partitions, and what the strategies themselves promise.

use diskwright::entry::EntryKind;
use diskwright::ext4::{Builder, Format, Size, check};
use diskwright::extent::{Content, Layout, tile};
use diskwright::image::Disk;
use diskwright::observe::Silent;
use diskwright::partition::{mbr_of, read};
use diskwright::read_at::{ReadAt, Window};
use diskwright::strategy::{self, Files};
use diskwright::units::SECTOR;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::props_ext4::config;
use crate::tools::{have, stdout};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn filesystems_in_partitions_are_clean_whatever_lies_between_them(
        (layout, files, seed) in (strategy::disk(), strategy::files(), any::<u64>()),
    ) {
        let mut disk = Disk::new(layout.size()).unwrap();
        let sector0 = mbr_of(7, layout.sectors, &layout.partitions).unwrap();
        disk.put_bytes(0, sector0).unwrap();
        let mut made = Vec::new();
        for p in &layout.partitions {
            let size = Size::Bytes(p.sectors * SECTOR);
            let mut fs = Builder::new(Format { size, ..Format::default() }).unwrap();
            files.put(&mut fs).unwrap();
            // Some are too small for the files; what is no whole block is left over behind a filesystem.
            if let Ok(fs) = fs.finish() {
                made.push((p.start.byte_offset(), fs.len()));
                disk.put(p.start.byte_offset(), fs).unwrap();
            }
        }
        prop_assert_eq!(tile(disk.extents(), disk.len()), Ok(()));
        let poisoned = disk.poisoned(seed);
        let mut front = [0; 512];
        poisoned.read_exact_at(0, &mut front).unwrap();
        prop_assert_eq!(read(&front).unwrap(), layout.partitions);
        for (start, len) in made {
            let (summary, findings) = check::check(&Window::new(&poisoned, start, len), &Silent).unwrap();
            prop_assert!(summary.complete && findings.is_empty(), "{findings:?}");
        }
    }

    #[test]
    fn sfdisk_reads_the_partitions_that_were_asked_for(layout in strategy::disk()) {
        if !have("sfdisk") {
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let sector0 = mbr_of(0xab_cdef, layout.sectors, &layout.partitions).unwrap();
        std::fs::write(&path, sector0).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(layout.size()).unwrap();
        let said = stdout("sfdisk", &["--dump", path.to_str().unwrap()]);
        let rows: Vec<String> = said.lines().filter(|l| l.contains("start=")).map(|l| l.replace(' ', "")).collect();
        prop_assert_eq!(rows.len(), layout.partitions.len(), "{}", said);
        for (row, p) in rows.iter().zip(&layout.partitions) {
            let active = if p.active { ",bootable" } else { "" };
            let end = format!("{}:start={},size={},type={:x}{active}", p.number, p.start, p.sectors, p.kind);
            prop_assert!(row.ends_with(&end), "{} does not end with {}", row, end);
        }
    }

    #[test]
    fn no_two_parts_share_a_byte(
        parts in prop::collection::vec((0_u64..5000, 1_usize..1000), 0..12),
    ) {
        let mut disk = Disk::new(4096).unwrap();
        let mut taken = [false; 4096];
        for (start, len) in parts {
            let range = usize::try_from(start).unwrap()..usize::try_from(start).unwrap() + len;
            let fits = taken.get(range.clone()).is_some_and(|bytes| !bytes.contains(&true));
            prop_assert_eq!(disk.put_bytes(start, vec![1; len]).is_ok(), fits);
            if fits {
                taken[range].fill(true);
            }
        }
        prop_assert_eq!(tile(disk.extents(), 4096), Ok(()));
        for e in disk.extents() {
            let range = usize::try_from(e.start).unwrap()..usize::try_from(e.end()).unwrap();
            prop_assert!(taken[range].iter().all(|&t| t == (e.content != Content::Free)));
        }
    }
}

/// The case to which a property that does not hold shrinks, as it prints.
fn shrunk(holds: impl Fn(&Files) -> bool) -> String {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let failed = runner.run(&strategy::files(), |files| {
        prop_assert!(holds(&files));
        Ok(())
    });
    match failed {
        Err(TestError::Fail(_, files)) => format!("{files:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cases_shrink_to_the_few_entries_that_matter() {
    let any = |test: fn(&EntryKind) -> bool| {
        move |files: &Files| !files.0.iter().any(|f| test(&f.entry.kind))
    };
    let large = shrunk(any(|k| matches!(k, EntryKind::File { size: 4097.., .. })));
    assert_eq!(large, "1 entries\n-rw-r--r-- 0/0 a, 4097 bytes\n");
    // A link needs its target; which one it names may take a third.
    let link = shrunk(any(|k| matches!(k, EntryKind::HardLink { .. })));
    assert!(link.lines().count() <= 4, "{link}");
    let parent = shrunk(|files| {
        let tree = files.tree().unwrap();
        let through = |path: &[u8]| {
            let at = path.iter().rposition(|&b| b == b'/');
            at.is_some_and(|at| {
                tree.find(&path[..at])
                    .is_some_and(|n| !tree.node(n).is_directory())
            })
        };
        !files.0.iter().any(|f| through(&f.entry.path))
    });
    assert!(parent.lines().count() <= 4, "{parent}");
    // A hundred must stay; what they have in common is shown once.
    let many = shrunk(|files| files.0.len() < 100);
    assert!(many.lines().count() <= 20, "{many}");
}
