//! The notes by which a kernel, an ELF file, tells Xen how it wants to be started: ELF's `PT_NOTE`, Xen's
//! `public/elfnote.h`.

use crate::units::index32;

/// `p_type` of a program header of ELF that leads to notes.
const PT_NOTE: u32 = 4;
/// `XEN_ELFNOTE_ENTRY` of Xen's `public/elfnote.h`: only a kernel with `CONFIG_XEN_PV` has one.
pub(super) const XEN_ELFNOTE_ENTRY: u32 = 1;

/// Whether an ELF file has the note by which a PV domain builder finds its entry; `None` when it is cut off.
pub(super) fn enters_by_pv(elf: &[u8]) -> Option<bool> {
    let wide = *elf.get(4)? == 2;
    let word = |at: usize| match wide {
        true => usize::try_from(u64_at(elf, at)?).ok(),
        false => Some(index32(u32_at(elf, at)?)),
    };
    let (phoff, phentsize, phnum, p_offset, p_filesz) = match wide {
        true => (32, 54, 56, 8, 32),
        false => (28, 42, 44, 4, 16),
    };
    let table = word(phoff)?;
    let entry = usize::from(u16_at(elf, phentsize)?);
    for n in 0..usize::from(u16_at(elf, phnum)?) {
        let at = table.checked_add(n * entry)?;
        if u32_at(elf, at)? != PT_NOTE {
            continue;
        }
        let (start, len) = (word(at + p_offset)?, word(at + p_filesz)?);
        let notes = elf.get(start..start.checked_add(len)?)?;
        if has_entry(notes) {
            return Some(true);
        }
    }
    Some(false)
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
