//! `diskwright bundle`: the classic bundle of EC2.

use super::bundle_input::{self, Input};
use super::exit::{self, Code, Usage};
use super::progress::Progress;
use super::{pipeline, reading, shape, signals, sizes};
use anyhow::Context;
use diskwright::archive::{Origin, Rootfs};
use diskwright::bundle::{
    Arch, Bundle, Certificate, Folder, Keys, Mapping, OptionError, Options, PrivateKey, PublicKey,
    Source, pack,
};
use diskwright::image::{self, Spec};
use diskwright::observe::Observer;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::sink::raw::{RawFile, RawOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

const EXAMPLES: &str = "\
Examples:
  diskwright bundle disk.img -d bundles -u 123456789012 -c cert.pem -k pk.pem
  diskwright bundle rootfs.tar.zst -d bundles -p web -u 123456789012 -c cert.pem -k pk.pem --boot bios
  zstd -dc disk.img.zst | diskwright bundle - -d bundles -u 123456789012 -c cert.pem -k pk.pem

Certificate and key are your own; AWS need not know them:
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=me -keyout pk.pem -out cert.pem";

/// Heading of the flags that the manifest repeats.
const MANIFEST: &str = "Manifest";

/// Pack a disk image, or one made of a root filesystem, into an S3 bundle of EC2
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) reading: reading::Reading,

    /// Folder for the parts and the manifest
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    #[arg(required_unless_present = "spec")]
    destination: Option<PathBuf>,

    /// Number of the AWS account: twelve digits
    #[arg(short, long, value_name = "ACCOUNT", required_unless_present = "spec")]
    user: Option<String>,

    /// Your X.509 certificate, PEM or DER
    #[arg(short, long, value_name = "FILE", required_unless_present = "spec")]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    cert: Option<PathBuf>,

    /// Its private RSA key, PEM or DER, without a passphrase
    #[arg(
        short = 'k',
        long,
        value_name = "FILE",
        required_unless_present = "spec"
    )]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    privatekey: Option<PathBuf>,

    /// Name of the bundle's files [default: the image's, else `image`]
    #[arg(short, long, value_name = "NAME")]
    prefix: Option<String>,

    /// Region of EC2 whose public key is used
    #[arg(long, default_value = "us-east-1")]
    region: String,

    /// Certificate of who shall start the image instead, as of a cloud of your own
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ec2cert: Option<PathBuf>,

    /// Machine: x86_64 or i386 [default: x86_64]
    #[arg(short = 'r', long, help_heading = MANIFEST)]
    arch: Option<Arch>,

    /// Default kernel, as `diskwright aki` names it
    #[arg(long, value_name = "AKI", help_heading = MANIFEST)]
    kernel: Option<String>,

    /// Default initial RAM disk
    #[arg(long, value_name = "ARI", help_heading = MANIFEST)]
    ramdisk: Option<String>,

    /// Devices, as in ami=sda1,root=/dev/sda1,ephemeral0=sdb
    #[arg(
        short = 'B',
        long,
        value_name = "VIRTUAL=DEVICE,…",
        value_delimiter = ','
    )]
    #[arg(help_heading = MANIFEST)]
    block_device_mapping: Vec<Mapping>,

    /// Product codes
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', help_heading = MANIFEST)]
    productcodes: Vec<String>,

    /// Read flags from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) spec: Option<PathBuf>,

    #[command(flatten)]
    shape: shape::Shape,

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

fn bundle(args: Args, observer: &dyn Observer) -> anyhow::Result<(PathBuf, Bundle)> {
    let destination = needed(args.destination.as_deref(), "destination")?;
    // As the account is printed on AWS's pages: 1234-5678-9012.
    let user = needed(args.user.as_deref(), "user")?.replace('-', "");
    let given = args.prefix.as_deref();
    let mut options = Options {
        arch: args.arch.unwrap_or_default(),
        kernel: args.kernel.clone(),
        ramdisk: args.ramdisk.clone(),
        mappings: args.block_device_mapping.clone(),
        product_codes: args.productcodes.clone(),
        ..Options::new(given.unwrap_or("image"), &user).map_err(|e| usage(&e))?
    };
    options.check().map_err(|e| usage(&e))?;
    let keys = keys(&args, observer)?;
    let (origins, reading) = args.reading.into_origins(Some(destination))?;
    for origin in &origins {
        pipeline::refuse_inside(origin.path(), &destination.join(&options.prefix))?;
    }
    let input = bundle_input::open(&origins, &reading, "a bundle holds", observer)?;
    // As ec2-bundle-image, of the whole name: disk.img.part.0.
    if let (None, Input::Image(_), [Origin::Path(path)]) = (given, &input, &origins[..])
        && path.as_os_str() != "-"
        && let Some(name) = path.file_name()
    {
        options.prefix = name.to_string_lossy().into_owned();
        options
            .check()
            .map_err(|e| Usage::with_help(e.to_string(), "name the bundle with --prefix"))?;
    }
    let spec = args.shape.into_spec()?;
    let mut folder = Folder::create(destination, &options.prefix, args.force)?;
    let _guard = signals::guard(folder.temporary());

    let pack = |source: Source<'_>, options: &Options, folder: &mut Folder| {
        pack(source, options, &keys, folder, observer)
    };
    let bundle = match input {
        Input::Rootfs(mut rootfs) => {
            let image = build(&mut rootfs, &spec, destination, observer);
            let image = image.map_err(bundle_input::compressed_disk)?;
            if let Some(arm) = image.arch.filter(|arch| *arch == "arm64") {
                return Err(OptionError::Arch { arch: arm.into() }.into());
            }
            options.mtime = image.mtime;
            pack(Source::of_layout(&image.image), &options, &mut folder)?
        }
        Input::Image(file) => {
            refuse_shape(&spec)?;
            let meta = file.metadata().context("cannot look at the image")?;
            if meta.is_file() {
                (options.mode, options.mtime) = (meta.permissions().mode() & 0o7777, meta.mtime());
            }
            let source = Source::of_file(&file).context("cannot look at the image")?;
            pack(source, &options, &mut folder)?
        }
        Input::Pipe(reader) => {
            refuse_shape(&spec)?;
            options.mtime = spec.source_date_epoch.unwrap_or_default();
            let file = bundle_input::spool(reader, destination, observer)?;
            let source = Source::of_file(&file).context("cannot look at the image")?;
            pack(source, &options, &mut folder)?
        }
    };
    Ok((folder.finish(&bundle)?, bundle))
}

fn needed<'a, T: ?Sized>(value: Option<&'a T>, name: &str) -> Result<&'a T, Usage> {
    value.ok_or_else(|| Usage::new(format!("neither the flags nor the spec file have `{name}`")))
}

fn usage(e: &OptionError) -> Usage {
    Usage::new(e.to_string())
}

/// The keys, and what is odd about their certificates.
fn keys(args: &Args, observer: &dyn Observer) -> anyhow::Result<Keys> {
    let private = PrivateKey::open(needed(args.privatekey.as_deref(), "privatekey")?)?;
    let user = certificate(needed(args.cert.as_deref(), "cert")?, observer)?;
    let ec2 = match &args.ec2cert {
        Some(path) => certificate(path, observer)?,
        None => PublicKey::ec2(&args.region).map_err(|e| usage(&e))?,
    };
    private.belongs_to(&user)?;
    Ok(Keys { private, user, ec2 })
}

fn certificate(path: &Path, observer: &dyn Observer) -> anyhow::Result<PublicKey> {
    let certificate = Certificate::open(path)?;
    if let Some(remark) = certificate.remark(SystemTime::now()) {
        observer.warn(&format!(
            "the certificate {} {remark}; EC2 does not look at its dates",
            path.display()
        ));
    }
    Ok(certificate.key)
}

/// Flags that say what an image should be like are for one that is made here.
pub(super) fn refuse_shape(spec: &Spec) -> Result<(), Usage> {
    let told = Spec {
        source_date_epoch: None,
        grub: Vec::new(),
        ..spec.clone()
    };
    if told == Spec::default() {
        return Ok(());
    }
    Err(Usage::with_help(
        "flags that shape an image are for one made of a root filesystem, and the input is an image already",
        "leave them out, or give the root filesystem",
    ))
}

/// An image whose file data lies in a file without a name.
struct Spooled {
    image: image::Image,
    arch: Option<&'static str>,
    mtime: i64,
}

fn build(
    rootfs: &mut Rootfs,
    spec: &Spec,
    folder: &Path,
    observer: &dyn Observer,
) -> anyhow::Result<Spooled> {
    // Never finished: it goes when it is dropped.
    let options = RawOptions {
        force: true,
        sync: false,
    };
    let mut spool = RawFile::create(&folder.join(".diskwright-spool"), options)?;
    let _guard = spool.temporary().map(signals::guard);
    let built = image::build(rootfs, spec, spool.spool(), observer)?;
    built.image.verify()?;
    spool.end_at(built.image.size())?;
    let file = spool.file().try_clone().context("cannot read the spool")?;
    let data: Arc<dyn ReadAt> = Arc::new(FileAt::new(file).context("cannot read the spool")?);
    let newest = built.image.filesystem().tree().newest().unwrap_or_default();
    Ok(Spooled {
        mtime: spec.source_date_epoch.unwrap_or(newest.sec),
        arch: built.report.arch,
        image: built.image.with_data(&data),
    })
}
