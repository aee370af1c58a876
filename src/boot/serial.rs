//! The serial port: a log of raw bytes, and the plain text that patterns are matched against.

/// Most bytes of a log that are kept. A Debian boot prints 60 KiB; a guest in a loop prints without end.
const LOG_CAP: usize = 16 << 20;

/// Raw bytes of a serial port, the oldest dropped beyond a cap.
#[derive(Debug, Default)]
pub(super) struct Log(Vec<u8>);

impl Log {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > LOG_CAP {
            self.0.drain(..LOG_CAP / 2);
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Where in a control sequence (ECMA-48) the last byte left off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// After `ESC [`, until a final byte of 40h to 7Eh.
    Csi,
    /// After `ESC ]` and its like, until BEL or `ESC \`.
    Command,
    CommandEscape,
}

/// Turns what a terminal would be sent into plain lines, whatever the borders of the chunks.
///
/// Sequences that move the cursor become line ends, because GRUB and systemd paint by position: without
/// it, a word of one row would run into the next row's.
#[derive(Debug, Default)]
pub struct PlainText {
    state: State,
    coloured: bool,
    /// The parameters of the control sequence that is being read.
    parameters: Vec<u8>,
}

/// Longest list of parameters of a colour that is kept: a foreground and a background of 24 bits take 36 bytes.
const COLOUR: usize = 64;

impl PlainText {
    /// A decoder at the start of its stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that keeps colours (ECMA-48, SGR) and nothing else of what a terminal obeys.
    #[must_use]
    pub fn coloured() -> Self {
        Self {
            coloured: true,
            ..Self::default()
        }
    }

    /// Appends the plain text of `raw` to `out`.
    pub fn decode(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        for &byte in raw {
            self.state = match (self.state, byte) {
                (State::Text | State::Escape, 0x1B) => State::Escape,
                (State::Text, b'\n' | b'\t' | 0x20..=0x7E | 0x80..) => {
                    out.push(byte);
                    State::Text
                }
                (State::Text, _) => State::Text,
                // No sequence has a line end in it: one that is cut off hides no more than its line.
                (_, b'\n') => {
                    out.push(byte);
                    State::Text
                }
                (State::Escape, b'[') => {
                    self.parameters.clear();
                    State::Csi
                }
                (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Command,
                // Intermediate bytes: the final one is still to come.
                (State::Escape, 0x20..=0x2F) => State::Escape,
                (State::Escape, _) => State::Text,
                (State::Csi, b'm') => {
                    self.colour(out);
                    State::Text
                }
                (State::Csi, 0x40..=0x7E) => {
                    if matches!(byte, b'A'..=b'H' | b'J' | b'd' | b'f')
                        && out.last() != Some(&b'\n')
                    {
                        out.push(b'\n');
                    }
                    State::Text
                }
                (State::Csi, _) => {
                    if self.parameters.len() <= COLOUR {
                        self.parameters.push(byte);
                    }
                    State::Csi
                }
                (State::Command, 0x07) | (State::CommandEscape, _) => State::Text,
                (State::Command, 0x1B) => State::CommandEscape,
                (State::Command, _) => State::Command,
            };
        }
    }

    fn colour(&self, out: &mut Vec<u8>) {
        let numbers = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b':');
        if self.coloured && self.parameters.len() <= COLOUR && self.parameters.iter().all(numbers) {
            out.extend_from_slice(b"\x1b[");
            out.extend_from_slice(&self.parameters);
            out.push(b'm');
        }
    }
}

/// Most plain text that is searched: a pattern may span chunks and lines, but not more than this.
const WINDOW: usize = 4 << 10;

/// The last lines of the plain text, of what no earlier step has matched.
#[derive(Debug, Default)]
pub(super) struct Tail {
    decoder: PlainText,
    text: Vec<u8>,
    /// Bytes of `text` up to the end of the last match.
    matched: usize,
}

impl Tail {
    pub(super) fn push(&mut self, raw: &[u8]) {
        if self.text.len() > WINDOW {
            let cut = self.text.len() - WINDOW;
            self.text.drain(..cut);
            self.matched = self.matched.saturating_sub(cut);
        }
        self.decoder.decode(raw, &mut self.text);
    }

    /// All of the window: what a failure pattern looks at.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// What follows the last match: what the next step looks at.
    pub(super) fn unmatched(&self) -> &[u8] {
        &self.text[self.matched..]
    }

    /// Marks the first `len` bytes of [`Self::unmatched`] as matched.
    pub(super) fn consume(&mut self, len: usize) {
        self.matched = (self.matched + len).min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(raw: &[u8], chunk: usize) -> String {
        let (mut decoder, mut out) = (PlainText::new(), Vec::new());
        for piece in raw.chunks(chunk) {
            decoder.decode(piece, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn control_sequences_vanish_whatever_the_chunks() {
        let raw = b"\x1b[0;1;39mdebian\x1b[0m \x1b]0;title\x07lo\x1b(Bgin\x1b]8;;x\x1b\\:\r\n";
        for chunk in 1..raw.len() {
            assert_eq!(plain(raw, chunk), "debian login:\n");
        }
    }

    #[test]
    fn cursor_moves_end_lines() {
        assert_eq!(
            plain(b"\x1b[2J\x1b[1;1HGNU GRUB\x1b[5;2HDebian", 3),
            "\nGNU GRUB\nDebian"
        );
    }

    #[test]
    fn colours_stay_where_they_are_asked_for_and_nothing_else_does() {
        let raw = b"\x1b[0;1;31mred\x1b[m\x1b[>4;2m \x1b[38;5;8mgrey\x1b[2J\x1b]52;c;aGk=\x07\x1b[6n\x1b[1 \
            m\x1bc\x1b]0;title\nnext\x1b[5\nlast";
        for chunk in 1..raw.len() {
            let (mut decoder, mut out) = (PlainText::coloured(), Vec::new());
            for piece in raw.chunks(chunk) {
                decoder.decode(piece, &mut out);
            }
            let kept = "\x1b[0;1;31mred\x1b[m \x1b[38;5;8mgrey\n\nnext\nlast";
            assert_eq!(String::from_utf8(out).unwrap(), kept);
        }
    }

    #[test]
    fn utf8_survives_and_other_control_bytes_do_not() {
        assert_eq!(plain("┌\u{8}─\0┐".as_bytes(), 1), "┌─┐");
    }

    #[test]
    fn tail_forgets_old_text_but_not_what_follows_a_match() {
        let mut tail = Tail::default();
        tail.push(b"one two");
        tail.consume(3);
        assert_eq!(tail.unmatched(), b" two");
        tail.push(&vec![b'x'; 2 * WINDOW]);
        tail.push(b"end");
        assert_eq!(tail.text().len(), WINDOW + 3);
        assert_eq!(tail.unmatched().len(), WINDOW + 3);
    }

    #[test]
    fn log_is_bounded_and_keeps_the_newest() {
        let mut log = Log::default();
        for _ in 0..5 {
            log.push(&vec![1; LOG_CAP / 2]);
        }
        log.push(b"end");
        let bytes = log.into_bytes();
        assert!(bytes.len() <= LOG_CAP + 3 && bytes.ends_with(b"end"));
    }
}
