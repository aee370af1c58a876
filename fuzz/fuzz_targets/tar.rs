//! Invariants: no input makes the archive reader panic; every entry's data is as long as its runs (or its
//! size) say, unless an error ends it; runs are sorted, disjoint and within the size; names have no NUL;
//! no entry has more attributes, in bytes, than the input; memory stays within the fuzzer's limit. What
//! can be built from the input is an image whose extents tile the disk and whose filesystem passes the
//! check; data is placed upwards, inside the disk and where the image says that files lie.

#![no_main]

#[path = "../support/readback.rs"]
mod readback;

use bytes::Bytes;
use diskwright::archive::{ArchiveReader, Entry, EntryKind, Rootfs};
use diskwright::ext4::check::check as check_ext4;
use diskwright::extent::{Content, Extent};
use diskwright::image::{Boot, Free, Scheme, Size, Spec, Spool, build};
use diskwright::observe::Silent;
use libfuzzer_sys::fuzz_target;
use readback::ReadBack;
use std::collections::BTreeMap;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    // Checksums would keep the fuzzer out: every block that looks like a header gets a right one.
    for block in bytes.as_chunks_mut::<512>().0 {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    let len = bytes.len();
    // Half of the inputs come as a pipe, without a length.
    let known = (len % 2 == 0).then(|| u64::try_from(len).expect("64 bits"));
    let open = |bytes| ArchiveReader::from_reader("fuzz", Box::new(std::io::Cursor::new(bytes)), known);
    if let Ok(reader) = open(bytes.clone()) {
        read(reader, len);
    }
    if let Ok(reader) = open(bytes) {
        make(&mut reader.into(), len);
    }
});

/// What was placed and not punched out again: first byte and one past the last.
#[derive(Default)]
struct Pieces {
    placed: BTreeMap<u64, u64>,
    end: u64,
}

impl Spool for Pieces {
    fn place(&mut self, at: u64, data: Bytes, _keep: bool) -> std::io::Result<()> {
        assert!(at >= self.end && !data.is_empty(), "upwards");
        self.end = at + u64::try_from(data.len()).expect("64 bits");
        self.placed.insert(at, self.end);
        Ok(())
    }

    fn punch(&mut self, at: u64, len: u64) -> std::io::Result<()> {
        self.placed.retain(|&start, _| start < at || start >= at + len);
        Ok(())
    }

    fn read_back(&mut self, _at: u64, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(b'x');
        Ok(())
    }
}

fn make(reader: &mut Rootfs, len: usize) {
    let spec = Spec {
        size: if len % 3 == 0 { Size::Bytes(64 << 20) } else { Size::Fit },
        free: Free::Bytes(0),
        scheme: if len % 5 == 0 { Scheme::Mbr } else { Scheme::None },
        boot: Boot::None,
        hostname: (len % 7 == 0).then(|| "fuzz".into()),
        ..Spec::default()
    };
    let mut spool = Pieces::default();
    let image = match build(reader, &spec, &mut spool, &Silent) {
        Ok(built) => built.image,
        Err(e) => return assert!(!e.to_string().contains(char::is_control), "{e}"),
    };
    image.verify().expect("extents tile, sources reach");
    let plan = image.filesystem();
    let base = image.size() - plan.size();
    if base == 0 {
        let extents = image.extents();
        let (_, findings) = check_ext4(&ReadBack { plan, extents }, &Silent).expect("it is ext4");
        assert!(findings.is_empty(), "{findings:#?}");
    }
    for (&start, &end) in &spool.placed {
        assert!(inside_files(image.extents(), start, end), "{start}..{end} is no file's");
    }
}

/// Whether bytes `start..end` are all file data.
fn inside_files(extents: &[Extent], start: u64, end: u64) -> bool {
    let first = extents.partition_point(|e| e.end() <= start);
    let over = extents[first..].iter().take_while(|e| e.start < end);
    start < end && over.into_iter().all(|e| matches!(e.content, Content::File { .. }))
}

fn read(mut reader: ArchiveReader, len: usize) {
    while let Ok(Some(entry)) = reader.next_entry() {
        let expected = check(&entry, len);
        let mut found = 0;
        loop {
            match reader.next_data() {
                Ok(Some(piece)) => found += u64::try_from(piece.len()).expect("64 bits"),
                Ok(None) => break,
                Err(e) => return drop(e.to_string()),
            }
            assert!(found <= expected, "more data than the entry has");
        }
        assert_eq!(found, expected);
    }
    for warning in reader.take_warnings() {
        assert!(!warning.chars().any(char::is_control), "control characters in {warning:?}");
    }
}

/// Bytes of data that must follow.
fn check(entry: &Entry, len: usize) -> u64 {
    assert!(!entry.path.is_empty() && !entry.path.contains(&0) && entry.mode <= 0o7777);
    let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(xattrs <= len.max(1 << 20) * 1100, "attributes out of nothing");
    match &entry.kind {
        EntryKind::File { size, data: None } => *size,
        EntryKind::File { size, data: Some(runs) } => {
            let mut end = 0;
            for run in runs {
                assert!(run.len > 0 && run.offset >= end);
                end = run.offset + run.len;
            }
            assert!(end <= *size);
            runs.iter().map(|run| run.len).sum()
        }
        EntryKind::HardLink { target } | EntryKind::Symlink { target } => {
            assert!(!target.is_empty() && !target.contains(&0));
            0
        }
        _ => 0,
    }
}
