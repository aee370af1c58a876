//! `diskwright boot`: try an image.

use super::boot_junit;
use super::exit::{self, Code, Usage};
use super::progress::Progress;
use super::sizes;
use anyhow::Context;
use diskwright::boot::{
    self, Accel, Arch, DEFAULT_FAIL, Disk, Firmware, Machine, Outcome, PlainText, Script, Step,
    Verdict,
};
use diskwright::units::MIB;
use regex::bytes::{Regex, RegexBuilder};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  diskwright boot disk.img                   on this terminal; Ctrl-A X quits
  diskwright boot disk.img --expect login:   exit code 0 when the prompt comes
  diskwright boot disk.img --expect login: --timeout 5m --log serial.log --json
  diskwright boot disk.img --firmware secure --expect login: --junit boot.xml

The image is not changed: the guest writes to an overlay that is thrown away,
unless --persist is said.";

/// How long `--expect` waits unless told. Under TCG on two cores a Debian 12 takes 38 s to its prompt, and
/// up to 118 s beside other work; under a KVM worth its name it is there sooner.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(180);

/// Boot an image in qemu, its serial console on the terminal
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Disk image: raw, qcow2, VMDK or VHD
    image: PathBuf,

    /// What the console must show; several are expected in this order
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    expect: Vec<Regex>,

    /// What it must not show [default: kernel panics and rescue shells]
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    fail: Vec<Regex>,

    /// How long the whole run may take [default: 180s with --expect, else no limit]
    #[arg(long, value_name = "TIME", value_parser = sizes::duration)]
    timeout: Option<Duration>,

    /// Write the serial console's bytes to a file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Write the guest's screen to a PNG file before the run ends
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,

    /// Write the verdict as JUnit XML, a test case for each --expect
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// What starts the loader; auto takes UEFI where the image has a loader for it, else BIOS
    #[arg(long, value_enum, default_value = "auto")]
    firmware: FirmwareArg,

    /// Processor of the guest [default: the one that the image has a loader for]
    #[arg(long, value_enum)]
    arch: Option<ArchArg>,

    /// Attach the disk as NVMe, as Nitro instances do: the default
    #[arg(long, overrides_with = "virtio")]
    nvme: bool,

    /// Attach the disk as virtio-blk
    #[arg(long, overrides_with = "nvme")]
    virtio: bool,

    /// Let the guest write to the image itself
    #[arg(long)]
    persist: bool,

    /// Memory of the guest
    #[arg(long, value_name = "SIZE", value_parser = sizes::bytes, default_value = "1G")]
    memory: u64,

    /// Processors of the guest
    #[arg(long, value_name = "N", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,

    /// Use KVM; auto tries it and takes TCG where it fails or only emulates
    #[arg(long, value_enum, default_value = "auto")]
    kvm: Kvm,

    /// Print the verdict as JSON; the console goes to stderr then
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kvm {
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FirmwareArg {
    Auto,
    Bios,
    Uefi,
    /// UEFI with Secure Boot on and Microsoft's keys
    Secure,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ArchArg {
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    #[value(alias = "aarch64")]
    Arm64,
}

fn machine(args: &Args) -> anyhow::Result<Machine> {
    let memory_mib = u32::try_from(args.memory / MIB).unwrap_or(u32::MAX);
    if memory_mib < 64 {
        return Err(Usage::new("--memory is below 64 MiB, which boots no Linux").into());
    }
    Ok(Machine {
        memory_mib,
        cpus: args.cpus,
        accel: match args.kvm {
            Kvm::Auto => Accel::Auto,
            Kvm::On => Accel::Kvm,
            Kvm::Off => Accel::Tcg,
        },
        arch: args.arch.map(|arch| match arch {
            ArchArg::X86_64 => Arch::X86_64,
            ArchArg::Arm64 => Arch::Arm64,
        }),
        firmware: match args.firmware {
            FirmwareArg::Auto => Firmware::Auto,
            FirmwareArg::Bios => Firmware::Bios,
            FirmwareArg::Uefi => Firmware::Uefi,
            FirmwareArg::Secure => Firmware::Secure,
        },
        disk: if args.virtio {
            Disk::Virtio
        } else {
            Disk::Nvme
        },
        screen: args.screenshot.is_some(),
        persist: args.persist,
        ..Machine::default()
    })
}

fn script(args: &Args, interactive: bool) -> anyhow::Result<Script> {
    let mut fail = args.fail.clone();
    // A person wants to look at a panic; a script wants to stop there.
    if fail.is_empty() && !interactive {
        fail.push(pattern(DEFAULT_FAIL).map_err(anyhow::Error::msg)?);
    }
    let steps = args.expect.iter().cloned();
    let waits = !args.expect.is_empty();
    Ok(Script {
        timeout: args.timeout.or(waits.then_some(DEFAULT_TIMEOUT)),
        steps: steps.map(|expect| Step { expect, send: None }).collect(),
        fail,
        until_exit: false,
        interactive,
    })
}

/// `^` and `$` match at lines, and bytes count, not characters: a console is no UTF-8 text.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .multi_line(true)
        .unicode(false)
        .build();
    built.map_err(|e| e.to_string())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let machine = machine(args)?;
    let judged = !args.expect.is_empty() || !args.fail.is_empty();
    let interactive = !judged && !args.json && io::stdin().is_terminal();
    let script = script(args, interactive)?;
    if interactive {
        exit::complain("Ctrl-A X quits.\n");
    }
    let mut console: Box<dyn Write> = if args.json {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    };
    let observer = Progress::new(true);
    let ran = boot::run(&args.image, &machine, &script, &mut console, &observer);
    let outcome = match ran {
        Err(boot::BootError::Console(e)) if !args.json => {
            exit::stdout(Err(e))?;
            return Ok(Code::Done);
        }
        ran => ran?,
    };
    if let Some(path) = &args.log {
        std::fs::write(path, &outcome.log)
            .with_context(|| format!("cannot write the log {}", path.display()))?;
    }
    if let Some(path) = &args.screenshot {
        match &outcome.screen {
            Some(Ok(png)) => std::fs::write(path, png)
                .with_context(|| format!("cannot write the screenshot {}", path.display()))?,
            Some(Err(e)) => exit::complain(&format!("warning: no screenshot: {e}\n")),
            None => exit::complain("warning: no screenshot: the guest had ended\n"),
        }
    }
    let told = tell(&outcome, &args.expect);
    if let Some(path) = &args.junit {
        let expected: Vec<String> = args.expect.iter().map(|e| e.as_str().to_owned()).collect();
        let xml = boot_junit::xml(&args.image, &expected, &outcome, &told);
        std::fs::write(path, xml)
            .with_context(|| format!("cannot write the report {}", path.display()))?;
    }
    if args.json {
        exit::print_json(&json(&outcome, &args.expect))?;
    } else if judged || outcome.verdict != (Verdict::Exited { waiting_for: None }) {
        exit::complain(&format!("\n{told}\n"));
    }
    match outcome.verdict {
        Verdict::Matched | Verdict::Exited { waiting_for: None } => Ok(Code::Done),
        Verdict::Failed { .. } | Verdict::TimedOut { .. } | Verdict::Exited { .. } => {
            Ok(Code::Findings)
        }
        Verdict::Cancelled => anyhow::bail!("interrupted"),
    }
}

/// What to do about a guest that did not come up.
fn help(outcome: &Outcome, expected: &[Regex]) -> Option<String> {
    outcome
        .help()
        .map(str::to_owned)
        .or_else(|| out_of_order(outcome, expected))
}

/// Whether what is still waited for came before what was to come first.
fn out_of_order(outcome: &Outcome, expected: &[Regex]) -> Option<String> {
    let (Verdict::TimedOut { .. } | Verdict::Exited { .. }) = &outcome.verdict else {
        return None;
    };
    let missing = expected.get(outcome.matched)?;
    let before = expected.get(outcome.matched.checked_sub(1)?)?;
    let mut plain = Vec::new();
    PlainText::new().decode(&outcome.log, &mut plain);
    // Between the steps that came: what matched one of them was that step.
    let mut rest = &plain[..];
    let mut earlier = false;
    for step in expected.iter().take(outcome.matched) {
        let found = step.find(rest)?;
        earlier |= missing.is_match(&rest[..found.start()]);
        rest = &rest[found.end()..];
    }
    earlier.then(|| {
        let asked: Vec<_> = expected.iter().map(|e| format!("`{e}`")).collect();
        format!(
            "`{missing}` came earlier, before `{before}`; the order that was asked for is {}",
            asked.join(", ")
        )
    })
}

fn tell(outcome: &Outcome, expected: &[Regex]) -> String {
    let how = match (outcome.arch, outcome.firmware) {
        (Arch::X86_64, firmware) => firmware.word().to_owned(),
        (arch, firmware) => format!("{} {}", arch.word(), firmware.word()),
    };
    let after = format!("after {:.1} s ({how})", outcome.elapsed.as_secs_f64());
    let without = |pattern: &Option<String>| {
        pattern
            .as_ref()
            .map(|p| format!(" without `{p}`"))
            .unwrap_or_default()
    };
    let told = match &outcome.verdict {
        Verdict::Matched => format!("boot: came up {after}"),
        Verdict::Failed { line, .. } => format!("boot: failed {after}: {line}"),
        Verdict::TimedOut { waiting_for } => {
            format!("boot: stopped {after}{}", without(waiting_for))
        }
        Verdict::Exited { waiting_for } => format!("boot: ended {after}{}", without(waiting_for)),
        Verdict::Cancelled => format!("boot: interrupted {after}"),
    };
    match help(outcome, expected) {
        Some(help) => format!("{told}\nhelp: {help}"),
        None => told,
    }
}

fn json(outcome: &Outcome, expected: &[Regex]) -> serde_json::Value {
    let (verdict, pattern, line) = match &outcome.verdict {
        Verdict::Matched => ("matched", None, None),
        Verdict::Failed { pattern, line } => ("failed", Some(pattern), Some(line)),
        Verdict::TimedOut { waiting_for } => ("timed-out", waiting_for.as_ref(), None),
        Verdict::Exited { waiting_for } => ("exited", waiting_for.as_ref(), None),
        Verdict::Cancelled => ("cancelled", None, None),
    };
    serde_json::json!({
        "verdict": verdict,
        "pattern": pattern,
        "line": line,
        "help": help(outcome, expected),
        "arch": outcome.arch.word(),
        "firmware": outcome.firmware.word(),
        "seconds": outcome.elapsed.as_secs_f64(),
        "log_bytes": outcome.log.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches};

    fn parse(flags: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("boot"));
        let words = ["boot", "disk.img"].iter().chain(flags);
        Args::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn the_guest_writes_to_the_image_only_when_asked() {
        assert!(!machine(&parse(&[])).unwrap().persist);
        assert!(machine(&parse(&["--persist"])).unwrap().persist);
    }

    #[test]
    fn several_expectations_are_steps_in_their_order() {
        let args = parse(&["--expect", "GRUB", "--expect", "^login: $", "--expect=GRUB"]);
        let script = script(&args, false).unwrap();
        let steps: Vec<&str> = script.steps.iter().map(|s| s.expect.as_str()).collect();
        assert_eq!(steps, ["GRUB", "^login: $", "GRUB"]);
        assert!(script.steps.iter().all(|s| s.send.is_none()));
        assert_eq!(script.timeout, Some(DEFAULT_TIMEOUT));
        assert_eq!(
            script.fail.len(),
            1,
            "kernel panics, where nobody says otherwise"
        );
    }

    #[test]
    fn what_came_too_early_is_told() {
        let expected = ["GRUB", "login:", "Linux"].map(|e| pattern(e).unwrap());
        let outcome = |matched: usize, log: &str| Outcome {
            verdict: Verdict::TimedOut {
                waiting_for: Some(expected[matched].as_str().into()),
            },
            matched,
            arch: Arch::X86_64,
            firmware: Firmware::Bios,
            screen: None,
            log: log.into(),
            elapsed: Duration::from_secs(180),
        };
        let early = outcome(2, "GRUB\r\nLin\x1b[0mux 6.1\r\nlogin: ");
        expect_test::expect![[r"
            boot: stopped after 180.0 s (bios) without `Linux`
            help: `Linux` came earlier, before `login:`; the order that was asked for is `GRUB`, `login:`, `Linux`"]]
        .assert_eq(&tell(&early, &expected));
        for (matched, log) in [(2, "GRUB login:"), (0, "Linux login:"), (1, "GRUB Linux")] {
            assert_eq!(help(&outcome(matched, log), &expected), None, "{log}");
        }
    }

    #[test]
    fn only_a_script_has_a_limit_and_stops_at_a_panic_by_itself() {
        let told = |flags: &[&str], interactive| script(&parse(flags), interactive).unwrap();
        assert_eq!(told(&[], true).timeout, None);
        assert!(told(&[], true).fail.is_empty());
        assert_eq!(told(&[], false).timeout, None);
        let fail: Vec<String> = told(
            &["--fail", "oops", "--fail", "panic", "--timeout", "5m"],
            false,
        )
        .fail
        .iter()
        .map(|f| f.as_str().to_owned())
        .collect();
        assert_eq!(fail, ["oops", "panic"]);
        let limited = told(&["--expect", "login:", "--timeout", "5m"], false);
        assert_eq!(limited.timeout, Some(Duration::from_secs(300)));
    }
}
