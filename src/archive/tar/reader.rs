//! Walks the archive: header after header, data between them, the end marker.

use bytes::Bytes;

use super::header::{Header, verifies};
use super::member::{Body, Member, Pending, SparseBody, member, path};
use super::pax::Records;
use super::sparse::{Map, MapReader, RUNS_MAX, old_gnu_block, runs};
use super::{BLOCK, padding};
use crate::archive::error::{ArchiveError, Part, Place};
use crate::archive::input::Input;
use crate::entry::{Entry, EntryKind};
use crate::units::count;

/// Bytes of pax records for one entry. Linux lets a file have 64 KiB of attribute names with values of up
/// to 64 KiB each, ext4 a block of them all; a sparse map 0.1 of 800,000 runs fits.
const RECORDS_MAX: u64 = 16 << 20;

/// Bytes of global records that are kept: every entry pays for them.
const GLOBAL_MAX: usize = 64 << 10;

/// Reads tar from a decoded stream.
pub(in crate::archive) struct TarReader {
    pub(in crate::archive) input: Input,
    pending: Pending,
    global: Records,
    /// The entry under way, for messages.
    pub(super) place: Place,
    /// Bytes of its data in the archive, and how many of them are still to come.
    stored: u64,
    left: u64,
    pad: u64,
    ended: bool,
    failed: bool,
    pub(super) warnings: Vec<String>,
    pub(super) warnings_lost: u64,
}

impl TarReader {
    pub(in crate::archive) fn new(input: Input) -> Self {
        let place = Place {
            archive: input.name().clone(),
            offset: 0,
            path: None,
        };
        Self {
            input,
            pending: Pending::default(),
            global: Records::default(),
            place,
            stored: 0,
            left: 0,
            pad: 0,
            ended: false,
            failed: false,
            warnings: Vec::new(),
            warnings_lost: 0,
        }
    }

    pub(in crate::archive) fn input(&self) -> &Input {
        &self.input
    }

    pub(in crate::archive) fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.unless_failed(Self::advance)
    }

    pub(in crate::archive) fn next_data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        self.unless_failed(Self::data)
    }

    /// After an error nothing is known about where the stream stands.
    fn unless_failed<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        if self.failed {
            return Err(ArchiveError::Spent {
                archive: self.place.archive.clone(),
            });
        }
        let result = step(self);
        self.failed = result.is_err();
        result
    }

    fn data(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        if self.left == 0 {
            return Ok(None);
        }
        match self.input.take(self.left)? {
            Some(bytes) => {
                self.left = self.left.saturating_sub(count(bytes.len()));
                Ok(Some(bytes))
            }
            None => Err(self.truncated(
                Part::Data,
                self.stored,
                self.stored.saturating_sub(self.left),
            )),
        }
    }

    fn advance(&mut self) -> Result<Option<Entry>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_body(self.left)?;
        self.left = 0;
        // umoci and others leave out the padding of the last member: the end is noticed below.
        self.input.skip(std::mem::take(&mut self.pad))?;
        loop {
            let offset = self.input.offset();
            let before = self.place.path.take();
            self.place.offset = offset;
            let mut block = [0; 512];
            let got = self.input.read_block(&mut block)?;
            if block.iter().all(|&b| b == 0) {
                // The bytes beyond `got` are zero from the start.
                self.end(offset, got)?;
                return Ok(None);
            }
            if got < block.len() {
                return Err(self.truncated(Part::Header, BLOCK, count(got)));
            }
            if !verifies(&block) {
                return Err(self.bad_checksum(&block, before));
            }
            let header = Header::of(&block);
            if let Some(entry) = self.header(header, offset)? {
                return Ok(Some(entry));
            }
        }
    }

    /// Handles one header; gives the entry if it is one.
    fn header(&mut self, header: &Header, offset: u64) -> Result<Option<Entry>, ArchiveError> {
        match header.typeflag {
            b'x' | b'X' => {
                self.pending.since.get_or_insert(offset);
                let limit = RECORDS_MAX.saturating_sub(self.pending.extended);
                let body = self.extension(header, "pax header", limit, RECORDS_MAX)?;
                self.pending.extended = self.pending.extended.saturating_add(count(body.len()));
                let added = self.pending.local.add(&body);
                added.map_err(|f| self.malformed(f))?;
            }
            b'g' => {
                let body = self.extension(header, "global pax header", RECORDS_MAX, RECORDS_MAX)?;
                let added = self.global.add(&body);
                added.map_err(|f| self.malformed(f))?;
                let kept = self.global.settle_global();
                if kept > GLOBAL_MAX {
                    return Err(ArchiveError::TooLarge {
                        at: Box::new(self.place.clone()),
                        field: "what global pax headers say",
                        size: count(kept),
                        limit: count(GLOBAL_MAX),
                        why: "every entry would bear it; make the archive without global headers",
                    });
                }
            }
            b'L' => {
                self.pending.since.get_or_insert(offset);
                self.pending.long_name = Some(self.long_name(header, "long name")?);
            }
            b'K' => {
                self.pending.since.get_or_insert(offset);
                self.pending.long_link = Some(self.long_name(header, "long link target")?);
            }
            kind @ (b'V' | b'M' | b'N' | b'A') => {
                let what = match kind {
                    b'V' => "a volume label",
                    b'M' => "the rest of a file that began in another volume",
                    b'N' => "a list of names of GNU tar before 1.11",
                    _ => "an access control list of Solaris",
                };
                let size = self.own_size(header)?;
                self.place.path = Some(header.path());
                self.check_left(size)?;
                self.skip_body_of(size)?;
                self.warn(&format!("{what}, ignored"));
                self.pending = Pending::default();
            }
            _ => return self.member(header, offset).map(Some),
        }
        Ok(None)
    }

    fn member(&mut self, header: &Header, offset: u64) -> Result<Entry, ArchiveError> {
        let mut pending = std::mem::take(&mut self.pending);
        let path = path(header, &pending, &self.global);
        self.place.path = Some(path.clone());
        let made = member(header, &mut pending, &self.global, path, offset);
        let Member {
            mut entry,
            body,
            stored,
            warnings,
        } = made.map_err(|f| self.malformed(f))?;
        for warning in warnings {
            self.warn(warning);
        }
        match body {
            Body::None => return Ok(entry),
            Body::PerhapsIgnored if stored == 0 || !self.data_follows()? => return Ok(entry),
            _ => {}
        }
        self.limit("size", stored)?;
        self.check_left(stored)?;
        match body {
            Body::Ignored(remark) => {
                if let Some(remark) = remark.filter(|_| stored > 0) {
                    self.warn(remark);
                }
                self.skip_body_of(stored)?;
            }
            Body::PerhapsIgnored => {
                self.warn("a hard link with data of its own; the data is ignored");
                self.skip_body_of(stored)?;
            }
            Body::Data => self.expect_data(stored, stored),
            Body::Sparse(map, size) => {
                self.limit("the size of a sparse file", size)?;
                entry.kind = self.sparse(map, size, stored)?;
            }
            Body::None => {}
        }
        Ok(entry)
    }

    /// Reads the rest of a sparse file's map.
    fn sparse(
        &mut self,
        body: SparseBody,
        size: u64,
        stored: u64,
    ) -> Result<EntryKind, ArchiveError> {
        let mut in_map: u64 = 0;
        let map = match body {
            SparseBody::Pax(Map::Here(map)) => map,
            SparseBody::Pax(Map::InData) => {
                let mut reader = MapReader::default();
                loop {
                    if stored.saturating_sub(in_map) < BLOCK {
                        return Err(
                            self.bad_map(String::from("it is longer than the entry's data"))
                        );
                    }
                    in_map = in_map.saturating_add(BLOCK);
                    let block = self.map_block()?;
                    if reader.block(&block).map_err(|why| self.bad_map(why))? {
                        break reader.into_map();
                    }
                }
            }
            SparseBody::OldGnu(mut map, mut more) => {
                while more {
                    let block = self.map_block()?;
                    more = old_gnu_block(&block, &mut map).map_err(|why| self.bad_map(why))?;
                    if count(map.len()) > RUNS_MAX {
                        return Err(self.bad_map(format!("more than {RUNS_MAX} runs")));
                    }
                }
                map
            }
        };
        let left = stored.saturating_sub(in_map);
        let data = runs(map, size, left).map_err(|why| self.bad_map(why))?;
        self.expect_data(left, stored);
        Ok(EntryKind::File { size, data })
    }

    fn map_block(&mut self) -> Result<[u8; 512], ArchiveError> {
        let mut block = [0; 512];
        match self.input.read_block(&mut block)? {
            512 => Ok(block),
            got => Err(self.truncated(Part::SparseMap, BLOCK, count(got))),
        }
    }

    /// `left` bytes follow for the caller; with what was read before, `stored` bytes are padded.
    fn expect_data(&mut self, left: u64, stored: u64) {
        self.left = left;
        self.stored = left;
        self.pad = padding(stored);
    }

    /// Whether the data of a hard link follows: not if a header, zeros or the end do.
    fn data_follows(&mut self) -> Result<bool, ArchiveError> {
        let mut block = [0; 512];
        let got = self.input.peek_block(&mut block)?;
        Ok(got > 0 && block.iter().any(|&b| b != 0) && !(got == 512 && verifies(&block)))
    }

    /// Passes over a body that nobody will ask for, and its padding.
    fn skip_body_of(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.stored = size;
        self.skip_body(size)?;
        self.input.skip(padding(size))?;
        Ok(())
    }

    /// Passes over `left` bytes of the entry's data.
    fn skip_body(&mut self, left: u64) -> Result<(), ArchiveError> {
        let missing = left.saturating_sub(self.input.skip(left)?);
        if missing == 0 {
            return Ok(());
        }
        Err(self.truncated(Part::Data, self.stored, self.stored.saturating_sub(missing)))
    }

    /// The end marker, of which the first block has been read, or the end without one.
    fn end(&mut self, offset: u64, got: usize) -> Result<(), ArchiveError> {
        self.ended = true;
        if let Some(since) = self.pending.since {
            self.place.offset = since;
            return Err(self.truncated(Part::Announced, BLOCK, 0));
        }
        if got < 512 {
            // Where a layer ends is known by its digest; umoci writes no marker.
            if self.input.is_layer() {
                return Ok(());
            }
            self.note(&format!(
                "no end-of-archive marker at byte {offset}: the archive may be cut short between two \
                 entries; read as complete"
            ));
        } else {
            let mut block = [0; 512];
            self.input.read_block(&mut block)?;
            if block.iter().any(|&b| b != 0) {
                let archive = self.place.archive.clone();
                return Err(ArchiveError::LoneZeroBlock { archive, offset });
            }
        }
        // To the end of the compressed stream: its checksum stands there.
        let mut silent = true;
        let mut at = self.input.offset();
        while let Some(bytes) = self.input.take(u64::MAX)? {
            if silent && let Some(first) = bytes.iter().position(|&b| b != 0) {
                silent = false;
                let at = at.saturating_add(count(first));
                self.note(&format!(
                    "data follows the end-of-archive marker, from byte {at} on; ignored, as tar does \
                     without --ignore-zeros"
                ));
            }
            at = self.input.offset();
        }
        if let Some(remark) = self.input.take_remark() {
            self.note(&remark);
        }
        Ok(())
    }
}
