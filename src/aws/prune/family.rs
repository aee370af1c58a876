//! Which names are of a family.

use crate::aws::image::{Architecture, ImageError, Piece, pieces};
use std::str::FromStr;

/// A pattern of names: `*` stands for any characters, `?` for one, and what is in braces, as in the name that `register`
/// takes, for what it may have been filled in with: `{date}` for eight digits, `{digest:8}` for as many hexadecimal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// One for each processor where the pattern names it, for it is the same all over a name.
    patterns: Vec<Vec<Atom>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atom {
    /// Any characters, or none.
    Any,
    /// Any one.
    One,
    /// One of ten.
    Digit,
    /// One of sixteen, as they are written here.
    HexDigit,
    Char(char),
}

impl Atom {
    fn is(self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Digit => c.is_ascii_digit(),
            Self::HexDigit => matches!(c, '0'..='9' | 'a'..='f'),
            Self::Char(of) => of == c,
        }
    }
}

/// Digits of a date (20261231).
const DATE: usize = 8;

impl FromStr for Family {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let pieces = pieces(text)?;
        let all = match pieces.contains(&Piece::Arch) {
            true => Architecture::ALL,
            false => &Architecture::ALL[..1],
        };
        let patterns = all.iter().map(|arch| pattern(&pieces, *arch)).collect();
        Ok(Self { patterns })
    }
}

fn pattern(pieces: &[Piece<'_>], arch: Architecture) -> Vec<Atom> {
    let mut pattern = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => pattern.extend(text.chars().map(|c| match c {
                '*' => Atom::Any,
                '?' => Atom::One,
                c => Atom::Char(c),
            })),
            Piece::Name => pattern.push(Atom::Any),
            Piece::Date => pattern.extend([Atom::Digit; DATE]),
            Piece::Arch => pattern.extend(arch.word().chars().map(Atom::Char)),
            Piece::Digest(digits) => pattern.extend(std::iter::repeat_n(Atom::HexDigit, *digits)),
        }
    }
    pattern
}

impl Family {
    /// Whether a name is one of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.patterns.iter().any(|pattern| matches(pattern, &name))
    }
}

fn matches(pattern: &[Atom], name: &[char]) -> bool {
    // The last asterisk, and how much of the name it stands for, are all that has to be remembered.
    let (mut at, mut from, mut star) = (0, 0, None);
    while let Some(c) = name.get(from) {
        match pattern.get(at) {
            Some(Atom::Any) => {
                star = Some((at, from));
                at += 1;
            }
            Some(atom) if atom.is(*c) => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((asterisk, taken)) = star else {
                    return false;
                };
                star = Some((asterisk, taken + 1));
                (at, from) = (asterisk + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|atom| *atom == Atom::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_by_asterisks_question_marks_and_braces() {
        for (pattern, name, yes) in [
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-*", "Web-1", false),
            ("web-*", "my web-1", false),
            ("web-?", "web-10", false),
            ("*-arm64-*", "web-arm64-1", true),
            ("web", "web-1", false),
            ("web-{date}-{digest:8}", "web-20260101-abcdef01", true),
            (
                "web-{date}-{digest:8}",
                "web-front-20260101-abcdef01",
                false,
            ),
            ("web-{date}-{digest:8}", "web-20260101-abcdef012", false),
            ("web-{date}-{digest:8}", "web-20260101-ABCDEF01", false),
            ("web-{date}-{digest:8}", "web-2026-abcdef01", false),
            ("{name}-{date}", "web-front-20260101", true),
            ("web-{arch}-{arch}", "web-arm64-arm64", true),
            ("web-{arch}-{arch}", "web-arm64-i386", false),
            ("web-{arch}", "web-arm", false),
            ("{digest}", &"0f".repeat(32), true),
            ("{digest}", &"0f".repeat(31), false),
            ("*a*b", "aab", true),
            ("*a*b", "aabc", false),
            ("", "", true),
        ] {
            let family: Family = pattern.parse().unwrap();
            assert_eq!(family.has(name), yes, "{pattern} {name}");
        }
    }

    #[test]
    fn braces_that_no_name_can_come_of_are_refused() {
        for bad in ["web-{", "web-{time}", "web-{digest:0}", "web-{digest:65}"] {
            assert!(bad.parse::<Family>().is_err(), "{bad}");
        }
    }
}
