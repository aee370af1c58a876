//! `diskwright verify-bundle`: check a bundle, its signature and its contents.

use super::bundle_files::BundleFiles;
use super::exit::{self, Code};
use super::progress::Progress;
use diskwright::bundle::{
    self, Certificate, ManifestError, OpenError, PrivateKey, PublicKey, Signed, verify,
};
use diskwright::observe::Observer;
use std::path::PathBuf;
use std::time::SystemTime;

const EXAMPLES: &str = "\
Examples:
  diskwright verify-bundle bundles/disk.manifest.xml
  diskwright verify-bundle bundles/disk.manifest.xml -c cert.pem -k pk.pem";

/// Check an S3 bundle of EC2; findings give exit code 1
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    bundle: BundleFiles,

    /// Certificate of whom it should be signed by: checks the signature
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    cert: Option<PathBuf>,

    /// Private RSA key of whom it was bundled for: checks what is in the parts
    #[arg(short = 'k', long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    privatekey: Option<PathBuf>,

    /// No progress; findings, warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// A finding for `--json`.
#[derive(serde::Serialize)]
struct Found {
    structure: String,
    message: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let checked = check(args, &progress);
    progress.finish();
    let findings = checked?;
    if args.json {
        exit::print_json(&findings)?;
    } else {
        for finding in &findings {
            exit::print(&format!("{}: {}\n", finding.structure, finding.message))?;
        }
    }
    if !findings.is_empty() {
        return Ok(Code::Findings);
    }
    if !args.quiet {
        let mut unchecked = Vec::new();
        if args.cert.is_none() {
            unchecked.push("the signature (--cert)");
        }
        if args.privatekey.is_none() {
            unchecked.push("what is in the parts (--privatekey)");
        }
        let but = if unchecked.is_empty() {
            String::new()
        } else {
            format!("; not looked at: {}", unchecked.join(", "))
        };
        let path = args.bundle.manifest.display();
        exit::complain(&format!("{path}: nothing to find fault with{but}\n"));
    }
    Ok(Code::Done)
}

fn check(args: &Args, observer: &dyn Observer) -> anyhow::Result<Vec<Found>> {
    let cert = args.cert.as_deref().map(Certificate::open).transpose()?;
    if let (Some(cert), Some(path)) = (&cert, &args.cert)
        && let Some(remark) = cert.remark(SystemTime::now())
    {
        observer.warn(&format!("the certificate {} {remark}", path.display()));
    }
    let signer: Option<PublicKey> = cert.map(|c| c.key);
    let key = args
        .privatekey
        .as_deref()
        .map(PrivateKey::open)
        .transpose()?;
    let signed: Signed = match bundle::open(&args.bundle.manifest) {
        Ok(signed) => signed,
        // A manifest that contradicts itself is what one looks for here.
        Err(OpenError::Manifest { source, .. }) if contradicts(&source) => {
            let (structure, message) = ("manifest".into(), source.to_string());
            return Ok(vec![Found { structure, message }]);
        }
        Err(e) => return Err(e.into()),
    };
    let mut parts = || -> Box<dyn bundle::PartSource> { Box::new(args.bundle.parts()) };
    let findings = verify(&signed, signer.as_ref(), key.as_ref(), &mut parts, observer)?;
    let told = findings.into_iter().map(|f| Found {
        structure: f.structure,
        message: f.message,
    });
    Ok(told.collect())
}

fn contradicts(e: &ManifestError) -> bool {
    matches!(
        e,
        ManifestError::Missing { .. }
            | ManifestError::Repeated { .. }
            | ManifestError::Value { .. }
    )
}
