//! System calls that fail or are slow: strace injects it, which needs no privilege.

use super::desk::{Desk, Ran, Running, ran};
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

/// What becomes of the calls: `error=ENOSPC:when=1`, or nothing.
pub type Fault<'a> = Option<&'a str>;

impl Desk {
    /// The program under strace, which writes every one of its `calls` into the file `trace`.
    pub fn traced(&self, calls: &str, fault: Fault, args: &[&str]) -> Command {
        let (trace, inject) = (
            format!("trace={calls}"),
            fault.map(|fault| format!("inject={calls}:{fault}")),
        );
        let mut strace = vec!["strace", "-f", "-qq", "-o", "trace", "-e", &trace];
        if let Some(inject) = &inject {
            strace.extend(["-e", inject]);
        }
        self.prefixed(&strace, args)
    }

    /// What strace has written.
    pub fn trace(&self) -> String {
        std::fs::read_to_string(self.path("trace")).unwrap_or_default()
    }

    /// Runs the program while `calls` suffer `fault`, which must come about.
    #[track_caller]
    pub fn run_with_fault(&self, calls: &str, fault: &str, args: &[&str]) -> Ran {
        let ran = ran(&self.traced(calls, Some(fault), args).output().unwrap());
        let log = self.trace();
        assert!(log.contains("(INJECTED)"), "no {calls} {fault}:\n{log}");
        ran
    }
}

impl Running {
    /// What it said, once it has ended by itself.
    pub fn end(mut self) -> Ran {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let pipes = (self.0.stdout.take(), self.0.stderr.take());
        pipes.0.unwrap().read_to_string(&mut stdout).unwrap();
        pipes.1.unwrap().read_to_string(&mut stderr).unwrap();
        Ran {
            code: self.0.wait().unwrap().code(),
            stdout,
            stderr,
        }
    }
}

/// Waits for what another process does.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
