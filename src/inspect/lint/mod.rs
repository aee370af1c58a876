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
//! | `names` | what fstab may call the filesystems of a disk |
//! | `kernels` | kernels, their modules and initrds, of every distribution |
//! | `command_line` | what loaders' menus give to kernels |
//! | `initrd` | which modules an initrd has |
//! | `sshd` | what sshd makes of its files |
//! | `rules` | what each rule looks for |

mod catalogue;
mod command_line;
mod facts;
mod from_archive;
mod from_image;
mod initrd;
mod kernels;
mod names;
mod rules;
mod sshd;

pub use catalogue::{CATALOGUE, Rule, Severity, rule};
pub use facts::{Entry, Facts};
pub use from_archive::of_rootfs;
pub use from_image::of_image;

use super::InspectError;
use crate::archive::ArchiveError;
use crate::display::display_text;
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
    /// Whether the rule is broken; false where the image does not tell, which is information.
    pub judged: bool,
}

/// What a rule found, before the catalogue says how bad it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    place: String,
    message: String,
    judged: bool,
}

impl Hit {
    /// What the image says comes out of here fit for a terminal.
    fn new(place: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self {
            place: display_text(place.as_ref()).to_string(),
            message: display_text(message.as_ref()).to_string(),
            judged: true,
        }
    }

    /// Why the rule could not be judged.
    fn open(place: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self {
            judged: false,
            ..Self::new(place, message)
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
    #[error("the root filesystem, at byte {offset} of the disk, cannot be read: {why}")]
    Root {
        /// First byte of the filesystem.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It has more names than memory is meant to hold.
    #[error(
        "its paths take more than 1 GiB, or the files that rules look at more than 128 MiB: no root filesystem \
         that boots has so many; `ls` and `extract` read it all the same"
    )]
    TooMuch,
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
                severity: if hit.judged { severity } else { Severity::Info },
                place: hit.place,
                message: hit.message,
                judged: hit.judged,
            });
        }
    }
    findings
}
