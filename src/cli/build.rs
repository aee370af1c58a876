//! `diskwright build`: the main job.

use super::exit::{self, Code, Usage};
use super::pipeline::{self, Job};
use super::progress::Progress;
use super::{shape, summary};
use std::path::PathBuf;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  diskwright build rootfs.tar.zst -o disk.img
  diskwright build rootfs.tar -o disk.img --size 8G --hostname web --sha256
  zstd -dc rootfs.tar.zst | diskwright build - -o disk.img
  diskwright build --spec image.toml --force

A spec file has the same names as keys, paths relative to itself; flags override it:
  rootfs = \"rootfs.tar.zst\"
  output = \"disk.img\"
  free = \"20%\"
  root-by = \"label\"";

/// Build a bootable disk image from a root filesystem archive
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct Args {
    /// Tar archive, plain or compressed with gzip, zstd, xz or bzip2; `-` for standard input
    #[arg(required_unless_present = "spec", value_hint = clap::ValueHint::FilePath)]
    pub(super) rootfs: Option<PathBuf>,

    /// Where the image goes; appears whole or not at all
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    #[arg(required_unless_present = "spec")]
    output: Option<PathBuf>,

    /// Read flags from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) spec: Option<PathBuf>,

    #[command(flatten)]
    shape: shape::Shape,

    /// Replace the output if it exists
    #[arg(long)]
    force: bool,

    /// Flush the image to the disk before it gets its name
    #[arg(long)]
    sync: bool,

    /// Show the SHA-256 of the image
    #[arg(long)]
    sha256: bool,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the figures of the image as JSON instead of its path
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let begun = Instant::now();
    let missing =
        |what: &str| Usage::new(format!("neither the flags nor the spec file name {what}"));
    let job = Job {
        rootfs: args
            .rootfs
            .ok_or_else(|| missing("the archive (`rootfs`)"))?,
        output: args.output.ok_or_else(|| missing("the image (`output`)"))?,
        spec: args.shape.into_spec()?,
        force: args.force,
        sync: args.sync,
        sha256: args.sha256,
    };
    if job.output.as_os_str() == "-" {
        return Err(Usage::with_help(
            "an image cannot go to standard output yet",
            "give -o a path; for a file of that name say -o ./-",
        )
        .into());
    }
    let progress = Progress::new(args.quiet);
    let built = pipeline::build(&job, &progress);
    progress.finish();
    let report = built?;
    if !args.quiet {
        exit::complain(&summary::built(&job.output, &report, begun.elapsed()));
    }
    if args.json {
        exit::print_json(&summary::Built {
            path: &job.output,
            report: &report,
        })?;
    } else {
        exit::print(&format!("{}\n", job.output.display()))?;
    }
    Ok(Code::Done)
}
