//! `diskwright copy`: an AMI in further regions.

use super::access::Access;
use super::ami_shape::{Copies, Wait, usage};
use crate::cli::exit::{self, Code};
use crate::cli::progress::Progress;
use anyhow::Context;
use diskwright::aws::image::{check_destinations, copy, find};

const EXAMPLES: &str = "\
Examples:
  diskwright copy ami-0123456789abcdef0 --to us-east-1,ap-south-1
  diskwright copy ami-0123456789abcdef0 --encrypt-copies \\
      --to us-east-1=alias/web,us-west-2

Copies that are there already are found, not made again. When one fails, all
that were made are removed.";

/// Copy an AMI to other regions, all at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, mut_arg("copy_to", |a| a.required(true)))]
pub(in crate::cli) struct Args {
    /// The AMI
    #[arg(value_name = "AMI")]
    image_id: String,

    #[command(flatten)]
    copies: Copies,

    #[command(flatten)]
    wait: Wait,

    /// Leave the copies when the run fails or is interrupted; else they are removed
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    access: Access,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the copies as JSON instead of a line of region and id for each
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let to = args.copies.destinations();
    // From where, the profile may say.
    check_destinations("", &to).map_err(usage)?;
    let (id, limit) = (args.image_id, args.wait.limit);
    let made = args.access.run(args.keep, &progress, async |aws| {
        let image = find(&aws, &id).await?;
        copy(&aws, &image, &to, limit, &progress).await
    });
    progress.finish();
    let made = made
        .map_err(usage)
        .with_context(|| format!("cannot copy {id}"))?;
    if args.json {
        exit::print_json(&made)?;
    } else {
        let lines = made
            .iter()
            .map(|c| format!("{} {}\n", c.region, c.image_id));
        exit::print(&lines.collect::<String>())?;
    }
    Ok(Code::Done)
}
