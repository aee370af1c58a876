//! A block map beside a raw image: bmaptool's format, version 2.0. Who copies by it writes nothing where it names
//! nothing, so it names what must read as zero as well: only what is free may stay what it was.

use super::blocks::sha256;
use super::map::{Class, Region};
use crate::hex::hex;
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{MIB, count, index};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io;
use std::ops::Range;

/// Bytes in a block of the map.
const BLOCK: u64 = 4096;

/// The map of `image`, which `regions` cover, as XML.
///
/// # Errors
/// When the image cannot be read; `Interrupted` when `observer` asks for an end.
pub fn bmap(image: &dyn ReadAt, regions: &[Region], observer: &dyn Observer) -> io::Result<String> {
    let size = image.len();
    let blocks = size.div_ceil(BLOCK);
    let ranges = mapped(regions);
    let count_mapped: u64 = ranges.iter().map(|r| r.end - r.start).sum();
    let mut lines = String::new();
    let mut done = 0;
    for range in &ranges {
        let digest = digest(image, range, |n| {
            done += n;
            observer.progress(Stage::Digest, done, Some(count_mapped * BLOCK));
            !observer.cancelled()
        })?;
        let (first, last) = (range.start, range.end - 1);
        let place = match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        line(
            &mut lines,
            &format!("        <Range chksum=\"{digest}\"> {place} </Range>"),
        );
    }
    // The checksum of the whole file is taken while zeros stand in its place.
    let unsummed = "0".repeat(64);
    let text = format!(
        "<?xml version=\"1.0\" ?>\n\
         <bmap version=\"2.0\">\n    \
             <ImageSize> {size} </ImageSize>\n    \
             <BlockSize> {BLOCK} </BlockSize>\n    \
             <BlocksCount> {blocks} </BlocksCount>\n    \
             <MappedBlocksCount> {count_mapped} </MappedBlocksCount>\n    \
             <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {unsummed} </BmapFileChecksum>\n    \
             <BlockMap>\n{lines}    </BlockMap>\n\
         </bmap>\n"
    );
    let sum = hex(&sha256(text.as_bytes()));
    Ok(text.replacen(&unsummed, &sum, 1))
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes every write");
}

/// Blocks that are not free throughout.
fn mapped(regions: &[Region]) -> Vec<Range<u64>> {
    let mut list: Vec<Range<u64>> = Vec::new();
    let known = regions.iter();
    for region in known.filter(|r| r.class != Class::Free && r.len > 0) {
        let blocks = region.start / BLOCK..(region.start + region.len).div_ceil(BLOCK);
        match list.last_mut() {
            Some(last) if blocks.start <= last.end => last.end = last.end.max(blocks.end),
            _ => list.push(blocks),
        }
    }
    list
}

/// SHA-256 of the blocks, the last of an image as far as it goes.
fn digest(
    image: &dyn ReadAt,
    blocks: &Range<u64>,
    mut done: impl FnMut(u64) -> bool,
) -> io::Result<String> {
    let end = (blocks.end * BLOCK).min(image.len());
    let mut at = blocks.start * BLOCK;
    let mut buf = vec![0; index((end - at).min(MIB))];
    let mut hasher = Sha256::new();
    while at < end {
        let len = index(end - at).min(buf.len());
        image.read_exact_at(at, &mut buf[..len])?;
        hasher.update(&buf[..len]);
        at += count(len);
        if !done(count(len)) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    Ok(hex(&hasher.finalize()))
}
