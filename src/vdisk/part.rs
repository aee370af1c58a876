//! Pieces of a file, with where and what they are when they cannot be read.

use super::VdiskError;
use crate::read_at::ReadAt;
use crate::units::count;
use std::io;
use zerocopy::{FromBytes, IntoBytes};

/// The struct at `offset`.
pub(super) fn part<T: FromBytes + IntoBytes>(
    file: &dyn ReadAt,
    offset: u64,
    what: &'static str,
) -> Result<T, VdiskError> {
    let mut part = T::new_zeroed();
    read(file, offset, part.as_mut_bytes(), what)?;
    Ok(part)
}

/// Whether `len` bytes from `offset` lie within a disk of `size` bytes.
pub(super) fn in_disk(offset: u64, len: usize, size: u64) -> io::Result<()> {
    match offset.checked_add(count(len)) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Fills `buf` from `offset`.
pub(super) fn read(
    file: &dyn ReadAt,
    offset: u64,
    buf: &mut [u8],
    what: &'static str,
) -> Result<(), VdiskError> {
    let (end, len) = (offset.checked_add(count(buf.len())), file.len());
    if end.is_none_or(|end| end > len) {
        return Err(VdiskError::CutOff { what, offset, len });
    }
    file.read_exact_at(offset, buf)
        .map_err(|source| VdiskError::Read {
            what,
            offset,
            source,
        })
}
