//! What this machine can run: which qemu, and whether KVM works.

use super::BootError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The emulator of the only architecture built so far.
const QEMU: &str = "qemu-system-x86_64";

/// 64 KiB, the smallest ROM that qemu maps below 4 GiB with the reset vector inside.
const ROM_LEN: usize = 64 << 10;
/// Where an x86 processor begins, in the ROM: F000:FFF0.
const RESET_VECTOR: usize = 0xFFF0;
/// `mov al, 10h; out F4h, al; hlt`: the whole guest.
const PROBE: [u8; 5] = [0xB0, 0x10, 0xE6, 0xF4, 0xF4];
/// isa-debug-exit ends qemu with `(value << 1) | 1`, which no other way out does.
const PROBE_STATUS: i32 = (0x10 << 1) | 1;
/// The probe takes 0.1 s; a broken KVM may hang instead of failing.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Finds qemu-system-x86_64 in `PATH`.
///
/// # Errors
/// [`BootError::NoQemu`], which names the package to install.
pub fn find_qemu() -> Result<PathBuf, BootError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(QEMU))
        .find(|program| program.is_file())
        .ok_or_else(|| BootError::NoQemu {
            program: QEMU.into(),
        })
}

/// The first line of `qemu --version`.
///
/// # Errors
/// When the program does not start.
pub fn qemu_version(qemu: &Path) -> Result<String, BootError> {
    let start = |source| BootError::Start {
        program: qemu.into(),
        source,
    };
    let output = Command::new(qemu)
        .arg("--version")
        .output()
        .map_err(start)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether KVM runs a guest here. `/dev/kvm` proves nothing: it may be unreadable, or a nested hypervisor
/// may refuse the first instruction. So a guest of five bytes is run, which takes 0.1 s.
#[must_use]
pub fn kvm_works(qemu: &Path) -> bool {
    if !Path::new("/dev/kvm").exists() {
        return false;
    }
    let Ok(mut rom) = tempfile::NamedTempFile::new() else {
        return false;
    };
    let mut code = vec![0xF4; ROM_LEN];
    code[RESET_VECTOR..RESET_VECTOR + PROBE.len()].copy_from_slice(&PROBE);
    if rom.write_all(&code).is_err() {
        return false;
    }
    let child = Command::new(qemu)
        .args([
            "-accel",
            "kvm",
            "-cpu",
            "host",
            "-machine",
            "q35",
            "-nodefaults",
            "-m",
            "16",
        ])
        .args([
            "-display",
            "none",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=1",
            "-bios",
        ])
        .arg(rom.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let begun = Instant::now();
    while begun.elapsed() < PROBE_LIMIT {
        match child.try_wait() {
            Ok(Some(status)) => return status.code() == Some(PROBE_STATUS),
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    // Best effort: a child that cannot be killed is no reason to trust KVM.
    let _ = child.kill();
    let _ = child.wait();
    false
}
