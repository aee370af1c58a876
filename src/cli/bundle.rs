//! `diskwright bundle`: the classic bundle of EC2.

use super::exit::{self, Code};
use super::packing::{Packing, needed};
use super::progress::Progress;
use super::{signals, sizes};
use anyhow::Context;
use diskwright::bundle::{Bundle, Folder};
use diskwright::observe::Observer;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  diskwright bundle disk.img -d bundles -u 123456789012 -c cert.pem -k pk.pem
  diskwright bundle rootfs.tar.zst -d bundles -p web --boot bios \\
      -u 123456789012 -c cert.pem -k pk.pem
  zstd -dc disk.img.zst | diskwright bundle - -d bundles \\
      -u 123456789012 -c cert.pem -k pk.pem

Certificate and key are your own; AWS need not know them:
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=me \\
      -keyout pk.pem -out cert.pem";

/// Pack a disk image, or one made of a root filesystem, into an S3 bundle of EC2
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) packing: Packing,

    /// Folder for the parts and the manifest; it is made if it is not there
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    #[arg(required_unless_present = "spec")]
    destination: Option<PathBuf>,

    /// Region of EC2 whose public key is used
    #[arg(long, default_value = "us-east-1")]
    region: String,

    /// Replace a bundle of that name
    #[arg(long)]
    force: bool,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print what the manifest says as JSON instead of its path
    #[arg(long)]
    json: bool,
}

/// The result for `--json`.
#[derive(serde::Serialize)]
struct Made<'a> {
    manifest: &'a Path,
    name: &'a str,
    architecture: &'a str,
    size: u64,
    bundled_size: u64,
    parts: Vec<&'a str>,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let begun = Instant::now();
    let (quiet, json) = (args.quiet, args.json);
    let progress = Progress::new(quiet);
    let made = bundle(args, &progress);
    progress.finish();
    let (path, bundle) = made?;
    let manifest = &bundle.manifest;
    if !quiet {
        exit::complain(&format!(
            "{}: {} in {} parts of {}, {:.1} s\n",
            path.display(),
            sizes::human(manifest.size),
            manifest.parts.len(),
            sizes::human(manifest.bundled_size),
            begun.elapsed().as_secs_f64()
        ));
    }
    if json {
        exit::print_json(&Made {
            manifest: &path,
            name: &manifest.name,
            architecture: &manifest.architecture,
            size: manifest.size,
            bundled_size: manifest.bundled_size,
            parts: manifest.parts.iter().map(|p| p.filename.as_str()).collect(),
        })?;
    } else {
        exit::print(&format!("{}\n", path.display()))?;
    }
    Ok(Code::Done)
}

/// A folder that was made for a bundle: it goes again unless the bundle is in it.
struct MadeFolder<'a>(Option<&'a Path>);

impl<'a> MadeFolder<'a> {
    /// Makes it if it is not there.
    fn at(folder: &'a Path) -> anyhow::Result<Self> {
        match std::fs::create_dir(folder) {
            Ok(()) => Ok(Self(Some(folder))),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(e) => {
                Err(e).with_context(|| format!("cannot make the folder {}", folder.display()))
            }
        }
    }
}

impl Drop for MadeFolder<'_> {
    fn drop(&mut self) {
        if let Some(folder) = self.0 {
            // Fails where a bundle is in it, as it should.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn bundle(args: Args, observer: &dyn Observer) -> anyhow::Result<(PathBuf, Bundle)> {
    let destination = needed(args.destination.as_deref(), "destination")?;
    let options = args.packing.options()?;
    let keys = args.packing.keys(observer)?.of_region(&args.region)?;
    let _made = MadeFolder::at(destination)?;
    let job = args
        .packing
        .open(options, destination, Some(destination), observer)?;
    let mut folder = Folder::create(destination, &job.options.prefix, args.force)?;
    let _guard = signals::guard(folder.temporary());
    let bundle = job.pack(&keys, &mut folder, observer)?;
    Ok((folder.finish(&bundle)?, bundle))
}
