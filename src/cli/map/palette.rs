//! How kinds look: a colour, and a letter where there are none.

use diskwright::inspect::map::Kind;

/// What the output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Letters.
    None,
    /// The 16 colours of every terminal.
    Sixteen,
    /// The 256 of xterm.
    Indexed,
    /// 24 bits.
    True,
}

/// The looks of a kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Red, green, blue.
    pub(super) rgb: (u8, u8, u8),
    /// Of the 16: the number after `ESC[`.
    sixteen: u8,
    /// Where there are no colours.
    pub(super) letter: char,
}

/// The looks of a kind. Hues are told apart by those who see no red or no green too: neighbours on the disk
/// differ in lightness.
pub(super) fn look(kind: Kind) -> Look {
    let (rgb, sixteen, letter) = match kind {
        Kind::BootCode => ((0xe8, 0x59, 0x0c), 31, 'B'),
        Kind::PartitionTable => ((0xf5, 0x9f, 0x00), 33, 'P'),
        Kind::Fat => ((0xa6, 0x1e, 0x4d), 35, 'F'),
        Kind::Superblock => ((0xe0, 0x31, 0x31), 91, 'S'),
        Kind::GroupDescriptors => ((0xf7, 0x83, 0xac), 95, 'G'),
        Kind::Bitmaps => ((0xff, 0xd4, 0x3b), 93, 'b'),
        Kind::InodeTables => ((0x12, 0xb8, 0x86), 32, 'I'),
        Kind::Journal => ((0x79, 0x50, 0xf2), 35, 'J'),
        Kind::Directories => ((0x82, 0xc9, 0x1e), 92, 'D'),
        Kind::OtherMetadata => ((0xa0, 0x6b, 0x40), 33, 'm'),
        Kind::Data => ((0x33, 0x8a, 0xf0), 34, '#'),
        Kind::Zero => ((0x99, 0xd0, 0xfc), 96, '0'),
        Kind::Free => ((0x86, 0x8e, 0x96), 90, '.'),
        Kind::Unpartitioned => ((0x5c, 0x63, 0x6a), 90, '-'),
        Kind::Unknown => ((0xad, 0xb5, 0xbd), 37, '?'),
    };
    Look {
        rgb,
        sixteen,
        letter,
    }
}

impl Look {
    /// The sequence that switches to this colour.
    pub(super) fn start(self, depth: Depth) -> String {
        let (r, g, b) = self.rgb;
        match depth {
            Depth::None => String::new(),
            Depth::Sixteen => format!("\x1b[{}m", self.sixteen),
            Depth::Indexed => format!("\x1b[38;5;{}m", indexed(self.rgb)),
            Depth::True => format!("\x1b[38;2;{r};{g};{b}m"),
        }
    }
}

/// The nearest colour of the cube of 6 × 6 × 6.
fn indexed((r, g, b): (u8, u8, u8)) -> u16 {
    let level = |v: u8| match v {
        ..48 => 0,
        48..115 => 1,
        v => u16::from((v - 35) / 40),
    };
    16 + 36 * level(r) + 6 * level(g) + level(b)
}

/// What the environment says that a terminal can show (no-color.org, `COLORTERM`, `TERM`).
pub(super) fn depth(variable: impl Fn(&str) -> Option<String>) -> Depth {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty());
    let term = set("TERM").unwrap_or_default();
    if set("NO_COLOR").is_some() || term == "dumb" {
        return Depth::None;
    }
    match set("COLORTERM").as_deref() {
        Some("truecolor" | "24bit") => Depth::True,
        _ if term.contains("256color") => Depth::Indexed,
        _ => Depth::Sixteen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let of = |list: &[(&str, &str)]| {
            let list: Vec<_> = list
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            depth(move |name| list.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
        };
        assert_eq!(
            of(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]),
            Depth::True
        );
        assert_eq!(of(&[("TERM", "xterm-256color")]), Depth::Indexed);
        assert_eq!(of(&[("TERM", "linux")]), Depth::Sixteen);
        assert_eq!(of(&[("TERM", "dumb"), ("COLORTERM", "24bit")]), Depth::None);
        assert_eq!(
            of(&[("NO_COLOR", "1"), ("COLORTERM", "24bit")]),
            Depth::None
        );
        assert_eq!(of(&[("NO_COLOR", ""), ("TERM", "linux")]), Depth::Sixteen);
    }

    #[test]
    fn colours_keep_near_in_the_cube_and_letters_are_each_their_own() {
        assert_eq!(
            [(0, 0, 0), (255, 255, 255), (255, 0, 0)].map(indexed),
            [16, 231, 196]
        );
        let mut letters: Vec<_> = Kind::ALL.map(|k| look(k).letter).into();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Kind::ALL.len());
    }
}
