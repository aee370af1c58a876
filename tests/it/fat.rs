//! The EFI system partition as dosfstools, mtools and blkid see it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use diskwright::fat::{FatError, FatFile, FatSpec, PieceKind, Volume, volume};
use diskwright::units::{Lba, MIB, Timestamp};
use proptest::prelude::*;

use crate::tools::{have, run, stdout};

/// 2023-11-14T22:13:21Z: odd, FAT counts in twos.
const TIME: i64 = 1_700_000_001;

fn spec(size: u64) -> FatSpec<'static> {
    FatSpec {
        size,
        start: Lba(8192),
        id: 0x1234_abcd,
        label: b"EFI        ",
        time: Timestamp::from_secs(TIME),
    }
}

/// The volume as a file, `Free` filled with what nobody may look at.
fn poisoned(volume: &Volume, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(volume.bytes.len()).unwrap();
    for piece in &volume.pieces {
        let mut bytes = vec![0xe5; usize::try_from(piece.len).unwrap()];
        match piece.kind {
            PieceKind::Zero => continue,
            PieceKind::Free => {}
            PieceKind::Bytes => volume.bytes.read_exact_at(piece.start, &mut bytes).unwrap(),
        }
        file.write_all_at(&bytes, piece.start).unwrap();
    }
}

fn judges() -> bool {
    ["fsck.vfat", "mdir", "mtype", "blkid"]
        .into_iter()
        .all(have)
}

#[track_caller]
fn assert_clean(path: &str) {
    let out = run("fsck.vfat", &["-n", "-v", path]);
    let said =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    for complaint in ["differ", "wrong", "orphan", "dirty", "Free cluster summary"] {
        assert!(!said.contains(complaint), "{said}");
    }
}

#[test]
fn every_size_is_clean_with_poison_in_its_free_clusters() {
    if !judges() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp.img");
    let name = path.to_str().unwrap();
    let loader: Vec<u8> = (0..700_001_u32)
        .map(|n| n.to_le_bytes()[0] ^ 0x5a)
        .collect();
    let files = [
        FatFile {
            path: "EFI/BOOT/BOOTX64.EFI",
            data: &loader,
        },
        FatFile {
            path: "EFI/BOOT/grub.cfg",
            data: b"a stub\n",
        },
        FatFile {
            path: "EFI/debian/a long name, which needs entries.txt",
            data: b"",
        },
        FatFile {
            path: "EFI/debian/grub.cfg",
            data: b"another stub\n",
        },
    ];
    for (mib, version) in [
        (1, "FAT12"),
        (4, "FAT16"),
        (16, "FAT16"),
        (32, "FAT16"),
        (33, "FAT32"),
        (34, "FAT32"),
        (64, "FAT32"),
        (65, "FAT32"),
        (124, "FAT32"),
        (300, "FAT32"),
        (1000, "FAT32"),
    ] {
        let made = volume(&spec(mib * MIB), &files).unwrap();
        poisoned(&made, &path);
        assert_clean(name);
        let probe = stdout("blkid", &["-p", "-o", "export", name]);
        for want in ["UUID=1234-ABCD", "LABEL=EFI", &format!("VERSION={version}")] {
            assert!(probe.lines().any(|l| l == want), "{mib} MiB: {probe}");
        }
        for file in &files {
            let inside = format!("::{}", file.path);
            assert!(
                stdout_bytes("mtype", &["-i", name, &inside]) == file.data,
                "{}",
                file.path
            );
        }
        let listing = stdout("mdir", &["-/", "-a", "-i", name, "::"]);
        let times = listing.matches("2023-11-14  22:13").count();
        // Two folders in EFI, EFI itself, four files, and each folder's two dots.
        assert_eq!(times, 3 + 4 + 6, "{listing}");
        assert!(
            listing.contains("a long name, which needs entries.txt"),
            "{listing}"
        );
    }
}

fn stdout_bytes(tool: &str, args: &[&str]) -> Vec<u8> {
    let out = run(tool, args);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
}

#[test]
fn too_small_a_partition_is_told_with_the_size_that_does() {
    let data = vec![7; 9 << 20];
    let files = [FatFile {
        path: "EFI/BOOT/BOOTX64.EFI",
        data: &data,
    }];
    let error = volume(&spec(8 * MIB), &files).unwrap_err();
    let FatError::TooSmall { needed, .. } = error else {
        panic!("{error}");
    };
    assert!(
        error
            .to_string()
            .contains(&format!("--esp-size {}M", needed / MIB)),
        "{error}"
    );
    assert!(needed <= 11 * MIB, "{needed}");
    volume(&spec(needed), &files).unwrap();
}

#[test]
fn names_that_fat_cannot_hold_are_refused() {
    for path in [
        "", "/EFI", "EFI//a", "EFI/../a", "a:b", "a.", "b ", " c", "d|", "EFI/a\n",
    ] {
        let files = [FatFile { path, data: b"" }];
        let error = volume(&spec(MIB), &files).unwrap_err();
        assert!(matches!(error, FatError::Path { .. }), "{path:?}: {error}");
    }
}

#[test]
fn the_same_files_make_the_same_bytes_on_any_thread() {
    let files = [FatFile {
        path: "EFI/BOOT/BOOTX64.EFI",
        data: &[1; 100_000],
    }];
    let bytes = || {
        let made = volume(&spec(40 * MIB), &files).unwrap();
        let mut all = vec![0; usize::try_from(made.bytes.len()).unwrap()];
        made.bytes.read_exact_at(0, &mut all).unwrap();
        (all, made.pieces)
    };
    let here = bytes();
    let there = std::thread::scope(|s| [s.spawn(bytes), s.spawn(bytes)].map(|t| t.join().unwrap()));
    assert!(there.iter().all(|t| *t == here));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any files that are said to fit do, are clean, and what is not in a piece of bytes is zero.
    #[test]
    fn pieces_tile_volumes_of_any_files(
        names in prop::collection::btree_set("[a-zA-Z0-9_-]{1,20}(/[a-z][a-zA-Z0-9 _.-]{0,12}[a-z]){0,2}", 0..40),
        kib in 0_usize..64,
        mib in 1_u64..80,
    ) {
        let data = vec![0xaa; kib << 10];
        // A file cannot be a folder too, in whatever case.
        let lower: Vec<String> = names.iter().map(|n| n.to_lowercase()).collect();
        let files: Vec<_> = names.iter().zip(&lower)
            .filter(|(_, l)| !lower.iter().any(|o| o.starts_with(&format!("{l}/"))))
            .filter(|(_, l)| lower.iter().filter(|o| o == l).count() == 1)
            .map(|(path, _)| FatFile { path, data: &data })
            .collect();
        match volume(&spec(mib * MIB), &files) {
            Err(FatError::TooSmall { needed, size, .. }) => {
                prop_assert!(needed > size);
                prop_assert!(volume(&spec(needed), &files).is_ok());
            }
            Err(e) => return Err(TestCaseError::fail(e.to_string())),
            Ok(made) => {
                let mut at = 0;
                for piece in &made.pieces {
                    prop_assert!(piece.start == at && piece.len > 0);
                    at += piece.len;
                }
                prop_assert_eq!(at, mib * MIB);
                if judges() {
                    let file = tempfile::NamedTempFile::new().unwrap();
                    poisoned(&made, file.path());
                    assert_clean(file.path().to_str().unwrap());
                }
            }
        }
    }
}
