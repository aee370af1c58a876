//! `diskwright plan`: what `build` would write.

use super::exit::{self, Code};
use super::progress::Progress;
use super::{pipeline, reading, shape, summary};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  diskwright plan rootfs.tar.zst
  diskwright plan rootfs.tar --size 8G --json | jq .available";

/// Show what build would write, without writing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) reading: reading::Reading,

    /// Read flags from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) spec: Option<PathBuf>,

    #[command(flatten)]
    shape: shape::Shape,

    // A spec file serves both verbs, so plan takes build's other keys, and has no use for them.
    #[arg(short, long, hide = true, value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[arg(long, hide = true)]
    force: bool,
    #[arg(long, hide = true)]
    sync: bool,
    #[arg(long, hide = true)]
    sha256: bool,
    #[arg(long, hide = true, value_hint = clap::ValueHint::FilePath)]
    map_file: Option<PathBuf>,
    #[arg(long, hide = true, value_hint = clap::ValueHint::FilePath)]
    manifest: Option<PathBuf>,
    #[arg(long, hide = true)]
    sbom: Option<String>,
    #[arg(long, hide = true, value_hint = clap::ValueHint::FilePath)]
    provenance: Option<PathBuf>,
    #[arg(long, hide = true)]
    builder_id: Option<String>,

    /// No progress; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let (rootfs, reading) = args.reading.into_origins(None)?;
    let spec = args.shape.into_spec()?;
    let progress = Progress::new(args.quiet);
    let planned = pipeline::plan(&rootfs, &reading, &spec, &progress);
    progress.finish();
    let (report, structures) = planned?;
    if args.json {
        exit::print_json(&summary::Planned {
            report: &report,
            structures: &structures,
        })?;
    } else {
        exit::print(&summary::planned(&report))?;
        exit::print(&summary::structures(&structures))?;
    }
    Ok(Code::Done)
}
