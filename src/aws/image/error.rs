//! Why there is no AMI, or not as it was wanted.

use crate::aws::AwsError;
use crate::aws::snapshot::SnapshotError;
use crate::bundle::ManifestError;

/// Why there is no AMI, or not as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// AWS says no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The snapshot cannot be looked at.
    #[error(transparent)]
    Look(#[from] SnapshotError),
    /// What should be a manifest is none.
    #[error("s3://{location} is no manifest of a bundle")]
    Manifest {
        /// `bucket/key`.
        location: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A value that AWS would refuse; found before anything is sent.
    #[error("{what} `{value}`: {why}")]
    Value {
        /// What it is for.
        what: &'static str,
        /// As given.
        value: String,
        /// What would be right.
        why: String,
    },
    /// Values that AWS refuses together; found before anything is sent.
    #[error("{0}")]
    Pair(String),
    /// The snapshot is not one to start from.
    #[error("snapshot {id} is {state}: an AMI needs a completed one")]
    Snapshot {
        /// `snap-…`.
        id: String,
        /// What EC2 says.
        state: String,
    },
    /// Less than the snapshot holds.
    #[error("a root volume of {asked} GiB is smaller than {id}, which has {needed} GiB")]
    TooSmall {
        /// GiB as asked for.
        asked: u64,
        /// GiB of the snapshot.
        needed: u64,
        /// `snap-…`.
        id: String,
    },
    /// The name is in use.
    #[error("the name {name:?} belongs to {id} in {region} already, which {why}")]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        id: String,
        /// Where.
        region: String,
        /// Why that one will not do.
        why: String,
    },
    /// The name is in use by an AMI that cannot be seen.
    #[error("AWS says that the name {name:?} is taken in {region}, and shows no AMI of that name")]
    NameHidden {
        /// The name.
        name: String,
        /// Where.
        region: String,
    },
    /// AWS could not make it.
    #[error("{id} in {region} is {state}: {reason}")]
    Failed {
        /// `ami-…`.
        id: String,
        /// Where.
        region: String,
        /// What EC2 says.
        state: String,
        /// Why, if it says so.
        reason: String,
    },
    /// The account makes no AMI public.
    #[error("the account blocks public AMIs in {region}")]
    PublicBlocked {
        /// Where.
        region: String,
    },
    /// AWS takes longer than the limit.
    #[error("{id} in {region} is still pending after {minutes} minutes")]
    NeverAvailable {
        /// `ami-…`.
        id: String,
        /// Where.
        region: String,
        /// Since it was waited for.
        minutes: u64,
    },
}

impl ImageError {
    /// A value that AWS would refuse, and what it takes.
    pub(super) fn refused(what: &'static str, value: &str, takes: &str) -> Self {
        Self::Value {
            what,
            value: value.to_owned(),
            why: format!("it is one of {takes}"),
        }
    }

    pub(super) fn value(
        what: &'static str,
        value: &(impl ToString + ?Sized),
        why: impl Into<String>,
    ) -> Self {
        Self::Value {
            what,
            value: value.to_string(),
            why: why.into(),
        }
    }

    /// Whether it is a mistake in what was asked for, found before anything was sent.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Value { .. } | Self::Pair(_))
    }

    /// Whether the other side decided it.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Aws(aws) => aws.is_remote(),
            Self::Snapshot { .. }
            | Self::NameTaken { .. }
            | Self::NameHidden { .. }
            | Self::Failed { .. }
            | Self::PublicBlocked { .. }
            | Self::NeverAvailable { .. } => true,
            Self::Look(look) => AwsError::of(look).is_some_and(AwsError::is_remote),
            Self::Value { .. } | Self::Pair(_) | Self::TooSmall { .. } | Self::Manifest { .. } => {
                false
            }
        }
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Aws(aws) => aws.help(),
            Self::Look(look) => AwsError::of(look).and_then(AwsError::help),
            Self::Manifest { .. } => {
                Some("say the path of the manifest that upload-bundle wrote".into())
            }
            Self::NameTaken { .. } => {
                Some("say another --name, or deregister that AMI first".into())
            }
            Self::NameHidden { .. } => Some(
                "say another --name: a name stays taken for a while after its AMI is gone".into(),
            ),
            Self::PublicBlocked { region } => Some(format!(
                "if it is to be public: aws ec2 disable-image-block-public-access --region {region}; it takes some \
                 minutes"
            )),
            Self::NeverAvailable { .. } => Some("say a longer --wait".into()),
            _ => None,
        }
    }
}
