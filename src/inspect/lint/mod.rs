//! Whether an image, or a root filesystem that is to become one, is fit to be an AMI.
//!
//! ```text
//!  image ───► facts: files, the small ones' ─► rules, one function each ─► findings
//!  archive ─►        content, what boots       the catalogue says the rest
//! ```
//!
//! | file | what |
//! |---|---|
//! | `catalogue` | the rules as data: id, severity, why, how to mend it |
//! | `facts`, `from_image`, `from_archive` | what rules look at |
//! | `rules` | what each rule looks for |
//! | `initrd` | which modules an initrd has |

mod catalogue;
mod facts;
mod from_archive;
mod from_image;
mod initrd;
mod rules;

pub use catalogue::{CATALOGUE, Rule, Severity, rule};
pub use facts::{Entry, Facts};
pub use from_archive::of_rootfs;
pub use from_image::of_image;

use super::InspectError;
use crate::archive::ArchiveError;
use crate::display::display_text;
use crate::ext4::read::ReadError;
use serde::Serialize;

/// What the image is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// An AMI of one's own.
    Ami,
    /// An AMI that strangers start: what is told of secrets is an error.
    Marketplace,
}

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule: `A004`.
    pub rule: &'static str,
    /// How bad it is for the target.
    pub severity: Severity,
    /// Where: a path from `/`, or a part of the disk.
    pub place: String,
    /// What was found.
    pub message: String,
}

/// What a rule found, before the catalogue says how bad it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    place: String,
    message: String,
}

impl Hit {
    /// What the image says comes out of here fit for a terminal.
    fn new(place: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self {
            place: display_text(place.as_ref()).to_string(),
            message: display_text(message.as_ref()).to_string(),
        }
    }
}

/// Why there are no facts to judge.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// The image cannot be looked at.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Its root filesystem cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry of the archive that no tree can hold.
    #[error(transparent)]
    Tree(#[from] crate::tree::TreeError),
}

/// All findings, by rule.
#[must_use]
pub fn lint(facts: &Facts, target: Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in CATALOGUE {
        let severity = match target {
            Target::Ami => rule.severity,
            Target::Marketplace => rule.marketplace,
        };
        for hit in rules::run(rule.id, facts, target) {
            findings.push(Finding {
                rule: rule.id,
                severity,
                place: hit.place,
                message: hit.message,
            });
        }
    }
    findings
}
