//! Every format against qemu-img, zstd and gzip, both ways; any disk comes back from any format.

use crate::tools::{have, stdout};
use diskwright::extent::{Content, Extent, Layout, SourceNr, push};
use diskwright::observe::Silent;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::sink::format::{write, write_on};
use diskwright::units::{count, index};
use diskwright::vdisk::{Format, Outlet, Scanned, VirtualDisk, open, unpack};
use proptest::prelude::*;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk in memory, file data and metadata on it; what is not stored is told apart in its extents alone.
pub struct Memory {
    bytes: Vec<u8>,
    extents: Vec<Extent>,
}

impl ReadAt for Memory {
    fn len(&self) -> u64 {
        count(self.bytes.len())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.read_exact_at(offset, buf)
    }
}

impl Layout for Memory {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

/// Pieces one behind the other: what they are, how long.
pub fn memory(pieces: &[(u8, usize)]) -> Memory {
    let (mut bytes, mut extents) = (Vec::new(), Vec::new());
    let mut state = 1_u32;
    for &(kind, len) in pieces {
        let start = count(bytes.len());
        let source = |nr| (SourceNr(nr), start);
        let content = match kind % 4 {
            0 => Content::Free,
            1 => Content::Zero,
            2 => {
                let (source, offset) = source(0);
                Content::Bytes { source, offset }
            }
            _ => {
                let (source, offset) = source(1);
                Content::File { source, offset }
            }
        };
        match kind % 4 {
            0 | 1 => bytes.resize(bytes.len() + len, 0),
            // Text and noise by turns.
            _ => bytes.extend((0..len).map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if kind < 8 {
                    b"text "[i % 5]
                } else {
                    state.to_le_bytes()[3]
                }
            })),
        }
        let len = count(len);
        push(
            &mut extents,
            Extent {
                start,
                len,
                content,
            },
        );
    }
    Memory { bytes, extents }
}

/// Every kind of piece, over several clusters, grains, blocks and tables.
pub fn sample() -> Memory {
    memory(&[
        (2, 512),
        (0, 1 << 20),
        (2, 70_000),
        (3, 800_000),
        (1, 200_000),
        (11, 400_000),
        (0, 32 << 20),
        (3, 100),
        (1, 5 << 20),
        (10, 300_000),
        (3, 65_536),
        (0, 3 << 20),
        // To a whole sector.
        (
            0,
            512 - (512 + 70_000 + 800_000 + 200_000 + 400_000 + 100 + 300_000 + 65_536) % 512,
        ),
    ])
}

fn written(format: Format, disk: &dyn Layout, folder: &Path) -> PathBuf {
    let path = folder.join(format!("disk.{format}"));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let mut out = Outlet::file(Arc::new(file.unwrap()));
    write(format, disk, &mut out, &Silent).unwrap();
    out.finish().unwrap();
    path
}

/// The disk in a file, whatever its format.
fn opened(path: &Path) -> Arc<dyn VirtualDisk> {
    let file: Arc<dyn ReadAt> = Arc::new(FileAt::new(File::open(path).unwrap()).unwrap());
    let format = diskwright::vdisk::detect(&*file).unwrap();
    if matches!(format, Format::RawZst | Format::RawGz) {
        let mut raw = Vec::new();
        unpack(format, File::open(path).unwrap(), &mut raw, &Silent).unwrap();
        return open(Arc::new(raw)).unwrap().disk;
    }
    let opened = open(file).unwrap();
    assert_eq!(opened.format, format);
    opened.disk
}

/// All of it, in pieces that no structure has.
fn all(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; index(disk.len())];
    for (n, part) in bytes.chunks_mut(99_991).enumerate() {
        disk.read_exact_at(count(n) * 99_991, part).unwrap();
    }
    bytes
}

fn same(disk: &dyn ReadAt, want: &[u8]) {
    let bytes = all(disk);
    assert_eq!(bytes.len(), want.len());
    assert!(bytes == want);
}

#[test]
fn qemu_img_finds_the_same_disk_in_every_format_and_no_fault() {
    if !have("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = sample();
    let raw = folder.path().join("raw");
    std::fs::write(&raw, &disk.bytes).unwrap();
    for format in Format::ALL {
        let path = written(format, &disk, folder.path());
        same(&*opened(&path), &disk.bytes);
        let Some(driver) = format.qemu_driver() else {
            continue;
        };
        let (raw, path) = (raw.to_str().unwrap(), path.to_str().unwrap());
        let said = stdout(
            "qemu-img",
            &["compare", "-f", "raw", "-F", driver, raw, path],
        );
        assert_eq!(said, "Images are identical.\n", "{format}");
        if matches!(format, Format::Qcow2 | Format::Vmdk) {
            let said = stdout("qemu-img", &["check", "-f", driver, path]);
            assert!(
                said.contains("No errors were found on the image."),
                "{said}"
            );
        }
    }
    // What is not stored costs nothing.
    let size = |format: Format| {
        let path = folder.path().join(format!("disk.{format}"));
        std::fs::metadata(path).unwrap().len()
    };
    assert!(size(Format::Qcow2) < 3 << 20 && size(Format::Vmdk) < 2 << 20);
    assert!(size(Format::Vhd) < 15 << 20);
    assert_eq!(size(Format::VhdFixed), disk.len() + 512);
}

#[test]
fn what_qemu_img_makes_is_read() {
    if !have("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = sample();
    let raw = folder.path().join("raw");
    std::fs::write(&raw, &disk.bytes).unwrap();
    let kinds = [
        ("qcow2", ""),
        ("qcow2", "compat=0.10"),
        ("qcow2", "cluster_size=512"),
        ("qcow2", "cluster_size=2M,lazy_refcounts=on"),
        ("qcow2", "-c"),
        ("qcow2", "-c,compression_type=zstd"),
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=streamOptimized"),
        ("vpc", "subformat=dynamic,force_size=on"),
        ("vpc", "subformat=fixed,force_size=on"),
        ("vpc", "subformat=dynamic"),
    ];
    for (driver, options) in kinds {
        let made = folder.path().join("made");
        let made = made.to_str().unwrap();
        let mut line = vec!["convert", "-f", "raw", "-O", driver];
        let plain = options.trim_start_matches("-c").trim_start_matches(',');
        if options.starts_with("-c") {
            line.push("-c");
        }
        if !plain.is_empty() {
            line.extend(["-o", plain]);
        }
        line.extend([raw.to_str().unwrap(), made]);
        stdout("qemu-img", &line);
        let disk_in_it = opened(Path::new(made));
        let bytes = all(&*disk_in_it);
        // Where the geometry counts, qemu-img rounds the disk up to it.
        let (inside, past) = bytes.split_at(disk.bytes.len());
        assert!(inside == disk.bytes, "{driver} {options}");
        assert!(
            past.iter().all(|b| *b == 0) && (options == "subformat=dynamic" || past.is_empty())
        );
        // Its holes are told.
        let scanned = Scanned::new(Arc::clone(&disk_in_it), &Silent).unwrap();
        let stored = scanned
            .extents()
            .iter()
            .filter(|e| e.content != Content::Zero);
        let stored: u64 = stored.map(|e| e.len).sum();
        assert!(
            (3 << 19..4 << 20).contains(&stored),
            "{driver} {options}: {stored}"
        );
        std::fs::remove_file(made).unwrap();
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let disk = sample();
    for format in Format::ALL {
        let on = |threads| {
            let mut out = Vec::new();
            let threads = NonZeroUsize::new(threads).unwrap();
            write_on(threads, format, &disk, &mut out, &Silent).unwrap();
            out
        };
        assert!(on(1) == on(5), "{format}");
    }
}

#[test]
fn zstd_and_gzip_read_what_is_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = sample();
    let zst = written(Format::RawZst, &disk, folder.path());
    let gz = written(Format::RawGz, &disk, folder.path());
    // The least memory that a decoder must have: RFC 8878 section 3.1.1.1.2.
    for (program, args) in [
        ("zstd", &["-q", "-d", "-c", "--memory=8MB"][..]),
        ("gzip", &["-dc"]),
    ] {
        if !have(program) {
            continue;
        }
        let path = if program == "zstd" { &zst } else { &gz };
        let ran = std::process::Command::new(program)
            .args(args)
            .arg(path)
            .output()
            .unwrap();
        assert!(
            ran.status.success() && ran.stdout == disk.bytes,
            "{program}"
        );
    }
    stdout("gzip", &["-t", gz.to_str().unwrap()]);
    stdout("zstd", &["-q", "-t", zst.to_str().unwrap()]);
}

/// Lengths about the sizes of sectors, clusters and blocks.
fn pieces() -> impl Strategy<Value = Vec<(u8, usize)>> {
    let len = prop_oneof![
        3 => 1_usize..200_000,
        1 => prop_oneof![Just(512_usize), Just(4096), Just(65_536), Just(65_537), Just(2 << 20)],
        1 => (1_usize..40).prop_map(|n| n << 16),
    ];
    prop::collection::vec((0_u8..12, len), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_disk_comes_back_from_any_format(mut pieces in pieces()) {
        let len: usize = pieces.iter().map(|p| p.1).sum();
        pieces.push((0, len.next_multiple_of(512) - len + 512));
        let disk = memory(&pieces);
        for format in Format::ALL {
            let mut out = Vec::new();
            write(format, &disk, &mut out, &Silent).unwrap();
            let raw = match format {
                Format::RawZst | Format::RawGz => {
                    let mut raw = Vec::new();
                    unpack(format, &out[..], &mut raw, &Silent).unwrap();
                    raw
                }
                _ => out,
            };
            let back = open(Arc::new(raw)).unwrap().disk;
            same(&*back, &disk.bytes);
            // Whatever is not told as stored is zero, and the runs end where the disk ends.
            let mut at = 0;
            while at < back.len() {
                let run = back.run(at).unwrap();
                prop_assert!(run.len > 0);
                let bytes = &disk.bytes[index(at)..index(at + run.len)];
                prop_assert!(run.stored || bytes.iter().all(|b| *b == 0));
                let hole = back.hole(at).unwrap();
                let bytes = &disk.bytes[index(hole.start)..index(hole.end)];
                prop_assert!(hole.start >= at && bytes.iter().all(|b| *b == 0));
                at += run.len;
            }
            prop_assert_eq!(at, back.len());
        }
    }
}
