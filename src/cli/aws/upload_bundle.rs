//! `diskwright upload-bundle`: a bundle goes to S3, finished or while it is made.

use super::access::Access;
use crate::cli::exit::{self, Code, Usage};
use crate::cli::packing::{Job, KeyFiles, Packing};
use crate::cli::progress::Progress;
use crate::cli::sizes;
use anyhow::Context;
use diskwright::aws::Aws;
use diskwright::aws::s3::{
    Acl, BundleOptions, BundleUpload, Location, Parts, S3Error, Uploaded, part_queue,
};
use diskwright::bundle::{self, Signed};
use diskwright::observe::Observer;
use diskwright::vdisk::spool_folder;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  diskwright upload-bundle bundles/web.manifest.xml s3://my-images/web
  diskwright upload-bundle rootfs.tar.zst s3://my-images/web -p web \\
      -u 123456789012 -c cert.pem -k pk.pem

A folder's bundle that was uploaded in part goes on there; one that is made on
the way begins anew.";

/// Send a bundle to S3, finished or made on the way
///
/// The last argument says where to: s3://BUCKET/PREFIX. Those before it are the manifest of a finished bundle, or
/// what `bundle` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
#[command(
    override_usage = "diskwright upload-bundle [OPTIONS] <MANIFEST|IMAGE|ROOTFS>... s3://BUCKET/PREFIX"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) packing: Packing,

    /// Who may read it: aws-exec-read (EC2), public-read, or private (as the bucket's policy says)
    #[arg(long, value_name = "ACL", default_value = "aws-exec-read", value_parser = acl)]
    acl: Acl,

    /// Make the bucket where it is not there
    #[arg(long)]
    create_bucket: bool,

    /// Replace another bundle of that name
    #[arg(long)]
    force: bool,

    /// Leave what was sent when the run fails or is interrupted; else it is deleted
    #[arg(long)]
    keep: bool,

    /// Folder for what must lie on a disk while a bundle is made [default: $TMPDIR, else /var/tmp]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    spool: Option<PathBuf>,

    #[command(flatten)]
    access: Access,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print what was sent as JSON instead of the manifest's place
    #[arg(long)]
    json: bool,
}

fn acl(word: &str) -> Result<Acl, String> {
    let known = [Acl::AwsExecRead, Acl::PublicRead, Acl::Private];
    let found = known.into_iter().find(|acl| acl.word() == word);
    found.ok_or_else(|| "it is aws-exec-read, public-read or private".into())
}

pub(super) fn run(mut args: Args) -> anyhow::Result<Code> {
    let begun = Instant::now();
    let (quiet, json) = (args.quiet, args.json);
    let to = place(&mut args.packing)?;
    let progress = Arc::new(Progress::new(quiet));
    let uploaded = upload(args, &to, &progress);
    progress.finish();
    let uploaded = uploaded.with_context(|| format!("cannot upload the bundle to {to}"))?;
    if !quiet {
        exit::complain(&summary(&uploaded, begun));
    }
    if json {
        exit::print_json(&uploaded)?;
    } else {
        exit::print(&format!("{}\n", uploaded.image_location))?;
    }
    Ok(Code::Done)
}

/// Takes the last of what is named. It is no argument of its own: clap would take for it the last one before a flag.
fn place(packing: &mut Packing) -> Result<Location, Usage> {
    let last = packing.reading.rootfs.pop().unwrap_or_default();
    let place = last.to_string_lossy().parse();
    place.map_err(|e: S3Error| {
        let help = "the last argument says where to, as in s3://my-images/web";
        Usage::with_help(e.to_string(), help)
    })
}

fn upload(args: Args, to: &Location, progress: &Arc<Progress>) -> anyhow::Result<Uploaded> {
    let observer: &dyn Observer = &**progress;
    let options = BundleOptions {
        acl: args.acl,
        create_bucket: args.create_bucket,
        force: args.force,
    };
    if let Some(path) = manifest(&args.packing)? {
        let signed = bundle::open(&path)?;
        let document =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        return args.access.run(args.keep, observer, async |aws| {
            finished(&aws, &path, &signed, document, to, options, observer).await
        });
    }
    let spool = args.spool.clone().unwrap_or_else(spool_folder);
    let pack = args.packing.options()?;
    // Before the input: a key that is wrong is told at once.
    let keys = args.packing.keys(observer)?;
    let job = args.packing.open(pack, &spool, None, observer)?;
    args.access.run(args.keep, observer, async |aws| {
        made_on_the_way(&aws, job, keys, to, options, progress).await
    })
}

/// Makes a bundle and sends its parts as they come.
pub(super) async fn made_on_the_way(
    aws: &Aws,
    mut job: Job,
    keys: KeyFiles,
    to: &Location,
    options: BundleOptions,
    progress: &Arc<Progress>,
) -> anyhow::Result<Uploaded> {
    let keys = keys.of_region(aws.region())?;
    let name = job.options.prefix.clone();
    let mut upload = BundleUpload::begin(aws, to, &name, None, options, &**progress).await?;
    let (mut queue, parts) = part_queue(&mut job.options);
    let observer = Arc::clone(progress);
    let packing = tokio::task::spawn_blocking(move || job.pack(&keys, &mut queue, &*observer));
    upload.parts(parts, None).await?;
    let bundle = packing.await.context("the bundling ended early")??;
    let document = bundle.document.clone().into_bytes();
    Ok(upload.finish(document, bundle.parts()).await?)
}

async fn finished(
    aws: &Aws,
    path: &Path,
    signed: &Signed,
    document: Vec<u8>,
    to: &Location,
    options: BundleOptions,
    observer: &dyn Observer,
) -> anyhow::Result<Uploaded> {
    let manifest = &signed.manifest;
    // Whatever the image is called: the parts are found by the manifest, and that by its file's name.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".manifest.xml").unwrap_or(&manifest.name);
    let mut upload = BundleUpload::begin(aws, to, name, Some(&document), options, observer).await?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let parts = Parts::of_folder(manifest, folder);
    upload.parts(parts, Some(manifest.bundled_size)).await?;
    Ok(upload.finish(document, &manifest.parts).await?)
}

/// The manifest that is to be uploaded, if the input is one. Such a bundle is made: nothing more can be said of it.
fn manifest(packing: &Packing) -> anyhow::Result<Option<PathBuf>> {
    let [path] = &packing.reading.rootfs[..] else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    if !path.is_file() {
        return Ok(None);
    }
    let reading = || format!("cannot read {}", path.display());
    let mut head = [0; 5];
    let mut file = File::open(&path).with_context(reading)?;
    let read = file.read(&mut head).with_context(reading)?;
    let xml = head[..read] == *b"<?xml" || head[..read] == *b"<mani";
    if xml && !packing.is_silent() {
        return Err(Usage::with_help(
            format!(
                "{} is a finished bundle's manifest, and there are flags that say how to make one",
                path.display()
            ),
            "leave them out, or give the image",
        )
        .into());
    }
    Ok(xml.then_some(path))
}

fn summary(uploaded: &Uploaded, begun: Instant) -> String {
    let Uploaded {
        image_location,
        region,
        sent,
        present,
        bundled_size,
        retried,
    } = uploaded;
    let mut text = format!(
        "s3://{image_location} in {region}: {}, {sent} parts sent",
        sizes::human(*bundled_size)
    );
    for (n, what) in [(present, "there already"), (retried, "requests retried")] {
        if *n > 0 {
            text.push_str(&format!(", {n} {what}"));
        }
    }
    text + &format!(", {:.1} s\n", begun.elapsed().as_secs_f64())
}
