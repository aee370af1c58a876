//! What all benches need: processes and their peaks, medians, the command line.

#![allow(unreachable_pub, reason = "each bench has its own copy")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `--rounds N`, else `rounds`; and what else was said.
pub fn arguments(mut rounds: usize) -> (usize, String) {
    let mut filter = String::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().and_then(|n| n.parse().ok()).unwrap_or(rounds),
            // cargo adds it.
            "--bench" => {}
            other => filter = other.to_owned(),
        }
    }
    (rounds, filter)
}

/// Runs a process to its end, which must be a success: the time it took, and the most that it held, in KiB.
pub fn run(command: &mut Command) -> Result<(Duration, u64)> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let mut peak = 0;
    loop {
        peak = peak.max(anonymous(child.id()));
        if let Some(status) = child.try_wait()? {
            let took = begun.elapsed();
            return if status.success() {
                Ok((took, peak))
            } else {
                Err(format!("{command:?}: {status}").into())
            };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn median(list: &mut [f64]) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// KiB of anonymous and shared memory of a process, now.
fn anonymous(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    field("RssAnon:") + field("RssShmem:")
}

/// The Debian of `make demo`, or the one that `DISKWRIGHT_ROOTFS` names; says so where there is none.
pub fn debian() -> Option<PathBuf> {
    let path = rootfs("DISKWRIGHT_ROOTFS", "demo/debian12.tar");
    if path.is_none() {
        println!("no Debian rootfs: run `make demo` once, or set DISKWRIGHT_ROOTFS");
    }
    path
}

/// The next release, which `make test` makes, or the one that `DISKWRIGHT_ROOTFS13` names.
#[allow(dead_code, reason = "one bench has a use for it")]
pub fn debian13() -> Option<PathBuf> {
    rootfs("DISKWRIGHT_ROOTFS13", "demo/debian13.tar")
}

fn rootfs(variable: &str, made: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(made),
        PathBuf::from,
    );
    path.exists().then_some(path)
}
