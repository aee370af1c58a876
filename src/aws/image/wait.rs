//! The wait until an AMI is available.

use super::find::by_id;
use super::{Image, ImageError};
use crate::aws::{Aws, AwsError, Call, Kind};
use crate::observe::{Observer, Stage};
use aws_sdk_ec2::types::ImageState;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time between two looks at first, and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long a new AMI may be unknown.
pub(super) const SETTLING: Duration = Duration::from_secs(150);

/// The regions in which AMIs are waited for.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<BTreeSet<String>>);

impl Pending {
    fn regions(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until an AMI is available, at most for `limit`; gives what EC2 then shows of it.
///
/// # Errors
/// When it fails, or takes longer.
pub async fn wait(
    aws: &Aws,
    image: &Image,
    limit: Duration,
    observer: &dyn Observer,
) -> Result<Image, ImageError> {
    wait_among(aws, image, limit, &Pending::default(), observer).await
}

/// The same for one of several.
pub(super) async fn wait_among(
    aws: &Aws,
    image: &Image,
    limit: Duration,
    pending: &Pending,
    observer: &dyn Observer,
) -> Result<Image, ImageError> {
    let (mut look, longest) = LOOK;
    let begun = Instant::now();
    let (id, region) = (&image.image_id, &image.region);
    let settling = SETTLING.min(limit);
    let seen = || Call::new("ec2:DescribeImages", id);
    let (mut call, mut known) = match image.existed {
        true => (seen(), true),
        false => (seen().settling(begun, settling), false),
    };
    loop {
        let found = match by_id(aws, &call, id).await {
            Ok(found) => {
                // From now on its absence means that somebody has deregistered it.
                (call, known) = (seen(), true);
                Some(found)
            }
            // As good as the error that names it as absent.
            Err(AwsError::Answer { .. }) if !known && begun.elapsed() < settling => None,
            Err(e) if e.kind() == Some(Kind::Absent) && !known && begun.elapsed() < settling => {
                None
            }
            Err(e) => return Err(e.into()),
        };
        match found {
            Some(found) if found.state == ImageState::Available => {
                pending.regions().remove(region);
                return Ok(Image {
                    existed: image.existed,
                    ..found.image
                });
            }
            Some(found) if found.state != ImageState::Pending => {
                return Err(ImageError::Failed {
                    id: id.clone(),
                    region: region.clone(),
                    state: found.state.as_str().to_owned(),
                    reason: found.reason,
                });
            }
            _ => {}
        }
        if begun.elapsed() >= limit {
            return Err(ImageError::NeverAvailable {
                id: id.clone(),
                region: region.clone(),
                minutes: begun.elapsed().as_secs() / 60,
            });
        }
        let waited = begun.elapsed().as_secs();
        let regions = {
            let mut regions = pending.regions();
            regions.insert(region.clone());
            regions
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        observer.detail(Stage::Image, &format!("pending in {regions}, {waited} s"));
        tokio::time::sleep(look.min(limit.saturating_sub(begun.elapsed()))).await;
        look = longest.min(look * 3 / 2);
    }
}
