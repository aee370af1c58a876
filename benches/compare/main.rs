//! The program against what does the least that the work needs, and against its peers, in one run.
//!
//! ```text
//! cargo bench                      all rows, five rounds
//! cargo bench -- --rounds 9 many   only rows whose name holds `many`
//! ```
//! Every round runs both commands of a row, one after the other, so that what else the machine does hits
//! both; the ratio shown is the median of the rounds' ratios. Inputs: the Debian rootfs of `make demo` (or
//! `DISKWRIGHT_ROOTFS`), GRUB of `vendor-grub/fetch` (or `DISKWRIGHT_GRUB`), and 120,000 files of 0 to 4 KiB
//! made here, in 600 folders and in one. Peak memory is anonymous and shared, sampled every few milliseconds.

#[path = "../common/mod.rs"]
mod common;
mod inputs;
mod rows;

use common::{Result, median};
use inputs::installed;
use rows::{ROWS, Row};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn main() -> Result<()> {
    let (rounds, filter) = common::arguments(5);
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&work)?;
    let program = Path::new(env!("CARGO_BIN_EXE_diskwright"));
    inputs::make(&work, program)?;
    println!(
        "{:<45}{:>9}{:>9}{:>8}{:>8}{:>10}",
        "work", "theirs", "ours", "ratio", "limit", "memory"
    );
    let mut missed = 0;
    for row in ROWS.iter().filter(|r| r.name.contains(&filter)) {
        let input = work.join(row.input);
        if !input.exists()
            || row
                .needs
                .iter()
                .any(|n| !installed(n) && !work.join(n).exists())
        {
            println!(
                "{:<45}  left out: {} or {:?} is missing",
                row.name, row.input, row.needs
            );
            continue;
        }
        missed += u32::from(!measure(row, &input, &work, program, rounds)?);
    }
    missed += u32::from(!bundle_size(&work)?);
    if missed > 0 {
        println!("{missed} over their limit");
    }
    Ok(())
}

/// Runs the rounds of a row and prints it; whether it is within its limit.
fn measure(row: &Row, input: &Path, work: &Path, program: &Path, rounds: usize) -> Result<bool> {
    let shell = |command: &str| -> Result<(Duration, u64)> {
        let mut run = Command::new("sh");
        run.args(["-c", &format!("exec 2>&1; {command}")])
            .env("IN", input)
            .env("OUT", work)
            .env("DW", program)
            // Of AES, for the pipelines that bundles are measured against.
            .env("KEY", "00112233445566778899aabbccddeeff");
        common::run(&mut run)
    };
    // A warm page cache for both. Not by a copy: that would fill the holes of an image.
    if input.is_file() {
        std::io::copy(&mut File::open(input)?, &mut std::io::sink())?;
    }
    let (mut theirs, mut ours, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        // Outputs of the round before: freeing their blocks is the work of neither.
        for old in ["copy", "ours.img"] {
            let _ = fs::remove_file(work.join(old));
        }
        let (a, _) = shell(row.against)?;
        let (b, memory) = shell(row.ours)?;
        peak = peak.max(memory);
        theirs.push(a.as_secs_f64());
        ours.push(b.as_secs_f64());
        ratios.push(b.as_secs_f64() / a.as_secs_f64());
    }
    let ratio = median(&mut ratios);
    let within = row.limit.is_none_or(|l| ratio <= l);
    println!(
        "{:<45}{:>8.2}s{:>8.2}s{ratio:>8.2}{:>8}{:>6} MiB{}",
        row.name,
        median(&mut theirs),
        median(&mut ours),
        row.limit.map_or_else(String::new, |l| l.to_string()),
        peak >> 10,
        if within { "" } else { "  OVER" }
    );
    Ok(within)
}

/// Bytes of the parts that the last round of `bundle` and its counterpart left: the speed is none if they
/// are many more.
fn bundle_size(work: &Path) -> Result<bool> {
    let mut bytes = [0_u64; 2];
    for entry in fs::read_dir(work)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        for (total, prefix) in bytes.iter_mut().zip(["theirs.part.", "ours.part."]) {
            if name.starts_with(prefix) {
                *total += entry.metadata()?.len();
            }
        }
    }
    let [theirs, ours] = bytes;
    if theirs == 0 || ours == 0 {
        return Ok(true);
    }
    // In thousandths: at most 1.03.
    let ratio = ours * 1000 / theirs;
    let over = if ratio <= 1030 { "" } else { "  OVER" };
    println!(
        "{:<45}{theirs:>9}{ours:>10}{:>5}.{:03}    1.03{over}",
        "bundle, bytes",
        ratio / 1000,
        ratio % 1000
    );
    Ok(ratio <= 1030)
}
