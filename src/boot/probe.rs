//! What this machine can run: which qemu, and whether KVM works.

use super::{Arch, BootError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// 64 KiB, the smallest ROM that qemu maps below 4 GiB with the reset vector inside.
const ROM_LEN: usize = 64 << 10;
/// Where an x86 processor begins, in the ROM: F000:FFF0.
const RESET_VECTOR: usize = 0xFFF0;
/// `jmp F000:FF00`.
const RESET: [u8; 3] = [0xE9, 0x0D, 0xFF];
/// Where [`GUEST`] lies in the ROM.
const GUEST_AT: usize = 0xFF00;

/// Counts to 4096 up to eight times and looks at the clock: a real processor needs some 25,000 cycles. A
/// KVM that emulates every instruction (a hypervisor without nested virtualisation may offer such a one)
/// needs millions, and boots Linux more slowly than TCG does. Eight times, since a busy host may take the
/// processor away in one or two.
const GUEST: [u8; 38] = [
    0xBD, 0x08, 0x00, // mov bp, 8
    0x0F, 0x31, // try: rdtsc
    0x66, 0x89, 0xC6, // mov esi, eax
    0xB9, 0x00, 0x10, // mov cx, 4096
    0xE2, 0xFE, // spin: loop spin
    0x0F, 0x31, // rdtsc
    0x66, 0x29, 0xF0, // sub eax, esi
    0x66, 0x3D, 0x00, 0x00, 0x04, 0x00, // cmp eax, 4096 * 64
    0x72, 0x07, // jb fast
    0x4D, // dec bp
    0x75, 0xE6, // jnz try
    0xB0, 0x11, // mov al, 11h
    0xEB, 0x02, // jmp say
    0xB0, 0x10, // fast: mov al, 10h
    0xE6, 0xF4, // say: out F4h, al
    0xF4, // hlt
];
/// isa-debug-exit ends qemu with `(value << 1) | 1`, which no other way out does.
const FAST: i32 = (0x10 << 1) | 1;
const SLOW: i32 = (0x11 << 1) | 1;
/// The probe takes 0.1 s; a broken KVM may hang instead of failing.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Finds qemu for `arch` in `PATH`.
///
/// # Errors
/// [`BootError::NoQemu`], which names the package to install.
pub fn find_qemu(arch: Arch) -> Result<PathBuf, BootError> {
    let (program, package) = match arch {
        Arch::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
        Arch::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
        .ok_or_else(|| BootError::NoQemu {
            program: program.into(),
            package,
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

/// How KVM stands on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvm {
    /// It runs a guest at the processor's speed.
    Fast,
    /// It runs a guest, but emulates it: TCG is faster.
    Slow,
    /// There is none, it may not be opened, or it runs no guest.
    Absent,
}

/// Runs a guest of 38 bytes under KVM, which takes 0.1 s. `/dev/kvm` alone proves nothing: it may be
/// unreadable, a nested hypervisor may refuse the first instruction or emulate every one.
#[must_use]
pub fn probe_kvm(qemu: &Path) -> Kvm {
    if Path::new("/dev/kvm").exists() {
        run_probe(qemu, "kvm", "host")
    } else {
        Kvm::Absent
    }
}

fn run_probe(qemu: &Path, accel: &str, cpu: &str) -> Kvm {
    let Ok(mut rom) = tempfile::NamedTempFile::new() else {
        return Kvm::Absent;
    };
    let mut code = vec![0xF4; ROM_LEN];
    code[RESET_VECTOR..][..RESET.len()].copy_from_slice(&RESET);
    code[GUEST_AT..][..GUEST.len()].copy_from_slice(&GUEST);
    if rom.write_all(&code).is_err() {
        return Kvm::Absent;
    }
    let child = Command::new(qemu)
        .args([
            "-accel",
            accel,
            "-cpu",
            cpu,
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
    let Ok(mut child) = child else {
        return Kvm::Absent;
    };
    let begun = Instant::now();
    while begun.elapsed() < PROBE_LIMIT {
        match child.try_wait() {
            Ok(Some(status)) => {
                return match status.code() {
                    Some(FAST) => Kvm::Fast,
                    Some(SLOW) => Kvm::Slow,
                    _ => Kvm::Absent,
                };
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    // Best effort: a child that cannot be killed is no reason to trust KVM.
    let _ = child.kill();
    let _ = child.wait();
    Kvm::Absent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reset_vector_jumps_to_the_guest() {
        let after = RESET_VECTOR + RESET.len();
        let jump = usize::from(u16::from_le_bytes([RESET[1], RESET[2]]));
        assert_eq!((after + jump) % ROM_LEN, GUEST_AT);
    }

    #[test]
    fn the_guest_ends_with_a_verdict_under_tcg_too() {
        // Its clock is the host's there: either speed will do, but no hang and no crash.
        let Ok(qemu) = find_qemu(Arch::X86_64) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "qemu-system-x86_64 is missing"
            );
            eprintln!("SKIP: qemu-system-x86_64 is missing");
            return;
        };
        assert_ne!(run_probe(&qemu, "tcg", "max"), Kvm::Absent);
    }
}
