//! StartSnapshot, and the token by which AWS knows a repeated one.

use super::journal::Noted;
use super::{SnapshotError, SnapshotOptions};
use crate::aws::image::DIGEST_TAG;
use crate::aws::{Aws, AwsError, Call, Made};
use crate::hex::hex;
use crate::sink::blocks::Digest;
use aws_sdk_ebs::types::{Status, Tag};
use sha2::{Digest as _, Sha256};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

/// Minutes without a block after which AWS gives a snapshot up (`StartSnapshot`, `Timeout`; its default): a run
/// that was killed has so long to go on.
const GIVEN_UP: i32 = 60;
/// How long a new snapshot may be unknown to the service that made it: up to two minutes were seen.
const SETTLING: Duration = Duration::from_secs(150);
/// A snapshot older than this, by AWS's clock and ours, is known everywhere.
const OLD: Duration = Duration::from_secs(15 * 60);

/// A snapshot to put blocks into.
#[derive(Clone, Debug)]
pub(super) struct Started {
    /// `snap-…`.
    pub(super) id: String,
    /// Bytes of a block, as the service says: 524,288 on AWS.
    pub(super) block_size: u64,
    pub(super) status: Status,
    /// When AWS answered; for an old snapshot, nothing.
    fresh: Option<Instant>,
}

impl Started {
    /// One that AWS has known for long.
    pub(super) fn known(id: &str, block_size: u64) -> Self {
        Self {
            id: id.to_owned(),
            block_size,
            status: Status::Completed,
            fresh: None,
        }
    }

    /// A request about this snapshot: while it is new, it may not be found.
    pub(super) fn call(&self, operation: &'static str, on: String) -> Call {
        let call = Call::new(operation, on);
        match self.fresh {
            Some(made) => call.settling(made, SETTLING),
            None => call,
        }
    }
}

/// What AWS is to know a repeated request by: everything that decides what the snapshot will be. Without a digest
/// of the content, a random one.
pub(super) fn token(
    aws: &Aws,
    options: &SnapshotOptions,
    len: u64,
    content: Option<&Digest>,
) -> Digest {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update(crate::units::count(text.len()).to_le_bytes());
        hasher.update(text);
    };
    add("diskwright snapshot 1");
    add(aws.region());
    add(&options.gibibytes(len).to_string());
    add(&options.description);
    add(options.kms_key_id.as_deref().unwrap_or_default());
    add(&format!("{} {}", options.encrypted, options.scrub));
    add(options.parent.as_deref().unwrap_or_default());
    for (key, value) in &options.tags {
        add(key);
        add(value);
    }
    match content {
        Some(content) => hasher.update(content),
        // Each RandomState has other keys.
        None => (0..4).for_each(|part| {
            hasher.update(RandomState::new().hash_one(part).to_le_bytes());
        }),
    }
    hasher.finalize().into()
}

/// The token of a generation: 64 characters, the user guide's limit.
pub(super) fn of_generation(token: &Digest, generation: u32) -> String {
    let mut hasher = Sha256::new();
    hasher.update(token);
    hasher.update(generation.to_le_bytes());
    hex(&hasher.finalize())
}

/// Starts a snapshot, or finds the one that `token` started, and enters it in the ledger while it is pending.
pub(super) async fn start(
    aws: &Aws,
    options: &SnapshotOptions,
    len: u64,
    token: &str,
    journal: Option<Noted>,
) -> Result<Started, SnapshotError> {
    let call = Call::new("ebs:StartSnapshot", "");
    let gibibytes = options.gibibytes(len);
    let size = i64::try_from(gibibytes).map_err(|_| SnapshotError::TooLarge { gibibytes })?;
    // By it `prune` and the policies of `iam-policy` know what is ours.
    let ours = (DIGEST_TAG, token);
    let theirs = options.tags.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let tags: Vec<_> = [ours]
        .into_iter()
        .chain(theirs)
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    let request = || {
        aws.ebs()
            .start_snapshot()
            .volume_size(size)
            .set_description((!options.description.is_empty()).then(|| options.description.clone()))
            .set_tags(Some(tags.clone()))
            .set_parent_snapshot_id(options.parent.clone())
            .set_encrypted(options.encrypted.then_some(true))
            .set_kms_key_arn(options.kms_key_id.clone())
            .timeout(GIVEN_UP)
            .client_token(token)
            .send()
    };
    let answer = aws.call(&call, request).await?;
    let made = Instant::now();
    let missing = |missing| AwsError::Answer {
        call: call.clone(),
        missing,
    };
    let id = answer.snapshot_id().ok_or_else(|| missing("SnapshotId"))?;
    let block_size = answer.block_size().ok_or_else(|| missing("BlockSize"))?;
    let block_size = u64::try_from(block_size).ok().filter(|s| *s > 0);
    let age = answer
        .start_time()
        .and_then(|t| SystemTime::try_from(*t).ok())
        .and_then(|t| t.elapsed().ok());
    let status = answer.status().cloned().unwrap_or(Status::Pending);
    if status == Status::Pending {
        aws.made(Made::Upload {
            id: id.to_owned(),
            journal,
        });
    }
    Ok(Started {
        id: id.to_owned(),
        block_size: block_size.ok_or_else(|| missing("BlockSize"))?,
        status,
        fresh: age.is_none_or(|age| age < OLD).then_some(made),
    })
}
