//! `diskwright snapshot`: an image becomes an EBS snapshot.

use super::access::Access;
use super::snapshot_import::{self, Way};
use super::snapshot_shape::{self, OfImage, Shape};
use crate::cli::exit::{self, Code, Usage};
use crate::cli::progress::Progress;
use anyhow::Context;
use diskwright::aws::snapshot::{ImportOptions, SnapshotOptions, import, snapshot};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  diskwright snapshot disk.img --region eu-west-1
  diskwright snapshot disk.img --map-file disk.map --block-map snap.blocks
  diskwright snapshot new.img --parent snap-0123456789abcdef0 \\
      --parent-blocks snap.blocks
  diskwright snapshot disk.vhd --route import --bucket my-images

The same image sent again, by whomever, is the same snapshot; an interrupted run
goes on where it ended.";

/// Send a disk image to AWS as an EBS snapshot
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The image, raw; for --route import also a VHD
    #[arg(value_name = "IMAGE", value_hint = clap::ValueHint::FilePath)]
    image: PathBuf,

    #[command(flatten)]
    way: Way,

    #[command(flatten)]
    known: OfImage,

    #[command(flatten)]
    shape: Shape,

    /// Do not wait until AWS has completed it
    #[arg(long)]
    no_wait: bool,

    /// Leave the snapshot when the run fails or is interrupted; else it is deleted
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    access: Access,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print what was sent as JSON instead of the snapshot's id
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let name = args.image.display().to_string();
    let way = args.way.clone().into_import(&args.known, &args.shape)?;
    if let Some(way) = way {
        let (options, _) = args.shape.clone().into_options(&args.image, true)?;
        return imported(args, way, &options, &progress);
    }
    let (options, block_map) = args.shape.into_options(&args.image, !args.no_wait)?;
    let source = snapshot_shape::open(&args.image, &args.known, &progress)?;
    options
        .check(source.survey.len())
        .map_err(|e| Usage::new(e.to_string()))?;
    let made = args.access.run(args.keep, &progress, async |aws| {
        snapshot(&aws, &source, &options, &progress).await
    });
    progress.finish();
    let made = made.with_context(|| format!("cannot make a snapshot of {name}"))?;
    if !args.quiet {
        exit::complain(&snapshot_shape::summary(&made));
    }
    if args.json {
        exit::print_json(&made)?;
    } else {
        exit::print(&format!("{}\n", made.snapshot_id))?;
    }
    // Behind what must not be lost.
    snapshot_shape::write_blocks(block_map.as_deref(), &made, &progress)?;
    Ok(Code::Done)
}

fn imported(
    args: Args,
    mut way: ImportOptions,
    options: &SnapshotOptions,
    progress: &Progress,
) -> anyhow::Result<Code> {
    let (image, format) = snapshot_import::open(&args.image)?;
    way.format = format;
    options
        .check(image.len())
        .map_err(|e| Usage::new(e.to_string()))?;
    let made = args.access.run(args.keep, progress, async |aws| {
        import(&aws, &image, &way, options, progress).await
    });
    progress.finish();
    let name = args.image.display();
    let made = made.with_context(|| format!("cannot make a snapshot of {name}"))?;
    snapshot_import::told(&made, args.quiet, args.json)?;
    Ok(Code::Done)
}
