//! Invariants: no bytes make the readers of ext4, FAT and partition tables panic, read without end or hold
//! memory out of proportion. The inputs are images, whole; a walk over all that is in them, every file read,
//! and all taken out into a tar that goes nowhere.

#![no_main]

use diskwright::inspect::{Disk, Files, to_tar};
use diskwright::observe::Silent;
use libfuzzer_sys::fuzz_target;
use std::io;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| run(data));

/// Goes nowhere; a sparse file may say it has terabytes, so that it ends.
struct Sink(u64);

impl io::Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run(data: &[u8]) {
    let Ok(disk) = Disk::of(Arc::new(data.to_vec())) else {
        return;
    };
    for volume in disk.volumes() {
        let Ok(files) = volume.files() else { continue };
        look(files);
        if let Ok(root) = files.root() {
            let _ = to_tar(files, &root, b"root", Sink(10_000), &Silent);
        }
        for warning in files.warnings() {
            let text = warning.to_string();
            assert!(!text.contains(char::is_control), "{text}");
        }
    }
}

fn look(files: &Files) {
    let Ok(root) = files.root() else { return };
    let mut buf = [0; 4096];
    // Hard links may give every directory as many names as the image has entries.
    for met in files.walk(root).take(20_000).flatten() {
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
    }
}
