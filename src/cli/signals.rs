//! Ctrl-C and SIGTERM: wind up, leave nothing behind, exit with 130 or 143.
//!
//! The first signal raises a flag that the observer hands to the library, which stops between two batches
//! and removes its temporary itself. A second signal, or a library that is stuck (a pipe that nobody
//! fills), ends the process from the signal thread, after the temporaries registered here are unlinked.

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How many seconds the library gets to wind up: above the two that `boot` gives qemu.
static GRACE: AtomicU64 = AtomicU64::new(3);

/// The first signal caught; 0 before.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
/// Files and folders to remove when the process ends from the signal thread.
static TEMPORARIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// SIGINT or SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caught(i32);

impl Caught {
    /// 128 + the signal's number, as a shell reports it.
    pub(super) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).expect("SIGINT is 2 and SIGTERM 15")
    }
}

/// The first signal caught, if any.
pub(super) fn caught() -> Option<Caught> {
    match CAUGHT.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Caught(signal)),
    }
}

/// Gives the library more time after the first signal; a second one still ends the process at once.
#[cfg(feature = "aws")]
pub(super) fn grace(time: Duration) {
    GRACE.store(time.as_secs(), Ordering::Relaxed);
}

/// Starts the signal thread.
pub(super) fn install() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot catch signals")?;
    thread::spawn(move || {
        let mut arrivals = signals.forever();
        let Some(first) = arrivals.next() else { return };
        CAUGHT.store(first, Ordering::Relaxed);
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(GRACE.load(Ordering::Relaxed)));
            die(Caught(first));
        });
        if let Some(second) = arrivals.next() {
            die(Caught(second));
        }
    });
    Ok(())
}

fn die(signal: Caught) -> ! {
    // Held until the end, so that no temporary is made and registered in between.
    let temporaries = TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner);
    for path in temporaries.iter() {
        // One that is gone was removed by its owner.
        let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
    }
    diskwright::archive::end_filters();
    std::process::exit(signal.exit_code().into())
}

/// A temporary file or folder that shall not survive the process. Dropping the guard forgets it.
#[derive(Debug)]
pub(super) struct Guard(PathBuf);

/// Registers `path`, before or right after the file is made; drop the guard before it is renamed into place.
// The raw sink's named temporary (where O_TMPFILE does not work) registers here.
pub(super) fn guard(path: &Path) -> Guard {
    TEMPORARIES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path.into());
    Guard(path.into())
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut temporaries = TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = temporaries.iter().position(|path| *path == self.0) {
            temporaries.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_guard_forgets_its_own_path_alone() {
        let (one, two) = (guard(Path::new("/t/one")), guard(Path::new("/t/two")));
        drop(one);
        assert_eq!(*TEMPORARIES.lock().unwrap(), [PathBuf::from("/t/two")]);
        drop(two);
    }

    #[test]
    fn exit_codes_are_the_shells() {
        assert_eq!(
            (Caught(SIGINT).exit_code(), Caught(SIGTERM).exit_code()),
            (130, 143)
        );
    }
}
