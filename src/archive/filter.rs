//! An archive through a command of the user's: the plain tar goes to its standard input, what it writes is read.
//!
//! The command has a process group of its own, so that all of it can be ended: when its output is no archive,
//! when the build fails, when somebody says stop.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

use super::digested::{Digested, Receipt};
use super::error::ArchiveError;
use super::input::Input;
use super::reader::{ArchiveReader, Opened};
use crate::units::MIB;

/// Between two looks at whether somebody said stop.
const LOOK: Duration = Duration::from_millis(100);
/// What a command gets to end by itself once its output is no use.
const MERCY: Duration = Duration::from_millis(500);

/// The groups under way, for [`end_filters`].
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills every filter with all that it started: for a process that ends at once.
pub fn end_filters() {
    for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        signal(Some(*group), Signal::KILL);
    }
}

/// A command through which an archive goes before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What `/bin/sh -c` runs: a tar comes in through standard input, a tar goes out through standard output.
    pub command: String,
}

/// Reads what the command writes.
pub(super) struct Filtered {
    tar: ArchiveReader,
    process: Process,
}

impl Filtered {
    /// With a receipt for what the command is fed, where that is to be digested.
    pub(super) fn start(
        opened: Opened,
        filter: &Filter,
        cancelled: fn() -> bool,
        digest: bool,
    ) -> Result<(Self, Option<Receipt>), ArchiveError> {
        let Opened { name, file, total } = opened;
        let (reader, receipt): (Box<dyn Read + Send>, _) = if digest {
            let (reader, receipt) = Digested::new(name.clone(), Box::new(file), total)?;
            (Box::new(reader), Some(receipt))
        } else {
            (Box::new(file), None)
        };
        let fed = Fed {
            name: name.clone(),
            reader,
            total,
        };
        let (mut process, stdout) = Process::start(fed, filter, cancelled)?;
        let output = Output {
            stdout,
            group: process.group,
            cancelled,
        };
        let name = format!("{name}, filtered");
        let tar = ArchiveReader::from_reader(&name, Box::new(output), None);
        match tar {
            Ok(tar) => Ok((Self { tar, process }, receipt)),
            Err(e) => Err(process.blamed(e)),
        }
    }

    /// Bytes of the command's output read.
    pub(super) fn progress(&self) -> u64 {
        self.tar.progress().0
    }

    pub(super) fn tar(&mut self) -> &mut ArchiveReader {
        &mut self.tar
    }

    /// The next entry, as [`ArchiveReader::next_entry`]; at the end the command must have succeeded.
    pub(super) fn next_entry(&mut self) -> Result<Option<crate::entry::Entry>, ArchiveError> {
        match self.tar.next_entry() {
            Ok(Some(entry)) => Ok(Some(entry)),
            Ok(None) => self.process.succeeded().map(|()| None),
            Err(e) => Err(self.process.blamed(e)),
        }
    }

    /// The next piece of data, as [`ArchiveReader::next_data`].
    pub(super) fn next_data(&mut self) -> Result<Option<bytes::Bytes>, ArchiveError> {
        let data = self.tar.next_data();
        data.map_err(|e| self.process.blamed(e))
    }
}

/// The archive that the command is fed.
struct Fed {
    name: Arc<str>,
    reader: Box<dyn Read + Send>,
    total: Option<u64>,
}

/// The command under way.
struct Process {
    child: Child,
    group: Option<Pid>,
    command: String,
    cancelled: fn() -> bool,
    /// What was wrong with the archive that it was fed.
    fault: Arc<Mutex<Option<ArchiveError>>>,
    ended: Option<ExitStatus>,
    /// Whether the terminal stopped it.
    stopped: bool,
    /// Why nobody knows how it ended.
    lost: Option<io::Error>,
}

impl Process {
    fn start(
        fed: Fed,
        filter: &Filter,
        cancelled: fn() -> bool,
    ) -> Result<(Self, ChildStdout), ArchiveError> {
        let fails = |source| ArchiveError::FilterStart {
            command: filter.command.clone(),
            source,
        };
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(&filter.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(fails)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = Self {
            child,
            group,
            command: filter.command.clone(),
            cancelled,
            fault: Arc::default(),
            ended: None,
            stopped: false,
            lost: None,
        };
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(process.group);
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(fails(io::ErrorKind::BrokenPipe.into()));
        };
        let fault = process.fault.clone();
        thread::Builder::new()
            .name("filter".into())
            .spawn(move || feed(fed, stdin, &fault))
            .map_err(fails)?;
        Ok((process, stdout))
    }

    /// Waits until it has ended, at most for `limit`.
    fn wait(&mut self, limit: Option<Duration>) -> Option<ExitStatus> {
        let begun = Instant::now();
        while self.ended.is_none() {
            match self.child.try_wait() {
                Ok(ended) => self.ended = ended,
                // Where SIGCHLD is ignored the kernel forgets how a child ended.
                Err(e) => {
                    self.lost = Some(e);
                    break;
                }
            }
            let over = limit.is_some_and(|limit| begun.elapsed() >= limit);
            self.stopped = stopped(self.group);
            if self.ended.is_some() || over || self.stopped || (self.cancelled)() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.ended
    }

    /// Its whole output was read: it must end, and well.
    fn succeeded(&mut self) -> Result<(), ArchiveError> {
        let status = self.wait(None);
        self.verdict(status)
    }

    /// Reading its output ended with `error`: its own failure, or the archive's, is the better reason.
    fn blamed(&mut self, error: ArchiveError) -> ArchiveError {
        let status = self.wait(Some(MERCY));
        let verdict = match status {
            None if self.lost.is_none() && !self.stopped => self.verdict_of_archive(),
            status => self.verdict(status),
        };
        verdict.err().unwrap_or(error)
    }

    fn verdict(&self, status: Option<ExitStatus>) -> Result<(), ArchiveError> {
        self.verdict_of_archive()?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(ArchiveError::Filter {
                command: self.command.clone(),
                status: status.to_string(),
            }),
            None => Err(ArchiveError::Filter {
                command: self.command.clone(),
                status: match &self.lost {
                    Some(e) => {
                        format!(
                            "how it ended is unknown: {e}; do not start this with SIGCHLD ignored"
                        )
                    }
                    None if self.stopped => {
                        "it was stopped because it wanted the terminal, which a filter \
                                             has not: its input is the archive"
                            .into()
                    }
                    None => "it was stopped".into(),
                },
            }),
        }
    }

    fn verdict_of_archive(&self) -> Result<(), ArchiveError> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.take().map_or(Ok(()), Err)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal(self.group, Signal::TERM);
        // What is stopped takes it only when it goes on.
        signal(self.group, Signal::CONT);
        let begun = Instant::now();
        // What the shell started may outlive it.
        while begun.elapsed() < MERCY {
            let alive = self.ended.is_none() && matches!(self.child.try_wait(), Ok(None));
            if !alive
                && self
                    .group
                    .is_none_or(|g| test_kill_process_group(g).is_err())
            {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        signal(self.group, Signal::KILL);
        // It is reaped when it can be.
        let _ = self.child.wait();
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|g| Some(*g) != self.group);
    }
}

/// Whether the terminal stopped a command, and all of its group with it, which is not the one that may use it.
/// Nobody would ever let it go on.
fn stopped(group: Option<Pid>) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = group.map(|pid| waitid(WaitId::Pid(pid), options));
    let signal = match status {
        Some(Ok(Some(status))) => status.stopping_signal(),
        _ => None,
    };
    signal.is_some_and(|s| s == Signal::TTIN.as_raw() || s == Signal::TTOU.as_raw())
}

/// To a group that is gone there is nothing to say.
fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}

/// Gives the command the decoded archive.
fn feed(fed: Fed, mut stdin: ChildStdin, fault: &Mutex<Option<ArchiveError>>) {
    let told = |e| *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
    let mut input = match Input::start(fed.name, fed.reader, fed.total) {
        Ok(input) => input,
        Err(e) => return told(e),
    };
    loop {
        match input.take(MIB) {
            // A command that has read enough is free to close its end.
            Ok(Some(bytes)) if stdin.write_all(&bytes).is_err() => return,
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(e) => return told(e),
        }
    }
}

/// What the command writes; a wait for it can be ended.
struct Output {
    stdout: ChildStdout,
    group: Option<Pid>,
    cancelled: fn() -> bool,
}

impl Read for Output {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: LOOK.subsec_nanos().into(),
        };
        loop {
            if (self.cancelled)() {
                signal(self.group, Signal::TERM);
                return Err(io::Error::other("interrupted"));
            }
            if stopped(self.group) {
                return Err(io::Error::other("stopped by the terminal"));
            }
            let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.stdout.read(out),
                Err(e) => return Err(e.into()),
            }
        }
    }
}
