//! S3: what a bucket must be like, and objects sent to it, many at a time.
//!
//! ```text
//! prepare ──► the bucket: region, ownership, encryption
//!    │
//!    ├─► BundleUpload: parts as they are made ──► the manifest, last
//!    └─► put_large: an object in parts
//! ```
//!
//! Every body goes with its `Content-MD5`, which every server of S3's protocol checks, and is in memory when it
//! is sent: [`IN_FLIGHT`] bytes at a time, however many requests the run's pace would allow.

mod bucket;
mod bundle;
mod each;
mod error;
mod location;
mod multipart;
mod object;

pub use bucket::{Acl, Bucket, BucketOptions, prepare};
pub use bundle::{
    BundleOptions, BundleUpload, PART_DIGITS, PartQueue, Parts, Uploaded, part_queue,
};
pub use error::S3Error;
pub use location::Location;
pub(in crate::aws) use multipart::abort;
pub use multipart::{Large, put_large};

/// Bytes of bodies that are in flight at once. A region's line to S3 is full with fewer.
pub const IN_FLIGHT: u64 = 64 << 20;
