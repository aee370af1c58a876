//! What becomes a bundle, and the bundling: what `bundle` and `upload-bundle` share.

use super::bundle_input::{self, Input};
use super::exit::Usage;
use super::{places, reading, shape, spooled};
use anyhow::Context;
use diskwright::archive::Origin;
use diskwright::bundle::{
    Arch, Bundle, Certificate, Keys, Mapping, OptionError, Options, PartSink, PrivateKey,
    PublicKey, Source, pack,
};
use diskwright::image::Spec;
use diskwright::observe::Observer;
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Heading of the flags that the manifest repeats.
const MANIFEST: &str = "Manifest";

/// Whose a bundle is, and by which keys
#[derive(Debug, clap::Args)]
pub(super) struct Signing {
    /// Number of the AWS account: twelve digits
    #[arg(short = 'u', long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// Your X.509 certificate, PEM or DER
    #[arg(short, long, value_name = "FILE")]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    cert: Option<PathBuf>,

    /// Its private RSA key, PEM or DER, without a passphrase
    #[arg(short = 'k', long, value_name = "FILE")]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    privatekey: Option<PathBuf>,

    /// Certificate of who shall start the image instead, as of a cloud of your own
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ec2cert: Option<PathBuf>,
}

impl Signing {
    /// Whether nothing is said.
    #[cfg(feature = "aws")]
    pub(super) fn is_silent(&self) -> bool {
        let files = [&self.cert, &self.privatekey, &self.ec2cert];
        self.account.is_none() && files.iter().all(|f| f.is_none())
    }

    /// For a bundle with no more said of it than whose it is.
    pub(super) fn options(&self, name: &str) -> Result<Options, Usage> {
        // As the account is printed on AWS's pages: 1234-5678-9012.
        let user = signing(self.account.as_deref(), "account")?.replace('-', "");
        Options::new(name, &user).map_err(|e| usage_of(&e))
    }

    /// The keys in files, and what is odd about their certificates.
    pub(super) fn keys(&self, observer: &dyn Observer) -> anyhow::Result<KeyFiles> {
        let private = PrivateKey::open(signing(self.privatekey.as_deref(), "privatekey")?)?;
        let user = certificate(signing(self.cert.as_deref(), "cert")?, observer)?;
        let ec2 = self.ec2cert.as_deref();
        let ec2 = ec2.map(|path| certificate(path, observer)).transpose()?;
        private.belongs_to(&user)?;
        Ok(KeyFiles { private, user, ec2 })
    }
}

/// What becomes a bundle, and what its manifest says
#[derive(Debug, clap::Args)]
pub(super) struct Packing {
    #[command(flatten)]
    pub(super) reading: reading::Reading,

    #[command(flatten)]
    signing: Signing,

    /// Name of the bundle's files [default: the image's, else `image`]
    #[arg(short, long, value_name = "NAME")]
    prefix: Option<String>,

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
}

/// The keys that files have.
pub(super) struct KeyFiles {
    private: PrivateKey,
    user: PublicKey,
    ec2: Option<PublicKey>,
}

impl KeyFiles {
    /// With EC2's of `region`, unless a file has another.
    pub(super) fn of_region(self, region: &str) -> Result<Keys, Usage> {
        let Self { private, user, ec2 } = self;
        let ec2 = match ec2 {
            Some(key) => key,
            None => PublicKey::ec2(region).map_err(|e| usage_of(&e))?,
        };
        Ok(Keys { private, user, ec2 })
    }
}

/// A bundle to be made.
pub(super) struct Job {
    pub(super) options: Options,
    pub(super) input: Input,
    pub(super) spec: Spec,
    /// Folder for what must lie on a disk meanwhile.
    pub(super) spool: PathBuf,
}

impl Packing {
    /// Whether nothing is said but what to read.
    #[cfg(feature = "aws")]
    pub(super) fn is_silent(&self) -> bool {
        let words = [&self.prefix, &self.kernel, &self.ramdisk];
        self.signing.is_silent()
            && words.iter().all(|w| w.is_none())
            && self.arch.is_none()
            && self.block_device_mapping.is_empty()
            && self.productcodes.is_empty()
    }

    /// What the manifest is to say.
    pub(super) fn options(&self) -> Result<Options, Usage> {
        let options = Options {
            arch: self.arch.unwrap_or_default(),
            kernel: self.kernel.clone(),
            ramdisk: self.ramdisk.clone(),
            mappings: self.block_device_mapping.clone(),
            product_codes: self.productcodes.clone(),
            ..self
                .signing
                .options(self.prefix.as_deref().unwrap_or("image"))?
        };
        options.check().map_err(|e| usage_of(&e))?;
        Ok(options)
    }

    /// The keys in files, and what is odd about their certificates.
    pub(super) fn keys(&self, observer: &dyn Observer) -> anyhow::Result<KeyFiles> {
        self.signing.keys(observer)
    }

    /// Opens the input. Nothing of it may lie where the bundle's files go: `beside`.
    pub(super) fn open(
        self,
        mut options: Options,
        spool: &Path,
        beside: Option<&Path>,
        observer: &dyn Observer,
    ) -> anyhow::Result<Job> {
        let (origins, reading) = self.reading.into_origins(Some(spool))?;
        let spec = self.shape.into_spec()?;
        if let Some(folder) = beside {
            let part = folder.join(&options.prefix);
            for origin in &origins {
                places::refuse_inside(origin.path(), &part)?;
            }
            places::refuse_customized(&spec.customize, &part)?;
        }
        let input = bundle_input::open(&origins, &reading, "a bundle holds", observer)?;
        // As ec2-bundle-image, of the whole name: disk.img.part.0.
        if let (None, Input::Image(_), [Origin::Path(path)]) = (&self.prefix, &input, &origins[..])
            && path.as_os_str() != "-"
            && let Some(name) = path.file_name()
        {
            options.prefix = name.to_string_lossy().into_owned();
            options
                .check()
                .map_err(|e| Usage::with_help(e.to_string(), "name the bundle with --prefix"))?;
        }
        Ok(Job {
            options,
            input,
            spec,
            spool: spool.into(),
        })
    }
}

impl Job {
    /// Makes the bundle; its parts go to `sink`.
    pub(super) fn pack(
        self,
        keys: &Keys,
        sink: &mut dyn PartSink,
        observer: &dyn Observer,
    ) -> anyhow::Result<Bundle> {
        let Self {
            mut options,
            input,
            spec,
            spool,
        } = self;
        let image = match input {
            Input::Rootfs(mut rootfs) => {
                let image = spooled::build(&mut rootfs, &spec, &spool, observer);
                let image = image.map_err(bundle_input::compressed_disk)?;
                if let Some(arm) = image.report.arch.filter(|arch| *arch == "arm64") {
                    return Err(OptionError::Arch { arch: arm.into() }.into());
                }
                options.mtime = image.mtime;
                let source = Source::of_layout(&image.image);
                return Ok(pack(source, &options, keys, sink, observer)?);
            }
            Input::Image(file) => {
                refuse_shape(&spec)?;
                let meta = file.metadata().context("cannot look at the image")?;
                if meta.is_file() {
                    options.mode = meta.permissions().mode() & 0o7777;
                    options.mtime = meta.mtime();
                }
                file
            }
            Input::Pipe(reader) => {
                refuse_shape(&spec)?;
                options.mtime = spec.source_date_epoch.unwrap_or_default();
                bundle_input::spool(reader, &spool, observer)?
            }
        };
        let source = Source::of_file(&image).context("cannot look at the image")?;
        Ok(pack(source, &options, keys, sink, observer)?)
    }
}

/// `--user` of ec2-bundle-image is the number of the account, which no user of an image is called.
pub(super) fn account_of_old(line: &mut [OsString]) {
    let verb = line.get(1).and_then(|verb| verb.to_str());
    if !matches!(verb, Some("bundle" | "upload-bundle" | "push")) {
        return;
    }
    let is_account = |value: &OsString| {
        value.to_str().is_some_and(|v| {
            v.starts_with(|c: char| c.is_ascii_digit())
                && v.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        })
    };
    for at in 2..line.len() {
        let value = line[at].to_str().and_then(|f| f.strip_prefix("--user="));
        let value = value.map(OsString::from).filter(&is_account);
        if line[at] == "--" {
            return;
        } else if line[at] == "--user" && line.get(at + 1).is_some_and(is_account) {
            line[at] = "--account".into();
        } else if let Some(value) = value {
            line[at] = "--account=".into();
            line[at].push(value);
        }
    }
}

pub(super) fn needed<'a, T: ?Sized>(value: Option<&'a T>, name: &str) -> Result<&'a T, Usage> {
    value.ok_or_else(|| Usage::new(format!("neither the flags nor the spec file have `{name}`")))
}

/// What no bundle can do without.
fn signing<'a, T: ?Sized>(value: Option<&'a T>, name: &str) -> Result<&'a T, Usage> {
    let missing = format!("neither the flags nor the spec file have `{name}`");
    let flags = "a bundle is signed: say -u ACCOUNT, -c CERT and -k KEY";
    value.ok_or_else(|| Usage::with_help(missing, flags))
}

/// What was asked for in the wrong words.
pub(super) fn usage_of(e: &OptionError) -> Usage {
    Usage::new(e.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_digits_is_the_account_of_a_bundle_alone() {
        let old = |text: &str| {
            let mut line: Vec<OsString> = text.split(' ').map(Into::into).collect();
            account_of_old(&mut line);
            line.join(" ".as_ref()).into_string().unwrap()
        };
        for (given, expected) in [
            (
                "d bundle --user 123456789012",
                "d bundle --account 123456789012",
            ),
            (
                "d push --user=1234-5678-9012",
                "d push --account=1234-5678-9012",
            ),
            ("d bundle --user lisa:1000", "d bundle --user lisa:1000"),
            ("d build --user 123456789012", "d build --user 123456789012"),
            ("d bundle -- --user 1", "d bundle -- --user 1"),
        ] {
            assert_eq!(old(given), expected);
        }
    }
}
