//! `diskwright share`: who may start an AMI, how long it serves and where it is looked up.

use super::access::Access;
use super::ami_shape::{Publish, Share, usage};
use crate::cli::exit::{self, Code, Usage};
use crate::cli::progress::Progress;
use anyhow::Context;
use diskwright::aws::image::{ImageError, Publication, find, publish, share};

const EXAMPLES: &str = "\
Examples:
  diskwright share ami-0123456789abcdef0 --share-with 111122223333,444455556666
  diskwright share ami-0123456789abcdef0 --public --deprecate-at 90d
  diskwright share ami-0123456789abcdef0 --protect --ssm-parameter /images/web

Who may already, still may.";

/// Share an AMI, set its end, protect it and put it where it is looked up
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The AMI
    #[arg(value_name = "AMI")]
    image_id: String,

    #[command(flatten)]
    share: Share,

    #[command(flatten)]
    publish: Publish,

    #[command(flatten)]
    access: Access,

    /// No progress; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the AMI as JSON instead of its id
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let sharing = args.share.sharing()?;
    let publication = args.publish.publication(sharing.public)?;
    if sharing.is_empty() && publication == Publication::default() {
        return Err(Usage::with_help(
            "with whom, and until when?",
            "say --share-with, --public, --deprecate-at, --protect or --ssm-parameter",
        )
        .into());
    }
    let id = args.image_id;
    let image = args.access.run(false, &progress, async |aws| {
        let image = find(&aws, &id).await?;
        share(&aws, &image, &sharing).await?;
        publish(&aws, std::slice::from_ref(&image), &publication).await?;
        Ok::<_, ImageError>(image)
    });
    progress.finish();
    let image = image
        .map_err(usage)
        .with_context(|| format!("cannot share {id}"))?;
    if args.json {
        exit::print_json(&image)?;
    } else {
        exit::print(&format!("{}\n", image.image_id))?;
    }
    Ok(Code::Done)
}
