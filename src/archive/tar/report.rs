//! What the tar reader says when something is wrong or odd: errors with their place, and warnings.

use super::FILE_MAX;
use super::header::{Header, checksums, text};
use super::pax::Fault;
use super::reader::TarReader;
use crate::archive::error::{ArchiveError, Part};
use crate::display::display_path;

/// Warnings kept until they are taken: a hostile archive has one for every header.
const WARNINGS_MAX: usize = 1000;

impl TarReader {
    pub(in crate::archive) fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        match std::mem::take(&mut self.warnings_lost) {
            0 => {}
            n => warnings.push(format!("{}: {n} more warnings", self.place.archive)),
        }
        warnings
    }

    pub(super) fn limit(&self, field: &'static str, size: u64) -> Result<(), ArchiveError> {
        if size <= FILE_MAX {
            return Ok(());
        }
        Err(ArchiveError::TooLarge {
            at: Box::new(self.place.clone()),
            field,
            size,
            limit: FILE_MAX,
            why: "ext4 can hold no larger file; the size is damaged, or the file must stay out",
        })
    }

    /// Refuses data beyond the end of a plain archive whose length is known.
    pub(super) fn check_left(&self, claimed: u64) -> Result<(), ArchiveError> {
        match self.input.left() {
            Some(left) if left < claimed => Err(ArchiveError::EntryLarger {
                at: Box::new(self.place.clone()),
                claimed,
                left,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn truncated(&self, part: Part, expected: u64, found: u64) -> ArchiveError {
        ArchiveError::Truncated {
            at: Box::new(self.place.clone()),
            part,
            expected,
            found,
        }
    }

    pub(super) fn malformed(&self, fault: Fault) -> ArchiveError {
        let Fault { field, why } = fault;
        ArchiveError::Malformed {
            at: Box::new(self.place.clone()),
            field,
            why,
        }
    }

    pub(super) fn bad_map(&self, why: String) -> ArchiveError {
        self.malformed(Fault {
            field: String::from("sparse map"),
            why,
        })
    }

    pub(super) fn bad_checksum(&self, block: &[u8; 512], before: Option<Vec<u8>>) -> ArchiveError {
        let stored = display_path(text(&Header::of(block).chksum)).to_string();
        ArchiveError::Checksum {
            at: Box::new(self.place.clone()),
            after: before.map(|path| format!(" (after entry '{}')", display_path(&path))),
            stored,
            computed: checksums(block).0,
        }
    }

    /// A warning about the entry under way.
    pub(super) fn warn(&mut self, what: &str) {
        self.keep(format!("{}: {what}", self.place));
    }

    /// A warning about the archive.
    pub(super) fn note(&mut self, what: &str) {
        self.keep(format!("{}: {what}", self.place.archive));
    }

    fn keep(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(warning);
        } else {
            self.warnings_lost = self.warnings_lost.saturating_add(1);
        }
    }
}
