//! The classic bundle of EC2: an image as encrypted parts and a signed manifest, and back.
//!
//! ```text
//! image ─► tar with holes ─► gzip ─► AES-128-CBC ─► parts of 10 MiB
//!             └─ SHA-1 ─────────────┐  └─ key ─ RSA ──┐  └─ SHA-1 ─┐
//!                                   └─────────────────┴────────────┴─► manifest ─► signature
//! ```
//! What ec2-ami-tools and euca2ools made from 2006 on, and instances with their root in S3 (C1 to X1, Xen)
//! still start from; Eucalyptus too. Knows nothing of S3: [`pack`] gives parts to a [`PartSink`],
//! [`unpack`](fn@unpack) takes them from a [`PartSource`]; [`Folder`] and [`FolderParts`] are those on disk.
//!
//! ```no_run
//! use diskwright::bundle::{Certificate, Folder, Keys, Options, PrivateKey, PublicKey, Source, pack};
//! use diskwright::observe::Silent;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keys {
//!     private: PrivateKey::open("pk.pem".as_ref())?,
//!     user: Certificate::open("cert.pem".as_ref())?.key,
//!     ec2: PublicKey::ec2("eu-west-1")?,
//! };
//! let options = Options::new("disk", "123456789012")?;
//! let image = std::fs::File::open("disk.img")?;
//! let mut folder = Folder::create("bundles".as_ref(), &options.prefix, false)?;
//! let bundle = pack(Source::of_file(&image)?, &options, &keys, &mut folder, &Silent)?;
//! println!("{}", folder.finish(&bundle)?.display());
//! # Ok(())
//! # }
//! ```

mod cipher;
mod entropy;
mod folder;
pub(crate) mod gzip;
mod keys;
mod manifest;
mod options;
mod pack;
mod part_stream;
mod parts;
mod pem;
mod source;
mod tar;
mod unpack;
mod verify;

pub use cipher::Secret;
pub use folder::{Folder, FolderError};
pub use keys::{Certificate, KeyError, PrivateKey, PublicKey};
pub use manifest::{Manifest, ManifestError, PartInfo, Sealed, Signature, Signed, XmlError};
pub use options::{Arch, Bundler, Digits, MAX_IMAGE, Mapping, OptionError, Options};
pub use pack::{Bundle, Keys, PackError, pack};
pub use part_stream::{FolderParts, PartSource};
pub use parts::{PART_SIZE, Part, PartSink, Sha1Digest};
pub use source::Source;
pub use unpack::{UnpackError, unpack};
pub use verify::{Finding, verify};

use crate::units::index;
use std::io::{self, Read};
use std::path::Path;

/// Why a manifest in a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("{path} is no manifest of a bundle")]
    Manifest {
        /// Its path.
        path: std::path::PathBuf,
        /// Why.
        source: ManifestError,
    },
}

/// Reads a manifest from a file.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn open(path: &Path) -> Result<Signed, OpenError> {
    let fail = |source| OpenError::Read {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    let limit = manifest::MAX_SIZE;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > index(limit) {
        let why = "it has more than 8 MiB, and no manifest has";
        return Err(fail(io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    Signed::parse(&bytes).map_err(|source| OpenError::Manifest {
        path: path.into(),
        source,
    })
}
