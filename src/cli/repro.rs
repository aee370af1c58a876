//! `diskwright repro`: the same build twice, in two environments. Are the bytes the same, and if not, which?

use super::exit::{self, Code, Usage};
use super::{Verb, build, parse, signals};
use anyhow::{Context, bail};
use diskwright::image::BuildError;
use diskwright::inspect::explain::{Explanation, explain};
use diskwright::inspect::open_image;
use diskwright::units::{MIB, SECTOR, count, index};
use rustix::fs::Mode;
use rustix::process::umask;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Differences that are looked up.
const SHOWN: usize = 20;

/// Between two looks at whether a build has ended.
const LOOK: Duration = Duration::from_millis(10);

const EXAMPLES: &str = "\
Examples:
  diskwright repro image.toml
  diskwright repro rootfs.tar.zst --size 8G --hostname web
  diskwright repro --dir /var/tmp base.tar oci:app:latest --boot uefi

What differs between the two runs: time, time zone, locale, umask, number of
processors, folder for temporary files, folder and length of the output's path,
environment variables. What follows the first ROOTFS or SPEC are flags of build;
SOURCE_DATE_EPOCH, HOME and the current folder are those of the caller.";

/// Build twice in different environments and say what differs; differences give exit code 1
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the two images are made; they are deleted [default: TMPDIR or /tmp]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,

    /// Print as JSON
    #[arg(long)]
    json: bool,

    /// What build takes, or a spec file (its name ends with .toml), and then flags of build
    #[arg(
        value_name = "ROOTFS|SPEC.toml",
        required = true,
        trailing_var_arg = true
    )]
    #[arg(allow_hyphen_values = true, value_hint = clap::ValueHint::AnyPath)]
    build: Vec<OsString>,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    identical: bool,
    /// Of the first image.
    sha256: String,
    size: u64,
    /// Sectors of 512 bytes that differ.
    sectors: u64,
    /// The first of them, each field, inode or file once.
    differences: Vec<Explanation>,
}

/// An environment to build in.
struct Surroundings {
    folder: &'static str,
    zone: &'static str,
    locale: &'static str,
    umask: Mode,
    /// Whether one processor is enough.
    alone: bool,
    variable: Option<(&'static str, &'static str)>,
}

const FIRST: Surroundings = Surroundings {
    folder: "1",
    zone: "UTC",
    locale: "C",
    umask: Mode::WGRP.union(Mode::WOTH),
    alone: true,
    variable: None,
};

const SECOND: Surroundings = Surroundings {
    folder: "a-second-folder with/a longer name",
    // 14 hours ahead: another day most of the time.
    zone: "XXX-14",
    // Where i and I are no pair, and the decimal point is a comma.
    locale: "tr_TR.UTF-8",
    umask: Mode::RWXG.union(Mode::RWXO),
    alone: false,
    variable: Some(("DISKWRIGHT_REPRO", "a variable that nobody reads")),
};

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let line = line(&args.build);
    let asked = check(&line)?;
    let place = args.dir.unwrap_or_else(std::env::temp_dir);
    let making = || format!("cannot make a folder in {}", place.display());
    let folder = tempfile::Builder::new()
        .prefix("diskwright-repro-")
        .tempdir_in(&place)
        .with_context(making)?;
    let _guard = signals::guard(folder.path());
    let begun = Instant::now();
    let first = build(&line, &asked, folder.path(), &FIRST)?;
    // A clock that shows every other second, as FAT's does, shows another one.
    while begun.elapsed() < Duration::from_millis(2100) {
        std::thread::sleep(LOOK);
        unless_caught()?;
    }
    let second = build(&line, &asked, folder.path(), &SECOND)?;
    let outcome = compare(&first, &second);
    unless_caught()?;
    let outcome = outcome?;
    if args.json {
        exit::print_json(&outcome)?;
    } else {
        exit::print(&told(&outcome))?;
    }
    Ok(match outcome.identical {
        true => Code::Done,
        false => Code::Findings,
    })
}

/// The arguments of `build`.
fn line(given: &[OsString]) -> Vec<OsString> {
    let is_spec = |arg: &OsString| Path::new(arg).extension().is_some_and(|e| e == "toml");
    let mut line = vec!["build".into()];
    if given.first().is_some_and(is_spec) {
        line.push("--spec".into());
    }
    line.extend_from_slice(given);
    line
}

/// `line` with more flags, before a `--` that ends them.
fn with(line: &[OsString], flags: &[OsString]) -> Vec<OsString> {
    let end = line.iter().position(|arg| arg == "--");
    let (before, behind) = line.split_at(end.unwrap_or(line.len()));
    [before, flags, behind].concat()
}

/// Reads the line as `build` will.
fn check(line: &[OsString]) -> anyhow::Result<build::Args> {
    let mut whole = vec![OsString::from("diskwright")];
    whole.extend(with(line, &["--output=disk.img".into()]));
    let Verb::Build(build) = parse(whole)?.verb else {
        bail!("these are no flags of build");
    };
    if build.reading.rootfs.iter().any(|r| r == "-") {
        let help = "give it as a file";
        return Err(Usage::with_help("standard input can be read only once", help).into());
    }
    Ok(*build)
}

/// Whether to go on.
fn unless_caught() -> Result<(), BuildError> {
    match signals::caught() {
        Some(_) => Err(BuildError::Interrupted),
        None => Ok(()),
    }
}

/// What a run leaves.
struct Made {
    image: PathBuf,
    manifest: PathBuf,
}

fn build(
    line: &[OsString],
    asked: &build::Args,
    folder: &Path,
    around: &Surroundings,
) -> anyhow::Result<Made> {
    let folder = folder.join(around.folder);
    let temporary = folder.join("tmp");
    std::fs::create_dir_all(&temporary)
        .with_context(|| format!("cannot make {}", temporary.display()))?;
    let made = Made {
        image: folder.join("disk.img"),
        manifest: folder.join("disk.json"),
    };
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    let flag = |name: &str, path: &Path| {
        let mut flag = OsString::from(name);
        flag.push(path);
        flag
    };
    // Nothing goes where the caller's own files are. Offsets are those of the disk in a raw image alone.
    let mut flags = asked.redirected(&folder);
    flags.extend([
        flag("--output=", &made.image),
        flag("--manifest=", &made.manifest),
    ]);
    flags.extend(["--format=raw", "--force", "--quiet"].map(OsString::from));
    command
        .args(with(line, &flags))
        .env("TMPDIR", &temporary)
        .env("TZ", around.zone)
        .env("LC_ALL", around.locale)
        .env("LANG", around.locale)
        .envs(around.variable)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let child = with_surroundings(around, || command.spawn());
    let mut child = child.context("cannot start this program again")?;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a build")? {
            break status;
        }
        if let Err(e) = unless_caught() {
            // What it made is in the folder that goes: it need not wind up.
            let _ = child.kill();
            let _ = child.wait();
            return Err(e.into());
        }
        std::thread::sleep(LOOK);
    };
    // A terminal sends its signal to both.
    unless_caught()?;
    if !status.success() {
        bail!("the build in {} has failed: {status}", folder.display());
    }
    Ok(made)
}

/// Does what a child inherits from its parent, and undoes it.
fn with_surroundings<T>(around: &Surroundings, start: impl FnOnce() -> T) -> T {
    let mask = umask(around.umask);
    let result = match around.alone {
        true => on_one_processor(start),
        false => start(),
    };
    umask(mask);
    result
}

#[cfg(target_os = "linux")]
fn on_one_processor<T>(start: impl FnOnce() -> T) -> T {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    // Where the system does not let it, the run has all of them.
    let Ok(all) = sched_getaffinity(None) else {
        return start();
    };
    let mut one = CpuSet::new();
    let first = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu));
    one.set(first.unwrap_or(0));
    let _ = sched_setaffinity(None, &one);
    let result = start();
    let _ = sched_setaffinity(None, &all);
    result
}

/// macOS ties no process to a processor.
#[cfg(not(target_os = "linux"))]
fn on_one_processor<T>(start: impl FnOnce() -> T) -> T {
    start()
}

fn compare(first: &Made, second: &Made) -> anyhow::Result<Outcome> {
    let reading = |made: &Made| format!("cannot read {}", made.image.display());
    let [a, b] = [first, second].map(|made| {
        let file = File::open(&made.image).with_context(|| reading(made))?;
        let len = file.metadata().with_context(|| reading(made))?.len();
        anyhow::Ok((file, len))
    });
    let ((a, size), (b, other)) = (a?, b?);
    let mut sectors = differing(&a, &b, size.min(other)).with_context(|| reading(first))?;
    if size != other {
        sectors.push(size.min(other));
    }
    let manifest = |made: &Made| {
        std::fs::read(&made.manifest)
            .with_context(|| format!("cannot read {}", made.manifest.display()))
    };
    let (one, two) = (manifest(first)?, manifest(second)?);
    if sectors.is_empty() && one != two {
        bail!("the images are the same, and their manifests are not: a bug worth reporting");
    }
    let manifest: serde_json::Value = serde_json::from_slice(&one)?;
    let mut differences: Vec<Explanation> = Vec::new();
    if !sectors.is_empty() {
        let disk = open_image(&first.image).with_context(|| reading(first))?;
        for &at in sectors.iter().filter(|&&at| at < size).take(10 * SHOWN) {
            let found = explain(&disk, at).with_context(|| reading(first))?;
            if differences.len() < SHOWN && !differences.iter().any(|d| same(d, &found)) {
                differences.push(found);
            }
        }
    }
    Ok(Outcome {
        identical: sectors.is_empty(),
        sha256: manifest["image"]["sha256"]
            .as_str()
            .unwrap_or_default()
            .into(),
        size,
        sectors: count(sectors.len()),
        differences,
    })
}

/// The first byte that differs in each sector that does.
fn differing(a: &File, b: &File, len: u64) -> std::io::Result<Vec<u64>> {
    let mut list = Vec::new();
    let (mut left, mut right) = (vec![0; index(MIB)], vec![0; index(MIB)]);
    let mut at = 0;
    while at < len {
        if signals::caught().is_some() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let step = index((len - at).min(MIB));
        let (left, right) = (&mut left[..step], &mut right[..step]);
        a.read_exact_at(left, at)?;
        b.read_exact_at(right, at)?;
        if left != right {
            let sector = index(SECTOR);
            for (nr, (x, y)) in left.chunks(sector).zip(right.chunks(sector)).enumerate() {
                if let Some(byte) = x.iter().zip(y).position(|(x, y)| x != y) {
                    list.push(at + count(nr) * SECTOR + count(byte));
                }
            }
        }
        at += count(step);
    }
    Ok(list)
}

/// Whether both are about one thing.
fn same(a: &Explanation, b: &Explanation) -> bool {
    (&a.what, &a.element, &a.path) == (&b.what, &b.element, &b.path)
        && a.field.as_ref().map(|f| f.at) == b.field.as_ref().map(|f| f.at)
}

fn told(outcome: &Outcome) -> String {
    let Outcome {
        sha256,
        size,
        sectors,
        ..
    } = outcome;
    if outcome.identical {
        return format!("identical: {size} bytes, SHA-256 {sha256}\n");
    }
    let mut text = format!("different: {sectors} sectors of {size} bytes\n");
    for d in &outcome.differences {
        text.push_str(&format!("  byte {}: {}", d.offset, d.what));
        if let Some(partition) = d.partition {
            text.push_str(&format!(" in partition {partition}"));
        }
        if let Some(element) = &d.element {
            text.push_str(&format!(", {element}"));
        }
        if let Some(field) = &d.field {
            text.push_str(&format!(", {} = {}", field.name, field.value));
        }
        if let Some(path) = &d.path {
            text.push_str(&format!(", {path}"));
        }
        if let Some(at) = d.file_offset {
            text.push_str(&format!(" at byte {at}"));
        }
        text.push('\n');
    }
    text
}
