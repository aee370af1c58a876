//! `diskwright register`: a snapshot or a bundle becomes an AMI.

use super::access::Access;
use super::ami_shape::{self, Of, Shape, Wait, usage};
use super::snapshot_shape::tag;
use crate::cli::exit::{self, Code, Usage};
use crate::cli::progress::Progress;
use anyhow::Context;
use diskwright::aws::Aws;
use diskwright::aws::image::{self, Derived};
use diskwright::inspect;
use diskwright::read_at::FileAt;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  diskwright register snap-0123456789abcdef0 --name web-1.2 --region eu-west-1
  diskwright register snap-0123456789abcdef0 --image disk.img --tag team=web
  diskwright register s3://bucket/web.manifest.xml --virtualization-type hvm

An AMI of the same name, content and parameters is found, not made again.";

/// Register a snapshot, or a bundle in S3, as an AMI
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Its root: a snapshot, or a bundle's manifest in S3
    #[arg(value_name = "SNAPSHOT|s3://…/NAME.manifest.xml")]
    source: String,

    /// The image that the snapshot or bundle was made of, by which processor, firmware and virtualization are known
    /// [default: looks into the snapshot, or the manifest, where they are not given]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    image: Option<PathBuf>,

    #[command(flatten)]
    shape: Shape,

    /// Size of the root volume in GiB [default: the snapshot's]
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(help_heading = "AMI")]
    volume_size: Option<u64>,

    /// Shown in lists of AMIs
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    #[arg(help_heading = "AMI")]
    description: String,

    /// A tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag, help_heading = "AMI")]
    tags: Vec<(String, String)>,

    #[command(flatten)]
    wait: Wait,

    /// Do not wait until it is available
    #[arg(long, conflicts_with = "limit")]
    no_wait: bool,

    /// Leave the AMI when the run fails or is interrupted; else it is deregistered
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    access: Access,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the AMI as JSON instead of its id
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let of = match args.source.strip_prefix("s3://") {
        Some(_) if args.volume_size.is_some() => {
            return Err(Usage::new("--volume-size is for snapshots").into());
        }
        Some(location) => Of::Bundle(location.to_owned()),
        None => Of::Snapshot(args.source.clone(), args.volume_size),
    };
    let stem = stem(args.image.as_deref(), &args.source);
    let known = match args.image.as_deref() {
        Some(image) => Some(derived(image)?),
        None => args.shape.says_all(&of).then(Derived::default),
    };
    let registration = |derived| {
        let mut registration = args.shape.registration(&stem, of.clone(), derived)?;
        registration.description.clone_from(&args.description);
        registration.tags.clone_from(&args.tags);
        registration.check().map_err(usage)?;
        anyhow::Ok(registration)
    };
    let checked = known.map(registration).transpose()?;
    let (source, limit) = (&args.source, args.wait.limit);
    let made = args.access.run(args.keep, &progress, async |aws| {
        let registration = match checked {
            Some(registration) => registration,
            None => registration(look(&aws, &of).await?)?,
        };
        let image = image::register(&aws, &registration, &progress).await?;
        match args.no_wait {
            true => anyhow::Ok(image),
            false => Ok(image::wait(&aws, &image, limit, &progress).await?),
        }
    });
    progress.finish();
    let made = made
        .map_err(usage)
        .with_context(|| format!("cannot register {source}"))?;
    if !args.quiet {
        exit::complain(&ami_shape::summary(&made));
    }
    if args.json {
        exit::print_json(&made)?;
    } else {
        exit::print(&format!("{}\n", made.image_id))?;
    }
    Ok(Code::Done)
}

/// What a snapshot or a manifest says of its AMI.
async fn look(aws: &Aws, of: &Of) -> anyhow::Result<Derived> {
    let found = match of {
        Of::Snapshot(id, _) => image::of_snapshot(aws, id).await,
        Of::Bundle(location) => image::of_manifest(aws, location).await,
    };
    found.context(
        "what the AMI must be is neither given (--image, or --arch and --boot-mode) nor to be found out",
    )
}

/// What an image file says of its AMI.
fn derived(path: &Path) -> anyhow::Result<Derived> {
    let reading = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(reading)?;
    let image = FileAt::new(file).with_context(reading)?;
    let info = inspect::info(&image).with_context(reading)?;
    Ok(Derived::of_info(&info))
}

/// What stands for `{name}`: the image's name without its last extension, or that of the manifest or snapshot.
fn stem(image: Option<&Path>, source: &str) -> String {
    let file = source.rsplit('/').next().unwrap_or_default();
    let name = file.strip_suffix(".manifest.xml").unwrap_or(file);
    let image = image.and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    image.unwrap_or_else(|| name.to_owned())
}
