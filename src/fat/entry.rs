//! A directory entry of FAT: its names and its time.

use crate::units::{Timestamp, day_of};

/// Bytes of a directory entry.
pub(super) const ENTRY: usize = 32;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let part = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
    part.map_or(0, u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at + 2)) << 16 | u32::from(u16_at(bytes, at))
}

/// A long name in the making: its parts come last first.
#[derive(Default)]
pub(super) struct Long {
    units: Vec<u16>,
    sum: u8,
    next: u8,
}

impl Long {
    pub(super) fn add(&mut self, entry: &[u8]) {
        let order = entry[0];
        if order & 0x40 != 0 {
            *self = Self {
                units: Vec::new(),
                sum: entry[13],
                next: order & 0x3F,
            };
        }
        if order & 0x3F != self.next || self.next == 0 || self.next > 20 || entry[13] != self.sum {
            *self = Self::default();
            return;
        }
        self.next -= 1;
        let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        let part = places.iter().map(|at| u16_at(entry, *at));
        let part: Vec<u16> = part
            .take_while(|unit| !matches!(unit, 0 | 0xFFFF))
            .collect();
        self.units.splice(0..0, part);
    }

    /// The name, if it is whole and of this entry.
    pub(super) fn name(self, entry: &[u8]) -> Option<String> {
        let sum = entry[..11]
            .iter()
            .fold(0_u8, |sum, b| sum.rotate_right(1).wrapping_add(*b));
        let whole = self.next == 0 && !self.units.is_empty() && sum == self.sum;
        whole.then(|| String::from_utf16_lossy(&self.units))
    }
}

/// A name of 8 and 3 characters; two bits of byte 12 make either part lower case, as Windows NT has it.
pub(super) fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text = bytes.iter().map(|b| match b {
            // 0xE5 at the beginning would mean a deleted entry.
            0x05 => '\u{e5}',
            b if lower => char::from(b.to_ascii_lowercase()),
            b => char::from(*b),
        });
        text.collect::<String>().trim_end().to_owned()
    };
    let name = part(&entry[..8], entry[12] & 0x08 != 0);
    let extension = part(&entry[8..11], entry[12] & 0x10 != 0);
    if extension.is_empty() {
        name
    } else {
        format!("{name}.{extension}")
    }
}

/// A date and a time of FAT as if its zone was UTC.
pub(super) fn time(date: u16, time: u16) -> Timestamp {
    let (year, month, day) = (1980 + i64::from(date >> 9), date >> 5 & 15, date & 31);
    if month == 0 || day == 0 {
        return Timestamp::default();
    }
    let days = day_of(year, month.into(), day.into());
    let (hour, minute, second) = (time >> 11, time >> 5 & 63, time % 32 * 2);
    let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Timestamp::from_secs(days * 86_400 + of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |y: u16, m: u16, d: u16| time((y - 1980) << 9 | m << 5 | d, 0).sec;
        assert_eq!(at(1980, 1, 1), 315_532_800);
        assert_eq!(at(2000, 2, 29), 951_782_400);
        assert_eq!(at(2024, 3, 1), 1_709_251_200);
        assert_eq!(time(0, 0), Timestamp::default());
        assert_eq!(
            time(0x21, 12 << 11 | 34 << 5 | 28).sec,
            315_532_800 + 45_296
        );
    }

    #[test]
    fn short_names_are_as_windows_nt_shows_them() {
        let entry = |name: &[u8; 11], bits: u8| {
            let mut entry = [0; ENTRY];
            entry[..11].copy_from_slice(name);
            entry[12] = bits;
            short_name(&entry)
        };
        assert_eq!(entry(b"GRUB    CFG", 0x18), "grub.cfg");
        assert_eq!(entry(b"EFI        ", 0), "EFI");
        assert_eq!(entry(b"READ ME TXT", 0x10), "READ ME.txt");
    }
}
