//! `diskwright convert`: an image in another format.

use super::exit::{self, Code, Usage};
use super::output::{self, To, folder_of, is_stdout};
use super::progress::Progress;
use super::{places, sizes};
use anyhow::Context;
use diskwright::extent::Layout;
use diskwright::inspect::open_image_in;
use diskwright::observe::Observer;
use diskwright::read_at::ReadAt;
use diskwright::sink::raw::{RawOptions, SinkError};
use diskwright::vdisk::{Format, Scanned};
use std::path::{Path, PathBuf};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  diskwright convert disk.img disk.qcow2
  diskwright convert disk.qcow2 - --format raw.gz | ssh host 'gunzip > a.img'
  diskwright convert download.vmdk disk.img";

/// Convert an image to another format; zeros are left out
///
/// Read are raw images, also through zstd or gzip, qcow2, VMDK (monolithicSparse, streamOptimized) and VHD (fixed,
/// dynamic). What leans on another file (a backing file, a parent) is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Image to read; its format is seen from its bytes
    #[arg(value_name = "IN", value_hint = clap::ValueHint::FilePath)]
    input: PathBuf,

    /// Where the result goes; appears whole or not at all. `-` is standard output
    #[arg(value_name = "OUT", value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,

    #[command(flatten)]
    format: output::FormatFlag,

    /// Replace the output if it exists
    #[arg(long)]
    force: bool,

    /// Flush the image to the disk before it gets its name
    #[arg(long)]
    sync: bool,

    /// Show the SHA-256 of the result's file
    #[arg(long)]
    sha256: bool,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print what was converted as JSON instead of the path
    #[arg(long)]
    json: bool,
}

/// The result for `--json`.
#[derive(serde::Serialize)]
struct Converted<'a> {
    path: &'a Path,
    from: Format,
    to: Format,
    disk_size: u64,
    /// Bytes of the disk that are not zero, in units of 64 KiB.
    data: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let begun = Instant::now();
    if is_stdout(&args.output) && args.json {
        return Err(Usage::with_help(
            "standard output carries the image, and --json would write there too",
            "leave out --json; the summary goes to standard error",
        )
        .into());
    }
    if args.input == Path::new("-") {
        return Err(Usage::with_help(
            "an image is not read from standard input: its tables may lie at its end",
            "save it to a file first",
        )
        .into());
    }
    let progress = Progress::new(args.quiet);
    let converted = convert(args, &progress);
    progress.finish();
    let converted = converted?;
    if !args.quiet {
        let sum = converted.sha256.as_ref();
        exit::complain(&format!(
            "{}: {} of {}, {} of data, in {:.1} s\n{}",
            output::shown(&args.output),
            converted.to,
            sizes::human(converted.disk_size),
            sizes::human(converted.data),
            begun.elapsed().as_secs_f64(),
            sum.map(|sum| format!("sha256 {sum}\n")).unwrap_or_default()
        ));
    }
    if args.json {
        exit::print_json(&converted)?;
    } else if !is_stdout(&args.output) {
        exit::print(&format!("{}\n", args.output.display()))?;
    }
    Ok(Code::Done)
}

fn convert<'a>(args: &'a Args, observer: &dyn Observer) -> anyhow::Result<Converted<'a>> {
    let (input, path) = (&args.input, &args.output);
    if !is_stdout(path) {
        places::refuse_same_file(input, "the image that is read", path)?;
    }
    let reading = || format!("cannot read {}", input.display());
    let options = RawOptions {
        force: args.force,
        sync: args.sync,
    };
    let to = args.format.format(path)?;
    // Nobody should wait for an image to be read to learn that the result has no place to go.
    let mut output = To::create(path, options)?;
    let _guard = output.guard();
    let folder = folder_of(path);
    let opened = open_image_in(input, &folder, observer)?;
    let size = opened.disk.len();
    if size == 0 {
        anyhow::bail!("{} is empty: there is no disk in it", input.display());
    }
    to.check_size(size)?;
    let is_vhd = matches!(to, Format::Vhd | Format::VhdFixed);
    if is_vhd && !size.is_multiple_of(to.unit()) {
        exit::complain(
            "warning: the disk is no whole number of MiB, and Azure takes no such vhd: round a raw image up first, \
             `truncate -s %1M`\n",
        );
    }
    let disk = Scanned::new(opened.disk, observer).with_context(reading)?;
    let stored = disk.extents().iter();
    let stored = stored.filter(|e| matches!(e.content, diskwright::extent::Content::File { .. }));
    let data = stored.map(|e| e.len).sum();
    let written = output.write(to, &disk, args.sha256, observer);
    let sha256 = written.map_err(|e| match e.downcast() {
        Ok(SinkError::Read { source }) => anyhow::Error::new(source).context(reading()),
        Ok(other) => other.into(),
        Err(e) => e,
    })?;
    output.finish()?;
    Ok(Converted {
        path,
        from: opened.format,
        to,
        disk_size: size,
        data,
        sha256,
    })
}
