//! Fields of structures by name, and their values in words.

use super::Field;
use crate::display::display_path;
use crate::hex::hex;
use crate::units::{count, index};
use uuid::Uuid;

/// A field of a structure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    /// Its name.
    pub(super) name: &'static str,
    /// First byte in the structure.
    pub(super) at: usize,
    /// Bytes.
    pub(super) len: usize,
    /// How its value is shown.
    pub(super) show: Show,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// Little-endian number, in decimal and hexadecimal.
    Number,
    /// Big-endian number.
    Big,
    /// Octal, as modes are written.
    Octal,
    /// Seconds since 1970.
    Seconds,
    /// UUID in the order of its bytes.
    Uuid,
    /// GUID as GPT stores it.
    Guid,
    /// Text, padded with NUL or blanks.
    Text,
    /// UTF-16 little-endian, padded with NUL.
    Utf16,
    /// Hexadecimal digits.
    Bytes,
}

/// A table of the fields of a struct, whose places the compiler knows.
macro_rules! fields {
    ($name:ident: $struct:ty { $($field:ident: $show:ident),* $(,)? }) => {
        pub(super) static $name: &[Spec] = &[$(Spec {
            name: stringify!($field),
            at: std::mem::offset_of!($struct, $field),
            len: length(|s: &$struct| &s.$field),
            show: Show::$show,
        }),*];
    };
}

/// A table of fields by place and length.
macro_rules! table {
    ($name:ident { $($at:literal + $len:literal $field:literal: $show:ident),* $(,)? }) => {
        pub(super) static $name: &[Spec] = &[$(Spec {
            name: $field,
            at: $at,
            len: $len,
            show: Show::$show,
        }),*];
    };
}

pub(super) use {fields, table};

/// Bytes of the field that a function leads to.
pub(super) const fn length<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// The field that has byte `byte` of the disk, in a structure with these bytes, which begin at `at`.
pub(super) fn at(table: &'static [Spec], at: u64, bytes: &[u8], byte: u64) -> Option<Field> {
    let within = index(byte.checked_sub(at)?);
    let spec = table
        .iter()
        .find(|s| (s.at..s.at + s.len).contains(&within))?;
    let raw = bytes.get(spec.at..spec.at + spec.len)?;
    Some(Field {
        name: spec.name,
        at: at + count(spec.at),
        len: count(spec.len),
        value: shown(spec.show, raw),
    })
}

fn shown(show: Show, raw: &[u8]) -> String {
    let little = || {
        raw.iter()
            .rev()
            .fold(0_u128, |n, &b| n << 8 | u128::from(b))
    };
    match show {
        Show::Number => number(little()),
        Show::Big => number(raw.iter().fold(0, |n, &b| n << 8 | u128::from(b))),
        Show::Octal => format!("0{:o}", little()),
        Show::Seconds => format!("{} seconds since 1970", little()),
        Show::Uuid => Uuid::from_slice(raw).map_or_else(|_| hex(raw), |u| u.to_string()),
        Show::Guid => Uuid::from_slice_le(raw).map_or_else(|_| hex(raw), |u| u.to_string()),
        Show::Text => {
            let end = raw.iter().position(|&b| b == 0).unwrap_or(raw.len());
            format!("\"{}\"", display_path(&raw[..end]))
        }
        Show::Utf16 => {
            let units = raw
                .chunks_exact(2)
                .map(|u| u16::from_le_bytes([u[0], u[1]]));
            let units: Vec<u16> = units.take_while(|&u| u != 0).collect();
            let text = String::from_utf16_lossy(&units);
            format!("\"{}\"", display_path(text.as_bytes()))
        }
        Show::Bytes => hex(raw),
    }
}

fn number(n: u128) -> String {
    if n < 10 {
        return n.to_string();
    }
    format!("{n} ({n:#x})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext4::disk::extent::ExtentHeader;

    fields!(HEADER: ExtentHeader { eh_magic: Number, eh_entries: Number });
    table!(OTHER { 2 + 4 "text": Text, 6 + 2 "big": Big, 8 + 4 "wide": Utf16 });

    #[test]
    fn a_byte_has_its_field_and_value() {
        let bytes = [0x0a, 0xf3, 4, 0];
        let found = at(HEADER, 100, &bytes, 101).unwrap();
        assert_eq!((found.name, found.at, found.len), ("eh_magic", 100, 2));
        assert_eq!(found.value, "62218 (0xf30a)");
        assert_eq!(at(HEADER, 100, &bytes, 102).unwrap().value, "4");
        assert_eq!(at(HEADER, 100, &bytes, 99), None);
        assert_eq!(at(HEADER, 100, &bytes, 104), None);
        // Cut off.
        assert_eq!(at(HEADER, 100, &bytes[..3], 102), None);
        let bytes = b"..ab\0c\x01\x02x\0\0\0";
        assert_eq!(at(OTHER, 0, bytes, 3).unwrap().value, "\"ab\"");
        assert_eq!(at(OTHER, 0, bytes, 7).unwrap().value, "258 (0x102)");
        assert_eq!(at(OTHER, 0, bytes, 9).unwrap().value, "\"x\"");
    }
}
