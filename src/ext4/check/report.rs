//! Collecting findings, and stopping when there are enough.

use super::{CheckError, Finding, MAX_FINDINGS};

/// Why a step ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// [`MAX_FINDINGS`] are reached.
    Full,
    /// The filesystem cannot be read on.
    Error(CheckError),
}

/// What a step of the check returns.
pub(super) type Step<T = ()> = Result<T, Stop>;

/// The structure a finding is about.
#[derive(Debug)]
pub(super) enum Place {
    /// A structure with a name of its own.
    Named(String),
    /// An inode; its path is looked up when the check has ended.
    Inode(u32),
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

/// An inode as the place of a finding.
pub(super) fn inode(ino: u32) -> Place {
    Place::Inode(ino)
}

/// A finding whose inode has no path yet.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) place: Place,
    pub(super) offset: u64,
    pub(super) message: String,
}

/// Findings so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Raw>,
}

impl Report {
    /// Adds a finding.
    pub(super) fn add(
        &mut self,
        place: impl Into<Place>,
        offset: u64,
        message: impl Into<String>,
    ) -> Step {
        self.findings.push(Raw {
            place: place.into(),
            offset,
            message: message.into(),
        });
        if self.findings.len() < MAX_FINDINGS {
            Ok(())
        } else {
            Err(Stop::Full)
        }
    }

    /// The inodes that findings are about.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u32> {
        self.findings.iter().filter_map(|f| match f.place {
            Place::Inode(ino) => Some(ino),
            Place::Named(_) => None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// The findings, with inodes named by `path`.
    pub(super) fn named(self, path: impl Fn(u32) -> Option<String>) -> Vec<Finding> {
        let name = |place| match place {
            Place::Named(name) => name,
            Place::Inode(ino) => match path(ino) {
                Some(path) => format!("inode {ino} {path}"),
                None => format!("inode {ino}"),
            },
        };
        let finish = |f: Raw| Finding {
            structure: name(f.place),
            offset: f.offset,
            message: f.message,
        };
        self.findings.into_iter().map(finish).collect()
    }

    /// The findings when nothing can be named.
    pub(super) fn unnamed(self) -> Vec<Finding> {
        self.named(|_| None)
    }
}
