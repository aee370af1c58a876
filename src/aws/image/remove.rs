//! An AMI taken back, with what was made along with it.

use super::find::{by_id, of_run};
use super::register::code;
use crate::aws::{Aws, AwsError, Call, Kind};
use aws_sdk_ec2::types::SnapshotReturnCodes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What EC2 says of an AMI that was deregistered.
const GONE: &str = "InvalidAMIID.Unavailable";

/// Looks for an AMI whose id was never told: EC2 may not show it at once.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// How long EC2 may not know an AMI that it has made.
const SETTLING: Duration = Duration::from_secs(10);

/// Deregisters an AMI, and deletes its snapshots if they are part of it.
pub(in crate::aws) async fn remove(aws: &Aws, id: &str, snapshots: bool) -> Result<(), AwsError> {
    let associated = match snapshots {
        true => snapshots_of(aws, id).await,
        false => Ok(Vec::new()),
    };
    let results = match deregister(aws, id, snapshots).await {
        Err(e) if code(&e) == Some("OperationNotPermitted") => {
            let call = Call::new("ec2:DisableImageDeregistrationProtection", id);
            let ec2 = aws.ec2();
            let request = || {
                let request = ec2.disable_image_deregistration_protection();
                request.image_id(id).send()
            };
            aws.call(&call, request).await?;
            deregister(aws, id, snapshots).await?
        }
        other => other?,
    };
    let left = match associated {
        Ok(associated) => associated,
        // What DeregisterImage tells of is as good.
        Err(_) if !results.is_empty() => results.keys().cloned().collect(),
        Err(unknown) => return Err(unknown),
    };
    // DeregisterImage deletes them in most cases. Where it could not, DeleteSnapshot says why.
    let left = left.iter().filter(|s| results.get(*s) != Some(&true));
    let mut all = Ok(());
    for snapshot in left {
        all = all.and(aws.delete_snapshot(snapshot).await);
    }
    all
}

/// An AMI's snapshots.
async fn snapshots_of(aws: &Aws, id: &str) -> Result<Vec<String>, AwsError> {
    // One that was just made may be unknown for a moment: it is not gone.
    let call = Call::new("ec2:DescribeImages", id).settling(Instant::now(), SETTLING);
    match by_id(aws, &call, id).await {
        Ok(found) => Ok(found.image.snapshot_ids),
        // There is no AMI whose they could be.
        Err(e) if e.kind() == Some(Kind::Absent) => Ok(Vec::new()),
        Err(e) if code(&e) == Some(GONE) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Deregisters an AMI; with `snapshots`, gives which of its snapshots are deleted and which could not be.
pub(in crate::aws) async fn deregister(
    aws: &Aws,
    id: &str,
    snapshots: bool,
) -> Result<BTreeMap<String, bool>, AwsError> {
    let call = Call::new("ec2:DeregisterImage", id).settling(Instant::now(), SETTLING);
    let request = || {
        let request = aws.ec2().deregister_image().image_id(id);
        let snapshots = snapshots.then_some(true);
        request.set_delete_associated_snapshots(snapshots).send()
    };
    let answer = match aws.call(&call, request).await {
        Ok(answer) => answer,
        Err(e) if e.kind() == Some(Kind::Absent) => return Ok(BTreeMap::new()),
        // One that a lost answer spoke of is gone as well.
        Err(e) if code(&e) == Some(GONE) => return Ok(BTreeMap::new()),
        Err(e) => return Err(e),
    };
    let results = answer.delete_snapshot_results().iter();
    let deleted = |code: Option<&SnapshotReturnCodes>| code == Some(&SnapshotReturnCodes::Success);
    let results =
        results.filter_map(|r| Some((r.snapshot_id()?.to_owned(), deleted(r.return_code()))));
    Ok(results.collect())
}

/// Removes an AMI that was asked for, if it was made: its id was never told.
pub(in crate::aws) async fn remove_unanswered(
    aws: &Aws,
    name: &str,
    run: &str,
    snapshots: bool,
) -> Result<(), AwsError> {
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let found = of_run(aws, name, run).await?;
        for found in &found {
            remove(aws, &found.image.image_id, snapshots).await?;
        }
        if !found.is_empty() {
            break;
        }
    }
    Ok(())
}
