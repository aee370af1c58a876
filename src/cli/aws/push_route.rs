//! The three ways by which `push` brings an image to AWS.

use super::ami_shape::{self, Of};
use super::snapshot_import::{Route, Way};
use super::snapshot_shape::{self, OfImage};
use super::upload_bundle::made_on_the_way;
use crate::cli::bundle_input::Input;
use crate::cli::exit::Usage;
use crate::cli::packing::{self, Job as Packing, KeyFiles, Signing};
use crate::cli::progress::Progress;
use crate::cli::spooled;
use anyhow::Context;
use diskwright::archive::{Options, Origin, Rootfs};
use diskwright::aws::Aws;
use diskwright::aws::image::{Architecture, Derived};
use diskwright::aws::push::{Building, BuildingError, Inputs, PushError, push};
use diskwright::aws::s3::{Acl, BundleOptions, Location, Uploaded};
use diskwright::aws::snapshot::{
    ImportOptions, Imported, Snapshot, SnapshotOptions, import, snapshot,
};
use diskwright::bundle::{Arch, Options as BundleShape};
use diskwright::image::{Size, Spec};
use diskwright::inspect;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::sink::blocks::Digest;
use diskwright::units::GIB;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What lies at AWS now.
#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sent {
    /// A snapshot whose blocks were sent.
    Snapshot(Box<Snapshot>),
    /// One that AWS made of an object.
    Import(Imported),
    /// A bundle in S3.
    Bundle(Uploaded),
}

/// An image at AWS, and what an AMI of it is to be.
pub(super) struct Came {
    pub(super) sent: Sent,
    pub(super) of: Of,
    pub(super) derived: Derived,
    pub(super) content: Option<Digest>,
}

/// What is pushed.
pub(super) struct What<'a> {
    pub(super) input: Input,
    pub(super) origins: &'a [Origin],
    /// As the files were before they were opened.
    pub(super) inputs: Inputs<'a>,
    pub(super) reading: Options,
    pub(super) spec: Spec,
    /// Folder for what must lie on a disk meanwhile.
    pub(super) spool: PathBuf,
}

impl<'a> What<'a> {
    /// What an image is called in messages.
    fn path(&self) -> &'a Path {
        self.origins.first().map_or(Path::new("-"), |o| o.path())
    }
}

/// Which way it goes.
pub(super) enum By {
    Blocks {
        known: OfImage,
        options: SnapshotOptions,
    },
    Import {
        way: ImportOptions,
        options: SnapshotOptions,
    },
    Bundle {
        to: Location,
        create_bucket: bool,
        shape: Box<BundleShape>,
        keys: Box<KeyFiles>,
    },
}

impl By {
    /// The way that the flags name.
    pub(super) fn new(
        way: Way,
        (known, shape): (OfImage, &snapshot_shape::Shape),
        (options, len): (SnapshotOptions, u64),
        (signing, ami, name): (&Signing, &ami_shape::Shape, &str),
        observer: &Progress,
    ) -> anyhow::Result<Self> {
        if way.route() != Route::Bundle && !signing.is_silent() {
            let help = "leave them out, or say --route bundle";
            return Err(Usage::with_help("account and keys are for bundles", help).into());
        }
        if way.route() == Route::Bundle {
            let flag = known.of_blocks().or_else(|| shape.of_blocks());
            if let Some(flag) = flag.or_else(|| shape.of_encryption()) {
                return Err(Usage::new(format!("{flag} is for snapshots, not for bundles")).into());
            }
            let (to, create_bucket) = way.into_bundle()?;
            let (arch, kernel, ramdisk) = ami.of_bundle();
            let shape = BundleShape {
                arch: match arch {
                    None | Some(Architecture::X86_64) => Arch::default(),
                    Some(other) => other.word().parse().map_err(|e| packing::usage_of(&e))?,
                },
                kernel,
                ramdisk,
                ..signing.options(name)?
            };
            shape.check().map_err(|e| packing::usage_of(&e))?;
            return Ok(Self::Bundle {
                to,
                create_bucket,
                shape: Box::new(shape),
                keys: Box::new(signing.keys(observer)?),
            });
        }
        options.check(len).map_err(|e| Usage::new(e.to_string()))?;
        Ok(match way.into_import(&known, shape)? {
            Some(way) => Self::Import { way, options },
            None => Self::Blocks { known, options },
        })
    }

    /// Brings it to AWS; under [`Aws::run`].
    pub(super) async fn send(
        self,
        aws: &Aws,
        what: What<'_>,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<Came> {
        match self {
            Self::Blocks { known, options } => blocks(aws, what, &known, &options, progress).await,
            Self::Import { way, options } => imported(aws, what, &way, &options, progress).await,
            Self::Bundle {
                to,
                create_bucket,
                shape,
                keys,
            } => bundled(aws, what, (&to, create_bucket), *shape, *keys, progress).await,
        }
    }
}

async fn blocks(
    aws: &Aws,
    what: What<'_>,
    known: &OfImage,
    options: &SnapshotOptions,
    progress: &Arc<Progress>,
) -> anyhow::Result<Came> {
    let path = what.path();
    let (snapshot, derived, content) = match what.input {
        Input::Rootfs(rootfs) => {
            known.refuse()?;
            let What {
                inputs,
                reading,
                spec,
                spool,
                ..
            } = what;
            // Of what is to be another one whatever is there, nobody asks.
            let content = match options.another {
                true => None,
                false => inputs
                    .digest(&reading, &spec, &**progress)
                    .context("cannot read what is to be pushed")?,
            };
            let len = match spec.size {
                Size::Bytes(len) => Some(len),
                Size::Fit => None,
            };
            let watch = Arc::clone(progress);
            let building = Building::start(*rootfs, spec, &spool, watch)?;
            let pushed = push(aws, building, len, content, options, &**progress).await;
            let (made, report) = pushed.map_err(plain)?;
            if let Some(path) = inputs.changed() {
                anyhow::bail!("{} was changed while it was read", path.display());
            }
            (made, Derived::of_report(&report), content)
        }
        Input::Image(file) => {
            let source = snapshot_shape::open_file(&file, path, known, &**progress)?;
            let derived = derived(&*source.image, path)?;
            let content = source.survey.digest();
            let made = snapshot(aws, &source, options, &**progress).await?;
            (made, derived, Some(content))
        }
        Input::Pipe(_) => return Err(pipe()),
    };
    let of = Of::Snapshot(snapshot.snapshot_id.clone(), Some(snapshot.volume_size));
    Ok(Came {
        sent: Sent::Snapshot(Box::new(snapshot)),
        of,
        derived,
        content: content.and_then(|content| options.identity(&content)),
    })
}

/// The error that it stands for, by which exit code and advice go.
fn plain(error: PushError) -> anyhow::Error {
    match error {
        PushError::Snapshot(e) => e.into(),
        PushError::Building(BuildingError::Build(e)) => e.into(),
        PushError::Building(e) => e.into(),
    }
}

async fn imported(
    aws: &Aws,
    what: What<'_>,
    way: &ImportOptions,
    options: &SnapshotOptions,
    progress: &Arc<Progress>,
) -> anyhow::Result<Came> {
    let path = what.path();
    let (image, derived): (Arc<dyn ReadAt>, Derived) = match what.input {
        Input::Rootfs(rootfs) => {
            let built = build(*rootfs, what.spec, what.spool, progress).await?;
            (Arc::new(built.image), Derived::of_report(&built.report))
        }
        Input::Image(file) => {
            let (image, derived) = looked_at(file, path)?;
            (Arc::new(image), derived)
        }
        Input::Pipe(_) => return Err(pipe()),
    };
    let size = image.len().div_ceil(GIB).max(1);
    let made = import(aws, &image, way, options, &**progress).await?;
    Ok(Came {
        of: Of::Snapshot(made.snapshot_id.clone(), Some(size)),
        sent: Sent::Import(made),
        derived,
        content: None,
    })
}

async fn bundled(
    aws: &Aws,
    what: What<'_>,
    (to, create_bucket): (&Location, bool),
    shape: BundleShape,
    keys: KeyFiles,
    progress: &Arc<Progress>,
) -> anyhow::Result<Came> {
    let derived = match &what.input {
        Input::Image(file) => {
            let file = file.try_clone().context("cannot look at the image")?;
            looked_at(file, what.path())?.1
        }
        Input::Rootfs(_) => Derived::of_spec(&what.spec),
        Input::Pipe(_) => return Err(pipe()),
    };
    let job = Packing {
        options: shape,
        input: what.input,
        spec: what.spec,
        spool: what.spool,
    };
    let options = BundleOptions {
        acl: Acl::AwsExecRead,
        create_bucket,
        force: false,
    };
    let uploaded = made_on_the_way(aws, job, keys, to, options, progress).await?;
    Ok(Came {
        of: Of::Bundle(uploaded.image_location.clone()),
        sent: Sent::Bundle(uploaded),
        derived,
        content: None,
    })
}

async fn build(
    mut rootfs: Rootfs,
    spec: Spec,
    spool: PathBuf,
    progress: &Arc<Progress>,
) -> anyhow::Result<spooled::Spooled> {
    let progress = Arc::clone(progress);
    let building =
        tokio::task::spawn_blocking(move || spooled::build(&mut rootfs, &spec, &spool, &*progress));
    building.await.context("the build ended early")?
}

fn looked_at(file: File, path: &Path) -> anyhow::Result<(FileAt, Derived)> {
    let image = FileAt::new(file).with_context(|| format!("cannot read {}", path.display()))?;
    let derived = derived(&image, path)?;
    Ok((image, derived))
}

fn derived(image: &dyn ReadAt, path: &Path) -> anyhow::Result<Derived> {
    let info = inspect::info(image);
    let info = info.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Derived::of_info(&info))
}

fn pipe() -> anyhow::Error {
    anyhow::anyhow!("a disk image on standard input: write it to a file first, and push that")
}
