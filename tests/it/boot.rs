//! `boot` with the real qemu and SeaBIOS: a boot sector of 36 bytes stands in for a system, so that a run
//! takes a second and shows what the harness does, not what Debian does.

use diskwright::boot::{Accel, Arch, Machine, Outcome, Script, Step, Verdict, find_qemu, run};
use diskwright::observe::{Observer, Silent};
use regex::bytes::Regex;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Copies the boot sector to the next sector through INT 13h, prints a text on the serial port, halts.
const CODE: [u8; 36] = [
    0x31, 0xC0, // xor ax, ax
    0x8E, 0xD8, // mov ds, ax
    0x8E, 0xC0, // mov es, ax
    0xB8, 0x01, 0x03, // mov ax, 0301h: write one sector
    0xBB, 0x00, 0x7C, // mov bx, 7C00h: from here
    0xB9, 0x02, 0x00, // mov cx, 0002h: to cylinder 0, sector 2
    0x30, 0xF6, // xor dh, dh: head 0; dl is the drive already
    0xCD, 0x13, // int 13h
    0xBE, 0x24, 0x7C, // mov si, text
    0xBA, 0xF8, 0x03, // mov dx, 3F8h: COM1
    0xAC, // next: lodsb
    0x08, 0xC0, // or al, al
    0x74, 0x03, // jz done
    0xEE, // out dx, al
    0xEB, 0xF8, // jmp next
    0xF4, // done: hlt, until the next interrupt
    0xEB, 0xFD, // jmp done
];

/// A 1 MiB disk that prints `text`; `None` where there is no qemu, which in CI is a failure.
fn disk(folder: &Path, text: &str) -> Option<PathBuf> {
    if find_qemu(Arch::X86_64).is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "qemu-system-x86_64 is missing"
        );
        eprintln!("SKIP: qemu-system-x86_64 is missing");
        return None;
    }
    let mut disk = vec![0; 1 << 20];
    disk[..CODE.len()].copy_from_slice(&CODE);
    disk[CODE.len()..CODE.len() + text.len()].copy_from_slice(text.as_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xAA]);
    let path = folder.join("disk, of commas.img");
    std::fs::write(&path, disk).unwrap();
    Some(path)
}

fn machine() -> Machine {
    Machine {
        accel: Accel::Tcg,
        memory_mib: 64,
        ..Machine::default()
    }
}

fn expecting(pattern: &str) -> Script {
    Script {
        steps: vec![Step {
            expect: Regex::new(pattern).unwrap(),
            send: None,
        }],
        timeout: Some(Duration::from_secs(60)),
        ..Script::default()
    }
}

fn boot(path: &Path, machine: &Machine, script: &Script) -> Outcome {
    run(path, machine, script, &mut std::io::sink(), &Silent).unwrap()
}

#[test]
fn seabios_boots_the_image_from_nvme_and_leaves_it_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = disk(folder.path(), "\x1b[1mdemo\x1b[0m login: ") else {
        return;
    };
    let before = std::fs::read(&path).unwrap();
    let outcome = boot(&path, &machine(), &expecting("^demo login: $"));
    assert_eq!(
        outcome.verdict,
        Verdict::Matched,
        "{}",
        String::from_utf8_lossy(&outcome.log)
    );
    assert!(outcome.log.ends_with(b"\x1b[1mdemo\x1b[0m login: "));
    assert!(
        before == std::fs::read(&path).unwrap(),
        "the guest's write reached the image"
    );
}

#[test]
fn persist_keeps_what_the_guest_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = disk(folder.path(), "written") else {
        return;
    };
    let outcome = boot(
        &path,
        &Machine {
            persist: true,
            ..machine()
        },
        &expecting("written"),
    );
    assert_eq!(outcome.verdict, Verdict::Matched);
    let after = std::fs::read(&path).unwrap();
    assert!(
        after[..512] == after[512..1024],
        "the guest's write is not in the image"
    );
}

#[test]
fn a_panic_on_the_console_is_a_finding_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = disk(folder.path(), "Kernel panic - not syncing\r\n") else {
        return;
    };
    let log = folder.path().join("serial.log");
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args([
            "boot", "--kvm", "off", "--memory", "64M", "--expect", "login:", "--json", "--log",
        ])
        .args([&log, &path])
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verdict"], "failed");
    assert_eq!(json["line"], "Kernel panic - not syncing");
    assert!(String::from_utf8_lossy(&std::fs::read(&log).unwrap()).contains("Kernel panic"));
}

#[test]
fn a_halted_guest_is_ended_at_the_timeout_and_on_request() {
    struct AtOnce;
    impl Observer for AtOnce {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = disk(folder.path(), "halted") else {
        return;
    };
    let script = Script {
        timeout: Some(Duration::from_secs(3)),
        ..expecting("never")
    };
    let waiting_for = Some("never".to_owned());
    assert_eq!(
        boot(&path, &machine(), &script).verdict,
        Verdict::TimedOut { waiting_for }
    );

    let begun = Instant::now();
    let outcome = run(
        &path,
        &machine(),
        &expecting("never"),
        &mut std::io::sink(),
        &AtOnce,
    );
    assert_eq!(outcome.unwrap().verdict, Verdict::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn interrupting_the_command_ends_qemu_and_exits_with_143() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = disk(folder.path(), "halted") else {
        return;
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args([
            "boot", "--kvm", "off", "--memory", "64M", "--expect", "never",
        ])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The guest's first words say that qemu runs.
    let mut first = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(143));
    assert_eq!(processes_that_name(folder.path()), 0);
}

/// Processes with `path` on their command line.
fn processes_that_name(path: &Path) -> usize {
    let wanted = path.to_str().unwrap();
    let lines = std::fs::read_dir("/proc").unwrap().flatten();
    // A process that ends meanwhile has no command line to read.
    let lines = lines.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(wanted))
        .count()
}
