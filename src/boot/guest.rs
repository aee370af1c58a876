//! The running qemu: how it ends, asked or by the watchdog.

use super::BootError;
use super::screen::Screen;
use crate::observe::Observer;
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the watchdog looks at the clock and asks whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long qemu gets to close its files and give the terminal back.
const GRACE: Duration = Duration::from_secs(2);

/// A running qemu, which does not outlive this value.
pub(super) struct Guest {
    child: Mutex<Child>,
    screen: Option<Screen>,
    /// What the screen showed when qemu was asked to end.
    picture: Mutex<Option<io::Result<Vec<u8>>>>,
}

impl Guest {
    pub(super) fn new(child: Child, screen: Option<Screen>) -> Self {
        Self {
            child: Mutex::new(child),
            screen,
            picture: Mutex::new(None),
        }
    }

    /// The picture of the screen, if one was asked for and qemu did not end by itself.
    pub(super) fn into_picture(self) -> Option<io::Result<Vec<u8>>> {
        self.picture().take()
    }

    fn picture(&self) -> std::sync::MutexGuard<'_, Option<io::Result<Vec<u8>>>> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Child) -> T) -> T {
        f(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks qemu to end: it closes the image and gives the terminal back.
    fn terminate(&self) {
        if let Some(screen) = &self.screen
            && let picture @ None = &mut *self.picture()
            && matches!(self.with(Child::try_wait), Ok(None))
        {
            let taken = screen.take();
            // A guest that switched itself off meanwhile has no screen.
            if taken.is_ok() || matches!(self.with(Child::try_wait), Ok(None)) {
                *picture = Some(taken);
            }
        }
        self.with(|child| {
            // A child that was not waited for keeps its pid, so this reaches nobody else.
            if let (Ok(None), Ok(pid)) = (child.try_wait(), i32::try_from(child.id())) {
                let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::TERM));
            }
        });
    }

    fn kill(&self) {
        // An error means that it has ended.
        let _ = self.with(Child::kill);
    }

    /// Waits for the end, asking for it unless qemu is already `ending`.
    pub(super) fn end(&self, ending: bool) -> Result<ExitStatus, BootError> {
        let serial = |source| BootError::Serial {
            doing: "close",
            source,
        };
        if !ending {
            self.terminate();
        }
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if let Some(status) = self.with(Child::try_wait).map_err(serial)? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        self.with(Child::wait).map_err(serial)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if matches!(self.with(Child::try_wait), Ok(None)) {
            self.kill();
            let _ = self.with(Child::wait);
        }
    }
}

/// Why the watchdog ended qemu.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kill {
    Deadline,
    Cancelled,
}

/// Ends qemu at the deadline or when the observer says so, even while nothing comes from the guest or
/// nobody takes what goes to the console.
pub(super) struct Watchdog<'a> {
    pub(super) guest: &'a Guest,
    pub(super) stop: Receiver<()>,
    pub(super) deadline: &'a Mutex<Option<Instant>>,
}

impl Watchdog<'_> {
    pub(super) fn watch(self, observer: &dyn Observer) -> Option<Kill> {
        let reason = loop {
            match self.stop.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
            }
            if observer.cancelled() {
                break Kill::Cancelled;
            }
            let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break Kill::Deadline;
            }
        };
        self.guest.terminate();
        if self.stop.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
            self.guest.kill();
        }
        Some(reason)
    }
}
