//! `diskwright info`: partitions and filesystems of an image.

use super::exit::{self, Code};
use super::summary;
use anyhow::Context;
use diskwright::inspect;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  diskwright info disk.img
  diskwright info disk.img --json | jq .partitions";

/// Show partitions and filesystems of an image, without mounting it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Disk image of any format, or a bare ext4 filesystem
    image: PathBuf,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let reading = || format!("cannot read {}", args.image.display());
    let disk = diskwright::inspect::open_image(&args.image)?;
    let info = inspect::info(&disk).with_context(reading)?;
    if info.scheme == "none" && info.filesystem.is_none() {
        return Err(inspect::InspectError::NoRoot).with_context(reading);
    }
    if args.json {
        exit::print_json(&info)?;
    } else {
        exit::print(&summary::inspected(&info))?;
    }
    Ok(Code::Done)
}
