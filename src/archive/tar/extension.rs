//! Bodies of headers that say more about another one: pax records, GNU long names.

use super::header::Header;
use super::padding;
use super::pax::Fault;
use super::reader::TarReader;
use super::sparse::unsigned;
use crate::archive::error::{ArchiveError, Part};
use crate::units::count;

/// Bytes of a long name. Linux's PATH_MAX is 4096; GNU tar and libarchive accept more, so do we.
const NAME_MAX: u64 = 1 << 20;

impl TarReader {
    /// The size field of a header that is no entry: pax records do not speak of those.
    pub(super) fn own_size(&mut self, header: &Header) -> Result<u64, ArchiveError> {
        let size = unsigned(&header.size);
        let size = size.map_err(|why| {
            self.malformed(Fault {
                field: String::from("header.size"),
                why,
            })
        })?;
        self.limit("size", size)?;
        Ok(size)
    }

    pub(super) fn long_name(
        &mut self,
        header: &Header,
        what: &'static str,
    ) -> Result<Vec<u8>, ArchiveError> {
        let mut name = self.extension(header, what, NAME_MAX, NAME_MAX)?;
        // GNU tar counts the NUL at the end. One inside is refused with the entry.
        let len = name
            .iter()
            .rposition(|&b| b != 0)
            .map_or(0, |last| last.saturating_add(1));
        name.truncate(len);
        Ok(name)
    }

    /// The body of a header that says more about another; grows only as its bytes arrive.
    pub(super) fn extension(
        &mut self,
        header: &Header,
        field: &'static str,
        room: u64,
        limit: u64,
    ) -> Result<Vec<u8>, ArchiveError> {
        let size = self.own_size(header)?;
        self.check_left(size)?;
        if size > room {
            return Err(ArchiveError::TooLarge {
                at: Box::new(self.place.clone()),
                field,
                // What came before for the same entry counts.
                size: size.saturating_add(limit.saturating_sub(room)),
                limit,
                why: "no filesystem can hold that; the archive is damaged or hostile",
            });
        }
        let mut body = Vec::new();
        loop {
            let found = count(body.len());
            if found == size {
                break;
            }
            match self.input.take(size.saturating_sub(found))? {
                Some(bytes) => body.extend_from_slice(&bytes),
                None => return Err(self.truncated(Part::Extension, size, found)),
            }
        }
        self.input.skip(padding(size))?;
        Ok(body)
    }
}
