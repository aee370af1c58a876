//! A kernel as gzip (RFC 1952), in the time that a small image takes.
//!
//! What deflate would find again, LZ4 says: its literals and matches are written in deflate's codes, which makes a
//! little less than deflate's level 1 does in a quarter of its time. Zstandard does not say. Of what was
//! packed by it the zeros go, a third of a kernel (its segments lie 2 MiB apart), and the rest stays as it is.

use super::deflate::{Deflate, STORED_MAX, Sequence};
use super::lz4;
use super::xen_note::Notes;
use crate::units::{count, count32};
use bytes::Bytes;
use crc32fast::Hasher;
use flate2::bufread::GzDecoder;
use std::io::Read;

/// Section 2.3: the same bytes on every host: deflate, no name, no time, no hint at the level, no system.
const HEADER: &[u8] = &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];

/// Zeros are looked for in pieces of this.
const PAGE: usize = 4096;

/// A kernel that was packed anew.
#[derive(Debug)]
pub(super) struct Packed {
    /// In pieces.
    pub(super) gzip: Vec<Bytes>,
    /// Whether a note tells a PV domain builder where to enter; `None` when the kernel is cut off before its notes.
    pub(super) enters_by_pv: Option<bool>,
}

/// A kernel of `size` bytes that is gzip already; `None` when it is damaged or of another size.
pub(super) fn as_it_is(gzip: &[u8], size: usize) -> Option<Packed> {
    let mut kernel = Vec::new();
    let mut decoder = GzDecoder::new(gzip).take(count(size) + 1);
    decoder.read_to_end(&mut kernel).ok()?;
    (kernel.len() == size).then(|| Packed {
        gzip: vec![Bytes::copy_from_slice(gzip)],
        enters_by_pv: Notes::of(&kernel).and_then(|mut notes| {
            notes.push(&kernel);
            notes.enter_by_pv()
        }),
    })
}

/// A kernel of `size` bytes out of a legacy frame of LZ4; `None` when it is damaged or of another size.
pub(super) fn of_lz4(frame: &[u8], size: usize) -> Option<Packed> {
    let mut packer = Packer::default();
    packer.deflate.begin();
    lz4::read_legacy(frame, size, &mut packer)?;
    packer.deflate.end();
    (packer.len == size).then(|| packer.finish())
}

/// A kernel as it is.
pub(super) fn of_plain(kernel: &Bytes) -> Packed {
    let mut packer = Packer::default();
    packer.look_at(kernel);
    let mut rest = kernel.clone();
    while let Some(page) = rest.chunks(PAGE).next() {
        let zero = is_zero(page);
        let alike = rest.chunks(PAGE).take_while(|page| is_zero(page) == zero);
        let part = rest.split_to(rest.len().min(alike.count() * PAGE));
        if zero {
            packer.zeros(part.len());
        } else {
            packer.store(part);
        }
    }
    packer.finish()
}

fn is_zero(page: &[u8]) -> bool {
    // Nearly every page shows itself in its first byte.
    page[0] == 0 && page == &[0; PAGE][..page.len()]
}

#[derive(Debug, Default)]
struct Packer {
    pieces: Vec<Bytes>,
    deflate: Deflate,
    crc: Hasher,
    /// `None` before the first bytes, and where they are no ELF file's.
    notes: Option<Notes>,
    /// Bytes of the kernel so far.
    len: usize,
}

impl Packer {
    /// Takes note of the next bytes of the kernel, the program headers among the first.
    fn look_at(&mut self, text: &[u8]) {
        if self.len == 0 {
            self.notes = Notes::of(text);
        }
        self.crc.update(text);
        self.len += text.len();
        if let Some(notes) = &mut self.notes {
            notes.push(text);
        }
    }

    fn zeros(&mut self, len: usize) {
        self.deflate.begin();
        // A last page of a byte or three has no match.
        let literals = if len > 3 { 1 } else { len };
        self.deflate.literals(&[0; 3][..literals]);
        if len > literals {
            self.deflate.repeat(len - literals, 1);
        }
        self.deflate.end();
    }

    /// The bytes themselves, which are not copied.
    fn store(&mut self, mut text: Bytes) {
        while !text.is_empty() {
            let block = text.split_to(text.len().min(STORED_MAX));
            self.deflate.stored(block.len());
            self.pieces.push(self.deflate.take().into());
            self.pieces.push(block);
        }
    }

    fn finish(mut self) -> Packed {
        self.deflate.finish();
        self.pieces.push(self.deflate.take().into());
        // Section 2.3.1: the length is that modulo 2^32.
        let trailer = [self.crc.finalize(), count32(self.len)];
        let trailer: Vec<u8> = trailer.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.pieces.push(trailer.into());
        self.pieces.insert(0, Bytes::from_static(HEADER));
        Packed {
            gzip: self.pieces,
            enters_by_pv: self.notes.and_then(|notes| notes.enter_by_pv()),
        }
    }
}

impl lz4::Reader for Packer {
    fn part(&mut self, text: &[u8], len: usize, sequences: &[Sequence]) {
        self.look_at(&text[..len]);
        self.deflate.sequences(text, len, sequences);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gunzip(packed: &Packed) -> Vec<u8> {
        let (gzip, mut plain) = (packed.gzip.concat(), Vec::new());
        let mut decoder = GzDecoder::new(&gzip[..]);
        decoder.read_to_end(&mut plain).unwrap();
        assert!(decoder.into_inner().is_empty());
        plain
    }

    /// A length of LZ4's behind its nibble.
    fn more(len: usize, block: &mut Vec<u8>) {
        if let Some(rest) = len.checked_sub(15) {
            block.extend(vec![255; rest / 255]);
            block.extend(u8::try_from(rest % 255));
        }
    }

    fn nibble(len: usize) -> u8 {
        u8::try_from(len.min(15)).unwrap()
    }

    /// A block of sequences (literals, length of the match, distance) and of last literals.
    fn block(sequences: &[(Vec<u8>, usize, u16)], last: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut block, mut plain) = (Vec::new(), Vec::new());
        for (literals, len, distance) in sequences {
            let first = if plain.is_empty() { &b"!"[..] } else { b"" };
            let literals = [first, literals].concat();
            plain.extend_from_slice(&literals);
            let distance = usize::from(*distance).clamp(1, plain.len());
            block.push(nibble(literals.len()) << 4 | nibble(len - 4));
            more(literals.len(), &mut block);
            block.extend_from_slice(&literals);
            block.extend_from_slice(&u16::try_from(distance).unwrap().to_le_bytes());
            more(len - 4, &mut block);
            for _ in 0..*len {
                plain.push(plain[plain.len() - distance]);
            }
        }
        block.push(nibble(last.len()) << 4);
        more(last.len(), &mut block);
        block.extend_from_slice(last);
        plain.extend_from_slice(last);
        (block, plain)
    }

    fn sequence() -> impl Strategy<Value = (Vec<u8>, usize, u16)> {
        let literals = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            prop::collection::vec(any::<u8>(), 0..400),
        ];
        // Some reach farther than deflate does.
        let len = prop_oneof![4_usize..40, 4_usize..3000, 30_000_usize..70_000];
        (literals, len, any::<u16>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_lz4_held_gzip_holds(
            blocks in prop::collection::vec(
                (prop::collection::vec(sequence(), 0..30), prop::collection::vec(any::<u8>(), 0..40)),
                0..4,
            ),
        ) {
            let (mut frame, mut plain) = (lz4::MAGIC.to_vec(), Vec::new());
            for (sequences, last) in &blocks {
                let (packed, text) = block(sequences, last);
                frame.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_le_bytes());
                frame.extend(packed);
                plain.extend(text);
            }
            prop_assert!(gunzip(&of_lz4(&frame, plain.len()).unwrap()) == plain);
            prop_assert!(of_lz4(&frame, plain.len() + 1).is_none());
        }

        #[test]
        fn what_is_plain_comes_back(
            parts in prop::collection::vec((any::<u8>(), 1_usize..70_000, any::<bool>()), 0..8),
        ) {
            let mut plain = Vec::new();
            for (byte, len, zero) in parts {
                plain.resize(plain.len() + len, if zero { 0 } else { byte });
            }
            let packed = of_plain(&plain.clone().into());
            prop_assert!(gunzip(&packed) == plain);
        }
    }

    #[test]
    fn zeros_of_every_length_at_the_end() {
        for len in [0, 1, 2, 3, 4, 5, 258, 259, 260, 261, 262, PAGE, PAGE + 1] {
            let plain = [vec![1; PAGE], vec![0; len]].concat();
            assert!(gunzip(&of_plain(&plain.clone().into())) == plain, "{len}");
        }
    }
}
