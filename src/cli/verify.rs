//! `diskwright verify`: check an image without mounting it.

use super::exit::{self, Code};
use super::pipeline::{self, Verified};
use super::progress::Progress;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  diskwright verify disk.img
  diskwright verify disk.img --json | jq '.[].message'";

/// Check the root filesystem of an image; findings give exit code 1
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Disk image of any format, or a bare ext4 filesystem
    image: PathBuf,

    /// No progress; findings, warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let verified = pipeline::verify(&args.image, &progress);
    progress.finish();
    let Verified { findings, ended } = verified?;
    if args.json {
        // Where the check broke off, an empty list would say that all is well.
        if ended.is_none() || !findings.is_empty() {
            exit::print_json(&findings)?;
        }
    } else {
        for finding in &findings {
            let (at, what) = (finding.offset, &finding.structure);
            exit::print(&format!("byte {at}, {what}: {}\n", finding.message))?;
        }
    }
    if let Some(error) = ended {
        return Err(error);
    }
    if findings.is_empty() {
        if !args.quiet {
            exit::complain(&format!(
                "{}: nothing to find fault with\n",
                args.image.display()
            ));
        }
        return Ok(Code::Done);
    }
    Ok(Code::Findings)
}
