//! Invariants: no input makes the archive reader panic; every entry's data is as long as its runs (or its
//! size) say, unless an error ends it; runs are sorted, disjoint and within the size; names have no NUL;
//! no entry has more attributes, in bytes, than the input; memory stays within the fuzzer's limit.

#![no_main]

use diskwright::archive::{ArchiveReader, Entry, EntryKind};
use libfuzzer_sys::fuzz_target;

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
    let reader = std::io::Cursor::new(bytes);
    if let Ok(reader) = ArchiveReader::from_reader("fuzz", Box::new(reader), known) {
        read(reader, len);
    }
});

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
