//! Records about an image: what it was made of, what is in it, who made it.
//!
//! | record | form | says |
//! |---|---|---|
//! | [`Manifest`] | JSON of our own | inputs, spec, every file with its digest, the image's figures |
//! | [`Sbom`] | SPDX 2.3, CycloneDX 1.6 | the packages that are installed |
//! | [`Statement`] | in-toto v1 with a SLSA v1 predicate | the image's digest, how and of what it was built |
//!
//! Each is deterministic: no clock, no host, no random number is in it. The same inputs, flags and version
//! give the same records.

mod cyclonedx;
mod files;
mod manifest;
mod spdx;
mod statement;
mod time;

pub use files::{FileRecord, Files};
pub use manifest::{ImageRecord, Manifest};
pub use statement::{BUILD_TYPE, Builder, Statement};

use crate::packages::Inventory;
use crate::seed::Seed;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Our name in records.
const TOOL: &str = env!("CARGO_PKG_NAME");
/// Our version in records.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where we come from.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// The form of a bill of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbomFormat {
    /// SPDX 2.3 (ISO/IEC 5962 is its 2.2.1), as JSON.
    Spdx,
    /// CycloneDX 1.6 (ECMA-424), as JSON.
    CycloneDx,
}

/// A software bill of materials.
#[derive(Clone, Copy, Debug)]
pub struct Sbom<'a> {
    /// What is installed.
    pub inventory: &'a Inventory,
    /// The time it bears, in seconds since 1970: the newest that the image shows.
    pub time: i64,
}

impl Sbom<'_> {
    /// The document. Its UUID derives from what it says.
    #[must_use]
    pub fn document(&self, format: SbomFormat) -> Value {
        let text = format!("{VERSION} {} {:?}", self.time, self.inventory);
        let seed = Seed::new(Sha256::digest(text).into());
        match format {
            SbomFormat::Spdx => spdx::document(self, seed.uuid("SPDX document")),
            SbomFormat::CycloneDx => cyclonedx::document(self, seed.uuid("CycloneDX document")),
        }
    }

    /// What to call the system.
    fn system(&self) -> &str {
        match self.inventory.os.id.as_str() {
            "" => "linux",
            id => id,
        }
    }
}
