//! Invariants: no bytes make the checker panic, read without end or hold memory out of proportion. Half
//! of the inputs are bytes as a filesystem; the others are changes to one of the small filesystems in
//! `images/` (`fuzz/make-seeds` has mke2fs make them), whose checksums are then made right, so that what
//! lies behind a checksum is reached. An image without a change has no finding.

#![no_main]

#[path = "../../tests/it/common/seal.rs"]
#[allow(dead_code)]
mod seal;

use diskwright::ext4::check::{MAX_FINDINGS, check};
use diskwright::observe::Silent;
use diskwright::read_at::ReadAt;
use libfuzzer_sys::fuzz_target;
use seal::Seals;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

fuzz_target!(|data: &[u8]| run(data));

/// The sound images.
static IMAGES: LazyLock<Vec<(Vec<u8>, Seals)>> = LazyLock::new(|| {
    let folder = std::env::var_os("FUZZ_IMAGES").unwrap_or_else(|| "images".into());
    let entries = std::fs::read_dir(folder).expect("fuzz/make-seeds makes images");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    let images = paths.iter().map(|p| std::fs::read(p).expect("an image"));
    let images: Vec<_> = images.map(|bytes| (Seals::new(&bytes), bytes)).collect();
    assert!(!images.is_empty(), "fuzz/make-seeds makes images");
    for ((seals, bytes), path) in images.iter().zip(&paths) {
        let mut sealed = bytes.clone();
        seals.apply(&mut sealed);
        let found = check(&sealed, &Silent).expect("sound").1;
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
    images.into_iter().map(|(seals, bytes)| (bytes, seals)).collect()
});

/// Counts what is read.
struct Counted {
    bytes: Vec<u8>,
    read: AtomicU64,
}

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        ReadAt::len(&self.bytes)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = u64::try_from(buf.len()).expect("64 bits");
        self.read.fetch_add(len, Ordering::Relaxed);
        self.bytes.read_exact_at(offset, buf)
    }
}

fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let bytes = if mode == 0 {
        // The superblock is the input's first kilobyte.
        [vec![0; 1024], data.to_vec()].concat()
    } else {
        changed(usize::from(mode - 1), data)
    };
    let counted = Counted { bytes, read: AtomicU64::new(0) };
    let result = check(&counted, &Silent);
    // Structures are read once, names of directories once more when there are findings; descriptor
    // copies and resize inode by group.
    let (read, len) = (counted.read.into_inner(), ReadAt::len(&counted.bytes));
    assert!(read <= 4 * len + (64 << 20), "{read} bytes read of {len}");
    if let Ok((summary, findings)) = result {
        assert!(findings.len() <= MAX_FINDINGS);
        assert!(summary.complete || !findings.is_empty());
        for f in &findings {
            assert!(!f.structure.chars().chain(f.message.chars()).any(char::is_control), "{f}");
        }
    }
}

/// One of the images with bytes changed: four of position, one of how, up to four of value.
fn changed(nth: usize, data: &[u8]) -> Vec<u8> {
    let (image, seals) = &IMAGES[nth % IMAGES.len()];
    let mut bytes = image.clone();
    for change in data.chunks(8) {
        let mut c = [0; 8];
        c[..change.len()].copy_from_slice(change);
        let piece = usize::from(u16::from_le_bytes([c[0], c[1]])) % seals.pieces.len();
        let (start, len) = seals.pieces[piece];
        let at = start + usize::from(u16::from_le_bytes([c[2], c[3]]) & 0x7FFF) % len;
        let width = match c[3] >> 7 {
            0 => 1,
            _ => 4,
        };
        let end = (at + width).min(bytes.len());
        bytes[at..end].copy_from_slice(&c[4..4 + end - at]);
    }
    // An odd number of bytes leaves the checksums as they are.
    if data.len() % 2 == 0 {
        seals.apply(&mut bytes);
    }
    bytes
}
