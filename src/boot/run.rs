//! One run: start, follow, judge.

use super::guest::{Guest, Kill, Watchdog};
use super::qemu::Input;
use super::screen::Screen;
use super::serial::{Log, Tail};
use super::verdict::{Next, Progress};
use super::{BootError, Machine, Outcome, Script, Verdict, find_loaders};
use crate::observe::Observer;
use crate::read_at::FileAt;
use crate::vdisk;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a guest that failed may go on: long enough for the line and the trace that say why.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Most of qemu's standard error that is kept, in bytes.
const STDERR_CAP: u64 = 64 << 10;

/// Boots `image` in `machine`, shows the serial port's raw bytes on `console`, and follows `script`.
///
/// # Errors
/// When the image could not be tried: no qemu, no such image, qemu's own failure. A guest that does not
/// come up is no error but a [`Verdict`].
pub fn run(
    image: &Path,
    machine: &Machine,
    script: &Script,
    console: &mut dyn Write,
    observer: &dyn Observer,
) -> Result<Outcome, BootError> {
    let wrong = |source| BootError::Image {
        path: image.into(),
        source,
    };
    // Absolute: qemu takes `nbd:x` or `json:{}` for something other than a file name.
    let path = image.canonicalize().map_err(wrong)?;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(machine.persist)
        .open(&path)
        .map_err(wrong)?;
    let disk = FileAt::new(file).map_err(wrong)?;
    let opened = vdisk::open(Arc::new(disk)).map_err(|e| wrong(e.into()))?;
    let driver = opened.format.qemu_driver();
    let driver = driver.expect("vdisk::open opens nothing compressed");
    let loaders = find_loaders(&*opened.disk).map_err(wrong)?;
    // qemu locks the image: nothing here may keep it open.
    drop(opened);
    let chosen = machine.choose(image, driver, &loaders)?;
    let input = if script.interactive {
        Input::Terminal
    } else {
        Input::Pipe
    };
    let screen = match machine.screen {
        true => Some(Screen::new().map_err(BootError::Folder)?),
        false => None,
    };
    let qmp = screen.as_ref().map(Screen::socket);
    let mut command = machine.command(&chosen, &path, input, qmp.as_deref());
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(match input {
            Input::Terminal => Stdio::inherit(),
            Input::Pipe => Stdio::piped(),
        });
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|source| BootError::Start {
        program: command.get_program().into(),
        source,
    })?;
    let stdin = child.stdin.take();
    let stdout = child
        .stdout
        .take()
        .expect("standard output was asked to be a pipe");
    let stderr = child
        .stderr
        .take()
        .expect("standard error was asked to be a pipe");
    let guest = Guest::new(child, screen);
    let (done, stop) = channel::<()>();
    let deadline = Mutex::new(script.timeout.map(|timeout| begun + timeout));
    let watchdog = Watchdog {
        guest: &guest,
        stop,
        deadline: &deadline,
    };
    let mut session = Session {
        progress: Progress::new(script),
        log: Log::default(),
        failed: None,
        deadline: &deadline,
    };
    let (followed, killed_for, complaints) = thread::scope(|scope| {
        let complaints = scope.spawn(|| read_all(stderr));
        let watching = scope.spawn(|| watchdog.watch(observer));
        let followed = session.follow(stdout, stdin, console);
        // Before the joins: both threads end only with qemu, or at this word.
        drop(done);
        let ended = guest.end(matches!(followed, Ok(None)));
        let followed = followed.and_then(|verdict| Ok((verdict, ended?)));
        (followed, watching.join(), complaints.join())
    });
    let killed_for = killed_for.expect("the watchdog does not panic");
    let stderr = complaints.expect("the reader of standard error does not panic");
    let (verdict, status) = followed?;
    let verdict = match (verdict.or(session.failed), killed_for) {
        (Some(verdict), _) => verdict,
        (None, Some(Kill::Deadline)) => Verdict::TimedOut {
            waiting_for: session.progress.waiting_for(),
        },
        (None, Some(Kill::Cancelled)) => Verdict::Cancelled,
        (None, None) if observer.cancelled() => Verdict::Cancelled,
        (None, None) if !status.success() => return Err(BootError::Qemu { status, stderr }),
        (None, None) if session.progress.complete() => Verdict::Matched,
        (None, None) => Verdict::Exited {
            waiting_for: session.progress.waiting_for(),
        },
    };
    Ok(Outcome {
        verdict,
        matched: session.progress.matched(),
        arch: chosen.arch,
        firmware: chosen.firmware,
        log: session.log.into_bytes(),
        screen: guest.into_picture(),
        elapsed: begun.elapsed(),
    })
}

fn read_all(from: impl Read) -> String {
    let mut bytes = Vec::new();
    // An error ends the text, which is all that a message about another error needs.
    let _ = from.take(STDERR_CAP).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

struct Session<'a> {
    progress: Progress<'a>,
    log: Log,
    /// The failure seen; the guest is in its aftermath then.
    failed: Option<Verdict>,
    deadline: &'a Mutex<Option<Instant>>,
}

impl Session<'_> {
    /// Follows the script to its verdict; `None` when qemu closed the serial port first.
    fn follow(
        &mut self,
        mut port: ChildStdout,
        mut keyboard: Option<ChildStdin>,
        console: &mut dyn Write,
    ) -> Result<Option<Verdict>, BootError> {
        let mut tail = Tail::default();
        let mut chunk = [0; 8 << 10];
        loop {
            let raw = match port.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(len) => &chunk[..len],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(BootError::Serial {
                        doing: "read",
                        source,
                    });
                }
            };
            self.log.push(raw);
            tail.push(raw);
            console
                .write_all(raw)
                .and_then(|()| console.flush())
                .map_err(BootError::Console)?;
            if self.failed.is_some() {
                if let Next::Done(verdict) = self.progress.advance(&mut tail) {
                    self.fail(verdict);
                }
                continue;
            }
            loop {
                match self.progress.advance(&mut tail) {
                    Next::Wait => break,
                    Next::Done(verdict @ Verdict::Failed { .. }) => {
                        self.fail(verdict);
                        break;
                    }
                    Next::Done(verdict) => return Ok(Some(verdict)),
                    Next::Send(text) => type_line(keyboard.as_mut(), text)?,
                }
            }
        }
    }

    /// Notes a failure and has the watchdog end the guest soon; or notes more of the same line.
    fn fail(&mut self, verdict: Verdict) {
        let Verdict::Failed { line, .. } = &verdict else {
            return;
        };
        match &self.failed {
            Some(Verdict::Failed { line: before, .. }) if !line.starts_with(before) => return,
            Some(_) => {}
            None => {
                let soon = Instant::now() + AFTERMATH;
                let mut deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
                *deadline = Some(deadline.map_or(soon, |timeout| timeout.min(soon)));
            }
        }
        self.failed = Some(verdict);
    }
}

fn type_line(keyboard: Option<&mut ChildStdin>, text: &str) -> Result<(), BootError> {
    let Some(keyboard) = keyboard else {
        return Ok(());
    };
    match keyboard
        .write_all(text.as_bytes())
        .and_then(|()| keyboard.flush())
    {
        // The guest is gone: the end of the serial port says so next.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(source) => Err(BootError::Serial {
            doing: "write to",
            source,
        }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Step;
    use crate::observe::Silent;
    use regex::bytes::Regex;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    /// A program that stands in for qemu: it speaks on its standard output, as the serial port does.
    struct Fake {
        folder: tempfile::TempDir,
    }

    impl Fake {
        fn new(body: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let fake = Self { folder };
            std::fs::write(fake.program(), format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(fake.program(), PermissionsExt::from_mode(0o755)).unwrap();
            let mut sector = [0xEB; 512];
            sector[510..].copy_from_slice(&[0x55, 0xAA]);
            std::fs::write(fake.folder.path().join("disk.img"), sector).unwrap();
            fake
        }

        fn program(&self) -> PathBuf {
            self.folder.path().join("qemu")
        }

        fn run(&self, script: &Script) -> Result<Outcome, BootError> {
            let machine = Machine {
                qemu: Some(self.program()),
                accel: crate::boot::Accel::Tcg,
                ..Machine::default()
            };
            let image = self.folder.path().join("disk.img");
            loop {
                let mut console = Vec::new();
                match run(&image, &machine, script, &mut console, &Silent) {
                    // Another test's fork holds the program open for writing, until its exec.
                    Err(BootError::Start { source, .. })
                        if source.kind() == io::ErrorKind::ExecutableFileBusy => {}
                    Ok(outcome) => {
                        assert_eq!(console, outcome.log);
                        return Ok(outcome);
                    }
                    error => return error,
                }
            }
        }
    }

    fn expecting(pattern: &str, send: Option<&str>) -> Script {
        let expect = Regex::new(pattern).unwrap();
        Script {
            steps: vec![Step {
                expect,
                send: send.map(str::to_owned),
            }],
            timeout: Some(Duration::from_secs(20)),
            ..Script::default()
        }
    }

    #[test]
    fn a_match_ends_a_guest_that_would_run_on() {
        let fake = Fake::new("printf 'debian lo'; sleep 0.05; echo gin:; exec sleep 60");
        let outcome = fake.run(&expecting("login:", None)).unwrap();
        assert_eq!(outcome.verdict, Verdict::Matched);
        assert!(outcome.elapsed < Duration::from_secs(10));
    }

    #[test]
    fn the_watchdog_ends_a_silent_guest() {
        let fake = Fake::new("exec sleep 60");
        let script = Script {
            timeout: Some(Duration::from_millis(200)),
            ..expecting("login:", None)
        };
        let waiting_for = Some("login:".to_owned());
        assert_eq!(
            fake.run(&script).unwrap().verdict,
            Verdict::TimedOut { waiting_for }
        );
    }

    #[test]
    fn what_is_sent_reaches_the_guest_and_its_end_is_waited_for() {
        let fake = Fake::new("echo login:; read name; echo hello $name");
        let script = Script {
            until_exit: true,
            ..expecting("login:", Some("root\n"))
        };
        let outcome = fake.run(&script).unwrap();
        assert_eq!(outcome.verdict, Verdict::Matched);
        assert!(outcome.log.ends_with(b"hello root\n"));
    }

    #[test]
    fn a_guest_that_ends_early_is_a_verdict_and_a_failing_qemu_an_error() {
        let waiting_for = Some("login:".to_owned());
        let outcome = Fake::new("echo bye")
            .run(&expecting("login:", None))
            .unwrap();
        assert_eq!(outcome.verdict, Verdict::Exited { waiting_for });

        let error = Fake::new("echo no such machine >&2; exit 1").run(&expecting("x", None));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .ends_with("exit status: 1: no such machine")
        );
    }

    #[test]
    fn a_missing_image_is_named() {
        let machine = Machine::default();
        let gone = Path::new("/nonexistent/disk.img");
        let error = run(gone, &machine, &Script::default(), &mut io::sink(), &Silent).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open the image /nonexistent/disk.img"
        );
    }
}
