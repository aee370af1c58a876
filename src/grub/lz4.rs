//! LZ4's legacy frame, which Linux compresses kernels with: a magic number, then blocks of 8 MiB each behind
//! its compressed length. `doc/lz4_Frame_format.md` ("Legacy frame") and `doc/lz4_Block_format.md` of LZ4.

use crate::units::index32;

/// The frame's first bytes.
pub(crate) const MAGIC: [u8; 4] = 0x184C_2102_u32.to_le_bytes();

/// What a block decodes to, but for the last.
const BLOCK: usize = 8 << 20;
/// A match is never shorter.
const MIN_MATCH: usize = 4;
/// The value of a nibble that says that its length goes on in the bytes behind.
const MORE: u8 = 15;

/// The content of `frame`, which ends with its last block; `None` when it is damaged or longer than `limit`.
pub(crate) fn decompress_legacy(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (block, behind) = behind.split_at_checked(index32(u32::from_le_bytes(*len)))?;
        decode(block, &mut out, limit)?;
        rest = behind;
    }
    Some(out)
}

/// Appends what `block` decodes to. Matches reach back to the block's own beginning at most.
fn decode(mut block: &[u8], out: &mut Vec<u8>, limit: usize) -> Option<()> {
    let base = out.len();
    let room = limit.checked_sub(base)?.min(BLOCK);
    loop {
        let (&token, rest) = block.split_first()?;
        block = rest;
        let literals = length(token >> 4, &mut block)?;
        let (text, rest) = block.split_at_checked(literals)?;
        if out.len() - base + literals > room {
            return None;
        }
        out.extend_from_slice(text);
        if rest.is_empty() {
            // The last sequence has no match.
            return Some(());
        }
        let (offset, rest) = rest.split_first_chunk::<2>()?;
        block = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let len = length(token & 0x0F, &mut block)?.checked_add(MIN_MATCH)?;
        let have = out.len() - base;
        if offset == 0 || offset > have || len > room - have {
            return None;
        }
        copy_back(out, offset, len);
    }
}

/// A length that begins in a nibble; each byte of 255 behind it is followed by another.
fn length(nibble: u8, block: &mut &[u8]) -> Option<usize> {
    let mut len = usize::from(nibble);
    if nibble < MORE {
        return Some(len);
    }
    loop {
        let (&more, rest) = block.split_first()?;
        *block = rest;
        len = len.checked_add(usize::from(more))?;
        if more < u8::MAX {
            return Some(len);
        }
    }
}

/// Repeats what lies `offset` bytes back for `len` bytes, which may reach into what it writes.
fn copy_back(out: &mut Vec<u8>, offset: usize, len: usize) {
    let start = out.len() - offset;
    let end = out.len() + len;
    while out.len() < end {
        // What was written since the match began is a whole number of its periods.
        let part = (out.len() - start).min(end - out.len());
        out.extend_from_within(start..start + part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(blocks: &[&[u8]]) -> Vec<u8> {
        let mut frame = MAGIC.to_vec();
        for block in blocks {
            frame.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
            frame.extend_from_slice(block);
        }
        frame
    }

    #[test]
    fn literals_and_matches_of_every_kind() {
        // "abc", 3 back for 4 + 6; then "!" alone.
        let overlapping = [0x36, b'a', b'b', b'c', 3, 0, 0x10, b'!'];
        // Sixteen literals: 15 and one byte more; a match of 4 + 15 + 2.
        let long = [&[0xFF, 1][..], &[b'x'; 16], &[1, 0, 2, 0x00]].concat();
        let out = decompress_legacy(&frame(&[&overlapping, &long]), 1000).unwrap();
        assert_eq!(out, [b"abcabcabcabca!".to_vec(), vec![b'x'; 37]].concat());
        assert_eq!(decompress_legacy(&frame(&[]), 0).unwrap(), b"");
    }

    #[test]
    fn damage_and_excess_are_refused() {
        let good = [0x36, b'a', b'b', b'c', 3, 0, 0x10, b'!'];
        assert!(decompress_legacy(&frame(&[&good]), 14).is_some());
        assert!(decompress_legacy(&frame(&[&good]), 13).is_none());
        for end in 0..good.len() {
            // Cut off behind the literals it is a block that ends there.
            let cut = decompress_legacy(&frame(&[&good[..end]]), 1000);
            assert_eq!(cut.is_some(), end == 4, "{end}");
        }
        for block in [
            &[0x10, b'a', 0, 0, 0x00][..],
            &[0x10, b'a', 2, 0, 0x00],
            &[0xF0, 0xFF],
        ] {
            assert!(decompress_legacy(&frame(&[block]), 1000).is_none());
        }
        let whole = frame(&[&good]);
        assert!(decompress_legacy(&whole[1..], 1000).is_none());
        assert!(decompress_legacy(&whole[..whole.len() - 1], 1000).is_none());
        // No block reaches into the one before it.
        assert!(decompress_legacy(&frame(&[&good, &[0x00, 1, 0, 0x00]]), 1000).is_none());
    }
}
