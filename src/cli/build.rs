//! `diskwright build`: the main job.

use super::exit::{self, Code, Usage};
use super::output::{self, is_stdout};
use super::pipeline::{self, Job};
use super::progress::Progress;
use super::{reading, records, shape, summary};
use diskwright::image::Size;
use diskwright::vdisk::Format;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  diskwright build rootfs.tar.zst -o disk.img
  diskwright build rootfs.tar -o disk.img --size 8G --hostname web --sha256
  zstd -dc rootfs.tar.zst | diskwright build - -o disk.img
  diskwright build base.tar.zst overlay/ --owner 0:0 -o disk.img
  diskwright build oci:layout:latest -o disk.qcow2 --sbom spdx
  diskwright build rootfs.tar -o - --format vmdk | aws s3 cp - s3://mine/a.vmdk
  diskwright build --spec image.toml --force

A spec file has the same names as keys, paths relative to itself, and flags
override it:
  rootfs = \"rootfs.tar.zst\"     # or a list: [\"base.tar\", \"oci:layout:app\"]
  output = \"disk.img\"
  free = \"20%\"
  root-by = \"label\"";

/// Build a bootable disk image from a root filesystem archive
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) reading: reading::Reading,

    /// Where the image goes; appears whole or not at all. `-` is standard output
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    #[arg(required_unless_present = "spec")]
    output: Option<PathBuf>,

    /// Read flags from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) spec: Option<PathBuf>,

    #[command(flatten)]
    format: output::FormatFlag,

    #[command(flatten)]
    shape: shape::Shape,

    /// Replace the output if it exists
    #[arg(long)]
    force: bool,

    /// Flush the image to the disk before it gets its name
    #[arg(long)]
    sync: bool,

    /// Show the SHA-256 of the image's file
    #[arg(long)]
    sha256: bool,

    /// Write what is where in the image, as `qemu-img map --output=json` does: `snapshot` sends less with it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    map_file: Option<PathBuf>,

    /// Write a block map with SHA-256 sums: `bmaptool copy` leaves out what is free
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    bmap: Option<PathBuf>,

    #[command(flatten)]
    pub(super) records: records::Flags,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the figures of the image as JSON instead of its path
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Flags that, behind these, send every file that goes with the image into `folder`.
    pub(super) fn redirected(&self, folder: &Path) -> Vec<OsString> {
        let mut flags = self.records.redirected(folder);
        let asked = [
            (self.map_file.is_some(), "--map-file=", "disk.map"),
            (self.bmap.is_some(), "--bmap=", "disk.bmap"),
        ];
        for (_, flag, name) in asked.into_iter().filter(|(asked, ..)| *asked) {
            let mut flag = OsString::from(flag);
            flag.push(folder.join(name));
            flags.push(flag);
        }
        flags
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let begun = Instant::now();
    let output = args.output.ok_or_else(|| {
        Usage::new("neither the flags nor the spec file name the image (`output`)")
    })?;
    let to_stdout = is_stdout(&output);
    if to_stdout && args.json {
        return Err(Usage::with_help(
            "standard output carries the image, and --json would write there too",
            "leave out --json; the summary goes to standard error",
        )
        .into());
    }
    let format = args.format.format(&output)?;
    let raw = [Format::Raw, Format::RawZst, Format::RawGz];
    if args.bmap.is_some() && !raw.contains(&format) {
        return Err(Usage::with_help(
            format!("--bmap is for raw images, compressed or not, and this one is {format}"),
            "choose --format raw.zst: `bmaptool copy` decompresses it",
        )
        .into());
    }
    // Where the image has room, so has what it is made of.
    let spool = output::folder_of(&output);
    let (rootfs, mut reading) = args.reading.into_origins(Some(&spool))?;
    let mut spec = args.shape.into_spec()?;
    match spec.size {
        Size::Bytes(size) => format.check_size(size)?,
        Size::Fit if format.unit() > 1 => {
            spec.round.get_or_insert(format.unit());
        }
        Size::Fit => {}
    }
    let records = args.records.into_records(&output, spec.source_date_epoch)?;
    reading.digest = records.digests_inputs();
    let job = Job {
        rootfs,
        spec_file: args.spec,
        reading,
        output,
        format,
        spec,
        records,
        force: args.force,
        sync: args.sync,
        sha256: args.sha256,
        map_file: args.map_file,
        bmap: args.bmap,
    };
    let progress = Progress::new(args.quiet);
    let built = pipeline::build(&job, &progress);
    progress.finish();
    let report = built?;
    if !args.quiet {
        exit::complain(&summary::built(
            &job.output,
            job.format,
            &report,
            begun.elapsed(),
        ));
    }
    if args.json {
        exit::print_json(&summary::Built {
            path: &job.output,
            report: &report,
        })?;
    } else if !to_stdout {
        exit::print(&format!("{}\n", job.output.display()))?;
    }
    Ok(Code::Done)
}
