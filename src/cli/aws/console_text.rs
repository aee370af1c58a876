//! A guest's console for a person: lines that can do a terminal no harm, those that tell of a failure marked.

use diskwright::boot::PlainText;
use diskwright::display::reorders;
use regex::bytes::Regex;

const MARK: &str = "\x1b[1;31m";
const RESET: &str = "\x1b[0m";
/// A line without an end is broken there.
const LONGEST: usize = 64 << 10;

/// Reads a console piece by piece.
#[derive(Debug)]
pub(super) struct Reader {
    coloured: bool,
    decoder: PlainText,
    fail: Vec<Regex>,
    expect: Option<Regex>,
    /// The line that has not ended.
    line: Vec<u8>,
    /// Bytes of it that are written.
    written: usize,
    /// Whether it is among the findings.
    found: bool,
    /// Lines that match what must not be there.
    pub(super) findings: Vec<String>,
    /// What was expected has come.
    pub(super) expected: bool,
}

impl Reader {
    /// For a terminal with colours or for any other output.
    pub(super) fn new(coloured: bool, fail: Vec<Regex>, expect: Option<Regex>) -> Self {
        Self {
            coloured,
            decoder: match coloured {
                true => PlainText::coloured(),
                false => PlainText::new(),
            },
            fail,
            expect,
            line: Vec::new(),
            written: 0,
            found: false,
            findings: Vec::new(),
            expected: false,
        }
    }

    /// What to write for `raw`, the end of an unfinished line too: a prompt has none.
    pub(super) fn push(&mut self, raw: &[u8]) -> String {
        let (mut decoded, mut out) = (Vec::new(), String::new());
        self.decoder.decode(raw, &mut decoded);
        for piece in decoded.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONGEST {
                self.write(self.line.len(), &mut out);
                self.line.clear();
                (self.written, self.found) = (0, false);
            }
        }
        self.write(self.line.len() - cut_character(&self.line), &mut out);
        out
    }

    /// What to write at the end.
    pub(super) fn finish(&self) -> &'static str {
        match self.coloured {
            true => RESET,
            false => "",
        }
    }

    /// The line up to `end`, judged by all that is there of it.
    fn write(&mut self, end: usize, out: &mut String) {
        let mut plain = Vec::new();
        PlainText::new().decode(&self.line, &mut plain);
        let plain = plain.trim_ascii();
        self.expected |= self.expect.as_ref().is_some_and(|e| e.is_match(plain));
        let failed = self.fail.iter().any(|f| f.is_match(plain));
        if failed && !self.found {
            self.findings.push(harmless(plain));
            self.found = true;
        }
        let unwritten = self.line.get(self.written..end).unwrap_or_default();
        if failed && self.coloured && self.written == 0 {
            let ended = if unwritten.ends_with(b"\n") { "\n" } else { "" };
            out.push_str(&format!("{RESET}{MARK}{}{RESET}{ended}", harmless(plain)));
        } else {
            out.push_str(&harmless(unwritten));
        }
        self.written = end;
    }
}

/// Without what a terminal would obey. The escapes in it are those of colours, which the decoder has left.
fn harmless(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let kept = |c: &char| matches!(c, '\n' | '\t' | '\x1b') || !(c.is_control() || reorders(*c));
    text.chars().filter(kept).collect()
}

/// Bytes at the end that may begin a character.
fn cut_character(line: &[u8]) -> usize {
    match line.utf8_chunks().last() {
        // What is wrong with a whole one is wrong for ever, and told by another byte after it.
        Some(chunk) if line.ends_with(chunk.invalid()) => chunk.invalid().len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright::boot::DEFAULT_FAIL;
    use proptest::prelude::*;

    fn reader(coloured: bool) -> Reader {
        let expect = Regex::new("login: $").unwrap();
        Reader::new(
            coloured,
            vec![Regex::new(DEFAULT_FAIL).unwrap()],
            Some(expect),
        )
    }

    #[test]
    fn a_panic_is_marked_and_told_once_whatever_the_pieces() {
        let raw = b"\x1b[32mok\x1b[0m\r\n[1.0] Kernel \x1b[1mpanic\x1b[0m - not syncing\r\nend\r\n";
        let mut whole = reader(true);
        assert_eq!(
            whole.push(raw),
            "\x1b[32mok\x1b[0m\n\x1b[0m\x1b[1;31m[1.0] Kernel panic - not syncing\x1b[0m\nend\n"
        );
        for size in 1..raw.len() {
            let mut reader = reader(false);
            let shown: String = raw.chunks(size).map(|piece| reader.push(piece)).collect();
            assert_eq!(shown, "ok\n[1.0] Kernel panic - not syncing\nend\n");
            assert_eq!(reader.findings.len(), 1);
            assert!(reader.findings[0].starts_with("[1.0] Kernel panic"));
        }
    }

    #[test]
    fn a_prompt_is_shown_and_judged_before_its_line_ends() {
        let mut reader = reader(false);
        assert_eq!(reader.push(b"Debian\ngrub resc"), "Debian\ngrub resc");
        assert_eq!(reader.push(b"ue> "), "ue> ");
        assert_eq!(reader.findings, ["grub rescue>"]);
        assert!(!reader.expected);
    }

    #[test]
    fn characters_survive_the_borders_of_pieces() {
        let raw = "Überstraße └─ λ\n".as_bytes();
        for size in 1..raw.len() {
            let mut reader = reader(false);
            let shown: String = raw.chunks(size).map(|piece| reader.push(piece)).collect();
            assert_eq!(shown.as_bytes(), raw);
        }
    }

    proptest! {
        /// No byte a guest can send reaches the terminal as anything but text and colours.
        #[test]
        fn a_hostile_console_can_colour_and_nothing_else(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..12),
                    prop::sample::select(vec![
                        &b"\x1b"[..], b"[", b"]", b"P", b"0;1", b"m", b"\xc2", b"\x9b", b"\x90", b"\x07", b"\x1b\\",
                        b"2J", b"\xe2\x80\xae", b"Kernel panic", b"\n", b"\r", b"\x1b[31m", b"\x1b]52;c;",
                    ]).prop_map(<[u8]>::to_vec),
                ],
                0..40,
            ),
            coloured: bool,
        ) {
            let mut reader = reader(coloured);
            let mut shown: String = pieces.iter().map(|piece| reader.push(piece)).collect();
            shown.push_str(reader.finish());
            let colour = regex::Regex::new("\x1b\\[[0-9;:]*m").unwrap();
            let rest = colour.replace_all(&shown, "");
            prop_assert_eq!(coloured || rest.len() == shown.len(), true);
            prop_assert!(
                rest.chars().all(|c| matches!(c, '\n' | '\t') || !(c.is_control() || reorders(c))),
                "{rest:?}"
            );
        }
    }
}
