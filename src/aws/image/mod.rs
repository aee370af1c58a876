//! A snapshot, or a bundle in S3, becomes an AMI; then it is copied, shared and published.
//!
//! ```text
//! register ──► wait ──► copy ──► share ──► publish
//! RegisterImage  │   CopyImage     │     deprecation, protection, SSM parameter
//!        DescribeImages      launch permissions
//! ```
//!
//! RegisterImage takes no client token. An AMI is known again by its name and by the tag `diskwright:digest`: a
//! digest of what it holds and of how it was registered ([`Registration::digest`]).

mod check;
mod copy;
mod derived;
mod device;
mod error;
mod find;
mod kinds;
mod name;
mod of;
mod publish;
mod register;
mod registration;
mod remove;
mod share;
mod wait;

pub(in crate::aws) use check::tags as check_tags;
pub use copy::{Destination, check_destinations, copy};
pub use derived::Derived;
pub use device::{Device, DeviceKind, Volume};
pub use error::ImageError;
pub use find::find;
pub use kinds::{Architecture, BootMode, Virtualization, VolumeType};
pub(in crate::aws) use name::{Piece, pieces};
pub use of::{of_manifest, of_snapshot};
pub(in crate::aws) use publish::restore;
pub use publish::{Protection, Publication, parse_date, publish};
pub use register::register;
pub use registration::{Registration, Source};
pub(in crate::aws) use remove::{deregister, remove, remove_unanswered};
pub use share::{Sharing, share};
pub use wait::wait;

use serde::Serialize;

/// The tag with the digest of what an AMI is ([`Registration::digest`]), in hexadecimal digits; of a snapshot, with
/// the client token that it was started with. By it diskwright knows what is its own.
pub const DIGEST_TAG: &str = "diskwright:digest";
/// The tag with a random number of the run that made the AMI: by it, what was made is found when the answer that
/// names it is lost.
pub const RUN_TAG: &str = "diskwright:run";

/// An AMI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// `ami-…`.
    pub image_id: String,
    /// Where it is.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Whether it was there already.
    pub existed: bool,
    /// Its snapshots, that of its root first in most cases; none for a bundle.
    pub snapshot_ids: Vec<String>,
    /// Whether one of them is encrypted.
    pub encrypted: bool,
    /// Its description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its tags, by key.
    #[serde(skip)]
    pub tags: Vec<(String, String)>,
}
