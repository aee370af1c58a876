//! The digests of all blocks of a snapshot, as a file: what the next, incremental one is held against.
//!
//! ```text
//! diskwright blocks 1
//! snapshot snap-0123456789abcdef0
//! block-size 524288
//! 0 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! sha256 …
//! ```
//! The last line is the digest of all lines before it.

use crate::hex::hex;
use crate::sink::blocks::{Digest, from_hex, sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const TITLE: &str = "diskwright blocks 1";

/// Which blocks a snapshot has, its parents' among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMap {
    /// `snap-…`.
    pub snapshot: String,
    /// Bytes of a block.
    pub block_size: u64,
    /// By number.
    pub blocks: BTreeMap<u32, Digest>,
}

/// Why a file is no block map.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BlockMapError {
    /// It does not begin as one.
    #[error("this is no block map: its first line is not \"{TITLE}\"")]
    Title,
    /// A line that cannot be read.
    #[error("line {line} of the block map is not what it should be")]
    Line {
        /// From 1.
        line: usize,
    },
    /// The digest at its end is another one.
    #[error(
        "the block map is damaged: the digest in its last line is not that of the lines before"
    )]
    Damaged,
}

impl BlockMap {
    /// As text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{TITLE}\nsnapshot {}\nblock-size {}\n",
            self.snapshot, self.block_size
        );
        for (nr, digest) in &self.blocks {
            writeln!(text, "{nr} {}", hex(digest)).expect("a String takes every write");
        }
        let digest = hex(&sha256(text.as_bytes()));
        writeln!(text, "sha256 {digest}").expect("a String takes every write");
        text
    }

    /// From text.
    ///
    /// # Errors
    /// When it is no block map, or damaged.
    pub fn parse(text: &str) -> Result<Self, BlockMapError> {
        if text.lines().next() != Some(TITLE) {
            return Err(BlockMapError::Title);
        }
        let end = text.rfind("sha256 ").ok_or(BlockMapError::Damaged)?;
        let (body, last) = text.split_at(end);
        if last != format!("sha256 {}\n", hex(&sha256(body.as_bytes()))) {
            return Err(BlockMapError::Damaged);
        }
        let mut map = Self {
            snapshot: String::new(),
            block_size: 0,
            blocks: BTreeMap::new(),
        };
        for (line, text) in (1..).zip(body.lines()).skip(1) {
            map.line(text).ok_or(BlockMapError::Line { line })?;
        }
        Ok(map)
    }

    fn line(&mut self, text: &str) -> Option<()> {
        match text.split_once(' ')? {
            ("snapshot", id) => self.snapshot = id.to_owned(),
            ("block-size", size) => self.block_size = size.parse().ok()?,
            (nr, digest) => {
                self.blocks.insert(nr.parse().ok()?, from_hex(digest)?);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> BlockMap {
        BlockMap {
            snapshot: "snap-1".into(),
            block_size: 524_288,
            blocks: BTreeMap::from([(0, [1; 32]), (9, [2; 32])]),
        }
    }

    #[test]
    fn comes_back_from_its_text() {
        assert_eq!(BlockMap::parse(&map().to_text()), Ok(map()));
    }

    #[test]
    fn damage_anywhere_is_found() {
        let text = map().to_text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).unwrap();
            assert!(BlockMap::parse(&damaged).is_err(), "{at}");
            assert!(BlockMap::parse(&text[..at]).is_err(), "{at}");
        }
    }
}
