//! A bucket, and whether it will do.

use super::{Location, S3Error};
use crate::aws::{Aws, AwsError, Call, Kind, Made};
use crate::observe::Observer;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, ObjectCannedAcl, ObjectOwnership,
    ServerSideEncryption,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use std::time::{Duration, Instant};

/// For so long a new bucket may be unknown.
pub(super) const SETTLING: Duration = Duration::from_secs(30);
/// The region that no bucket may name ("CreateBucket", `LocationConstraint`).
const NAMELESS: &str = "us-east-1";

/// Who may read an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acl {
    /// EC2, which starts instances from it.
    #[default]
    AwsExecRead,
    /// Everybody.
    PublicRead,
    /// Whom the bucket's policy allows: no ACL is set.
    Private,
}

impl Acl {
    /// As S3 has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AwsExecRead => "aws-exec-read",
            Self::PublicRead => "public-read",
            Self::Private => "private",
        }
    }

    pub(super) fn canned(self) -> Option<ObjectCannedAcl> {
        match self {
            Self::AwsExecRead => Some(ObjectCannedAcl::AwsExecRead),
            Self::PublicRead => Some(ObjectCannedAcl::PublicRead),
            Self::Private => None,
        }
    }
}

/// What a bucket is needed for.
#[derive(Clone, Copy, Debug)]
pub struct BucketOptions {
    /// The ACL of its objects.
    pub acl: Acl,
    /// Make it where it is not there.
    pub create: bool,
    /// Whether what it encrypts with a key of KMS can be read where it is to be read.
    pub kms: bool,
}

/// A bucket that will do.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(super) name: String,
    pub(super) acl: Acl,
    /// When, if it was made just now.
    pub(super) made: Option<Instant>,
}

/// What HeadBucket says.
enum Found {
    Here,
    Elsewhere(String),
    Absent,
}

/// Looks whether the bucket is there, in this region, and lets objects be put as they must be; makes it, if
/// that is asked for. What the keys in use may not look at is taken for good. To be run under [`Aws::run`].
///
/// # Errors
/// What is wrong with the bucket.
pub async fn prepare(
    aws: &Aws,
    location: &Location,
    options: BucketOptions,
    observer: &dyn Observer,
) -> Result<Bucket, S3Error> {
    let name = location.bucket().to_owned();
    let mut bucket = Bucket {
        name: name.clone(),
        acl: options.acl,
        made: None,
    };
    match bucket.look(aws).await? {
        Found::Here => {}
        Found::Elsewhere(region) => {
            return Err(S3Error::Elsewhere {
                bucket: name,
                region,
                wanted: aws.region().to_owned(),
            });
        }
        Found::Absent if options.create => {
            bucket.create(aws).await?;
            observer.note(&format!("made the bucket {name} in {}", aws.region()));
            return Ok(bucket);
        }
        Found::Absent => return Err(S3Error::NoBucket { bucket: name }),
    }
    if options.acl.canned().is_some() && bucket.is_enforced(aws).await? {
        let acl = options.acl.word();
        return Err(S3Error::NoAcls { bucket: name, acl });
    }
    if !options.kms
        && let Some(algorithm) = bucket.kms(aws).await?
    {
        let bucket = name;
        return Err(S3Error::Encrypts { bucket, algorithm });
    }
    Ok(bucket)
}

fn region_of(response: &HttpResponse) -> Option<&str> {
    response.headers().get("x-amz-bucket-region")
}

impl Bucket {
    async fn look(&self, aws: &Aws) -> Result<Found, AwsError> {
        let here = |region: &str| region.is_empty() || region == aws.region();
        let request = async || {
            let answer = aws.s3().head_bucket().bucket(&self.name).send().await;
            // Not an error to be told: a HEAD has no body that would say more.
            let told = match &answer {
                Ok(found) => found.bucket_region().map(ToOwned::to_owned),
                Err(e) => e.raw_response().and_then(region_of).map(ToOwned::to_owned),
            };
            match (answer, told) {
                (_, Some(region)) if !here(&region) => Ok(Found::Elsewhere(region)),
                (Ok(_), _) => Ok(Found::Here),
                (Err(e), _) => match e.raw_response().map(|r| r.status().as_u16()) {
                    Some(404) => Ok(Found::Absent),
                    // It is there. What the matter is with the keys, an answer that has a body will say.
                    Some(400 | 403) => Ok(Found::Here),
                    _ => Err(e),
                },
            }
        };
        let call = Call::new("s3:ListBucket", &self.name);
        aws.call(&call, request).await
    }

    async fn create(&mut self, aws: &Aws) -> Result<(), S3Error> {
        let place = match aws.region() {
            NAMELESS => None,
            region => Some(
                CreateBucketConfiguration::builder()
                    .location_constraint(BucketLocationConstraint::from(region))
                    .build(),
            ),
        };
        // Buckets take no ACLs since April 2023, unless they are told to.
        let ownership = self
            .acl
            .canned()
            .map(|_| ObjectOwnership::BucketOwnerPreferred);
        let name = self.name.clone();
        aws.made(Made::Bucket { name });
        let request = async || {
            let request = aws.s3().create_bucket().bucket(&self.name);
            let request = request.set_create_bucket_configuration(place.clone());
            match request.set_object_ownership(ownership.clone()).send().await {
                // The answer to an earlier attempt was lost.
                Err(SdkError::ServiceError(e)) if e.err().is_bucket_already_owned_by_you() => {
                    Ok(())
                }
                answer => answer.map(drop),
            }
        };
        let call = Call::new("s3:CreateBucket", &self.name);
        let created = aws.call(&call, request).await;
        if let Err(AwsError::Refused { fault, .. }) = &created {
            let name = self.name.clone();
            aws.ledger().keep(&Made::Bucket { name });
            if fault.code.as_deref() == Some("BucketAlreadyExists") {
                let bucket = self.name.clone();
                return Err(S3Error::Taken { bucket });
            }
        }
        self.made = Some(Instant::now());
        Ok(created?)
    }

    /// Whether it takes no ACLs.
    async fn is_enforced(&self, aws: &Aws) -> Result<bool, AwsError> {
        let call = Call::new("s3:GetBucketOwnershipControls", &self.name);
        let request = || {
            aws.s3()
                .get_bucket_ownership_controls()
                .bucket(&self.name)
                .send()
        };
        let answer = told(aws.call(&call, request).await)?;
        let rules = answer.as_ref().and_then(|a| a.ownership_controls());
        Ok(rules.is_some_and(|controls| {
            let enforced = ObjectOwnership::BucketOwnerEnforced;
            controls
                .rules()
                .iter()
                .any(|rule| *rule.object_ownership() == enforced)
        }))
    }

    /// By which key of KMS it encrypts, if by one.
    async fn kms(&self, aws: &Aws) -> Result<Option<String>, AwsError> {
        let call = Call::new("s3:GetEncryptionConfiguration", &self.name);
        let request = || aws.s3().get_bucket_encryption().bucket(&self.name).send();
        let answer = told(aws.call(&call, request).await)?;
        let rules = answer
            .as_ref()
            .and_then(|a| a.server_side_encryption_configuration());
        let mut algorithms = rules
            .into_iter()
            .flat_map(|c| c.rules())
            .filter_map(|rule| {
                let default = rule.apply_server_side_encryption_by_default()?;
                Some(default.sse_algorithm())
            });
        let kms = algorithms.find(|a| **a != ServerSideEncryption::Aes256);
        Ok(kms.map(|a| a.as_str().to_owned()))
    }
}

/// A setting of a bucket; `None` where it is not set, is not ours to read, or unknown to the server.
fn told<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(e) if matches!(e.kind(), Some(Kind::Absent | Kind::Denied | Kind::Refused)) => Ok(None),
        Err(e) => Err(e),
    }
}
