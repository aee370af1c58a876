//! Sparse files: where the data that follows belongs. GNU tar has had four ways to say it.
//!
//! | version | the map | size of the file | name |
//! |---|---|---|---|
//! | old GNU, type `S` | 4 runs in the header, 21 in each extension block | `realsize` | header |
//! | pax 0.0 | `GNU.sparse.offset`, `.numbytes`, repeated | `GNU.sparse.size` | header |
//! | pax 0.1 | `GNU.sparse.map=offset,length,…` | `GNU.sparse.size` | `GNU.sparse.name` |
//! | pax 1.0 | lines before the data: count, offset, length, … | `GNU.sparse.realsize` | `GNU.sparse.name` |
//!
//! In all of them the data of the runs follows without gaps, padded once at its end.

use super::header::{Header, SparseBlock, SparseField};
use super::number;
use super::pax::Setting;
use super::pax_value;
use crate::entry::DataRun;
use crate::units::index;

/// Runs of a file that are accepted: 64 MiB of memory. A file of 16 TiB in runs of 4 MiB has as many.
pub(super) const RUNS_MAX: u64 = 4 << 20;

/// The `GNU.sparse` records of an entry. They are never taken from a global header.
#[derive(Clone, Debug, Default)]
pub(super) struct PaxSparse {
    pub(super) major: Setting<u32>,
    pub(super) minor: Setting<u32>,
    pub(super) name: Setting<Vec<u8>>,
    pub(super) size: Setting<u64>,
    pub(super) numblocks: Setting<u64>,
    pub(super) map: Setting<Vec<(u64, u64)>>,
    /// Version 0.0: pairs as they came; the last may still lack its length.
    pairs: Vec<(u64, Option<u64>)>,
}

/// How an entry's map is given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// In the records.
    Here(Vec<(u64, u64)>),
    /// Version 1.0: before the data.
    InData,
}

impl PaxSparse {
    pub(super) fn push_offset(&mut self, offset: u64) -> Result<(), String> {
        if self.pairs.last().is_some_and(|p| p.1.is_none()) {
            return Err(String::from("two offsets without a length between them"));
        }
        self.pairs.push((offset, None));
        Ok(())
    }

    pub(super) fn push_numbytes(&mut self, numbytes: u64) -> Result<(), String> {
        match self.pairs.last_mut() {
            Some((_, length @ None)) => {
                *length = Some(numbytes);
                Ok(())
            }
            _ => Err(String::from("a length without an offset before it")),
        }
    }

    /// The map and the file's size, if the records make it a sparse file.
    pub(super) fn take(&mut self) -> Result<Option<(Map, u64)>, String> {
        let major = self.major.get().copied();
        let size = self.size.get().copied();
        let map = match std::mem::take(&mut self.map) {
            Setting::Said(map) => Some(map),
            _ if !self.pairs.is_empty() => {
                let pairs = std::mem::take(&mut self.pairs);
                let whole: Option<Vec<_>> = pairs
                    .into_iter()
                    .map(|(offset, len)| Some((offset, len?)))
                    .collect();
                Some(whole.ok_or("the last offset has no length")?)
            }
            _ if self.numblocks.get() == Some(&0) => Some(Vec::new()),
            _ => None,
        };
        match (major, map, size) {
            (Some(1), _, Some(size)) => {
                if self.minor.get().is_some_and(|&minor| minor != 0) {
                    return Err(String::from("a version after 1.0, which is not known"));
                }
                Ok(Some((Map::InData, size)))
            }
            (Some(major), ..) if major > 1 => Err(format!(
                "version {major}, which is not known: 0.0, 0.1 and 1.0 are"
            )),
            (_, Some(map), Some(size)) => {
                if self
                    .numblocks
                    .get()
                    .is_some_and(|&n| n != crate::units::count(map.len()))
                {
                    return Err(String::from(
                        "GNU.sparse.numblocks is not the number of runs",
                    ));
                }
                Ok(Some((Map::Here(map), size)))
            }
            (Some(1), _, None) | (_, Some(_), None) => Err(String::from(
                "the file's size (GNU.sparse.size or .realsize) is missing",
            )),
            _ => Ok(None),
        }
    }
}

/// Version 0.1: `offset,length,offset,length`.
pub(super) fn parse_map(value: &[u8]) -> Result<Vec<(u64, u64)>, String> {
    let mut numbers = value.split(|&b| b == b',').map(pax_value::number);
    let mut map = Vec::new();
    while let Some(offset) = numbers.next() {
        let len = numbers.next().ok_or("an odd number of numbers")?;
        map.push((offset?, len?));
    }
    Ok(map)
}

/// The runs of an old GNU header, and whether extension blocks follow.
pub(super) fn old_gnu_header(header: &Header) -> Result<(Vec<(u64, u64)>, bool), String> {
    let mut map = Vec::new();
    let tail = header.gnu();
    push_fields(&tail.sparse, &mut map)?;
    Ok((map, tail.isextended != 0))
}

/// More runs; whether another block follows.
pub(super) fn old_gnu_block(block: &[u8; 512], map: &mut Vec<(u64, u64)>) -> Result<bool, String> {
    let block: &SparseBlock = zerocopy::transmute_ref!(block);
    push_fields(&block.sparse, map)?;
    Ok(block.isextended != 0)
}

fn push_fields(fields: &[SparseField], map: &mut Vec<(u64, u64)>) -> Result<(), String> {
    for field in fields {
        // GNU tar ends the list at the first length field that is blank.
        if field.numbytes.first().is_none_or(|&b| b == 0) {
            break;
        }
        map.push((unsigned(&field.offset)?, unsigned(&field.numbytes)?));
    }
    Ok(())
}

pub(super) fn unsigned(field: &[u8]) -> Result<u64, String> {
    let value = number::parse(field)?;
    u64::try_from(value).map_err(|_| format!("{value} is out of range"))
}

/// The map of version 1.0, as it arrives block by block.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    number: Option<u64>,
    /// Runs that the map announces, once that line came.
    announced: Option<u64>,
    offset: Option<u64>,
    map: Vec<(u64, u64)>,
}

impl MapReader {
    /// Reads a block of the map; whether the map is complete. The rest of its last block is padding.
    pub(super) fn block(&mut self, block: &[u8; 512]) -> Result<bool, String> {
        for &byte in block {
            match byte {
                b'0'..=b'9' => {
                    let value = self.number.unwrap_or(0).checked_mul(10);
                    let value = value.and_then(|v| v.checked_add(u64::from(byte & 0x0f)));
                    self.number = Some(value.ok_or("a number beyond 64 bits")?);
                }
                b'\n' => {
                    let number = self.number.take().ok_or("an empty line")?;
                    if self.line(number)? {
                        return Ok(true);
                    }
                }
                _ => {
                    return Err(format!(
                        "byte {byte:#04x} where a digit or newline should stand"
                    ));
                }
            }
        }
        Ok(false)
    }

    fn line(&mut self, number: u64) -> Result<bool, String> {
        let Some(announced) = self.announced else {
            self.announced = Some(number);
            return match number {
                0 => Ok(true),
                n if n > RUNS_MAX => Err(format!("{n} runs, the limit is {RUNS_MAX}")),
                _ => Ok(false),
            };
        };
        match self.offset.take() {
            None => self.offset = Some(number),
            Some(offset) => self.map.push((offset, number)),
        }
        Ok(self.map.len() == index(announced))
    }

    pub(super) fn into_map(self) -> Vec<(u64, u64)> {
        self.map
    }
}

/// Checks a map against the file's size and the data that follows; `None` where the file is dense.
pub(super) fn runs(
    map: Vec<(u64, u64)>,
    size: u64,
    stored: u64,
) -> Result<Option<Vec<DataRun>>, String> {
    let mut end: u64 = 0;
    let mut sum: u64 = 0;
    let mut runs = Vec::new();
    for (offset, len) in map {
        let run_end = offset
            .checked_add(len)
            .filter(|&e| e <= size)
            .ok_or_else(|| format!("a run of {len} bytes at {offset} in a file of {size} bytes"))?;
        if offset < end {
            return Err(format!(
                "a run at {offset}, before the end of the one before it ({end})"
            ));
        }
        // Old GNU headers mark a hole at the end by an empty run.
        if len > 0 {
            runs.push(DataRun { offset, len });
        }
        end = run_end;
        sum = sum.saturating_add(len);
    }
    if sum != stored {
        return Err(format!(
            "its runs add up to {sum} bytes, but {stored} bytes of data follow"
        ));
    }
    let dense = sum == size;
    Ok(if dense { None } else { Some(runs) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_ascend_fit_and_add_up() {
        let run = |offset, len| DataRun { offset, len };
        assert_eq!(
            runs(vec![(0, 5), (10, 5), (20, 0)], 20, 10),
            Ok(Some(vec![run(0, 5), run(10, 5)]))
        );
        assert_eq!(runs(vec![(0, 5), (5, 5)], 10, 10), Ok(None));
        assert_eq!(runs(vec![(100, 0)], 100, 0), Ok(Some(vec![])));
        assert_eq!(runs(vec![], 0, 0), Ok(None));
        for (map, size, stored) in [
            (vec![(0, 5), (4, 5)], 20, 10),
            (vec![(10, 5), (0, 5)], 20, 10),
            (vec![(0, 21)], 20, 21),
            (vec![(u64::MAX, 2)], u64::MAX, 2),
            (vec![(0, 5)], 20, 6),
        ] {
            assert!(runs(map, size, stored).is_err());
        }
    }

    #[test]
    fn a_map_in_the_data_is_read_across_blocks() {
        let mut text = b"200\n".to_vec();
        for i in 0..200 {
            text.extend(format!("{}\n512\n", i * 1024).bytes());
        }
        text.resize(text.len().next_multiple_of(512), 0);
        let mut reader = MapReader::default();
        let blocks = text.as_chunks::<512>().0;
        for (i, block) in blocks.iter().enumerate() {
            assert_eq!(reader.block(block), Ok(i + 1 == blocks.len()));
        }
        let map = reader.into_map();
        assert_eq!((map.len(), map[199]), (200, (199 * 1024, 512)));
    }

    #[test]
    fn a_bad_map_in_the_data_is_refused() {
        for text in [
            "\n",
            "x",
            "1\n\n",
            "99999999999999999999999\n",
            "4194305\n",
            "-1\n",
        ] {
            let mut block = [0; 512];
            block[..text.len()].copy_from_slice(text.as_bytes());
            assert!(MapReader::default().block(&block).is_err(), "{text}");
        }
    }

    #[test]
    fn a_map_in_one_record_needs_pairs() {
        assert_eq!(parse_map(b"0,5,10,5"), Ok(vec![(0, 5), (10, 5)]));
        for bad in [&b""[..], b"1", b"1,2,3", b"1,,2", b"1,-2"] {
            assert!(parse_map(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn offsets_and_lengths_must_alternate() {
        let mut s = PaxSparse::default();
        assert!(s.push_numbytes(1).is_err());
        s.push_offset(0).unwrap();
        assert!(s.push_offset(1).is_err());
        s.size = Setting::Said(9);
        assert!(s.clone().take().is_err());
        s.push_numbytes(4).unwrap();
        s.numblocks = Setting::Said(1);
        assert_eq!(s.clone().take(), Ok(Some((Map::Here(vec![(0, 4)]), 9))));
        s.numblocks = Setting::Said(2);
        assert!(s.take().is_err());
        assert_eq!(PaxSparse::default().take(), Ok(None));
    }
}
