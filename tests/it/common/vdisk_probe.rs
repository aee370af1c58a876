//! Opens a file as an image of whatever format and reads of it what an honest reader would, within bounds.

use diskwright::observe::Silent;
use diskwright::vdisk::{Format, Forward, MAX_DISK, detect, open, unpack};
use std::io;
use std::sync::Arc;

/// Places of the disk that are looked at.
const LOOKS: u64 = 200;

/// Takes a few MiB, as a small disk would.
struct Small(u64);

impl Forward for Small {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.zeros(u64::try_from(bytes.len()).expect("64 bits"))
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.0 += len;
        match self.0 > 8 << 20 {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

/// Whether the file was taken for an image. Panics when the reader breaks a promise.
pub fn probe(bytes: Vec<u8>) -> bool {
    let format = detect(&bytes).expect("memory can be read");
    if matches!(format, Format::RawZst | Format::RawGz) {
        return unpack(format, &bytes[..], &mut Small(0), &Silent).is_ok();
    }
    let disk = match open(Arc::new(bytes)) {
        Ok(opened) => opened.disk,
        Err(e) => {
            let message = e.to_string();
            assert!(
                !message.is_empty() && !message.contains(char::is_control),
                "{message:?}"
            );
            return false;
        }
    };
    let len = disk.len();
    assert!(len <= MAX_DISK);
    let mut buf = vec![0; 64 << 10];
    let mut at = 0;
    for _ in 0..LOOKS {
        if at >= len {
            break;
        }
        let Ok(run) = disk.run(at) else { break };
        assert!(
            run.len > 0 && run.len <= len - at,
            "{run:?} at {at} of {len}"
        );
        for place in [at, at + run.len - 1] {
            let part = usize::try_from((len - place).min(64 << 10)).expect("64 bits");
            // An error is an answer.
            let read = disk.read_exact_at(place, &mut buf[..part]);
            if read.is_ok() && !run.stored && place == at {
                let within = usize::try_from(run.len.min(64 << 10)).expect("64 bits");
                assert!(buf[..within.min(part)].iter().all(|b| *b == 0));
            }
        }
        at += run.len;
    }
    assert!(disk.read_exact_at(len, &mut [0]).is_err());
    true
}
