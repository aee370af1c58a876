//! An AMI taken back, with what was made along with it.

use super::find::{by_id, of_run};
use super::register::code;
use crate::aws::{Aws, AwsError, Call, Kind};
use std::time::{Duration, Instant};

/// Looks for an AMI whose id was never told: EC2 may not show it at once.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// How long EC2 may not know an AMI that it has made.
const SETTLING: Duration = Duration::from_secs(10);

/// Deregisters an AMI, and deletes its snapshots if they are part of it.
pub(in crate::aws) async fn remove(aws: &Aws, id: &str, snapshots: bool) -> Result<(), AwsError> {
    let associated = match snapshots {
        true => snapshots_of(aws, id).await,
        false => Vec::new(),
    };
    match deregister(aws, id, snapshots).await {
        Err(e) if code(&e) == Some("OperationNotPermitted") => {
            let call = Call::new("ec2:DisableImageDeregistrationProtection", id);
            let ec2 = aws.ec2();
            let request = || {
                let request = ec2.disable_image_deregistration_protection();
                request.image_id(id).send()
            };
            aws.call(&call, request).await?;
            deregister(aws, id, snapshots).await?;
        }
        other => other?,
    }
    if snapshots {
        // Those that DeregisterImage has left; most are gone.
        for snapshot in associated {
            aws.delete_snapshot(&snapshot).await?;
        }
    }
    Ok(())
}

/// An AMI's snapshots, as far as EC2 shows them; the others DeregisterImage knows.
async fn snapshots_of(aws: &Aws, id: &str) -> Vec<String> {
    // One that was just made may be unknown for a moment: it is not gone.
    let call = Call::new("ec2:DescribeImages", id).settling(Instant::now(), SETTLING);
    match by_id(aws, &call, id).await {
        Ok(found) => found.image.snapshot_ids,
        Err(_) => Vec::new(),
    }
}

pub(in crate::aws) async fn deregister(
    aws: &Aws,
    id: &str,
    snapshots: bool,
) -> Result<(), AwsError> {
    let call = Call::new("ec2:DeregisterImage", id).settling(Instant::now(), SETTLING);
    let request = || {
        let request = aws.ec2().deregister_image().image_id(id);
        let snapshots = snapshots.then_some(true);
        request.set_delete_associated_snapshots(snapshots).send()
    };
    match aws.call(&call, request).await {
        Err(e) if e.kind() == Some(Kind::Absent) => Ok(()),
        // One that a lost answer spoke of is gone as well.
        Err(e) if code(&e) == Some("InvalidAMIID.Unavailable") => Ok(()),
        other => other.map(drop),
    }
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
