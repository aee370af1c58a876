//! `diskwright info`: partitions and filesystems of an image.

use super::exit::Code;
use anyhow::Context;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  diskwright info disk.img
  diskwright info disk.img --json | jq .partitions";

/// Show partitions and filesystems of an image, without mounting it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Raw disk image, or a bare ext4 filesystem
    image: PathBuf,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    // TODO(stub): inspect::info comes with the partition and ext4 readers.
    let _ = args.json;
    std::fs::File::open(&args.image)
        .with_context(|| format!("cannot open {}", args.image.display()))?;
    anyhow::bail!("info is not wired to inspect::info yet")
}
