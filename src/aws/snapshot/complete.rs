//! CompleteSnapshot, and the wait until the snapshot is one.

use super::SnapshotError;
use super::start::Started;
use crate::aws::{Aws, AwsError, Call, Kind};
use crate::observe::{Observer, Stage};
use crate::sink::blocks::Digest;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm};
use aws_sdk_ec2::types::SnapshotState;
use aws_smithy_types::base64;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The time between two looks at first, and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// A snapshot of 16 TiB took AWS less; one that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(3600);
/// When somebody else's request came first, they are about to complete it, or have.
const SOMEBODY_ELSE: Duration = Duration::from_secs(15);

/// As IAM names it.
const COMPLETE: &str = "ebs:CompleteSnapshot";

/// SHA-256 over the digests of the blocks written, by ascending number: what AWS calls `LINEAR`.
#[must_use]
pub fn linear(written: &BTreeMap<u32, Digest>) -> Digest {
    let mut hasher = Sha256::new();
    for digest in written.values() {
        hasher.update(digest);
    }
    hasher.finalize().into()
}

/// Says that all blocks are there.
pub(super) async fn complete(
    aws: &Aws,
    started: &Started,
    written: &BTreeMap<u32, Digest>,
) -> Result<(), SnapshotError> {
    let id = &started.id;
    let call = started.call(COMPLETE, id.clone());
    let changed = i32::try_from(written.len()).expect("a volume has at most 2^27 blocks");
    let checksum = base64::encode(linear(written));
    let request = || {
        let request = aws.ebs().complete_snapshot().snapshot_id(id);
        // Of no block there is no checksum.
        let request = request.changed_blocks_count(changed);
        if written.is_empty() {
            return request.send();
        }
        request
            .checksum(&checksum)
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear)
            .send()
    };
    aws.call(&call, request).await?;
    Ok(())
}

/// Whether an error may mean that the snapshot is completed already: by an attempt whose answer was lost, or by
/// another run with the same token.
pub(super) fn may_be_complete(error: &SnapshotError) -> bool {
    let SnapshotError::Aws(error) = error else {
        return false;
    };
    match error.kind() {
        Some(Kind::Conflict | Kind::Refused) => true,
        Some(Kind::Connection | Kind::Timeout | Kind::Garbled) => {
            error.call().is_some_and(|c| c.operation() == COMPLETE)
        }
        _ => false,
    }
}

/// Looks for a while whether the snapshot is completed.
pub(super) async fn completed_by_another(aws: &Aws, started: &Started) -> bool {
    let begun = Instant::now();
    loop {
        match state(aws, started).await {
            Ok((SnapshotState::Completed, _)) => return true,
            Ok((SnapshotState::Pending, _)) if begun.elapsed() < SOMEBODY_ELSE => {}
            _ => return false,
        }
        tokio::time::sleep(LOOK.0).await;
    }
}

/// What EC2 says about a snapshot, and how far it is.
pub(super) async fn state(
    aws: &Aws,
    started: &Started,
) -> Result<(SnapshotState, String), AwsError> {
    let call = started.call("ec2:DescribeSnapshots", started.id.clone());
    state_of(aws, &call, &started.id).await
}

/// The same for a request that may name a snapshot that is gone.
pub(super) async fn state_of(
    aws: &Aws,
    call: &Call,
    id: &str,
) -> Result<(SnapshotState, String), AwsError> {
    let request = || aws.ec2().describe_snapshots().snapshot_ids(id).send();
    let answer = aws.call(call, request).await?;
    let snapshot = answer.snapshots().first();
    let state = snapshot.and_then(|s| s.state().cloned());
    let state = state.ok_or_else(|| AwsError::Answer {
        call: call.clone(),
        missing: "snapshot's state",
    })?;
    let more = match state {
        SnapshotState::Error => snapshot.and_then(|s| s.state_message()),
        _ => snapshot.and_then(|s| s.progress()),
    };
    Ok((state, more.unwrap_or_default().to_owned()))
}

/// Whether a snapshot is completed; one that is gone is not.
pub(in crate::aws) async fn is_completed(aws: &Aws, id: &str) -> Result<bool, AwsError> {
    let call = Call::new("ec2:DescribeSnapshots", id);
    match state_of(aws, &call, id).await {
        Ok((state, _)) => Ok(state == SnapshotState::Completed),
        Err(e) if e.kind() == Some(Kind::Absent) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Waits until the snapshot is completed.
///
/// # Errors
/// When it fails, or takes longer than an hour.
pub(super) async fn wait(
    aws: &Aws,
    started: &Started,
    observer: &dyn Observer,
) -> Result<(), SnapshotError> {
    let (mut look, longest) = LOOK;
    let begun = Instant::now();
    loop {
        let (state, more) = state(aws, started).await?;
        let id = started.id.clone();
        match state {
            SnapshotState::Completed => return Ok(()),
            SnapshotState::Pending if begun.elapsed() > LONGEST => {
                return Err(SnapshotError::NeverCompleted {
                    id,
                    minutes: begun.elapsed().as_secs() / 60,
                });
            }
            SnapshotState::Pending => {}
            _ => return Err(SnapshotError::Failed { id, message: more }),
        }
        observer.detail(Stage::Upload, &format!("AWS completes it: {more}"));
        tokio::time::sleep(look).await;
        look = longest.min(look * 3 / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;
    use crate::sink::blocks::sha256;

    #[test]
    fn linear_is_over_raw_digests_by_ascending_number() {
        let written = BTreeMap::from([(7, sha256(b"b")), (2, sha256(b"a"))]);
        let joined = [sha256(b"a"), sha256(b"b")].concat();
        assert_eq!(hex(&linear(&written)), hex(&sha256(&joined)));
    }
}
