//! The manifest, version 2007-10-10: what the bundle is, how to decrypt it, what its parts are.
//!
//! Written byte for byte as ec2-ami-tools writes it through REXML: `ec2-migrate-manifest` writes a manifest
//! anew before it checks the signature, which then must be of those bytes. Read in any form: those of
//! euca2ools have double quotes, and AWS's guide lets users indent theirs with xmllint.

mod read;
mod sign;
mod write;
mod xml;

pub(super) use read::MAX_SIZE;
pub use read::{ManifestError, Signed};
pub use sign::Signature;
pub use xml::XmlError;

use super::options::{Bundler, Mapping};
use super::parts::Sha1Digest;

/// The only version that EC2 takes.
const VERSION: &str = "2007-10-10";
/// As the manifest calls SHA-1.
const DIGEST: &str = "SHA1";
/// As it calls the cipher.
const CIPHER: &str = "AES-128-CBC";

/// A part, as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// Name of its file, without a folder.
    pub filename: String,
    /// Digest of its bytes.
    pub sha1: Sha1Digest,
}

/// Key and vector of the cipher, encrypted for somebody; empty where the manifest has none for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The key: its 32 hexadecimal digits, encrypted with RSA.
    pub key: Vec<u8>,
    /// The vector, likewise.
    pub iv: Vec<u8>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its maker.
    pub bundler: Bundler,
    /// `x86_64` or `i386`, or what its maker wrote there.
    pub architecture: String,
    /// Devices.
    pub mappings: Vec<Mapping>,
    /// Default kernel.
    pub kernel: Option<String>,
    /// Default initial RAM disk.
    pub ramdisk: Option<String>,
    /// Product codes.
    pub product_codes: Vec<String>,
    /// Name of the image.
    pub name: String,
    /// Number of the account.
    pub user: String,
    /// `machine`, `kernel` or `ramdisk`.
    pub kind: String,
    /// Digest of the tar.
    pub digest: Sha1Digest,
    /// Bytes of the image.
    pub size: u64,
    /// Bytes of all parts.
    pub bundled_size: u64,
    /// For EC2.
    pub ec2: Sealed,
    /// For the user.
    pub user_sealed: Sealed,
    /// The parts, in order.
    pub parts: Vec<PartInfo>,
}
