//! `diskwright push`: a root filesystem or a disk image becomes an AMI.

use super::access::Access;
use super::ami_shape::{self, Copies, Publish, Share, Wait, usage};
use super::push_route::{By, Sent, What};
use super::snapshot_import::{Route, Way};
use super::snapshot_shape::{self, OfImage};
use crate::cli::bundle_input::{self, Input};
use crate::cli::exit::{self, Code};
use crate::cli::packing::{Signing, refuse_shape};
use crate::cli::progress::Progress;
use crate::cli::{reading, shape};
use anyhow::Context;
use diskwright::aws::image::Image;
use diskwright::aws::push::{Inputs, Release, release};
use diskwright::image::{Boot, Size};
use diskwright::units::GIB;
use diskwright::vdisk::spool_folder;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  diskwright push rootfs.tar.zst --size 4G --region eu-west-1
  diskwright push rootfs.tar.zst --name 'web-{date}' --copy-to us-east-1 \\
      --share-with 123456789012
  diskwright push disk.img --map-file disk.map
  diskwright push rootfs.tar.zst --route bundle --bucket my-images \\
      -u 123456789012 -c cert.pem -k pk.pem

With --size, blocks are sent while the archive is still being read; without it,
when the image's size is known. The same archive pushed again, by whomever, is
the same snapshot, and under the same name the same AMI.
Whatever fails, what the run has made is taken back.";

/// Make an AMI of a root filesystem or a disk image
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) reading: reading::Reading,

    /// Read flags from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) spec: Option<PathBuf>,

    #[command(flatten)]
    shape: shape::Shape,

    #[command(flatten)]
    way: Way,

    #[command(flatten)]
    signing: Signing,

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
    #[serde(flatten)]
    sent: Sent,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Arc::new(Progress::new(args.quiet));
    let sharing = args.share.sharing()?;
    let then = Release {
        destinations: args.copies.destinations(),
        publication: args.publish.publication(sharing.public)?,
        sharing,
        limit: args.wait.limit,
    };
    let spool = args.spool.unwrap_or_else(spool_folder);
    let (origins, reading) = args.reading.into_origins(Some(&spool))?;
    let name = origins.first().map_or(Path::new("-"), |o| o.path());
    let (stem, shown) = (stem(name), name.display().to_string());
    let (options, block_map) = args.snapshot.clone().into_options(name, true)?;
    let mut spec = args.shape.into_spec()?;
    let bundle = args.way.route() == Route::Bundle;
    args.ami.check(&stem, spec.boot == Boot::Pv, bundle)?;
    let (description, tags) = (options.description.clone(), options.tags.clone());
    let len = match spec.size {
        Size::Bytes(len) => len,
        Size::Fit => 0,
    };
    let by = By::new(
        args.way,
        (args.known, &args.snapshot),
        (options, len),
        (&args.signing, &args.ami, &stem),
        &progress,
    )?;
    let inputs = Inputs::of(&origins);
    let input = bundle_input::open(&origins, &reading, "an AMI is made of", &*progress)?;
    match input {
        Input::Rootfs(_) if spec.size == Size::Fit && spec.round.is_none() => {
            // A volume has whole GiB: a backup GPT lies at its end then.
            spec.round = Some(GIB);
        }
        Input::Rootfs(_) => {}
        Input::Image(_) | Input::Pipe(_) => refuse_shape(&spec)?,
    }
    let what = What {
        input,
        origins: &origins,
        inputs,
        reading,
        spec,
        spool,
    };
    let made = args.access.run(args.keep, &*progress, async |aws| {
        then.check(aws.region()).map_err(usage)?;
        let came = by.send(&aws, what, &progress).await?;
        let mut registration = args.ami.registration(&stem, came.of, came.derived)?;
        registration.content = came.content;
        registration.description = description;
        registration.tags = tags;
        registration.check().map_err(usage)?;
        let snapshot = match &came.sent {
            Sent::Snapshot(snapshot) => Some(&**snapshot),
            Sent::Import(_) | Sent::Bundle(_) => None,
        };
        let images = release(&aws, &registration, snapshot, &then, &*progress).await?;
        let first = images.first().context("no AMI")?;
        Ok::<_, anyhow::Error>(Pushed {
            image_id: first.image_id.clone(),
            region: first.region.clone(),
            images,
            sent: came.sent,
        })
    });
    progress.finish();
    let made = made
        .map_err(|e| usage(bundle_input::compressed_disk(e)))
        .with_context(|| format!("cannot push {shown}"))?;
    if !args.quiet {
        if let Sent::Snapshot(snapshot) = &made.sent {
            exit::complain(&snapshot_shape::summary(snapshot));
        }
        for image in &made.images {
            exit::complain(&ami_shape::summary(image));
        }
    }
    if args.json {
        exit::print_json(&made)?;
    } else {
        exit::print(&format!("{}\n", made.image_id))?;
    }
    // Behind what must not be lost.
    if let Sent::Snapshot(snapshot) = &made.sent {
        snapshot_shape::write_blocks(block_map.as_deref(), snapshot, &*progress)?;
    }
    Ok(Code::Done)
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
