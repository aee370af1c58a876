//! Invariants: no bytes make the readers of ext4, FAT and partition tables panic, read without end or hold
//! memory out of proportion: what is read is bounded by the names met, and by what comes out. The inputs are
//! images, whole; a walk over what is in them, every file read, and all taken out into a tar that goes nowhere.

#![no_main]

#[path = "../support/counted.rs"]
mod counted;

use counted::Counted;
use diskwright::inspect::{Disk, Files, to_tar};
use diskwright::observe::Silent;
use libfuzzer_sys::fuzz_target;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fuzz_target!(|data: &[u8]| run(data));

/// Goes nowhere; a sparse file may say it has terabytes, so that it ends.
#[derive(Clone)]
struct Sink(Arc<AtomicU64>);

/// So often it is written to.
const WRITES: u64 = 10_000;

impl io::Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= WRITES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run(data: &[u8]) {
    let counted = Arc::new(Counted::new(data));
    let opened = Disk::of(Arc::clone(&counted) as _);
    counted.assert_read("opening", 0);
    let Ok(disk) = opened else { return };
    for volume in disk.volumes() {
        let Ok(files) = volume.files() else { continue };
        let names = look(files);
        counted.assert_read("looking", names);
        if let Ok(root) = files.root() {
            let sink = Sink(Arc::default());
            let _ = to_tar(files, &root, b"root", sink.clone(), &Silent);
            // No entry without a header, no data without a place for it.
            counted.assert_read("taking out", names + sink.0.load(Ordering::Relaxed));
        }
        for warning in files.warnings() {
            let text = warning.to_string();
            assert!(!text.contains(char::is_control), "{text}");
        }
    }
}

/// Looks at everything; how many names there were.
fn look(files: &Files) -> u64 {
    let Ok(root) = files.root() else { return 0 };
    let mut names = 0;
    let mut buf = [0; 4096];
    // Hard links may give every directory as many names as the image has entries.
    for met in files.walk(root).take(20_000) {
        names += 1;
        let Ok(met) = met else { continue };
        let _ = files.xattrs(&met.node);
        let _ = files.target(&met.node);
        if let Ok(data) = files.data(&met.node, &met.path) {
            for run in data.data().iter().take(16) {
                let _ = data.read_at(run.offset, &mut buf);
            }
            let _ = data.read_at(data.size().saturating_sub(1), &mut buf);
        }
    }
    for path in ["/etc/passwd", "/a/short/../x", "/link/link"] {
        let _ = files.resolve(path.as_bytes(), true);
        names += 40;
    }
    names
}
