//! LZ4's legacy frame, which Linux compresses kernels with: a magic number, then blocks of 8 MiB each behind
//! its compressed length. `doc/lz4_Frame_format.md` ("Legacy frame") and `doc/lz4_Block_format.md` of LZ4.

use super::deflate::{self, Sequence};
use crate::units::{count32, index32};

/// The frame's first bytes.
pub(super) const MAGIC: [u8; 4] = 0x184C_2102_u32.to_le_bytes();

/// What a block decodes to, but for the last.
const BLOCK: usize = 8 << 20;
/// A match is never shorter.
const MIN_MATCH: usize = 4;
/// The value of a nibble that says that its length goes on in the bytes behind.
const MORE: u8 = 15;
/// Most literals and matches are no longer, and copied as if they were so long.
const SHORT: usize = 32;

/// How far back a match reaches, at most.
const HISTORY: usize = 64 << 10;
/// What is decoded before it is read: all that is worked on at once stays in a processor's own cache.
const PART: usize = 192 << 10;

/// Is told what a frame holds, in order.
pub(super) trait Reader {
    /// The first `len` bytes of `text`: `sequences`, and literals behind them. A match that deflate does not reach
    /// counts among the literals.
    fn part(&mut self, text: &[u8], len: usize, sequences: &[Sequence]);
}

/// Reads `frame`, which ends with its last block; `None` when it is damaged or longer than `limit`.
pub(super) fn read_legacy(frame: &[u8], limit: usize, reader: &mut impl Reader) -> Option<()> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut room = limit;
    let mut tail = Tail::new(reader);
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (block, behind) = behind.split_at_checked(index32(u32::from_le_bytes(*len)))?;
        room -= decode(block, room.min(BLOCK), &mut tail)?;
        tail.end_block();
        rest = behind;
    }
    Some(())
}

/// Decodes `block` to `room` bytes at most; gives their number. Matches reach back to the block's own beginning
/// at most.
fn decode(mut block: &[u8], room: usize, tail: &mut Tail<'_, impl Reader>) -> Option<usize> {
    let mut left = room;
    loop {
        let (&token, rest) = block.split_first()?;
        block = rest;
        let len = length(token >> 4, &mut block)?;
        let (text, rest) = block.split_at_checked(len)?;
        left = left.checked_sub(len)?;
        match block.first_chunk() {
            Some(chunk) if len <= SHORT && tail.room() >= len => tail.short(chunk, len),
            _ => tail.literals(text),
        }
        if rest.is_empty() {
            // The last sequence has no match.
            return Some(room - left);
        }
        let (distance, rest) = rest.split_first_chunk::<2>()?;
        block = rest;
        let distance = usize::from(u16::from_le_bytes(*distance));
        let len = length(token & 0x0F, &mut block)?.checked_add(MIN_MATCH)?;
        left = left.checked_sub(len)?;
        if distance == 0 || distance > tail.end {
            return None;
        }
        tail.repeat(len, distance);
    }
}

/// A length that begins in a nibble; each byte of 255 behind it is followed by another.
#[inline]
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

/// The end of what was decoded: as much as matches reach back to, and what the reader was not told yet.
struct Tail<'a, R> {
    reader: &'a mut R,
    /// [`HISTORY`], [`PART`], and [`SHORT`] more, into which copies may reach.
    text: Box<[u8]>,
    /// What the reader was told ends here,
    told: usize,
    /// and here what was decoded.
    end: usize,
    /// What was decoded since, but for the literals at its end,
    sequences: Vec<Sequence>,
    /// which are so many.
    literals: usize,
}

impl<'a, R: Reader> Tail<'a, R> {
    fn new(reader: &'a mut R) -> Self {
        Self {
            reader,
            text: vec![0; HISTORY + PART + SHORT].into(),
            told: 0,
            end: 0,
            sequences: Vec::new(),
            literals: 0,
        }
    }

    /// Bytes that may be decoded before the reader must be told.
    #[inline]
    fn room(&self) -> usize {
        HISTORY + PART - self.end
    }

    fn tell(&mut self) {
        let len = self.end - self.told;
        self.reader
            .part(&self.text[self.told..], len, &self.sequences);
        self.sequences.clear();
        self.literals = 0;
        self.told = self.end;
    }

    /// Forgets all but what matches reach back to.
    fn slide(&mut self) {
        self.tell();
        let start = self.end.saturating_sub(HISTORY);
        self.text.copy_within(start..self.end, 0);
        self.end -= start;
        self.told = self.end;
    }

    fn end_block(&mut self) {
        self.tell();
        (self.told, self.end) = (0, 0);
    }

    /// The first `len` bytes of `chunk`, for which there is room.
    #[inline]
    fn short(&mut self, chunk: &[u8; SHORT], len: usize) {
        *self.text[self.end..].first_chunk_mut().expect("SHORT more") = *chunk;
        self.end += len;
        self.literals += len;
    }

    fn literals(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            if self.room() == 0 {
                self.slide();
            }
            let (part, rest) = text.split_at(self.room().min(text.len()));
            self.text[self.end..self.end + part.len()].copy_from_slice(part);
            self.end += part.len();
            self.literals += part.len();
            text = rest;
        }
    }

    /// What lies `distance` bytes before the end, for `len` bytes, which may reach into what they become.
    #[inline]
    fn repeat(&mut self, len: usize, distance: usize) {
        if len <= SHORT && distance >= SHORT && self.room() >= len {
            let start = self.end - distance;
            let chunk: [u8; SHORT] = *self.text[start..].first_chunk().expect("SHORT more");
            *self.text[self.end..].first_chunk_mut().expect("SHORT more") = chunk;
            self.repeated(len, distance);
        } else {
            self.repeat_long(len, distance);
        }
    }

    fn repeat_long(&mut self, mut len: usize, distance: usize) {
        while len > 0 {
            if self.room() == 0 {
                self.slide();
            }
            let now = self.room().min(len);
            let start = self.end - distance;
            let mut done = 0;
            while done < now {
                // What was written since the match began is a whole number of its periods.
                let part = (distance + done).min(now - done);
                self.text.copy_within(start..start + part, self.end + done);
                done += part;
            }
            self.repeated(now, distance);
            len -= now;
        }
    }

    #[inline]
    fn repeated(&mut self, len: usize, distance: usize) {
        self.end += len;
        if distance > deflate::WINDOW || len < deflate::MIN_MATCH {
            self.literals += len;
            return;
        }
        self.sequences.push(Sequence {
            literals: count32(self.literals),
            len: count32(len),
            distance: count32(distance),
        });
        self.literals = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a frame was told to be, twice: by its sequences and as it is.
    #[derive(Default)]
    struct Told {
        parts: Vec<u8>,
        plain: Vec<u8>,
    }

    impl Reader for Told {
        fn part(&mut self, text: &[u8], len: usize, sequences: &[Sequence]) {
            let text = &text[..len];
            self.plain.extend_from_slice(text);
            let mut at = 0;
            for sequence in sequences {
                let literals = index32(sequence.literals);
                self.parts.extend_from_slice(&text[at..at + literals]);
                at += literals;
                assert!(index32(sequence.len) >= deflate::MIN_MATCH);
                assert!(index32(sequence.distance) <= deflate::WINDOW);
                for _ in 0..sequence.len {
                    let back = self.parts.len() - index32(sequence.distance);
                    self.parts.push(self.parts[back]);
                    at += 1;
                }
            }
            self.parts.extend_from_slice(&text[at..]);
        }
    }

    fn read(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
        let mut told = Told::default();
        read_legacy(frame, limit, &mut told)?;
        assert!(told.parts == told.plain);
        Some(told.plain)
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

    /// `literals` and a match of `len` bytes, at least 19, `distance` back.
    fn sequence(literals: &[u8], len: usize, distance: u16) -> Vec<u8> {
        let mut block = vec![0xFF];
        for rest in [literals.len() - 15, len - MIN_MATCH - 15] {
            let more = [
                vec![0xFF; rest / 255],
                vec![u8::try_from(rest % 255).unwrap()],
            ]
            .concat();
            if block.len() == 1 {
                block.extend(more);
                block.extend_from_slice(literals);
                block.extend_from_slice(&distance.to_le_bytes());
            } else {
                block.extend(more);
            }
        }
        block
    }

    #[test]
    fn a_match_is_cut_where_the_text_slides_with_a_byte_or_two_on_either_side() {
        for before in [HISTORY + PART - 1, HISTORY + PART - 2, HISTORY + PART] {
            let literals: Vec<u8> = (0..before)
                .map(|n| ((n * n) >> 5).to_le_bytes()[0])
                .collect();
            for beyond in [1, 2, 3, PART, PART + 1] {
                for distance in [1, 5, 40, u16::MAX] {
                    let len = (HISTORY + PART).saturating_sub(before) + 20 + beyond;
                    // It slides, and `PART` bytes later again.
                    let again = HISTORY + PART + PART - before + beyond;
                    for len in [len, again] {
                        let block = [sequence(&literals, len, distance), vec![0x10, b'!']].concat();
                        let mut want = literals.clone();
                        for _ in 0..len {
                            want.push(want[want.len() - usize::from(distance)]);
                        }
                        want.push(b'!');
                        let frame = frame(&[&[0x00], &block, &[0x10, b'?']]);
                        want.push(b'?');
                        assert!(read(&frame, want.len()).unwrap() == want, "{before} {len}");
                        assert!(read(&frame, want.len() - 1).is_none());
                    }
                }
            }
        }
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
