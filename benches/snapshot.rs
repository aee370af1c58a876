//! `snapshot` against coldsnap, AWS's own client of EBS direct, in one run, and the memory of large images.
//!
//! ```text
//! cargo bench --bench snapshot                 three rounds
//! cargo bench --bench snapshot -- --rounds 9   nine
//! ```
//! The server is the tests' strict fake, in threads of this process, on loopback; it checks every block and keeps
//! its digest alone. Only where it takes as long for a block as AWS does, it takes the block's checksum on trust: that
//! time stands for its work, and AWS does not do it on the client's processors. Both programs are at the same image
//! and the same server, one after the other in every round. coldsnap is the program that `DISKWRIGHT_COLDSNAP` names; `make coldsnap` builds it.

mod common;
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::needless_pass_by_value,
    reason = "the tests use all of it; a server that fails ends the bench"
)]
#[path = "../tests/it/fake_ebs/mod.rs"]
mod fake_ebs;

use common::{Result, median, run};
use fake_ebs::{Fake, Manner};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Of coldsnap's time.
const LIMIT: f64 = 0.8;
/// Of the slower of building and uploading.
const PUSH_LIMIT: f64 = 1.15;
/// What the server takes to write a block. With none, on loopback, the server is as fast as the cores it shares with
/// the clients: building and uploading then each take both cores of a small machine alone, and together the sum.
const WRITING: [Duration; 2] = [Duration::ZERO, Duration::from_millis(40)];
/// KiB that an upload may hold, whatever the image's size.
const MEMORY: u64 = 128 << 10;

struct Bench {
    work: PathBuf,
    fake: Fake,
}

fn main() -> Result<()> {
    let (rounds, filter) = common::arguments(3);
    let Some(debian) = common::debian() else {
        return Ok(());
    };
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&work)?;
    let manner = Manner {
        keeps: false,
        ..Manner::default()
    };
    let bench = Bench {
        work,
        fake: Fake::start(manner),
    };
    let mut missed = 0;
    if "against coldsnap".contains(&filter) {
        missed += bench.against_coldsnap(&debian, rounds)?;
    }
    for writing in WRITING {
        if format!("push {} ms", writing.as_millis()).contains(&filter) {
            bench.set_writing(writing);
            missed += bench.push(&debian, rounds)?;
            bench.set_writing(Duration::ZERO);
        }
    }
    for size in ["64G", "2T"] {
        if format!("memory {size}").contains(&filter) {
            missed += bench.memory(&debian, size)?;
        }
    }
    if missed > 0 {
        println!("{missed} over their limit");
    }
    Ok(())
}

impl Bench {
    fn set_writing(&self, writing: Duration) {
        let manner = &mut self.fake.state().manner;
        (manner.writing, manner.trusting) = (writing, !writing.is_zero());
    }

    fn build(&self, debian: &Path, size: &str) -> Result<()> {
        let args = ["--scheme", "gpt", "--boot", "bios", "--size", size];
        let mut build = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        build
            .current_dir(&self.work)
            .args(["build", "--quiet", "--force", "--sync"])
            .args(args)
            .args(["--map-file", "snapshot.map", "-o", "snapshot.img"])
            .arg(debian);
        run(&mut build).map(drop)
    }

    /// A client in the bench's folder, with keys that are none.
    fn client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.work)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "none")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("XDG_STATE_HOME", &self.work);
        command
    }

    fn ours(&self, more: &[&str]) -> Command {
        let mut command = self.client(env!("CARGO_BIN_EXE_diskwright"));
        command
            .args(["snapshot", "snapshot.img", "--quiet", "--new", "--no-wait"])
            .args(["--region", "us-east-1", "--endpoint-url", &self.fake.url])
            .args(more);
        command
    }

    fn against_coldsnap(&self, debian: &Path, rounds: usize) -> Result<u32> {
        let Some(coldsnap) = std::env::var_os("DISKWRIGHT_COLDSNAP") else {
            println!("against coldsnap: left out, DISKWRIGHT_COLDSNAP names none");
            return Ok(0);
        };
        self.build(debian, "4G")?;
        // A warm page cache for both.
        std::io::copy(
            &mut File::open(self.work.join("snapshot.img"))?,
            &mut std::io::sink(),
        )?;
        println!(
            "{:<45}{:>9}{:>9}{:>8}{:>8}{:>10}",
            "upload of a Debian of 4 GiB", "coldsnap", "ours", "ratio", "limit", "memory"
        );
        let mut missed = 0;
        let rows: [(&str, &[&str], &[&str]); 2] = [
            ("every block", &[], &[]),
            (
                "without zeros; without free blocks",
                &["--omit-zero-blocks"],
                &["--map-file", "snapshot.map"],
            ),
        ];
        for (name, theirs, ours) in rows {
            let (mut a, mut b, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
            for _ in 0..rounds {
                let mut command = self.client(&coldsnap);
                command
                    .args(["--region", "us-east-1", "--endpoint", &self.fake.url])
                    .args(["upload", "--no-progress"])
                    .args(theirs)
                    .arg("snapshot.img");
                a.push(run(&mut command)?.0.as_secs_f64());
                let (took, memory) = run(&mut self.ours(ours))?;
                b.push(took.as_secs_f64());
                peak = peak.max(memory);
                ratios.push(b[b.len() - 1] / a[a.len() - 1]);
            }
            let ratio = median(&mut ratios);
            let over = ratio > LIMIT || peak > MEMORY;
            missed += u32::from(over);
            println!(
                "{name:<45}{:>8.2}s{:>8.2}s{ratio:>8.2}{LIMIT:>8}{:>6} MiB{}",
                median(&mut a),
                median(&mut b),
                peak >> 10,
                if over { "  OVER" } else { "" }
            );
        }
        Ok(missed)
    }

    /// All in one against the slower of building and uploading alone, from what the archives of a release are.
    fn push(&self, debian: &Path, rounds: usize) -> Result<u32> {
        let archive = self.work.join("push.tar.zst");
        let mut zstd = Command::new("zstd");
        run(zstd
            .args(["-q", "-f", "-T2"])
            .arg(debian)
            .arg("-o")
            .arg(&archive))?;
        let writing = self.fake.state().manner.writing.as_millis();
        let (mut slower, mut all, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let mut build = self.client(env!("CARGO_BIN_EXE_diskwright"));
            build
                .args(["build", "--quiet", "--force", "--size", "4G"])
                .args(["--map-file", "snapshot.map", "-o", "snapshot.img"])
                .arg(&archive);
            let built = run(&mut build)?.0;
            // As push does, it waits until the snapshot is completed.
            let mut upload = self.client(env!("CARGO_BIN_EXE_diskwright"));
            upload
                .args(["snapshot", "snapshot.img", "--quiet", "--new"])
                .args(["--map-file", "snapshot.map", "--region", "us-east-1"])
                .args(["--endpoint-url", &self.fake.url]);
            slower.push(built.max(run(&mut upload)?.0).as_secs_f64());
            let mut push = self.client(env!("CARGO_BIN_EXE_diskwright"));
            push.args(["push", "--quiet", "--new", "--size", "4G", "--keep"])
                .args(["--name", &format!("web-{writing}-{}", ratios.len())])
                .args(["--region", "us-east-1", "--endpoint-url", &self.fake.url])
                .arg(&archive);
            let (took, memory) = run(&mut push)?;
            all.push(took.as_secs_f64());
            peak = peak.max(memory);
            ratios.push(all[all.len() - 1] / slower[slower.len() - 1]);
        }
        let ratio = median(&mut ratios);
        let over = ratio > PUSH_LIMIT || peak > MEMORY;
        println!(
            "push of a .tar.zst, {writing} ms a block: {:.2} s, the slower of build and snapshot {:.2} s, ratio {ratio:.2}, \
             limit {PUSH_LIMIT}, {} MiB at most{}",
            median(&mut all),
            median(&mut slower),
            peak >> 10,
            if over { "  OVER" } else { "" }
        );
        Ok(u32::from(over))
    }

    fn memory(&self, debian: &Path, size: &str) -> Result<u32> {
        self.build(debian, size)?;
        let before = self.fake.state().puts;
        let (took, peak) = run(&mut self.ours(&["--map-file", "snapshot.map"]))?;
        let sent = self.fake.state().puts - before;
        let over = peak > MEMORY;
        println!(
            "a Debian of {size}: {sent} blocks in {:.1} s, {} MiB at most, limit {} MiB{}",
            took.as_secs_f64(),
            peak >> 10,
            MEMORY >> 10,
            if over { "  OVER" } else { "" }
        );
        Ok(u32::from(over))
    }
}
