//! What a bundle is told to say.

use super::cipher::{BLOCK, Secret};
use super::parts::PART_SIZE;
use super::tar::MAX_NAME;
use crate::units::{GIB, count};
use std::num::NonZeroUsize;

/// The largest image that EC2 takes: "the root device volume of an S3-backed AMI is at most 10 GiB", and
/// the limit of ec2-bundle-image.
pub const MAX_IMAGE: u64 = 10 * GIB;

/// Why a value cannot stand in a manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionError {
    /// Its text.
    #[error("{what} `{value}`: {why}")]
    Value {
        /// What it is for.
        what: &'static str,
        /// What was given.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
    /// No S3-backed AMI is for this machine.
    #[error(
        "EC2 starts no bundle of {arch}: instances with their root in S3 are x86_64 and i386 alone \
         (C1 to X1, Xen); make a snapshot of the image instead"
    )]
    Arch {
        /// The machine.
        arch: String,
    },
    /// Nobody published EC2's key there.
    #[error(
        "no public key of EC2 is known here for a region {region:?}: correct `--region`, or name the certificate \
         with `--ec2cert`"
    )]
    Region {
        /// The region.
        region: String,
    },
}

fn refused<T>(what: &'static str, value: &str, why: &'static str) -> Result<T, OptionError> {
    let value = value.into();
    Err(OptionError::Value { what, value, why })
}

/// The machine that an image is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    #[default]
    X86_64,
    /// 32-bit x86.
    I386,
}

impl Arch {
    /// As the manifest has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
        }
    }
}

impl std::str::FromStr for Arch {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "x86_64" | "amd64" | "x86-64" => Ok(Self::X86_64),
            "i386" | "i686" => Ok(Self::I386),
            _ => Err(OptionError::Arch { arch: text.into() }),
        }
    }
}

/// A device that the instance sees, `virtual=device`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// `ami`, `root`, `swap` or `ephemeral0` and so on.
    pub virtual_name: String,
    /// `sda`, `/dev/sda1`.
    pub device: String,
}

impl std::str::FromStr for Mapping {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let what = "block device mapping";
        let Some((name, device)) = text.split_once('=') else {
            return refused(
                what,
                text,
                "it has the form VIRTUAL=DEVICE, as in ephemeral0=sdb",
            );
        };
        let number = name.strip_prefix("ephemeral");
        let ephemeral =
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if !matches!(name, "ami" | "root" | "swap") && !ephemeral {
            return refused(
                what,
                text,
                "virtual devices are ami, root, swap and ephemeralN",
            );
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'/';
        if device.is_empty() || !device.bytes().all(legal) {
            return refused(what, text, "a device is one like sda2 or /dev/sda2");
        }
        Ok(Self {
            virtual_name: name.into(),
            device: device.into(),
        })
    }
}

/// Whom the manifest names as its maker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundler {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its release.
    pub release: String,
}

impl Default for Bundler {
    fn default() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").into(),
            version: concat!(
                env!("CARGO_PKG_VERSION_MAJOR"),
                ".",
                env!("CARGO_PKG_VERSION_MINOR")
            )
            .into(),
            release: env!("CARGO_PKG_VERSION_PATCH").into(),
        }
    }
}

/// How many digits the number of a part has in its name, `PREFIX.part.07`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digits {
    /// As many as the number of parts has: ec2-bundle-image's. Known when all are there.
    #[default]
    OfCount,
    /// So many at least, for who must name the first part before the last one exists.
    AtLeast(usize),
}

/// What the manifest says, and how the bundle is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the image and of every file of the bundle.
    pub prefix: String,
    /// Number of the AWS account, twelve digits.
    pub user: String,
    /// The machine.
    pub arch: Arch,
    /// Default kernel, `aki-…`.
    pub kernel: Option<String>,
    /// Default initial RAM disk, `ari-…`.
    pub ramdisk: Option<String>,
    /// Devices; written sorted by virtual name.
    pub mappings: Vec<Mapping>,
    /// Product codes of the marketplace.
    pub product_codes: Vec<String>,
    /// Permission bits of the image in its tar.
    pub mode: u32,
    /// Its time there, in seconds since 1970.
    pub mtime: i64,
    /// Its maker.
    pub bundler: Bundler,
    /// Names of the parts.
    pub digits: Digits,
    /// Bytes of a part, a multiple of 16. EC2 knows none but [`PART_SIZE`].
    pub part_size: u64,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// For tests: key and vector that are known. `None` makes new ones.
    pub secret: Option<Secret>,
}

impl Options {
    /// A machine image called `prefix`, of the account `user`.
    ///
    /// # Errors
    /// When one of them cannot stand in a manifest.
    pub fn new(prefix: &str, user: &str) -> Result<Self, OptionError> {
        let options = Self {
            prefix: prefix.into(),
            user: user.into(),
            arch: Arch::default(),
            kernel: None,
            ramdisk: None,
            mappings: Vec::new(),
            product_codes: Vec::new(),
            mode: 0o644,
            mtime: 0,
            bundler: Bundler::default(),
            digits: Digits::default(),
            part_size: PART_SIZE,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            secret: None,
        };
        options.check()?;
        Ok(options)
    }

    /// Whether all of it can stand in a manifest.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), OptionError> {
        let name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let prefix = self.prefix.as_str();
        // What ec2-upload-bundle and S3 keys take unquoted. A dot in front would hide the files.
        if prefix.is_empty() || !prefix.bytes().all(name) || prefix.starts_with(['.', '-']) {
            let why = "letters, digits, dots, dashes and underscores make a name, a letter or digit first";
            return refused("prefix", prefix, why);
        }
        if prefix.len() > MAX_NAME {
            return refused("prefix", prefix, "at most 100 bytes: the field of a tar");
        }
        if self.user.len() != 12 || !self.user.bytes().all(|b| b.is_ascii_digit()) {
            let why = "an AWS account number has twelve digits";
            return refused("user", &self.user, why);
        }
        for (what, id) in [("kernel", &self.kernel), ("ramdisk", &self.ramdisk)] {
            let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if let Some(id) = id
                && (id.is_empty() || !id.bytes().all(legal))
            {
                return refused(what, id, "an identifier like aki-919dcaf8 is needed");
            }
        }
        for code in &self.product_codes {
            if code.is_empty() || !code.bytes().all(name) {
                return refused("product code", code, "letters and digits make one");
            }
        }
        let names: Vec<_> = self.mappings.iter().map(|m| &m.virtual_name).collect();
        for (nr, name) in names.iter().enumerate() {
            if names[..nr].contains(name) {
                return refused("block device mapping", name, "it is mapped twice");
            }
        }
        let size = self.part_size;
        if size == 0 || !size.is_multiple_of(count(BLOCK)) || size > PART_SIZE {
            let why = "a multiple of 16, at most 10 MiB";
            return refused("part size", &size.to_string(), why);
        }
        Ok(())
    }

    /// Name of part `index`, from 0, of `count`. With [`Digits::AtLeast`], `count` does not matter.
    #[must_use]
    pub fn part_name(&self, index: usize, count: usize) -> String {
        let width = match self.digits {
            Digits::OfCount => count.to_string().len(),
            Digits::AtLeast(n) => n,
        };
        format!("{}.part.{index:0width$}", self.prefix)
    }

    /// Name of the manifest.
    #[must_use]
    pub fn manifest_name(&self) -> String {
        format!("{}.manifest.xml", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_ec2_bundle_image_does() {
        let mut options = Options::new("disk", "123456789012").unwrap();
        assert_eq!(options.part_name(0, 3), "disk.part.0");
        assert_eq!(options.part_name(3, 11), "disk.part.03");
        options.digits = Digits::AtLeast(4);
        assert_eq!(options.part_name(3, 11), "disk.part.0003");
        assert_eq!(options.manifest_name(), "disk.manifest.xml");
    }

    #[test]
    fn what_no_manifest_can_say_is_refused() {
        for prefix in [
            "",
            "a b",
            "a/b",
            "../a",
            ".hidden",
            "-x",
            "a&b",
            "\u{e9}",
            &"x".repeat(101),
        ] {
            assert!(Options::new(prefix, "123456789012").is_err(), "{prefix}");
        }
        for user in ["", "1234-5678-9012", "12345678901", "12345678901x"] {
            assert!(Options::new("disk", user).is_err(), "{user}");
        }
        let good = Options::new("disk", "123456789012").unwrap();
        let bad = [
            Options {
                kernel: Some("AKI<1>".into()),
                ..good.clone()
            },
            Options {
                product_codes: vec!["a,b".into()],
                ..good.clone()
            },
            Options {
                part_size: 10,
                ..good.clone()
            },
            Options {
                mappings: vec!["ami=sda".parse().unwrap(), "ami=sdb".parse().unwrap()],
                ..good.clone()
            },
        ];
        for options in bad {
            assert!(options.check().is_err(), "{options:?}");
        }
        for mapping in [
            "ami",
            "disk=sda",
            "ephemeral=sdb",
            "ephemeralx=sdb",
            "ami=",
            "root=/dev/<",
        ] {
            assert!(mapping.parse::<Mapping>().is_err(), "{mapping}");
        }
        assert!("arm64".parse::<Arch>().is_err());
    }
}
