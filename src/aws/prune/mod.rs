//! Old AMIs and their snapshots: found, judged and removed.
//!
//! ```text
//! [list.rs]  all AMIs of the account ──► [judge.rs] by name, tags, age, number ──► [uses.rs] who uses the rest
//!                                                                                      │
//!                                       [remove.rs] deregistered, snapshots deleted ◄── Plan
//! ```
//!
//! A [`Plan`] tells of every AMI of the family why it stays or goes. What is not known is a reason to stay.

mod family;
mod judge;
mod list;
mod remove;
mod uses;

pub use family::Family;
pub use remove::{Removed, carry_out};

use super::{Aws, AwsError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// Which AMIs are looked at, and which of them stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Their names.
    pub name: Option<Family>,
    /// Tags that they bear, all of them, of any value where none is given.
    pub tags: Vec<(String, Option<String>)>,
    /// AMIs and snapshots that diskwright did not make, too.
    pub foreign: bool,
    /// How many of the newest stay, of each architecture.
    pub keep: usize,
    /// Those that are younger stay.
    pub older_than: Duration,
    /// Those that were launched since stay; AWS tells of a launch a day later.
    pub unused_for: Duration,
    /// Those that are shared go, too.
    pub shared: bool,
    /// Pending and failed snapshots of ours that are older, and part of no AMI, go.
    pub orphans: Duration,
}

/// Stay or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Stay.
    Keep,
    /// Go.
    Remove,
}

/// An AMI or a snapshot, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// `ami-…` or `snap-…`.
    pub id: String,
    /// An AMI's name, a snapshot's description.
    pub name: String,
    /// When it was made, in ISO 8601, as far as AWS says.
    pub created: String,
    /// What becomes of it.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// An AMI's snapshots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshot_ids: Vec<String>,
}

/// What is to go, and what stays and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// AMIs of the family, the newest first.
    pub images: Vec<Judged>,
    /// Snapshots that no AMI and no upload will ever need.
    pub snapshots: Vec<Judged>,
    /// AMIs of the account, by the snapshots that are part of them.
    #[serde(skip)]
    users: BTreeMap<String, BTreeSet<String>>,
    /// Snapshots of AMIs that may go with them; `None`: all.
    #[serde(skip)]
    ours: Option<BTreeSet<String>>,
}

impl Plan {
    /// What goes.
    pub fn doomed(&self) -> impl Iterator<Item = &Judged> {
        let all = self.images.iter().chain(&self.snapshots);
        all.filter(|judged| judged.decision == Decision::Remove)
    }
}

/// Looks at the account and decides; changes nothing.
///
/// # Errors
/// When AWS refuses to tell anything that is asked: nothing is removed on half of the truth.
pub async fn plan(aws: &Aws, selection: &Selection) -> Result<Plan, AwsError> {
    let now = SystemTime::now();
    let all = list::images(aws).await?;
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for image in &all {
        for snapshot in &image.snapshots {
            let of = users.entry(snapshot.clone()).or_default();
            of.insert(image.id.clone());
        }
    }
    let mut images = judge::by_themselves(all, selection, now);
    let ids: Vec<_> = images
        .iter()
        .filter(|j| j.decision == Decision::Remove)
        .map(|j| j.id.clone())
        .collect();
    let uses = uses::of(aws, &ids, selection.shared).await?;
    for judged in &mut images {
        if let Some(by) = uses.get(&judged.id)
            && judged.decision == Decision::Remove
        {
            judged.decision = Decision::Keep;
            judged.reason.clone_from(by);
        }
    }
    let list::Ours { all, unfinished } = list::ours(aws).await?;
    let snapshots = judge::orphans(unfinished, &users, selection, now);
    Ok(Plan {
        images,
        snapshots,
        users,
        ours: (!selection.foreign).then_some(all),
    })
}
