//! `diskwright snapshot --route import`: by way of S3 and VM Import.

use super::snapshot_shape::{OfImage, Shape};
use crate::cli::exit::{self, Usage};
use crate::cli::sizes;
use anyhow::Context;
use diskwright::aws::s3::{Location, S3Error};
use diskwright::aws::snapshot::{DiskFormat, ImportOptions, Imported};
use diskwright::inspect;
use diskwright::read_at::{FileAt, ReadAt};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// How the image comes to AWS
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Route {
    /// block by block, by EBS direct APIs
    #[default]
    Ebs,
    /// to S3, where VM Import takes it from: slower; for VHDs, and where EBS direct is out of reach
    Import,
    /// as a bundle in S3, for instances with their root there (`push`)
    Bundle,
}

/// Which way, and what that one needs
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Route")]
pub(super) struct Way {
    /// How the image comes to AWS
    #[arg(long, value_enum, default_value = "ebs")]
    route: Route,

    /// Bucket in which the image, meanwhile, or the bundle lies; of the AMI's region
    #[arg(long, value_name = "NAME", required_if_eq_any([("route", "import"), ("route", "bundle")]))]
    bucket: Option<String>,

    /// What its key begins with there
    #[arg(long, value_name = "PREFIX", requires = "bucket", default_value = "")]
    #[arg(hide_default_value = true)]
    prefix: String,

    /// Make the bucket where it is not there
    #[arg(long, requires = "bucket")]
    create_bucket: bool,

    /// The role by which VM Import reads it [default: vmimport]
    #[arg(long, value_name = "NAME", requires = "bucket")]
    role_name: Option<String>,
}

impl Way {
    /// Which.
    pub(super) fn route(&self) -> Route {
        self.route
    }

    /// Where a bundle goes, and whether its bucket is to be made.
    pub(super) fn into_bundle(self) -> Result<(Location, bool), Usage> {
        let bucket = self.bucket.unwrap_or_default();
        let location = Location::new(&bucket, &self.prefix);
        let location = location.map_err(|e: S3Error| Usage::new(e.to_string()))?;
        Ok((location, self.create_bucket))
    }

    /// The options of an import, if that is the way. Flags of the other way are refused.
    pub(super) fn into_import(
        self,
        known: &OfImage,
        shape: &Shape,
    ) -> Result<Option<ImportOptions>, Usage> {
        match (self.route, self.bucket) {
            (Route::Ebs, None) => Ok(None),
            (Route::Import, Some(bucket)) => {
                if let Some(flag) = known.of_blocks().or_else(|| shape.of_blocks()) {
                    return Err(Usage::with_help(
                        format!(
                            "{flag} is of blocks that are sent one by one, and VM Import takes all"
                        ),
                        "leave it out, or the route",
                    ));
                }
                let location = Location::new(&bucket, &self.prefix);
                Ok(Some(ImportOptions {
                    location: location.map_err(|e: S3Error| Usage::new(e.to_string()))?,
                    create_bucket: self.create_bucket,
                    role_name: self.role_name,
                    format: DiskFormat::default(),
                }))
            }
            (Route::Bundle, _) => Err(Usage::with_help(
                "a bundle is no snapshot",
                "`upload-bundle` sends one, and `push` makes an AMI of it",
            )),
            (_, _) => Err(Usage::new(
                "--bucket is for --route import and, of push, bundle",
            )),
        }
    }
}

/// The image, which may be a VHD, and what it is.
pub(super) fn open(path: &Path) -> anyhow::Result<(Arc<dyn ReadAt>, DiskFormat)> {
    let reading = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(reading)?;
    if file.metadata().with_context(reading)?.is_dir() {
        anyhow::bail!("{} is a folder, and no disk image", path.display());
    }
    let image = FileAt::new(file).with_context(reading)?;
    let format = match inspect::not_raw(&image).with_context(reading)? {
        None => DiskFormat::Raw,
        Some(what) if what.starts_with("a VHD ") => DiskFormat::Vhd,
        Some(what) => anyhow::bail!("{} is {what}, neither raw nor a VHD", path.display()),
    };
    if image.is_empty() {
        anyhow::bail!("{} is empty", path.display());
    }
    Ok((Arc::new(image), format))
}

/// Tells what came of it.
pub(super) fn told(made: &Imported, quiet: bool, json: bool) -> anyhow::Result<()> {
    if !quiet {
        let Imported {
            snapshot_id,
            region,
            task_id,
            sent,
            retried,
        } = made;
        let mut text = format!(
            "{snapshot_id} in {region}, made by {task_id}: {} sent",
            sizes::human(*sent)
        );
        if *retried > 0 {
            text.push_str(&format!(", {retried} requests retried"));
        }
        exit::complain(&(text + "\n"));
    }
    if json {
        return exit::print_json(made);
    }
    exit::print(&format!("{}\n", made.snapshot_id))
}
