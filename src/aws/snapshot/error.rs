//! Why there is no snapshot.

use super::options::MAX_GIBIBYTES;
use crate::aws::AwsError;
use crate::aws::s3::S3Error;
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
    /// S3 will not do.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// VM Import reads the object by a role.
    #[error("VM Import cannot take the role {role}: {message}")]
    Role {
        /// Its name.
        role: String,
        /// The bucket that it must read.
        bucket: String,
        /// What EC2 says.
        message: String,
    },
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

impl SnapshotError {
    /// Whether the other side decided it: neither the input nor this machine.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. } | Self::NeverCompleted { .. } | Self::Role { .. }
        )
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::S3(s3) => s3.help(),
            Self::Role { role, bucket, .. } => Some(format!(
                "make the role {role}: `diskwright iam-policy --route import --bucket {bucket}` prints with --document \
                 vmimport-trust who may take it, and with --document vmimport-policy what it may do; or name \
                 another with --role-name"
            )),
            _ => None,
        }
    }
}
