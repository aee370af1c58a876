//! Whether AWS can be worked with from here: region, keys, clock, permissions, and settings of the account.
//!
//! Nothing is made or changed: EC2 is asked with `DryRun`, EBS direct about a snapshot that is not there.

use super::{Aws, AwsError, Call, Kind, Made, Options};
use aws_sdk_ec2::types::{ArchitectureValues, BlockDeviceMapping, EbsBlockDevice};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Serialize;
use std::error::Error;
use std::time::Duration;

/// A snapshot that nobody has.
const NOBODYS: &str = "snap-00000000000000000";

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Something does not work, or is worth knowing.
    Warning,
    /// No snapshot and no AMI can be made.
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What: `clock`, or an action of IAM.
    pub name: &'static str,
    /// How it stands.
    pub health: Health,
    /// What was seen.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Ok,
            detail: detail.into(),
            help: None,
        }
    }

    fn of(name: &'static str, health: Health, error: &AwsError) -> Self {
        Self {
            name,
            health,
            detail: match error.fault() {
                Some(fault) => fault.to_string(),
                None => error.to_string(),
            },
            help: error.help(),
        }
    }
}

/// Looks at one thing after the other; ends where all that follows would fail the same way.
pub async fn examine(options: &Options) -> Vec<Finding> {
    let aws = match Aws::connect(options).await {
        Ok(aws) => aws,
        Err(error) => {
            let name = match error {
                AwsError::NoRegion => "region",
                AwsError::Endpoint { .. } => "endpoint",
                _ => "credentials",
            };
            return vec![Finding::of(name, Health::Failed, &error)];
        }
    };
    let mut findings = vec![Finding::ok("region", aws.region())];
    findings.extend(clock(options).await);
    match identity(&aws).await {
        Ok(arn) => findings.push(Finding::ok("credentials", arn)),
        Err(error) => {
            findings.push(Finding::of("credentials", Health::Failed, &error));
            return findings;
        }
    }
    findings.extend(permissions(&aws).await);
    findings.extend(settings(&aws).await);
    findings
}

/// Whether AWS takes this machine's time. The SDK corrects it after the first refusal, so that one attempt is all.
async fn clock(options: &Options) -> Option<Finding> {
    let once = Options {
        patience: Duration::ZERO,
        ..options.clone()
    };
    let aws = Aws::connect(&once).await.ok()?;
    match identity(&aws).await {
        Ok(_) => Some(Finding::ok("clock", "AWS takes its time")),
        Err(error) if error.kind() == Some(Kind::Clock) => {
            Some(Finding::of("clock", Health::Warning, &error))
        }
        // Whatever it is, it is told of the credentials.
        Err(_) => None,
    }
}

async fn identity(aws: &Aws) -> Result<String, AwsError> {
    let call = Call::new("sts:GetCallerIdentity", "");
    let request = || aws.sts().get_caller_identity().send();
    let answer = aws.call(&call, request).await?;
    Ok(answer
        .arn()
        .unwrap_or("an identity without a name")
        .to_owned())
}

/// What a snapshot and an AMI of it need.
async fn permissions(aws: &Aws) -> Vec<Finding> {
    let (ebs, ec2) = (aws.ebs(), aws.ec2());
    let start = || {
        let request = ebs.start_snapshot().volume_size(1);
        request.parent_snapshot_id(NOBODYS).send()
    };
    let started = Call::new("ebs:StartSnapshot", NOBODYS);
    let started = match aws.call(&started, start).await {
        // A server that looks at no parent, which is not AWS's, has made one.
        Ok(made) => {
            if let Some(id) = made.snapshot_id() {
                aws.made(Made::Snapshot { id: id.to_owned() });
            }
            let left = aws.undo().await;
            left.into_iter()
                .next()
                .map_or(Ok(()), |left| Err(left.error))
        }
        Err(error) => Err(error),
    };
    let device = BlockDeviceMapping::builder()
        .device_name("/dev/xvda")
        .ebs(EbsBlockDevice::builder().snapshot_id(NOBODYS).build())
        .build();
    let required = Health::Failed;
    let optional = Health::Warning;
    vec![
        allowed("ebs:StartSnapshot", required, started),
        probe(aws, "ebs:CompleteSnapshot", required, || {
            let request = ebs.complete_snapshot().snapshot_id(NOBODYS);
            request.changed_blocks_count(0).send()
        })
        .await,
        probe(aws, "ebs:ListSnapshotBlocks", optional, || {
            ebs.list_snapshot_blocks().snapshot_id(NOBODYS).send()
        })
        .await,
        probe(aws, "ec2:DescribeSnapshots", required, || {
            let request = ec2.describe_snapshots().owner_ids("self");
            request.dry_run(true).send()
        })
        .await,
        probe(aws, "ec2:DescribeImages", required, || {
            let request = ec2.describe_images().owners("self");
            request.dry_run(true).send()
        })
        .await,
        probe(aws, "ec2:RegisterImage", required, || {
            let request = ec2.register_image().name("diskwright doctor");
            let request = request.architecture(ArchitectureValues::X8664);
            let request = request.virtualization_type("hvm").dry_run(true);
            let request = request.root_device_name("/dev/xvda");
            request.block_device_mappings(device.clone()).send()
        })
        .await,
    ]
}

async fn probe<T, E, F, Answer>(
    aws: &Aws,
    action: &'static str,
    denied: Health,
    request: F,
) -> Finding
where
    F: FnMut() -> Answer,
    Answer: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    E: ProvideErrorMetadata + Error + 'static,
{
    let answer = aws.call(&Call::new(action, ""), request).await;
    allowed(action, denied, answer.map(drop))
}

/// That a snapshot is not there, or that it was a dry run, AWS says to whoever is allowed to ask.
fn allowed(action: &'static str, denied: Health, answer: Result<(), AwsError>) -> Finding {
    match answer {
        Ok(()) => Finding::ok(action, "allowed"),
        Err(error) if matches!(error.kind(), Some(Kind::Absent | Kind::Refused)) => {
            Finding::ok(action, "allowed")
        }
        Err(error) if error.kind() == Some(Kind::Denied) => Finding {
            help: Some("`diskwright iam-policy` prints the policy that allows it".into()),
            ..Finding::of(action, denied, &error)
        },
        Err(error) => Finding::of(action, denied, &error),
    }
}

/// What the account says of encryption and of sharing with everybody.
async fn settings(aws: &Aws) -> Vec<Finding> {
    let call = Call::new("ec2:GetEbsEncryptionByDefault", "");
    let request = || aws.ec2().get_ebs_encryption_by_default().send();
    let encryption = aws.call(&call, request).await;
    let encryption = encryption.map(|answer| match answer.ebs_encryption_by_default() {
        Some(true) => {
            "on: every snapshot is encrypted, and a --parent has to be; no AMI can be public"
                .to_owned()
        }
        _ => "off: snapshots are encrypted where --encrypted says so".to_owned(),
    });
    let call = Call::new("ec2:GetImageBlockPublicAccessState", "");
    let request = || aws.ec2().get_image_block_public_access_state().send();
    let images = aws.call(&call, request).await;
    let images = images.map(|answer| {
        let state = answer.image_block_public_access_state().unwrap_or_default();
        public(state, "AMIs")
    });
    let call = Call::new("ec2:GetSnapshotBlockPublicAccessState", "");
    let request = || aws.ec2().get_snapshot_block_public_access_state().send();
    let snapshots = aws.call(&call, request).await;
    let snapshots = snapshots.map(|answer| {
        let state = answer.state().map_or("", |s| s.as_str());
        public(state, "snapshots")
    });
    [
        ("encryption", encryption),
        ("public AMIs", images),
        ("public snapshots", snapshots),
    ]
    .into_iter()
    .map(|(name, told)| match told {
        Ok(detail) => Finding::ok(name, detail),
        Err(error) => Finding::of(name, Health::Warning, &error),
    })
    .collect()
}

fn public(state: &str, what: &str) -> String {
    match state {
        "unblocked" => format!("unblocked: {what} can be shared with everybody"),
        "" => "AWS does not say".into(),
        state => format!("{state}: the account shares no {what} with everybody"),
    }
}
