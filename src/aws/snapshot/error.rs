//! Why there is no snapshot.

use super::options::MAX_GIBIBYTES;
use crate::aws::AwsError;
use crate::inspect::InspectError;
use std::io;

/// Tokens of snapshots that failed or were deleted, and that AWS still knows, before something else is wrong.
pub(super) const GENERATIONS: u32 = 5;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// AWS says no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The image cannot be read.
    #[error("cannot read the image")]
    Read(#[from] io::Error),
    /// Tags that AWS refuses.
    #[error("{why}")]
    Tags {
        /// Which, and why.
        why: String,
    },
    /// More than a volume holds.
    #[error("a volume of {gibibytes} GiB: {MAX_GIBIBYTES} GiB (64 TiB) are the most that EBS has")]
    TooLarge {
        /// As asked for.
        gibibytes: u64,
    },
    /// Less than the image needs.
    #[error("a volume of {gibibytes} GiB is smaller than the image, which needs {needed} GiB")]
    TooSmall {
        /// As asked for.
        gibibytes: u64,
        /// As the image needs.
        needed: u64,
    },
    /// AWS takes no such pair.
    #[error(
        "a snapshot with a parent is encrypted as its parent is: neither --encrypted nor --kms-key-id"
    )]
    ParentDecides,
    /// A block map of another snapshot.
    #[error("the block map is of snapshot {map}, the parent is {parent}")]
    OtherParent {
        /// Whose map it is.
        map: String,
        /// Whose it should be.
        parent: String,
    },
    /// Parent and child have blocks of different sizes.
    #[error("the parent's blocks have {parent} bytes, the snapshot's {child}")]
    BlockSizes {
        /// The parent's.
        parent: u64,
        /// The new snapshot's.
        child: u64,
    },
    /// What is on a snapshot is nothing that can be made out.
    #[error("cannot make out what is on {id}")]
    Look {
        /// `snap-…`.
        id: String,
        /// Why.
        source: InspectError,
    },
    /// AWS could not make a snapshot of the blocks.
    #[error("AWS failed to complete {id}: {message}")]
    Failed {
        /// `snap-…`.
        id: String,
        /// Why, if it says so.
        message: String,
    },
    /// AWS is not done after an hour.
    #[error("{id} is still pending after {minutes} minutes")]
    NeverCompleted {
        /// `snap-…`.
        id: String,
        /// Since it was said to be complete.
        minutes: u64,
    },
    /// Every token leads to a snapshot that failed.
    #[error(
        "AWS answers {GENERATIONS} requests for a new snapshot with ones that failed or are gone"
    )]
    Exhausted,
}
