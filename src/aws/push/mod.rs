//! From a root filesystem to AMIs without an image file in between: blocks are sent while the archive is still
//! being read.
//!
//! ```text
//!  archive ──► image::build ──► FileSpool ── blocks ───────► snapshot::stream ──► release: register, copy,
//!                    └────────── the image ── the rest ─────────────┘                      share, publish
//! ```

mod building;
mod content;
mod release;

pub use building::{Building, BuildingError, Watch};
pub use content::Inputs;
pub use release::{Release, release};

use super::snapshot::{Feed, Snapshot, SnapshotError, SnapshotOptions, stream};
use super::{Aws, AwsError};
use crate::image::Report;
use crate::observe::Observer;
use crate::sink::blocks::Digest;

/// Why a root filesystem did not become a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// There is no image.
    #[error(transparent)]
    Building(#[from] BuildingError),
    /// There is no snapshot of it.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl From<AwsError> for PushError {
    fn from(e: AwsError) -> Self {
        Self::Snapshot(e.into())
    }
}

/// Makes a snapshot of an image that is being built. Of a disk of `len` bytes, where that is known at the start,
/// blocks are sent while the archive is being read; else when the image is built. `content` is a digest of what the
/// image is made of: see [`Inputs::digest`]. To be run under [`Aws::run`].
///
/// # Errors
/// When the image cannot be built, or AWS refuses or fails.
pub async fn push(
    aws: &Aws,
    mut building: Building,
    len: Option<u64>,
    content: Option<Digest>,
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<(Snapshot, Report), PushError> {
    let early = len.is_some();
    let len = match len {
        Some(len) => len,
        None => match building.size().await {
            Some(len) => len,
            None => {
                building.report().await?;
                return Err(BuildingError::Ended.into());
            }
        },
    };
    let made = {
        let feeds = || -> Box<dyn Feed> { Box::new(building.blocks(early)) };
        stream(aws, feeds, len, content, options, observer).await
    };
    match made {
        Ok(snapshot) => Ok((snapshot, building.report().await?)),
        // The build's own words say more than those of the feed, which ended with it.
        Err(e @ SnapshotError::Read(_)) => Err(match building.report().await {
            Err(failed) => failed.into(),
            Ok(_) => e.into(),
        }),
        Err(e) => Err(e.into()),
    }
}
