//! What a process holds in memory.

use std::process::Child;
use std::time::Duration;

/// Bytes of anonymous and shared memory in a process's `/proc/PID/status`; `None` once it has ended. Pages
/// of files are the kernel's to drop.
fn held(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((kib("RssAnon:")? + kib("RssShmem:")?) << 10)
}

/// The most that a process held, looked at every millisecond until it ends.
pub fn peak(child: &mut Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(held(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

/// The most that `build` and `verify` may hold: 48 MiB, and 0.6 KiB a file.
pub fn limit(files: u64) -> u64 {
    (48 << 20) + files * 6 * 1024 / 10
}
