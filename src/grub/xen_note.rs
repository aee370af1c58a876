//! The notes by which a kernel, an ELF file, tells Xen how it wants to be started: ELF's `PT_NOTE`, Xen's
//! `public/elfnote.h`.

use crate::units::index32;
use std::ops::Range;

/// How an ELF file begins.
pub(super) const ELF: &[u8] = b"\x7fELF";
/// `p_type` of a program header of ELF that leads to notes.
const PT_NOTE: u32 = 4;
/// `XEN_ELFNOTE_ENTRY` of Xen's `public/elfnote.h`: only a kernel with `CONFIG_XEN_PV` has one.
pub(super) const XEN_ELFNOTE_ENTRY: u32 = 1;

/// Segments of notes that are looked at, and bytes of each: kernels have one or two, of some hundred bytes.
const SEGMENTS: usize = 16;
const SEGMENT_MAX: usize = 64 << 10;

/// The notes of an ELF file that comes in pieces.
#[derive(Debug)]
pub(super) struct Notes {
    segments: Vec<Segment>,
    /// Bytes that came.
    at: usize,
}

#[derive(Debug)]
struct Segment {
    place: Range<usize>,
    /// What came of it.
    bytes: Vec<u8>,
}

impl Notes {
    /// Those of the file that begins with `head`; `None` when it is none, or its program headers are not in there.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if !head.starts_with(ELF) {
            return None;
        }
        let wide = *head.get(4)? == 2;
        let word = |at: usize| match wide {
            true => usize::try_from(u64_at(head, at)?).ok(),
            false => Some(index32(u32_at(head, at)?)),
        };
        let (phoff, phentsize, phnum, p_offset, p_filesz) = match wide {
            true => (32, 54, 56, 8, 32),
            false => (28, 42, 44, 4, 16),
        };
        let table = word(phoff)?;
        let entry = usize::from(u16_at(head, phentsize)?);
        let mut segments = Vec::new();
        for n in 0..usize::from(u16_at(head, phnum)?) {
            let at = table.checked_add(n * entry)?;
            if u32_at(head, at)? != PT_NOTE || segments.len() == SEGMENTS {
                continue;
            }
            let start = word(at + p_offset)?;
            let len = word(at + p_filesz)?.min(SEGMENT_MAX);
            segments.push(Segment {
                place: start..start.checked_add(len)?,
                bytes: Vec::new(),
            });
        }
        Some(Self { segments, at: 0 })
    }

    /// Takes the next piece of the file, which begins with the head.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let end = self.at + piece.len();
        for Segment { place, bytes } in &mut self.segments {
            let (from, to) = (place.start.max(self.at), place.end.min(end));
            if from < to {
                bytes.extend_from_slice(&piece[from - self.at..to - self.at]);
            }
        }
        self.at = end;
    }

    /// Whether there is the one by which a PV domain builder finds the kernel's entry; `None` when the file ended
    /// before its notes.
    pub(super) fn enter_by_pv(&self) -> Option<bool> {
        for Segment { place, bytes } in &self.segments {
            if bytes.len() < place.len() {
                return None;
            }
            if has_entry(bytes) {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// Whether Xen's note of the entry is among `notes`.
fn has_entry(mut notes: &[u8]) -> bool {
    let mut next = || {
        let (name, desc) = (index32(u32_at(notes, 0)?), index32(u32_at(notes, 4)?));
        let kind = u32_at(notes, 8)?;
        let text = notes.get(12..12 + name)?;
        let found = kind == XEN_ELFNOTE_ENTRY && text == b"Xen\0";
        let len = 12 + name.next_multiple_of(4) + desc.next_multiple_of(4);
        notes = notes.get(len..)?;
        Some(found)
    };
    std::iter::from_fn(&mut next).any(|found| found)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
