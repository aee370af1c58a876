//! What the guest must say, must not say, and by when.

use super::serial::{PlainText, Tail};
use super::{Arch, Firmware};
use regex::bytes::Regex;
use std::io;
use std::time::Duration;

/// What no healthy boot prints: the firmware's word that nothing could be started, or that Secure Boot forbade
/// it, shim's and GRUB's word that it forbade the next program; GRUB's rescue shell, the kernel's panic,
/// systemd's and dracut's emergency mode, and the kernel's and the initramfs's complaint that there is no root.
pub const DEFAULT_FAIL: &str = "No bootable |failed to load Boot.*: (?:Access Denied|Security Violation)|\
    Verification failed: \\(0x|bad shim signature|\
    grub rescue>|Kernel panic|emergency mode|Unable to mount root|Dropping to a shell!";

/// What OVMF and AAVMF say of a loader that Secure Boot does not let them start. `LoadImage` answers
/// EFI_ACCESS_DENIED or EFI_SECURITY_VIOLATION then (UEFI 2.10 §7.4.1), which of them is a matter of policy.
const REFUSED_BY_FIRMWARE: [&str; 2] = [": Access Denied", ": Security Violation"];
/// The same by shim of what it starts, and by GRUB, which asks shim, of a kernel.
const REFUSED_BY_SHIM: [&str; 2] = ["Verification failed: (0x", "bad shim signature"];

/// One thing to wait for.
#[derive(Clone, Debug)]
pub struct Step {
    /// Matched against the plain text after the step before.
    pub expect: Regex,
    /// Text to type once it has matched, line end included.
    pub send: Option<String>,
}

/// What to wait for, in order, and when to give up.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// In order; none means: until the guest ends.
    pub steps: Vec<Step>,
    /// Any of them ends the run, at any time.
    pub fail: Vec<Regex>,
    /// How long the whole run may take; `None` for ever.
    pub timeout: Option<Duration>,
    /// After the last step, wait until the guest has switched itself off or rebooted. Otherwise it is cut
    /// off at once, as by a power failure.
    pub until_exit: bool,
    /// Hand the process's own standard input, a terminal, to the guest; Ctrl-A X ends qemu. Nothing can be
    /// sent then.
    pub interactive: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every step matched.
    Matched,
    /// The guest said what it must not say.
    Failed {
        /// The pattern.
        pattern: String,
        /// The line that it matched.
        line: String,
    },
    /// The time was over.
    TimedOut {
        /// The pattern that was waited for.
        waiting_for: Option<String>,
    },
    /// The guest ended before every step matched, or there were none.
    Exited {
        /// The pattern that was waited for.
        waiting_for: Option<String>,
    },
    /// The observer said to stop.
    Cancelled,
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// How many steps matched.
    pub matched: usize,
    /// The machine that it was.
    pub arch: Arch,
    /// The firmware that it was; never [`Firmware::Auto`].
    pub firmware: Firmware,
    /// The guest's screen as a PNG, where one was asked for; `None` when the guest ended by itself.
    pub screen: Option<io::Result<Vec<u8>>>,
    /// The serial port's raw bytes: the last 16 MiB at most.
    pub log: Vec<u8>,
    /// From qemu's start to the verdict.
    pub elapsed: Duration,
}

impl Outcome {
    /// What to do about a guest that did not come up, where its console tells why.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        if self.firmware != Firmware::Secure || self.verdict == Verdict::Matched {
            return None;
        }
        let mut plain = Vec::new();
        PlainText::new().decode(&self.log, &mut plain);
        let plain = String::from_utf8_lossy(&plain);
        let said = |by: &[&str]| by.iter().any(|words| plain.contains(words));
        if said(&REFUSED_BY_SHIM) {
            Some(
                "Secure Boot is on, and shim trusts neither the signature of GRUB nor that of the kernel: take \
                 both from the distribution that made shim, or boot with --firmware uefi",
            )
        } else if said(&REFUSED_BY_FIRMWARE) {
            Some(
                "Secure Boot is on, and the firmware started nothing, for the loader bears no signature that \
                 Microsoft's keys vouch for: core.efi and a distribution's unsigned GRUB never do. An image \
                 of shim and GRUB as they are signed comes up (Debian's packages shim-signed and \
                 grub-efi-amd64-signed), this one with --firmware uefi",
            )
        } else {
            None
        }
    }
}

/// A script under way.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    script: &'a Script,
    next: usize,
}

/// What to do after more text has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Wait,
    Send(&'a str),
    Done(Verdict),
}

impl<'a> Progress<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        Self { script, next: 0 }
    }

    /// The pattern that is waited for.
    pub(super) fn waiting_for(&self) -> Option<String> {
        self.script
            .steps
            .get(self.next)
            .map(|step| step.expect.as_str().to_owned())
    }

    /// How many steps matched.
    pub(super) fn matched(&self) -> usize {
        self.next
    }

    /// Whether every step of a script that has steps is behind us.
    pub(super) fn complete(&self) -> bool {
        !self.script.steps.is_empty() && self.next == self.script.steps.len()
    }

    /// Looks at the text; call it again until it says [`Next::Wait`] or [`Next::Done`].
    pub(super) fn advance(&mut self, tail: &mut Tail) -> Next<'a> {
        // Failure first: "Kernel panic" and the expected text may come in one chunk.
        for pattern in &self.script.fail {
            if let Some(found) = pattern.find(tail.text()) {
                let line = line_at(tail.text(), found.start());
                return Next::Done(Verdict::Failed {
                    pattern: pattern.as_str().to_owned(),
                    line,
                });
            }
        }
        if self.complete() && !self.script.until_exit {
            return Next::Done(Verdict::Matched);
        }
        let Some(step) = self.script.steps.get(self.next) else {
            return Next::Wait;
        };
        let Some(found) = step.expect.find(tail.unmatched()) else {
            return Next::Wait;
        };
        let end = found.end();
        tail.consume(end);
        self.next += 1;
        match &step.send {
            Some(text) => Next::Send(text),
            // Text of the same chunk may match the next step.
            None => self.advance(tail),
        }
    }
}

/// The line around byte `at`, for a person.
fn line_at(text: &[u8], at: usize) -> String {
    let start = text[..at]
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |n| n + 1);
    let end = text[at..]
        .iter()
        .position(|&b| b == b'\n')
        .map_or(text.len(), |n| at + n);
    String::from_utf8_lossy(&text[start..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(steps: &[(&str, Option<&str>)]) -> Script {
        let step = |&(expect, send): &(&str, Option<&str>)| Step {
            expect: Regex::new(expect).unwrap(),
            send: send.map(str::to_owned),
        };
        Script {
            steps: steps.iter().map(step).collect(),
            fail: vec![Regex::new(DEFAULT_FAIL).unwrap()],
            ..Script::default()
        }
    }

    #[test]
    fn a_pattern_matches_across_chunk_borders() {
        let script = script(&[("login:", None)]);
        let (mut progress, mut tail) = (Progress::new(&script), Tail::default());
        for piece in [&b"debian lo"[..], b"g\x1b[0", b"min"] {
            tail.push(piece);
            assert_eq!(progress.advance(&mut tail), Next::Wait);
        }
        tail.push(b"\ndebian log");
        assert_eq!(progress.advance(&mut tail), Next::Wait);
        tail.push(b"in: ");
        assert_eq!(progress.advance(&mut tail), Next::Done(Verdict::Matched));
    }

    #[test]
    fn steps_match_in_order_and_send_in_between() {
        let script = script(&[("login:", Some("root\n")), ("#", None), ("down", None)]);
        let (mut progress, mut tail) = (Progress::new(&script), Tail::default());
        tail.push(b"# down login: # ");
        assert_eq!(progress.advance(&mut tail), Next::Send("root\n"));
        assert_eq!(progress.advance(&mut tail), Next::Wait);
        assert_eq!(progress.waiting_for().as_deref(), Some("down"));
        tail.push(b"down");
        assert_eq!(progress.advance(&mut tail), Next::Done(Verdict::Matched));
    }

    #[test]
    fn failure_wins_and_names_its_line() {
        let script = script(&[("login:", None)]);
        let (mut progress, mut tail) = (Progress::new(&script), Tail::default());
        tail.push(b"login:\n[ 1.0] Kernel panic - not syncing: VFS\nmore");
        let line = "[ 1.0] Kernel panic - not syncing: VFS".to_owned();
        let pattern = DEFAULT_FAIL.to_owned();
        assert_eq!(
            progress.advance(&mut tail),
            Next::Done(Verdict::Failed { pattern, line })
        );
    }

    #[test]
    fn who_refused_under_secure_boot_is_told() {
        let outcome = |firmware, log: &str| Outcome {
            verdict: Verdict::TimedOut { waiting_for: None },
            matched: 0,
            arch: Arch::X86_64,
            firmware,
            screen: None,
            log: log.into(),
            elapsed: Duration::ZERO,
        };
        let firmware = "BdsDxe: failed to load Boot0002 \"UEFI QEMU NVMe Ctrl\" from NVMe(0x1): \x1b[0mAccess \
             Denied\r\n";
        let fails = Regex::new(DEFAULT_FAIL).unwrap();
        for (log, told) in [
            (firmware, "the firmware started nothing"),
            ("error: bad shim signature.\r\n", "shim trusts neither"),
            (
                "Verification failed: (0x1A) Security Violation",
                "shim trusts neither",
            ),
        ] {
            let help = outcome(Firmware::Secure, log).help();
            assert!(help.is_some_and(|help| help.contains(told)), "{log}");
            assert_eq!(outcome(Firmware::Uefi, log).help(), None);
            assert!(
                fails.is_match(log.replace("\x1b[0m", "").as_bytes()),
                "{log}"
            );
        }
        assert_eq!(outcome(Firmware::Secure, "login:").help(), None);
        // An empty drive is no refusal.
        assert!(
            !fails
                .is_match(b"BdsDxe: failed to load Boot0001 \"DVD-ROM\" from Sata(0x2): Not Found")
        );
    }

    #[test]
    fn until_exit_waits_after_the_last_step() {
        let script = Script {
            until_exit: true,
            ..script(&[("Power down", None)])
        };
        let (mut progress, mut tail) = (Progress::new(&script), Tail::default());
        tail.push(b"reboot: Power down\n");
        assert_eq!(progress.advance(&mut tail), Next::Wait);
        assert!(progress.complete());
    }
}
