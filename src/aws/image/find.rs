//! AMIs as EC2 shows them.

use super::{DIGEST_TAG, Image, ImageError, RUN_TAG};
use crate::aws::{Aws, AwsError, Call};
use aws_sdk_ec2::types::{Filter, Image as Shown, ImageState};

/// What EC2 says about an AMI.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) image: Image,
    pub(super) state: ImageState,
    /// Why it is in that state.
    pub(super) reason: String,
    /// The AMI that it is a copy of.
    pub(super) copy_of: Option<String>,
}

impl Found {
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let found = self.image.tags.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_str())
    }

    fn of(aws: &Aws, shown: &Shown) -> Option<Self> {
        let volumes = || {
            let mappings = shown.block_device_mappings().iter();
            mappings.filter_map(|m| Some((m.device_name(), m.ebs()?)))
        };
        let root = shown.root_device_name();
        // The root's first.
        let (first, rest): (Vec<_>, Vec<_>) =
            volumes().partition(|(name, _)| root.is_some() && *name == root);
        let snapshots = first.into_iter().chain(rest);
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let reason = shown.state_reason().and_then(|r| r.message().or(r.code()));
        Some(Self {
            image: Image {
                image_id: shown.image_id()?.to_owned(),
                region: aws.region().to_owned(),
                name: text(shown.name()),
                existed: true,
                snapshot_ids: snapshots
                    .filter_map(|(_, ebs)| ebs.snapshot_id().map(ToOwned::to_owned))
                    .collect(),
                encrypted: volumes().any(|(_, ebs)| ebs.encrypted() == Some(true)),
                description: text(shown.description()),
                tags: shown
                    .tags()
                    .iter()
                    .map(|t| (text(t.key()), text(t.value())))
                    .collect(),
            },
            state: shown.state()?.clone(),
            reason: match reason {
                Some(reason) => reason.to_owned(),
                None => "EC2 does not say why".into(),
            },
            copy_of: shown.source_image_id().map(ToOwned::to_owned),
        })
    }
}

/// An AMI by its id.
///
/// # Errors
/// When it is not there, or AWS refuses.
pub async fn find(aws: &Aws, image_id: &str) -> Result<Image, ImageError> {
    super::check::identifier("AMI", image_id, "ami-")?;
    let call = Call::new("ec2:DescribeImages", image_id);
    Ok(by_id(aws, &call, image_id).await?.image)
}

pub(super) async fn by_id(aws: &Aws, call: &Call, image_id: &str) -> Result<Found, AwsError> {
    let request = || aws.ec2().describe_images().image_ids(image_id).send();
    let answer = aws.call(call, request).await?;
    let shown = answer.images().first();
    let found = shown.and_then(|shown| Found::of(aws, shown));
    found.ok_or_else(|| AwsError::Answer {
        call: call.clone(),
        missing: "AMI with an id and a state",
    })
}

/// The account's AMIs of a name; there is one at most, but for copies.
pub(super) async fn by_name(aws: &Aws, name: &str) -> Result<Vec<Found>, AwsError> {
    let call = Call::new("ec2:DescribeImages", name);
    let filter = Filter::builder().name("name").values(name).build();
    let request = || {
        let request = aws.ec2().describe_images().owners("self");
        request
            .filters(filter.clone())
            .include_disabled(true)
            .send()
    };
    let answer = aws.call(&call, request).await?;
    let mut found: Vec<_> = answer
        .images()
        .iter()
        .filter_map(|shown| Found::of(aws, shown))
        .collect();
    found.retain(|f| f.image.name == name);
    Ok(found)
}

/// The AMI of a name, if it is the one that is looked for.
///
/// # Errors
/// [`ImageError::NameTaken`] when it is another.
pub(super) fn the_same(
    found: &[Found],
    is_it: impl Fn(&Found) -> bool,
) -> Result<Option<&Found>, ImageError> {
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let same = found.iter().find(|f| is_it(f));
    let taken = |found: &Found, why: String| ImageError::NameTaken {
        name: found.image.name.clone(),
        id: found.image.image_id.clone(),
        region: found.image.region.clone(),
        why,
    };
    match same {
        Some(same) if matches!(same.state, ImageState::Available | ImageState::Pending) => {
            Ok(Some(same))
        }
        Some(same) => Err(taken(
            same,
            format!("is {}: {}", same.state.as_str(), same.reason),
        )),
        None if first.tag(DIGEST_TAG).is_some() => Err(taken(
            first,
            "holds something else, or was registered in another way".into(),
        )),
        None => Err(taken(first, "was not made by diskwright".into())),
    }
}

/// AMIs of a name that a run has made.
pub(super) async fn of_run(aws: &Aws, name: &str, run: &str) -> Result<Vec<Found>, AwsError> {
    let mut found = by_name(aws, name).await?;
    found.retain(|f| f.tag(RUN_TAG) == Some(run));
    Ok(found)
}
