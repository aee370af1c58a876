//! Names for people: bytes from an archive, safe to print on a terminal.

use crate::units::{Timestamp, civil};
use std::fmt::{self, Write as _};

/// How many bytes of a name are shown; Linux's `PATH_MAX` is 4096, a screen is smaller.
const SHOWN: usize = 512;

/// Shows a name of any bytes: UTF-8 as it is, control characters, other bytes and `\` escaped, long
/// names cut with their length told. No escape sequence of an archive reaches a terminal.
#[must_use]
pub fn display_path(bytes: &[u8]) -> impl fmt::Display + fmt::Debug + '_ {
    PathDisplay(bytes)
}

#[derive(Debug)]
struct PathDisplay<'a>(&'a [u8]);

impl fmt::Display for PathDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_control() || reorders(c) => write!(f, "{}", c.escape_default())?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// Shows a text, long or short, so that it is safe to print on a terminal: as [`display_path`] does, but for `\`,
/// so that what was escaped already stays as it is.
#[must_use]
pub fn display_text(text: &str) -> impl fmt::Display + '_ {
    struct Shown<'a>(&'a str);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for c in self.0.chars() {
                if c.is_control() || reorders(c) {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    f.write_char(c)?;
                }
            }
            Ok(())
        }
    }
    Shown(text)
}

/// Shows a time in UTC, as `date -u +'%F %T'` does: `2024-03-01 12:34:56`.
#[must_use]
pub fn display_time(time: Timestamp) -> impl fmt::Display {
    struct Shown(Timestamp);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (year, month, day) = civil(self.0.sec.div_euclid(86_400));
            let of_day = self.0.sec.rem_euclid(86_400);
            let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
            write!(
                f,
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
            )
        }
    }
    Shown(time)
}

/// Bidirectional overrides and isolates (Unicode TR 36): they make a terminal show another name.
#[must_use]
pub const fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Below it, two words have too little in common for "did you mean".
const SIMILAR: f64 = 0.7;

/// The one of `names` that is most like `word`, where one is like it at all; of two alike, the last.
#[must_use]
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &'a str| (strsim::jaro_winkler(word, name), name);
    let nearest = names.into_iter().map(likeness);
    let nearest = nearest.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_where_one_is_near() {
        let names = ["ssh.service", "cron.service", "getty.target"];
        assert_eq!(nearest("shh.service", names), Some("ssh.service"));
        assert_eq!(nearest("q", names), None);
    }

    #[test]
    fn prints_no_control_bytes_and_keeps_what_is_readable() {
        let cases: [(&[u8], &str); 6] = [
            (b"etc/passwd", "etc/passwd"),
            ("na\u{ef}ve".as_bytes(), "na\u{ef}ve"),
            (b"a\x1b[31m\n", "a\\u{1b}[31m\\n"),
            (b"lat\xeen", "lat\\xeen"),
            (b"back\\slash", "back\\\\slash"),
            ("\u{202e}gpj".as_bytes(), "\\u{202e}gpj"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(display_path(bytes).to_string(), shown);
        }
    }

    #[test]
    fn a_text_is_escaped_once() {
        let raw = "\x1b[31mred\u{202e} \\ plain";
        let once = display_text(raw).to_string();
        assert_eq!(once, "\\u{1b}[31mred\\u{202e} \\ plain");
        assert_eq!(display_text(&once).to_string(), once);
    }

    #[test]
    fn a_very_long_name_is_cut_and_its_length_told() {
        let shown = display_path(&[b'x'; 5000]).to_string();
        assert!(shown.ends_with("… (5000 bytes)"), "{shown}");
        assert!(shown.len() < 600);
    }
}
