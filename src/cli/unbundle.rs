//! `diskwright unbundle`: the image in a bundle.

use super::bundle_files::BundleFiles;
use super::exit::{self, Code};
use super::progress::Progress;
use super::signals;
use anyhow::Context;
use bytes::Bytes;
use diskwright::bundle::{self, PrivateKey, unpack};
use diskwright::observe::Observer;
use diskwright::sink::raw::{RawFile, RawOptions};
use diskwright::units::count;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  diskwright unbundle bundles/disk.manifest.xml -o disk.img -k pk.pem";

/// Take the image out of an S3 bundle of EC2
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    bundle: BundleFiles,

    /// Where the image goes; appears whole or not at all
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,

    /// Private RSA key, PEM or DER, of whom it was bundled for
    #[arg(short = 'k', long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    privatekey: PathBuf,

    /// Replace the output if it exists
    #[arg(long)]
    force: bool,

    /// Flush the image to the disk before it gets its name
    #[arg(long)]
    sync: bool,

    /// No progress; warnings and errors only
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let done = unbundle(args, &progress);
    progress.finish();
    done?;
    exit::print(&format!("{}\n", args.output.display()))?;
    Ok(Code::Done)
}

/// Bytes that are looked at together for zeros.
const RUN: usize = 64 << 10;

fn unbundle(args: &Args, observer: &dyn Observer) -> anyhow::Result<()> {
    let signed = bundle::open(&args.bundle.manifest)?;
    let manifest = &signed.manifest;
    let key = PrivateKey::open(&args.privatekey)?;
    let reading = || format!("cannot unbundle {}", args.bundle.manifest.display());
    let secret = manifest.open(&key).with_context(reading)?;
    let options = RawOptions {
        force: args.force,
        sync: args.sync,
    };
    let mut raw = RawFile::create(&args.output, options)?;
    let _guard = raw.temporary().map(signals::guard);
    let parts = args.bundle.parts();
    let spool = raw.spool();
    // Zeros are holes, also where the tar had none, as that of euca2ools.
    let mut place = |at: u64, data: Bytes| {
        for from in (0..data.len()).step_by(RUN) {
            let run = data.slice(from..data.len().min(from + RUN));
            if run.iter().any(|&b| b != 0) {
                spool.place(at + count(from), run, false)?;
            }
        }
        Ok(())
    };
    unpack(manifest, &secret, Box::new(parts), &mut place, observer).with_context(reading)?;
    raw.end_at(manifest.size)?;
    Ok(raw.finish()?)
}
