//! Which side of a copy failed: errors of the disk that is read are marked on their way through the writers.

use crate::extent::{Extent, Layout};
use crate::read_at::ReadAt;
use std::io;
use std::ops::Range;

/// A disk whose errors [`of_reading`] knows.
pub(super) struct Marked<'a>(pub(super) &'a dyn Layout);

/// The mark.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct ReadFailed(io::Error);

fn mark(source: io::Error) -> io::Error {
    io::Error::new(source.kind(), ReadFailed(source))
}

/// The error of the disk, if it is one.
///
/// # Errors
/// The error as it was.
pub fn of_reading(e: io::Error) -> Result<io::Error, io::Error> {
    e.downcast().map(|ReadFailed(source)| source)
}

impl ReadAt for Marked<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buf).map_err(mark)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        self.0.hole(offset).map_err(mark)
    }
}

impl Layout for Marked<'_> {
    fn extents(&self) -> &[Extent] {
        self.0.extents()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_marked_is_the_disks() {
        let eof = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let marked = mark(eof());
        assert_eq!(marked.to_string(), eof().to_string());
        assert!(of_reading(marked).is_ok());
        assert!(of_reading(eof()).is_err());
        assert!(of_reading(io::Error::other("full")).is_err());
    }
}
