//! What was judged, done.

use super::{Decision, Plan};
use crate::aws::image::deregister;
use crate::aws::{Aws, AwsError};
use crate::observe::Observer;
use serde::Serialize;

/// What was removed, and what could not be.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removed {
    /// AMIs.
    pub images: Vec<String>,
    /// Snapshots.
    pub snapshots: Vec<String>,
    /// What is still there, and why.
    #[serde(skip)]
    pub failed: Vec<(String, AwsError)>,
}

/// Deregisters and deletes what the plan dooms; goes on after one that cannot be removed. A snapshot that is part of
/// another AMI stays, and so does one that is not ours, unless the plan is for such, too.
pub async fn carry_out(aws: &Aws, plan: &Plan, observer: &dyn Observer) -> Removed {
    let mut removed = Removed::default();
    let mut users = plan.users.clone();
    for image in plan
        .images
        .iter()
        .filter(|j| j.decision == Decision::Remove)
    {
        if let Err(error) = deregister(aws, &image.id, false).await {
            removed.failed.push((image.id.clone(), error));
            continue;
        }
        observer.note(&format!("deregistered {} ({})", image.id, image.name));
        removed.images.push(image.id.clone());
        for snapshot in &image.snapshot_ids {
            let of = users.entry(snapshot.clone()).or_default();
            of.remove(&image.id);
            if let Some(other) = of.first() {
                observer.note(&format!("{snapshot} stays: it is part of {other}"));
            } else if plan
                .ours
                .as_ref()
                .is_some_and(|ours| !ours.contains(snapshot))
            {
                observer.note(&format!("{snapshot} stays: diskwright did not make it"));
            } else {
                delete(aws, snapshot, &mut removed).await;
            }
        }
    }
    for snapshot in plan
        .snapshots
        .iter()
        .filter(|j| j.decision == Decision::Remove)
    {
        delete(aws, &snapshot.id, &mut removed).await;
    }
    removed
}

async fn delete(aws: &Aws, snapshot: &str, removed: &mut Removed) {
    match aws.delete_snapshot(snapshot).await {
        Ok(()) => removed.snapshots.push(snapshot.to_owned()),
        Err(error) => removed.failed.push((snapshot.to_owned(), error)),
    }
}
