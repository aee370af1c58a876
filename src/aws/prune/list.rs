//! What the account has: AMIs, and snapshots of ours that are not complete.

use crate::aws::image::DIGEST_TAG;
use crate::aws::{Aws, AwsError, Call};
use aws_sdk_ec2::types::{Filter, Image as Shown, ImageState, SnapshotState};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use std::collections::BTreeSet;
use std::time::SystemTime;

/// As many as one answer holds (`DescribeImages`, `DescribeSnapshots`: `MaxResults`).
const PAGE: i32 = 1000;

/// An AMI of the account.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tags: Vec<(String, String)>,
    pub(super) architecture: String,
    pub(super) state: ImageState,
    pub(super) created: Option<SystemTime>,
    pub(super) launched: Option<SystemTime>,
    pub(super) protected: bool,
    pub(super) public: bool,
    pub(super) snapshots: Vec<String>,
}

impl Listed {
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let found = self.tags.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_str())
    }

    fn of(shown: &Shown) -> Option<Self> {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let mappings = shown.block_device_mappings().iter();
        let protection = shown.deregistration_protection().unwrap_or("disabled");
        Some(Self {
            id: shown.image_id()?.to_owned(),
            name: text(shown.name()),
            tags: shown
                .tags()
                .iter()
                .map(|t| (text(t.key()), text(t.value())))
                .collect(),
            architecture: text(shown.architecture().map(|a| a.as_str())),
            state: shown.state()?.clone(),
            created: shown.creation_date().and_then(time),
            launched: shown.last_launched_time().and_then(time),
            // `enabled-with-cooldown` and `disabled-pending-…` protect as well.
            protected: protection != "disabled",
            public: shown.public() == Some(true),
            snapshots: mappings
                .filter_map(|m| Some(m.ebs()?.snapshot_id()?.to_owned()))
                .collect(),
        })
    }
}

/// A snapshot of ours that is not complete.
#[derive(Clone, Debug)]
pub(super) struct Unfinished {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) failed: bool,
    pub(super) started: Option<SystemTime>,
}

fn time(text: &str) -> Option<SystemTime> {
    let date = DateTime::from_str(text, Format::DateTime).ok()?;
    SystemTime::try_from(date).ok()
}

/// A time as people and AWS write it.
pub(super) fn written(time: Option<SystemTime>) -> String {
    let text = time.and_then(|t| DateTime::from(t).fmt(Format::DateTime).ok());
    text.unwrap_or_default()
}

/// Where the next page is, if there is one.
pub(super) fn next(token: Option<&str>) -> Option<String> {
    token.filter(|t| !t.is_empty()).map(ToOwned::to_owned)
}

/// All AMIs of the account, deprecated and disabled ones too.
pub(super) async fn images(aws: &Aws) -> Result<Vec<Listed>, AwsError> {
    let call = Call::new("ec2:DescribeImages", "all of the account's");
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let request = || {
            let request = aws.ec2().describe_images().owners("self");
            let request = request.include_deprecated(true).include_disabled(true);
            let request = request.max_results(PAGE).set_next_token(token.clone());
            request.send()
        };
        let answer = aws.call(&call, request).await?;
        all.extend(answer.images().iter().filter_map(Listed::of));
        token = next(answer.next_token());
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Snapshots with our tag.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours {
    pub(super) all: BTreeSet<String>,
    pub(super) unfinished: Vec<Unfinished>,
}

/// Snapshots with our tag, those that are pending or failed apart.
pub(super) async fn ours(aws: &Aws) -> Result<Ours, AwsError> {
    let call = Call::new("ec2:DescribeSnapshots", "diskwright's");
    let filter = Filter::builder().name("tag-key").values(DIGEST_TAG).build();
    let (mut ours, mut token) = (Ours::default(), None);
    loop {
        let request = || {
            let request = aws.ec2().describe_snapshots().owner_ids("self");
            let request = request.filters(filter.clone()).max_results(PAGE);
            request.set_next_token(token.clone()).send()
        };
        let answer = aws.call(&call, request).await?;
        for shown in answer.snapshots() {
            // A server that does not know the filter answers with all there are.
            let tagged = shown.tags().iter().any(|t| t.key() == Some(DIGEST_TAG));
            let Some(id) = shown.snapshot_id().filter(|_| tagged) else {
                continue;
            };
            ours.all.insert(id.to_owned());
            let failed = match shown.state() {
                Some(SnapshotState::Error) => true,
                Some(SnapshotState::Pending) => false,
                _ => continue,
            };
            ours.unfinished.push(Unfinished {
                id: id.to_owned(),
                description: shown.description().unwrap_or_default().to_owned(),
                failed,
                started: shown
                    .start_time()
                    .and_then(|t| SystemTime::try_from(*t).ok()),
            });
        }
        token = next(answer.next_token());
        if token.is_none() {
            return Ok(ours);
        }
    }
}
