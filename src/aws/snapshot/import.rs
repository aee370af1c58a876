//! The other way to a snapshot: the image goes to S3, and AWS's service VM Import makes a snapshot of it.
//!
//! Slower than blocks sent to EBS, and it needs a bucket and a role; for networks over which S3 alone is
//! reached well, and for VHDs.

use super::{SnapshotError, SnapshotOptions};
use crate::aws::image::DIGEST_TAG;
use crate::aws::nonce::nonce;
use crate::aws::s3::{Acl, BucketOptions, Large, Location, prepare, put_large};
use crate::aws::{Aws, AwsError, Call, Kind, Made};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use aws_sdk_ec2::types::{
    ResourceType, SnapshotDiskContainer, SnapshotTaskDetail, Tag, TagSpecification, UserBucket,
};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long AWS may take: the largest image that was seen took hours.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How often it is asked, at first and later.
const LOOK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// What EC2 answers to a dry run that would be carried out.
const DRY_RUN: &str = "DryRunOperation";
/// The role that VM Import takes, unless it is told another.
pub const ROLE: &str = "vmimport";

/// What the object in S3 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFormat {
    /// The plain bytes of a disk.
    #[default]
    Raw,
    /// A VHD, of fixed or growing size.
    Vhd,
}

impl DiskFormat {
    /// As ImportSnapshot has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Vhd => "VHD",
        }
    }
}

/// How an image is imported.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Where it lies meanwhile, in the snapshot's region.
    pub location: Location,
    /// Make the bucket where it is not there.
    pub create_bucket: bool,
    /// The role that VM Import takes; `None`: [`ROLE`].
    pub role_name: Option<String>,
    /// What the image is.
    pub format: DiskFormat,
}

/// A snapshot that AWS made of an image in S3.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Imported {
    /// `snap-…`.
    pub snapshot_id: String,
    /// Where it is.
    pub region: String,
    /// `import-snap-…`, which AWS's support asks for.
    pub task_id: String,
    /// Bytes that were sent.
    pub sent: u64,
    /// Requests that were tried again.
    pub retried: u64,
}

/// Makes a snapshot of an image by way of S3. Of `options`, description, tags and encryption count. The object is
/// deleted when the snapshot is there. To be run under [`Aws::run`], which deletes what was made if it fails.
///
/// # Errors
/// When the bucket or the role will not do, AWS refuses or fails, or the image cannot be read.
pub async fn import(
    aws: &Aws,
    image: &Arc<dyn ReadAt>,
    import: &ImportOptions,
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<Imported, SnapshotError> {
    options.check(image.len())?;
    let import = Import {
        aws,
        import,
        options,
        token: nonce(),
        observer,
    };
    // Nobody should wait for an upload to learn that the next step is not allowed.
    let of_bucket = BucketOptions {
        acl: Acl::Private,
        create: import.import.create_bucket,
        kms: true,
    };
    let bucket = prepare(aws, &import.import.location, of_bucket, observer).await?;
    let name = format!(
        "diskwright-{}.{}",
        import.token,
        import.import.format.word().to_ascii_lowercase()
    );
    let planned = Large {
        bucket: import.import.location.bucket().to_owned(),
        key: import.import.location.key(&name)?,
    };
    import.rehearse(&planned).await?;
    let large = put_large(
        aws,
        &bucket,
        &import.import.location,
        &name,
        image,
        observer,
    )
    .await?;
    let (task, made) = import.start(&large).await?;
    let snapshot_id = import.wait(&task, image.len()).await?;
    let id = snapshot_id.clone();
    aws.made(Made::Snapshot { id });
    aws.ledger().keep(&made);
    import.tag(&snapshot_id).await?;
    if let Err(e) = aws.delete_object(&large.bucket, &large.key).await {
        observer.warn(&format!("{} is left behind: {e}", large.made()));
    }
    aws.ledger().keep(&large.made());
    Ok(Imported {
        snapshot_id,
        region: aws.region().to_owned(),
        task_id: task,
        sent: image.len(),
        retried: aws.patience().retried(),
    })
}

struct Import<'a> {
    aws: &'a Aws,
    import: &'a ImportOptions,
    options: &'a SnapshotOptions,
    token: String,
    observer: &'a dyn Observer,
}

impl Import<'_> {
    fn role(&self) -> &str {
        self.import.role_name.as_deref().unwrap_or(ROLE)
    }

    async fn request(&self, of: &Large, dry: bool) -> Result<Option<String>, SnapshotError> {
        let options = self.options;
        let object = UserBucket::builder().s3_bucket(&of.bucket).s3_key(&of.key);
        let container = SnapshotDiskContainer::builder()
            .format(self.import.format.word())
            .description(&options.description)
            .user_bucket(object.build())
            .build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::ImportSnapshotTask)
            .set_tags(Some(self.tags()))
            .build();
        let call = Call::new("ec2:ImportSnapshot", of.made().to_string());
        let request = || {
            self.aws
                .ec2()
                .import_snapshot()
                .dry_run(dry)
                .client_token(&self.token)
                .description(&options.description)
                .disk_container(container.clone())
                .encrypted(options.encrypted)
                .set_kms_key_id(options.kms_key_id.clone())
                .set_role_name(self.import.role_name.clone())
                .tag_specifications(tags.clone())
                .send()
        };
        match self.aws.call(&call, request).await {
            Ok(answer) => Ok(answer.import_task_id().map(ToOwned::to_owned)),
            Err(e) if dry && code(&e) == Some(DRY_RUN) => Ok(None),
            // "The service role vmimport provided does not exist or does not have sufficient permissions".
            Err(AwsError::Refused { fault, .. }) if fault.message.contains("service role") => {
                Err(SnapshotError::Role {
                    role: self.role().to_owned(),
                    bucket: of.bucket.clone(),
                    message: fault.message.clone(),
                })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Asks whether it would be carried out, before anything is sent.
    async fn rehearse(&self, of: &Large) -> Result<(), SnapshotError> {
        match self.request(of, true).await {
            // The object is not there yet, and some check that first.
            Err(SnapshotError::Aws(e)) if is_refused(&e) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Gives the task's id, and its entry in the ledger.
    async fn start(&self, of: &Large) -> Result<(String, Made), SnapshotError> {
        let key = of.key.clone();
        let unnamed = Made::Import { id: None, key };
        self.aws.made(unnamed.clone());
        let task = self.request(of, false).await;
        if let Err(SnapshotError::Role { .. } | SnapshotError::Aws(AwsError::Refused { .. })) = task
        {
            self.aws.ledger().keep(&unnamed);
        }
        let task = task?.ok_or_else(|| AwsError::Answer {
            call: Call::new("ec2:ImportSnapshot", of.made().to_string()),
            missing: "task's id",
        })?;
        let id = Some(task.clone());
        let key = of.key.clone();
        let made = Made::Import { id, key };
        self.aws.made(made.clone());
        self.aws.ledger().keep(&unnamed);
        Ok((task, made))
    }

    /// Waits for the snapshot, and gives its id.
    async fn wait(&self, task: &str, len: u64) -> Result<String, SnapshotError> {
        let begun = Instant::now();
        let (mut look, longest) = LOOK;
        loop {
            let detail = detail(self.aws, task, begun).await?;
            let say = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let (status, message) = (say(detail.status()), say(detail.status_message()));
            let id = task.to_owned();
            match (status.as_str(), detail.snapshot_id()) {
                ("completed", Some(snapshot)) => return Ok(snapshot.to_owned()),
                ("error" | "deleting" | "deleted", _) => {
                    return Err(SnapshotError::Failed { id, message });
                }
                _ if begun.elapsed() > LONGEST => {
                    let minutes = begun.elapsed().as_secs() / 60;
                    return Err(SnapshotError::NeverCompleted { id, minutes });
                }
                _ => {}
            }
            let percent = detail.progress().unwrap_or("0");
            let text = format!("AWS imports it: {percent} %, {message}");
            self.observer.detail(Stage::Upload, &text);
            self.observer.progress(Stage::Upload, len, Some(len));
            tokio::time::sleep(look).await;
            look = longest.min(look * 3 / 2);
        }
    }

    /// ImportSnapshot tags its task alone.
    async fn tag(&self, snapshot: &str) -> Result<(), AwsError> {
        let call = Call::new("ec2:CreateTags", snapshot);
        let request = || {
            let request = self.aws.ec2().create_tags().resources(snapshot);
            request.set_tags(Some(self.tags())).send()
        };
        self.aws.call(&call, request).await.map(drop)
    }

    fn tags(&self) -> Vec<Tag> {
        // By it `prune` and the policies of `iam-policy` know what is ours.
        let ours = (DIGEST_TAG, self.token.as_str());
        let theirs = self.options.tags.iter();
        let theirs = theirs.map(|(key, value)| (key.as_str(), value.as_str()));
        [ours]
            .into_iter()
            .chain(theirs)
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect()
    }
}

/// Whether AWS looked at it and says no, for another reason than what the keys may do.
fn is_refused(error: &AwsError) -> bool {
    let refused = matches!(error, AwsError::Refused { .. });
    refused
        && !matches!(
            error.kind(),
            Some(Kind::Denied | Kind::Keys | Kind::Credentials)
        )
}

fn code(error: &AwsError) -> Option<&str> {
    error.fault()?.code.as_deref()
}

async fn detail(aws: &Aws, task: &str, begun: Instant) -> Result<SnapshotTaskDetail, AwsError> {
    let call = Call::new("ec2:DescribeImportSnapshotTasks", task);
    // A new task may be unknown for a moment.
    let call = call.settling(begun, Duration::from_secs(30));
    let request = || {
        let request = aws.ec2().describe_import_snapshot_tasks();
        request.import_task_ids(task).send()
    };
    let answer = aws.call(&call, request).await?;
    let task = answer.import_snapshot_tasks().first();
    let detail = task.and_then(|t| t.snapshot_task_detail()).cloned();
    detail.ok_or(AwsError::Answer {
        call,
        missing: "task's detail",
    })
}

/// Ends an import; what it made already is deleted. Without its id it is known by the object's key.
pub(in crate::aws) async fn cancel(
    aws: &Aws,
    task: Option<&str>,
    key: &str,
) -> Result<(), AwsError> {
    if let Some(task) = task {
        return cancel_one(aws, task).await;
    }
    let call = Call::new("ec2:DescribeImportSnapshotTasks", "");
    let mut from: Option<String> = None;
    loop {
        let request = || {
            let request = aws.ec2().describe_import_snapshot_tasks();
            request.set_next_token(from.clone()).send()
        };
        let page = aws.call(&call, request).await?;
        for task in page.import_snapshot_tasks() {
            let object = task.snapshot_task_detail().and_then(|d| d.user_bucket());
            let ours = object.is_some_and(|o| o.s3_key() == Some(key));
            if let (Some(id), true) = (task.import_task_id(), ours) {
                cancel_one(aws, id).await?;
            }
        }
        from = page.next_token().map(ToOwned::to_owned);
        if from.is_none() {
            return Ok(());
        }
    }
}

async fn cancel_one(aws: &Aws, task: &str) -> Result<(), AwsError> {
    let call = Call::new("ec2:CancelImportTask", task);
    let request = || aws.ec2().cancel_import_task().import_task_id(task).send();
    match aws.call(&call, request).await {
        // It had ended.
        Err(e) if is_refused(&e) => {}
        other => return other.map(drop),
    }
    match detail(aws, task, Instant::now()).await {
        Ok(detail) => match detail.snapshot_id() {
            Some(snapshot) => aws.delete_snapshot(snapshot).await,
            None => Ok(()),
        },
        Err(e) if e.kind() == Some(Kind::Absent) => Ok(()),
        Err(e) => Err(e),
    }
}
