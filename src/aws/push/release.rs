//! From a snapshot or bundle to AMIs that others find: register, copy, share, publish.

use crate::aws::Aws;
use crate::aws::image::{
    Destination, Image, ImageError, Publication, Registration, Sharing, check_destinations, copy,
    publish, register, share, wait,
};
use crate::aws::snapshot::Snapshot;
use crate::observe::Observer;
use std::time::Duration;

/// What becomes of an AMI when it is registered.
#[derive(Clone, Debug)]
pub struct Release {
    /// Where it is copied to.
    pub destinations: Vec<Destination>,
    /// Who else may start it, and its copies.
    pub sharing: Sharing,
    /// How long they serve, and where they are looked up.
    pub publication: Publication,
    /// How long to wait until an AMI is available, and each copy.
    pub limit: Duration,
}

impl Release {
    /// Refuses what AWS would refuse, before anything is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, region: &str) -> Result<(), ImageError> {
        check_destinations(region, &self.destinations)?;
        self.sharing.check()?;
        self.publication.check(self.sharing.public)
    }
}

/// Registers an AMI and does with it what `release` says; gives it, and its copies behind it. `made` is the snapshot
/// that was made for it: where the AMI turns out to be there already, with a snapshot of its own, it is deleted. To be
/// run under [`Aws::run`], which takes everything back when a step fails.
///
/// # Errors
/// When AWS would refuse or refuses, or a step takes too long.
pub async fn release(
    aws: &Aws,
    registration: &Registration,
    made: Option<&Snapshot>,
    release: &Release,
    observer: &dyn Observer,
) -> Result<Vec<Image>, ImageError> {
    release.check(aws.region())?;
    let image = register(aws, registration, observer).await?;
    let image = wait(aws, &image, release.limit, observer).await?;
    // By other tags or another description it was another snapshot.
    let needless = made.filter(|made| {
        image.existed && !made.existed && !image.snapshot_ids.contains(&made.snapshot_id)
    });
    let copies = copy(aws, &image, &release.destinations, release.limit, observer).await?;
    let images = [vec![image], copies].concat();
    if !release.sharing.is_empty() {
        for image in &images {
            share(aws, image, &release.sharing).await?;
        }
    }
    publish(aws, &images, &release.publication).await?;
    if let Some(made) = needless {
        aws.delete_snapshot(&made.snapshot_id).await?;
    }
    Ok(images)
}
