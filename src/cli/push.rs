//! `diskwright push`: a root filesystem or a disk image becomes an AMI.

use super::ami_shape::{self, Copies, Of, Publish, Share, Wait, usage};
use super::aws::Access;
use super::bundle_input::{self, Input};
use super::exit::{self, Code};
use super::progress::Progress;
use super::snapshot_shape::{self, OfImage};
use super::{reading, shape};
use anyhow::Context;
use diskwright::archive::{Options, Origin, Rootfs};
use diskwright::aws::Aws;
use diskwright::aws::image::{Derived, Image};
use diskwright::aws::push::{Building, Inputs, PushError, Release, content, push, release};
use diskwright::aws::snapshot::{Snapshot, SnapshotOptions, Source, snapshot};
use diskwright::image::{Boot, Size, Spec};
use diskwright::inspect;
use diskwright::sink::blocks::Digest;
use diskwright::units::GIB;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  diskwright push rootfs.tar.zst --size 4G --region eu-west-1
  diskwright push rootfs.tar.zst --name 'web-{date}' --copy-to us-east-1 --share 123456789012
  diskwright push disk.img --map-file disk.map

With --size, blocks are sent while the archive is still being read; without it, when the image's size is known.
The same archive pushed again, by whomever, is the same snapshot and the same AMI.
Whatever fails, what the run has made is taken back.";

/// Make an AMI of a root filesystem or a disk image
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

    #[command(flatten)]
    known: OfImage,

    #[command(flatten)]
    snapshot: snapshot_shape::Shape,

    #[command(flatten)]
    ami: ami_shape::Shape,

    #[command(flatten)]
    copies: Copies,

    #[command(flatten)]
    share: Share,

    #[command(flatten)]
    publish: Publish,

    #[command(flatten)]
    wait: Wait,

    /// Folder with room for the files of the root filesystem while they wait to be sent [default: $TMPDIR or
    /// /var/tmp]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    spool: Option<PathBuf>,

    /// Leave what was made when the run fails or is interrupted; else it is removed
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    access: Access,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print AMI, copies and snapshot as JSON instead of the AMI's id
    #[arg(long)]
    json: bool,
}

/// The result for `--json`.
#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pushed {
    image_id: String,
    region: String,
    /// The AMI and its copies.
    images: Vec<Image>,
    snapshot: Snapshot,
}

/// What is pushed.
enum What {
    Rootfs {
        rootfs: Box<Rootfs>,
        origins: Vec<Origin>,
        reading: Options,
    },
    Image(Source, Derived),
}

/// All that is asked for.
struct Job {
    spec: Spec,
    snapshot: SnapshotOptions,
    release: Release,
    ami: ami_shape::Shape,
    /// What stands for `{name}`.
    stem: String,
    spool: PathBuf,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Arc::new(Progress::new(args.quiet));
    let sharing = args.share.sharing()?;
    let release = Release {
        destinations: args.copies.destinations(),
        publication: args.publish.publication(sharing.public)?,
        sharing,
        limit: args.wait.limit,
    };
    let spool = args.spool.unwrap_or_else(spool_folder);
    let (origins, reading) = args.reading.into_origins(Some(&spool))?;
    let name = origins.first().map_or(Path::new("-"), |o| o.path());
    let (snapshot, block_map) = args.snapshot.into_options(name, true)?;
    let mut job = Job {
        spec: args.shape.into_spec()?,
        snapshot,
        release,
        ami: args.ami,
        stem: stem(name),
        spool,
    };
    let told = job.spec.clone();
    if job.spec.size == Size::Fit && job.spec.round.is_none() {
        // A volume has whole GiB: a backup GPT lies at its end then.
        job.spec.round = Some(GIB);
    }
    job.ami.check(&job.stem, job.spec.boot == Boot::Pv)?;
    let shown = name.display().to_string();
    let what = open(origins, reading, &told, &args.known, &progress)?;
    let made = args.access.run(args.keep, &*progress, async |aws| {
        run_on(&aws, job, what, &progress).await
    });
    progress.finish();
    let made = made
        .map_err(|e| usage(bundle_input::compressed_disk(e)))
        .with_context(|| format!("cannot push {shown}"))?;
    snapshot_shape::write_blocks(block_map.as_deref(), &made.snapshot, &*progress)?;
    if !args.quiet {
        exit::complain(&snapshot_shape::summary(&made.snapshot));
        for image in &made.images {
            exit::complain(&ami_shape::summary(image));
        }
    }
    if args.json {
        exit::print_json(&made)?;
    } else {
        exit::print(&format!("{}\n", made.image_id))?;
    }
    Ok(Code::Done)
}

/// Looks at what is to be pushed; of an image, reads all of it.
fn open(
    origins: Vec<Origin>,
    reading: Options,
    told: &Spec,
    known: &OfImage,
    progress: &Progress,
) -> anyhow::Result<What> {
    match bundle_input::open(&origins, &reading, "an AMI is made of", progress)? {
        Input::Rootfs(rootfs) => {
            known.refuse()?;
            Ok(What::Rootfs {
                rootfs,
                origins,
                reading,
            })
        }
        Input::Pipe(_) => {
            anyhow::bail!("a disk image on standard input: write it to a file first, and push that")
        }
        Input::Image(_) => {
            super::packing::refuse_shape(told)?;
            let path = origins.first().map_or(Path::new("-"), |o| o.path());
            let source = snapshot_shape::open(path, known, progress)?;
            let info = inspect::info(&*source.image);
            let info = info.with_context(|| format!("cannot read {}", path.display()))?;
            Ok(What::Image(source, Derived::of_info(&info)))
        }
    }
}

async fn run_on(
    aws: &Aws,
    job: Job,
    what: What,
    progress: &Arc<Progress>,
) -> anyhow::Result<Pushed> {
    job.release.check(aws.region()).map_err(usage)?;
    let (snapshot, derived, content) = match what {
        What::Image(source, derived) => {
            let content = source.survey.digest();
            let made = snapshot(aws, &source, &job.snapshot, &**progress).await?;
            (made, derived, Some(content))
        }
        What::Rootfs {
            rootfs,
            origins,
            reading,
        } => {
            let inputs = content(&origins, &reading, &job.spec, &**progress)
                .context("cannot read what is to be pushed")?;
            let content = inputs.as_ref().map(|i| i.digest);
            let (made, derived) = of_rootfs(aws, &job, *rootfs, content, progress).await?;
            if let Some(path) = inputs.as_ref().and_then(Inputs::changed) {
                anyhow::bail!("{} was changed while it was read", path.display());
            }
            (made, derived, content)
        }
    };
    let of = Of::Snapshot(snapshot.snapshot_id.clone(), Some(snapshot.volume_size));
    let mut registration = job.ami.registration(&job.stem, of, derived)?;
    registration.content = content.filter(|_| !job.snapshot.another);
    registration
        .description
        .clone_from(&job.snapshot.description);
    registration.tags.clone_from(&job.snapshot.tags);
    registration.check().map_err(usage)?;
    let images = release(aws, &registration, &job.release, &**progress).await?;
    let first = images.first().context("no AMI")?;
    Ok(Pushed {
        image_id: first.image_id.clone(),
        region: first.region.clone(),
        images,
        snapshot,
    })
}

async fn of_rootfs(
    aws: &Aws,
    job: &Job,
    rootfs: Rootfs,
    content: Option<Digest>,
    progress: &Arc<Progress>,
) -> Result<(Snapshot, Derived), PushError> {
    let watch = Arc::clone(progress);
    let building = Building::start(rootfs, job.spec.clone(), &job.spool, watch)?;
    let len = match job.spec.size {
        Size::Bytes(len) => Some(len),
        Size::Fit => None,
    };
    let made = push(aws, building, len, content, &job.snapshot, &**progress).await?;
    Ok((made.0, Derived::of_report(&made.1)))
}

/// Where much may wait: /tmp is often memory.
fn spool_folder() -> PathBuf {
    let set = std::env::var_os("TMPDIR").filter(|v| !v.is_empty());
    set.map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// A file's name without what says of what kind it is.
fn stem(path: &Path) -> String {
    const KINDS: [&str; 9] = [
        ".zst", ".gz", ".xz", ".bz2", ".tar", ".tgz", ".img", ".raw", ".oci",
    ];
    let name = path.file_name().map(|n| n.to_string_lossy());
    let mut name = name.as_deref().unwrap_or_default();
    while let Some(shorter) = KINDS.iter().find_map(|kind| name.strip_suffix(kind)) {
        name = shorter;
    }
    match name {
        "" | "-" => "image".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ami_is_called_as_its_archive_is() {
        for (path, name) in [
            ("/x/debian-12.5.tar.zst", "debian-12.5"),
            ("web.img", "web"),
            ("-", "image"),
            ("folder/", "folder"),
        ] {
            assert_eq!(stem(Path::new(path)), name);
        }
    }
}
