//! Why something is not in S3, and how to mend it.

use crate::aws::AwsError;
use std::io;

/// Why something is not in S3.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// AWS says no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// More than S3 takes in the parts of one object.
    #[error("{len} bytes are more than S3 takes as one object, which is {most}")]
    TooLarge {
        /// Of the object.
        len: u64,
        /// 10,000 parts of 5 GiB.
        most: u64,
    },
    /// What is to be sent cannot be read.
    #[error("cannot read what is to be sent")]
    Read(#[from] io::Error),
    /// A name that S3 does not take.
    #[error("{what} `{name}`: {why}")]
    Name {
        /// What it is of.
        what: &'static str,
        /// As given.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such bucket.
    #[error("there is no bucket {bucket}")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// It could not be made: names are one space for all accounts.
    #[error("a bucket {bucket} exists, and it is not this account's")]
    Taken {
        /// Its name.
        bucket: String,
    },
    /// Images are registered where their bucket is.
    #[error("the bucket {bucket} is in {region}, and what comes of it is to be in {wanted}")]
    Elsewhere {
        /// Its name.
        bucket: String,
        /// Where it is.
        region: String,
        /// Where it should be.
        wanted: String,
    },
    /// The bucket takes no ACL, and EC2 reads a bundle by one.
    #[error("the bucket {bucket} takes no ACLs (BucketOwnerEnforced), and `{acl}` is one")]
    NoAcls {
        /// Its name.
        bucket: String,
        /// The ACL that was to be set.
        acl: &'static str,
    },
    /// EC2 cannot read what another key encrypts.
    #[error("the bucket {bucket} encrypts by default with {algorithm}, and EC2 cannot read that")]
    Encrypts {
        /// Its name.
        bucket: String,
        /// `aws:kms` or `aws:kms:dsse`.
        algorithm: String,
    },
    /// A bundle of that name is there, and it is another.
    #[error("{place} exists already and is another; say `--force` to replace the bundle")]
    Exists {
        /// The manifest.
        place: String,
    },
    /// A part that is not what the manifest says.
    #[error("the part {name} is damaged: its SHA-1 is not the manifest's; bundle the image again")]
    Damaged {
        /// Its name.
        name: String,
    },
    /// A part that is longer than any.
    #[error("the part {name} has more than {most} bytes")]
    TooLong {
        /// Its name.
        name: String,
        /// As many as a part may have.
        most: u64,
    },
}

impl S3Error {
    /// How to mend it, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Aws(aws) => return aws.help(),
            Self::NoBucket { .. } => {
                "look at its name, or say --create-bucket to make it in this region".into()
            }
            Self::Taken { .. } => "choose another name, or use the keys of its account".into(),
            Self::Elsewhere { region, .. } => {
                format!("say --region {region}, or name a bucket of the other region")
            }
            Self::NoAcls { bucket, .. } => format!(
                "aws s3api put-bucket-ownership-controls --bucket {bucket} \
                 --ownership-controls 'Rules=[{{ObjectOwnership=BucketOwnerPreferred}}]', or --acl private"
            ),
            Self::Encrypts { bucket, .. } => format!(
                "aws s3api delete-bucket-encryption --bucket {bucket}: its objects are then encrypted with S3's \
                 own key, which EC2 reads"
            ),
            _ => return None,
        })
    }
}
