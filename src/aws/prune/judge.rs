//! What the AMIs and snapshots say for themselves, before anybody is asked who uses them.

use super::list::{Listed, Unfinished, written};
use super::{Decision, Judged, Selection};
use crate::aws::image::DIGEST_TAG;
use aws_sdk_ec2::types::ImageState;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// Whether the AMI is one to judge at all.
fn belongs(image: &Listed, selection: &Selection) -> bool {
    let family = selection.name.as_ref();
    let tagged = selection.tags.iter().all(|(key, value)| {
        let found = image.tag(key);
        found.is_some() && value.as_deref().is_none_or(|v| found == Some(v))
    });
    family.is_none_or(|family| family.has(&image.name))
        && tagged
        && (selection.foreign || image.tag(DIGEST_TAG).is_some())
}

/// The family's AMIs, the newest first, and what is to be said of each by what it shows itself.
pub(super) fn by_themselves(
    all: Vec<Listed>,
    selection: &Selection,
    now: SystemTime,
) -> Vec<Judged> {
    let mut family: Vec<_> = all
        .into_iter()
        .filter(|image| belongs(image, selection))
        .collect();
    family.sort_by_key(|image| (Reverse(image.created), image.id.clone()));
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    let mut judged = Vec::new();
    for image in family {
        let seen = newest.entry(image.architecture.clone()).or_default();
        let among_newest = image.state == ImageState::Available && *seen < selection.keep;
        if image.state == ImageState::Available {
            *seen += 1;
        }
        let (decision, reason) = match stays(&image, selection, now) {
            _ if among_newest => (
                Decision::Keep,
                newest_of(selection.keep, &image.architecture),
            ),
            Some(why) => (Decision::Keep, why),
            None if image.state != ImageState::Available => (
                Decision::Remove,
                format!("old, and {}", image.state.as_str()),
            ),
            None => (Decision::Remove, "old".into()),
        };
        judged.push(Judged {
            id: image.id,
            name: image.name,
            created: written(image.created),
            decision,
            reason,
            snapshot_ids: image.snapshots,
        });
    }
    judged
}

/// Why one of the newest stays.
fn newest_of(keep: usize, architecture: &str) -> String {
    let mut text = match keep {
        1 => "the newest".to_owned(),
        n => format!("among the {n} newest"),
    };
    if !architecture.is_empty() {
        text.push_str(&format!(" of {architecture}"));
    }
    text
}

/// Why an AMI stays that is not among the newest.
fn stays(image: &Listed, selection: &Selection, now: SystemTime) -> Option<String> {
    let Some(created) = image.created else {
        return Some("AWS does not say how old it is".into());
    };
    if younger(created, selection.older_than, now) {
        return Some(format!("younger than {}", told(selection.older_than)));
    }
    if matches!(image.state, ImageState::Pending | ImageState::Transient) {
        return Some(format!("it is {}", image.state.as_str()));
    }
    if image.protected {
        return Some("protected from deregistration".into());
    }
    if image
        .launched
        .is_some_and(|at| younger(at, selection.unused_for, now))
    {
        return Some(format!("launched {}", written(image.launched)));
    }
    (image.public && !selection.shared).then(|| "public".into())
}

/// Whether `time` is less than `age` ago. One that is still to come is.
fn younger(time: SystemTime, age: Duration, now: SystemTime) -> bool {
    now.duration_since(time).is_ok_and(|a| a < age) || time > now
}

fn told(age: Duration) -> String {
    match age.as_secs() {
        s if s % 86_400 == 0 => format!("{} days", s / 86_400),
        s if s % 3600 == 0 => format!("{} hours", s / 3600),
        s => format!("{s} s"),
    }
}

/// Snapshots whose upload has ended without an end. AWS gives one up itself after an hour without a block, and then it
/// has failed.
pub(super) fn orphans(
    unfinished: Vec<Unfinished>,
    users: &BTreeMap<String, BTreeSet<String>>,
    selection: &Selection,
    now: SystemTime,
) -> Vec<Judged> {
    let judge = |snapshot: Unfinished| {
        let by = users.get(&snapshot.id).and_then(|of| of.first());
        let state = match snapshot.failed {
            true => "failed",
            false => "pending",
        };
        let recent = |at| younger(at, selection.orphans, now);
        let (decision, reason) = match by {
            Some(ami) => (Decision::Keep, format!("part of {ami}")),
            None if snapshot.started.is_none_or(recent) => (
                Decision::Keep,
                format!("{state}, younger than {}", told(selection.orphans)),
            ),
            None => (Decision::Remove, format!("{state}, and nobody's")),
        };
        Judged {
            id: snapshot.id,
            name: snapshot.description,
            created: written(snapshot.started),
            decision,
            reason,
            snapshot_ids: Vec::new(),
        }
    };
    unfinished.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(nr: u64, days: u64, now: SystemTime) -> Listed {
        Listed {
            id: format!("ami-{nr:017x}"),
            name: "web".into(),
            tags: vec![(DIGEST_TAG.into(), "0".into())],
            architecture: "x86_64".into(),
            state: ImageState::Available,
            created: Some(now - Duration::from_secs(days * 86_400)),
            launched: None,
            protected: false,
            public: false,
            snapshots: Vec::new(),
        }
    }

    proptest! {
        /// Whatever there is and is asked: the newest stay, the young stay, the protected, public and launched stay.
        #[test]
        fn nothing_goes_that_has_a_reason_to_stay(
            ages in prop::collection::vec((0_u64..100, 0_u64..100, any::<[bool; 4]>()), 0..20),
            keep in 0_usize..6,
            old in 0_u64..90,
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            let day = Duration::from_secs(86_400);
            let all: Vec<_> = (0..).zip(ages).map(|(nr, (days, launched, [protected, public, ran, ours]))| Listed {
                protected,
                public,
                launched: ran.then(|| now - day * u32::try_from(launched).unwrap()),
                tags: ours.then(|| (DIGEST_TAG.into(), "0".into())).into_iter().collect(),
                ..image(nr, days, now)
            }).collect();
            let selection = Selection {
                name: Some("web".parse().unwrap()),
                tags: Vec::new(),
                foreign: false,
                keep,
                older_than: day * u32::try_from(old).unwrap(),
                unused_for: day * 30,
                shared: false,
                orphans: day,
            };
            let judged = by_themselves(all.clone(), &selection, now);
            prop_assert_eq!(judged.len(), all.iter().filter(|i| !i.tags.is_empty()).count());
            for (place, judged) in judged.iter().enumerate() {
                let image = all.iter().find(|i| i.id == judged.id).unwrap();
                let recent = image.launched.is_some_and(|at| now - day * 30 < at);
                let young = now - selection.older_than < image.created.unwrap();
                let stays = place < keep || image.protected || image.public || recent || young;
                prop_assert_eq!(judged.decision == Decision::Keep, stays, "{:?}", judged);
            }
        }
    }
}
