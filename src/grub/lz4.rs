//! LZ4's legacy frame, which Linux compresses kernels with: a magic number, then blocks of 8 MiB each behind
//! its compressed length. `doc/lz4_Frame_format.md` ("Legacy frame") and `doc/lz4_Block_format.md` of LZ4.

use crate::units::index32;

/// The frame's first bytes.
pub(super) const MAGIC: [u8; 4] = 0x184C_2102_u32.to_le_bytes();

/// What a block decodes to, but for the last.
const BLOCK: usize = 8 << 20;
/// A match is never shorter.
const MIN_MATCH: usize = 4;
/// The value of a nibble that says that its length goes on in the bytes behind.
const MORE: u8 = 15;
/// Most literals and matches are no longer, and copied as if they were so long.
const SHORT: usize = 16;

/// Is told what a frame holds, in order.
pub(super) trait Reader {
    /// The first `len` bytes of `text`.
    fn literals(&mut self, text: &[u8], len: usize);
    /// `text` once more, at least four bytes, which began `distance` bytes back.
    fn repeated(&mut self, text: &[u8], distance: usize);
    /// All that came since the last block's end: a block of the frame.
    fn block(&mut self, text: &[u8]);
}

/// Reads `frame`, which ends with its last block; `None` when it is damaged or longer than `limit`.
pub(super) fn read_legacy(frame: &[u8], limit: usize, reader: &mut impl Reader) -> Option<()> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut room = limit;
    let mut out = vec![0; limit.min(BLOCK) + SHORT];
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (block, behind) = behind.split_at_checked(index32(u32::from_le_bytes(*len)))?;
        let have = decode(block, &mut out, room.min(BLOCK), reader)?;
        reader.block(&out[..have]);
        room -= have;
        rest = behind;
    }
    Some(())
}

/// Decodes `block` into the first `room` bytes of `out`, which has [`SHORT`] more; gives their number. Matches
/// reach back to the block's own beginning at most.
fn decode(
    mut block: &[u8],
    out: &mut [u8],
    room: usize,
    reader: &mut impl Reader,
) -> Option<usize> {
    let mut have = 0;
    loop {
        let (&token, rest) = block.split_first()?;
        block = rest;
        let len = length(token >> 4, &mut block)?;
        let (text, rest) = block.split_at_checked(len)?;
        if len > room - have {
            return None;
        }
        match block.first_chunk::<SHORT>() {
            Some(chunk) if len <= SHORT => out[have..have + SHORT].copy_from_slice(chunk),
            _ => out[have..have + len].copy_from_slice(text),
        }
        reader.literals(block, len);
        have += len;
        if rest.is_empty() {
            // The last sequence has no match.
            return Some(have);
        }
        let (distance, rest) = rest.split_first_chunk::<2>()?;
        block = rest;
        let distance = usize::from(u16::from_le_bytes(*distance));
        let len = length(token & 0x0F, &mut block)?.checked_add(MIN_MATCH)?;
        if distance == 0 || distance > have || len > room - have {
            return None;
        }
        repeat(out, have, len, distance);
        reader.repeated(&out[have..have + len], distance);
        have += len;
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

/// Puts at `at` what lies `distance` bytes before, for `len` bytes, which may reach into what it writes.
fn repeat(out: &mut [u8], at: usize, len: usize, distance: usize) {
    let start = at - distance;
    if len <= SHORT && distance >= SHORT {
        out.copy_within(start..start + SHORT, at);
        return;
    }
    let mut done = 0;
    while done < len {
        // What was written since the match began is a whole number of its periods.
        let part = (distance + done).min(len - done);
        out.copy_within(start..start + part, at + done);
        done += part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a frame was told to be, twice: by its parts and by its blocks.
    #[derive(Default)]
    struct Told {
        parts: Vec<u8>,
        blocks: Vec<u8>,
    }

    impl Reader for Told {
        fn literals(&mut self, text: &[u8], len: usize) {
            self.parts.extend_from_slice(&text[..len]);
        }

        fn repeated(&mut self, text: &[u8], distance: usize) {
            assert!(text.len() >= MIN_MATCH);
            for &byte in text {
                assert_eq!(self.parts[self.parts.len() - distance], byte);
                self.parts.push(byte);
            }
        }

        fn block(&mut self, text: &[u8]) {
            self.blocks.extend_from_slice(text);
        }
    }

    fn read(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
        let mut told = Told::default();
        read_legacy(frame, limit, &mut told)?;
        assert_eq!(told.parts, told.blocks);
        Some(told.blocks)
    }

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
        let out = read(&frame(&[&overlapping, &long]), 1000).unwrap();
        assert_eq!(out, [b"abcabcabcabca!".to_vec(), vec![b'x'; 37]].concat());
        assert_eq!(read(&frame(&[]), 0).unwrap(), b"");
    }

    #[test]
    fn damage_and_excess_are_refused() {
        let good = [0x36, b'a', b'b', b'c', 3, 0, 0x10, b'!'];
        assert!(read(&frame(&[&good]), 14).is_some());
        assert!(read(&frame(&[&good]), 13).is_none());
        for end in 0..good.len() {
            // Cut off behind the literals it is a block that ends there.
            let cut = read(&frame(&[&good[..end]]), 1000);
            assert_eq!(cut.is_some(), end == 4, "{end}");
        }
        for block in [
            &[0x10, b'a', 0, 0, 0x00][..],
            &[0x10, b'a', 2, 0, 0x00],
            &[0xF0, 0xFF],
        ] {
            assert!(read(&frame(&[block]), 1000).is_none());
        }
        let whole = frame(&[&good]);
        assert!(read(&whole[1..], 1000).is_none());
        assert!(read(&whole[..whole.len() - 1], 1000).is_none());
        // No block reaches into the one before it.
        assert!(read(&frame(&[&good, &[0x00, 1, 0, 0x00]]), 1000).is_none());
    }
}
