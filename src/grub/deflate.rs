//! Deflate (RFC 1951) without a search: of matches that somebody else found, or of none.
//!
//! The search is what compression takes its time for. Nor are symbols counted: the codes are always the same, so
//! that each is written as soon as it is known, and those of literals are all of one length, so that several are
//! written at once.
//!
//! | symbols | bits | codes, from |
//! |---|---|---|
//! | lengths 3 to 10 | 5 | 0 |
//! | lengths 11 to 50, ten symbols | 6 | 16 |
//! | end of the block, then greater lengths, eleven | 7 | 52 |
//! | literals | 9 | 256 |
//! | distances above 16384, two | 4 | 0 |
//! | other distances | 5 | 4 |

use crate::units::{count32, index32};

/// How far back a match may reach: section 2.
pub(super) const WINDOW: usize = 32 << 10;
/// A match is never shorter.
pub(super) const MIN_MATCH: usize = 3;
/// Nor longer.
const MAX_MATCH: usize = 258;
/// Bytes of a stored block, at most: section 3.2.4.
pub(super) const STORED_MAX: usize = 0xFFFF;

/// A block that is not the last: section 3.2.3.
const CODED: Code = Code {
    bits: 0b100,
    len: 3,
};
const STORED: Code = Code {
    bits: 0b000,
    len: 3,
};
/// The last block: of the fixed codes of section 3.2.6, and nothing in it.
const LAST: Code = Code {
    bits: 0b011,
    len: 10,
};

const END_OF_BLOCK: u32 = 256;
const LITERAL_BITS: u32 = 9;
/// Symbols of literals and lengths, and of distances.
const SYMBOLS: u32 = 286;
const DISTANCES: u32 = 30;
/// Section 3.2.7: the lengths of the codes come as codes themselves, whose lengths come first and in this order:
/// 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4.
const LENGTHS_OF_LENGTHS: [u32; 12] = [0, 0, 0, 0, 0, 3, 1, 4, 0, 2, 0, 4];

/// Bytes that are written at once.
const WORD: usize = 8;
/// Literals that fit into a word behind what a byte may still hold.
const AT_ONCE: usize = 6;
/// Bytes by which the output grows, at least.
const STEP: usize = 64 << 10;

static LITERALS: [Code; 256] = literal_codes();
static LENGTHS: [Code; MAX_MATCH + 1] = lengths();
static DISTANCE_SYMBOLS: [Code; 30] = distance_symbols();

/// Bytes as they are, and a match behind them: in bytes all three.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    pub(super) literals: u32,
    /// At least [`MIN_MATCH`].
    pub(super) len: u32,
    /// How far back it reaches, 1 to [`WINDOW`].
    pub(super) distance: u32,
}

/// Bits in the order of the stream, the first lowest.
#[derive(Clone, Copy, Debug)]
struct Code {
    bits: u32,
    len: u32,
}

impl Code {
    /// A Huffman code, whose highest bit comes first (section 3.1.1).
    const fn huffman(code: u32, len: u32) -> Self {
        let bits = code.reverse_bits() >> (u32::BITS - len);
        Self { bits, len }
    }

    /// That of a literal, a length or the end of the block.
    const fn symbol(symbol: u32) -> Self {
        match symbol {
            0..=255 => Self::huffman(256 + symbol, LITERAL_BITS),
            END_OF_BLOCK => Self::huffman(52, 7),
            257..=264 => Self::huffman(symbol - 257, 5),
            265..=274 => Self::huffman(16 + (symbol - 265), 6),
            _ => Self::huffman(53 + (symbol - 275), 7),
        }
    }

    const fn distance_symbol(symbol: u32) -> Self {
        match symbol {
            28.. => Self::huffman(symbol - 28, 4),
            _ => Self::huffman(4 + symbol, 5),
        }
    }

    /// That of a code's length, by [`LENGTHS_OF_LENGTHS`].
    fn length_of_code(len: u32) -> Self {
        match len {
            9 => Self::huffman(0, 1),
            5 => Self::huffman(0b10, 2),
            7 => Self::huffman(0b110, 3),
            4 => Self::huffman(0b1110, 4),
            _ => Self::huffman(0b1111, 4),
        }
    }

    /// Section 3.2.5: a quarter of a power of two has a symbol, and the bits below it follow.
    const fn length(len: u32) -> Self {
        let n = len - 3;
        match len {
            258 => Self::symbol(285),
            3..=10 => Self::symbol(257 + n),
            _ => {
                let extra = n.ilog2() - 2;
                let symbol = 257 + 4 * (extra + 1) + ((n >> extra) & 3);
                Self::symbol(symbol).and_low(n, extra)
            }
        }
    }

    /// Section 3.2.5: here it is a half, and the first two have nothing below them.
    #[inline]
    fn distance(distance: u32) -> Self {
        let n = distance - 1;
        let log = (n | 1).ilog2();
        let extra = log.saturating_sub(1);
        let symbol = 2 * log + ((n >> extra) & 1);
        DISTANCE_SYMBOLS[index32(symbol)].and_low(n, extra)
    }

    /// Behind it the lowest `extra` bits of `n`, as they are.
    const fn and_low(self, n: u32, extra: u32) -> Self {
        let low = n & ((1 << extra) - 1);
        Self {
            bits: self.bits | low << self.len,
            len: self.len + extra,
        }
    }
}

const fn literal_codes() -> [Code; 256] {
    let mut codes = [STORED; 256];
    let (mut at, mut byte) = (0, 0);
    while at < codes.len() {
        codes[at] = Code::symbol(byte);
        (at, byte) = (at + 1, byte + 1);
    }
    codes
}

const fn lengths() -> [Code; MAX_MATCH + 1] {
    let mut codes = [STORED; MAX_MATCH + 1];
    let (mut at, mut len) = (MIN_MATCH, 3);
    while at < codes.len() {
        codes[at] = Code::length(len);
        (at, len) = (at + 1, len + 1);
    }
    codes
}

const fn distance_symbols() -> [Code; 30] {
    let mut codes = [STORED; 30];
    let (mut at, mut symbol) = (0, 0);
    while at < codes.len() {
        codes[at] = Code::distance_symbol(symbol);
        (at, symbol) = (at + 1, symbol + 1);
    }
    codes
}

/// A stream in the making.
#[derive(Debug, Default)]
pub(super) struct Deflate {
    /// Longer than what is written, by what is to come.
    out: Vec<u8>,
    written: usize,
    /// Less than a byte, between two calls.
    bits: u64,
    len: u32,
}

impl Deflate {
    /// Begins a block for [`Self::literals`] and [`Self::repeat`].
    pub(super) fn begin(&mut self) {
        let number = |bits, len| Code { bits, len };
        let counts = [
            number(SYMBOLS - 257, 5),
            number(DISTANCES - 1, 5),
            number(count32(LENGTHS_OF_LENGTHS.len()) - 4, 4),
        ];
        let first = LENGTHS_OF_LENGTHS.map(|len| number(len, 3));
        let symbols = (0..SYMBOLS).map(|symbol| Code::symbol(symbol).len);
        let distances = (0..DISTANCES).map(|symbol| Code::distance_symbol(symbol).len);
        let lengths = symbols.chain(distances).map(Code::length_of_code);
        self.put(CODED);
        for code in counts.into_iter().chain(first).chain(lengths) {
            self.put(code);
        }
    }

    pub(super) fn end(&mut self) {
        self.put(Code::symbol(END_OF_BLOCK));
    }

    /// The header of a stored block of `len` bytes, at most [`STORED_MAX`], which are the caller's to put behind
    /// what [`Self::take`] gives.
    pub(super) fn stored(&mut self, len: usize) {
        self.put(STORED);
        self.align();
        let len = count32(len);
        self.put(Code {
            bits: len | !len << 16,
            len: 32,
        });
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) {
        self.put(LAST);
        self.align();
    }

    /// What was written since the last time; whole bytes: what is left of one comes with the next.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.out.truncate(self.written);
        self.written = 0;
        std::mem::take(&mut self.out)
    }

    /// `text`, which may go on for a word behind its `len` bytes, as `sequences` say, and what they leave of it
    /// as literals.
    pub(super) fn sequences(&mut self, text: &[u8], len: usize, sequences: &[Sequence]) {
        // No code takes more bits for a byte than that of a literal: of a match of three bytes 5 and 18.
        self.write(len / WORD + len / (WORD * WORD) + 2, |pen| {
            let mut at = 0;
            for sequence in sequences {
                let literals = index32(sequence.literals);
                pen.literals(&text[at..], literals);
                let repeated = index32(sequence.len);
                pen.repeat(repeated, Code::distance(sequence.distance));
                at += literals + repeated;
            }
            pen.literals(&text[at..], len - at);
        });
    }

    /// All of `text`.
    pub(super) fn literals(&mut self, text: &[u8]) {
        self.sequences(text, text.len(), &[]);
    }

    /// Repeats what lies `distance` bytes back, at most [`WINDOW`], for `len` bytes, at least three.
    pub(super) fn repeat(&mut self, len: usize, distance: usize) {
        let distance = Code::distance(count32(distance));
        self.write(len / (MAX_MATCH - MIN_MATCH) + 1, |pen| {
            pen.repeat(len, distance);
        });
    }

    fn put(&mut self, code: Code) {
        self.write(1, |pen| {
            pen.put(code);
            pen.drain();
        });
    }

    /// Zeros up to the next byte.
    fn align(&mut self) {
        self.len = self.len.next_multiple_of(8);
        self.write(1, |pen| pen.drain());
    }

    /// Has `write` write up to so many words.
    #[inline]
    fn write(&mut self, words: usize, write: impl FnOnce(&mut Pen<'_>)) {
        // What is written of the last word may be a byte of it.
        let end = self.written + (words + 1) * WORD;
        if end > self.out.len() {
            self.out.resize(end + STEP, 0);
        }
        let mut pen = Pen {
            out: &mut self.out,
            written: self.written,
            bits: self.bits,
            len: self.len,
        };
        write(&mut pen);
        (self.written, self.bits, self.len) = (pen.written, pen.bits, pen.len);
    }
}

/// The end of a stream, where there is room for what is written.
struct Pen<'a> {
    out: &'a mut [u8],
    written: usize,
    bits: u64,
    len: u32,
}

impl Pen<'_> {
    /// The first `len` bytes of `text`, which had better go on for a word: most literals are few, and whoever
    /// writes just as many as there are waits for a processor that guessed wrong.
    // Called from two places it would be a function of its own, and the pen lie in memory.
    #[inline(always)]
    fn literals(&mut self, mut text: &[u8], mut len: usize) {
        loop {
            let word = text.first_chunk().copied().unwrap_or_else(|| {
                let mut word = [0; WORD];
                word[..text.len()].copy_from_slice(text);
                word
            });
            let now = len.min(AT_ONCE);
            let bits = LITERAL_BITS * count32(now);
            self.bits |= (literals(word) & ((1 << bits) - 1)) << self.len;
            self.len += bits;
            self.drain();
            len -= now;
            if len == 0 {
                return;
            }
            text = &text[AT_ONCE..];
        }
    }

    #[inline]
    fn repeat(&mut self, mut len: usize, distance: Code) {
        while len > MAX_MATCH {
            // No rest is too short to be a match.
            let part = MAX_MATCH.min(len - MIN_MATCH);
            self.put(LENGTHS[part]);
            self.put(distance);
            self.drain();
            len -= part;
        }
        self.put(LENGTHS[len]);
        self.put(distance);
        self.drain();
    }

    #[inline]
    fn put(&mut self, code: Code) {
        self.bits |= u64::from(code.bits) << self.len;
        self.len += code.len;
    }

    /// Writes the whole bytes among the bits; they are fewer than a word.
    #[inline]
    fn drain(&mut self) {
        *self.out[self.written..].first_chunk_mut().expect("room") = self.bits.to_le_bytes();
        let bits = self.len & !7;
        self.bits >>= bits;
        self.len -= bits;
        self.written += index32(bits / 8);
    }
}

/// The codes of the first [`AT_ONCE`] bytes, one behind the other.
#[inline]
fn literals(bytes: [u8; WORD]) -> u64 {
    let code = |byte: u8| u64::from(LITERALS[usize::from(byte)].bits);
    let [a, b, c, d, e, f, ..] = bytes;
    let one = LITERAL_BITS;
    let first = code(a) | code(b) << one | code(c) << (2 * one);
    let then = code(d) | code(e) << one | code(f) << (2 * one);
    first | then << (3 * one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn inflate(stream: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut decoder = flate2::bufread::DeflateDecoder::new(stream);
        decoder.read_to_end(&mut plain).unwrap();
        assert_eq!(decoder.total_in(), u64::try_from(stream.len()).unwrap());
        plain
    }

    fn repeated(plain: &mut Vec<u8>, len: usize, distance: usize) {
        for _ in 0..len {
            plain.push(plain[plain.len() - distance]);
        }
    }

    #[test]
    fn every_distance_and_every_length() {
        let mut plain: Vec<u8> = (0..WINDOW)
            .map(|n| ((n * n) >> 7).to_le_bytes()[0])
            .collect();
        let mut deflate = Deflate::default();
        deflate.begin();
        deflate.literals(&plain);
        let distances = (1..=WINDOW).map(|distance| (3 + distance % 7, distance));
        let lengths = (3..=1100).map(|len| (len, 1 + len * 29));
        for (len, distance) in distances.chain(lengths) {
            deflate.repeat(len, distance);
            repeated(&mut plain, len, distance);
        }
        deflate.end();
        deflate.finish();
        assert!(inflate(&deflate.take()) == plain);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Literals(Vec<u8>),
        Repeat(usize, usize),
        Stored(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Step::Literals),
            (3_usize..2000, 1..=WINDOW).prop_map(|(len, back)| Step::Repeat(len, back)),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Step::Stored),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_is_what_zlib_reads(steps in prop::collection::vec(step(), 0..60)) {
            let (mut plain, mut stream) = (Vec::new(), Vec::new());
            let mut deflate = Deflate::default();
            deflate.begin();
            for step in steps {
                match step {
                    Step::Literals(bytes) => {
                        deflate.literals(&bytes);
                        plain.extend(bytes);
                    }
                    Step::Repeat(len, back) if !plain.is_empty() => {
                        let back = back.min(plain.len());
                        deflate.repeat(len, back);
                        repeated(&mut plain, len, back);
                    }
                    Step::Repeat(..) => (),
                    Step::Stored(bytes) => {
                        deflate.end();
                        deflate.stored(bytes.len());
                        stream.extend(deflate.take());
                        stream.extend_from_slice(&bytes);
                        plain.extend(bytes);
                        deflate.begin();
                    }
                }
            }
            deflate.end();
            deflate.finish();
            stream.extend(deflate.take());
            prop_assert_eq!(inflate(&stream), plain);
        }
    }
}
