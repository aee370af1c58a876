//! A map for a terminal: a bar of the disk, a block of cells for each part of it, a legend.

use super::areas::{Area, total};
use super::palette::{Depth, Look, look};
use super::strip::{Parts, Segment, segments, share};
use crate::cli::sizes::{human, thousands};
use diskwright::inspect::map::Kind;
use diskwright::units::{count, index};
use std::fmt::Write as _;

/// Lines of cells of the largest area.
const LINES: u64 = 8;
/// Columns that a line begins with.
const INDENT: usize = 2;

/// What a cell looks like in colour: a thin line stays between two lines of cells, and nothing is lighter
/// than something.
fn cell(kind: Kind) -> char {
    match kind {
        Kind::Free => '░',
        Kind::Unpartitioned => '╌',
        Kind::Unknown => '▒',
        _ => '▇',
    }
}

/// The map as text, `width` columns wide.
pub(super) fn draw(areas: &[Area<'_>], width: usize, depth: Depth) -> String {
    let pen = Pen {
        depth,
        cells: count(width.saturating_sub(INDENT).max(34)),
    };
    let mut text = String::new();
    if areas.len() > 1 {
        pen.disk(&mut text, areas);
    }
    let largest = areas.iter().map(Area::len).max().unwrap_or(0);
    for area in areas.iter().filter(|a| areas.len() == 1 || a.is_mixed()) {
        let lines = if area.len() == largest { LINES } else { 1 };
        pen.area(&mut text, area, lines);
    }
    pen.legend(&mut text, &total(areas));
    text
}

struct Pen {
    depth: Depth,
    cells: u64,
}

impl Pen {
    /// The disk in a line: each area as long as it is large, with its name where there is room.
    fn disk(&self, text: &mut String, areas: &[Area<'_>]) {
        let lens: Vec<u64> = areas.iter().map(Area::len).collect();
        let widths: Vec<usize> = share(&lens, self.cells).into_iter().map(index).collect();
        indent(text);
        for (area, width) in areas.iter().zip(&widths) {
            let name: String = area.name.chars().take(width - 1).collect();
            let whole = name.chars().count() == area.name.chars().count();
            let shown = if whole { name.as_str() } else { "" };
            write!(text, "{shown:<width$}").expect("a String takes every write");
        }
        trim(text);
        indent(text);
        for (area, width) in areas.iter().zip(&widths) {
            let parts: Vec<Segment> = segments(area.regions, 32);
            // What the area is, in one colour, is what most of it is; a boundary stays between two.
            let kind = parts.iter().max_by_key(|s| s.len).map(|s| s.kind);
            let kind = kind.unwrap_or(Kind::Unknown);
            self.run(text, kind, width.saturating_sub(1).max(1));
            if *width > 1 {
                text.push(' ');
            }
        }
        trim(text);
    }

    fn area(&self, text: &mut String, area: &Area<'_>, lines: u64) {
        writeln!(text, "\n{}", area.title()).expect("a String takes every write");
        let cells = self.cells * lines;
        let list = segments(area.regions, index(cells / 2).max(32).min(index(cells)));
        let lens: Vec<u64> = list.iter().map(|s| s.len).collect();
        let mut column = 0;
        for (segment, mut width) in list.iter().zip(share(&lens, cells)) {
            while width > 0 {
                if column == 0 {
                    indent(text);
                }
                let now = width.min(self.cells - column);
                self.run(text, segment.kind, index(now));
                width -= now;
                column += now;
                if column == self.cells {
                    column = 0;
                    text.push('\n');
                }
            }
        }
    }

    /// So many cells of a kind.
    fn run(&self, text: &mut String, kind: Kind, cells: usize) {
        let look = look(kind);
        let cell = if self.depth == Depth::None {
            look.letter
        } else {
            cell(kind)
        };
        self.coloured(text, look, &cell.to_string().repeat(cells));
    }

    fn coloured(&self, text: &mut String, look: Look, what: &str) {
        let end = if self.depth == Depth::None {
            ""
        } else {
            "\x1b[0m"
        };
        let start = look.start(self.depth);
        write!(text, "{start}{what}{end}").expect("a String takes every write");
    }

    /// What colours mean, and of what there is how much.
    fn legend(&self, text: &mut String, parts: &Parts) {
        text.push('\n');
        let entries: Vec<(Kind, String)> = parts
            .iter()
            .map(|(kind, bytes, regions)| {
                let name = kind.name();
                let (size, regions) = (human(bytes), thousands(regions));
                (kind, format!("{name:<17}{size:>11}{regions:>9}"))
            })
            .collect();
        // A swatch, a blank, and the columns above; one more column of entries where there is room.
        let wide = 4 + 37;
        let columns = (index(self.cells) / wide).clamp(1, 2);
        let rows = entries.len().div_ceil(columns);
        for row in 0..rows {
            indent(text);
            for column in 0..columns {
                if let Some((kind, entry)) = entries.get(row + column * rows) {
                    self.run(text, *kind, 1);
                    write!(text, " {entry}    ").expect("a String takes every write");
                }
            }
            trim(text);
        }
    }
}

fn indent(text: &mut String) {
    text.push_str(&" ".repeat(INDENT));
}

/// Ends a line without blanks.
fn trim(text: &mut String) {
    let len = text.trim_end_matches(' ').len();
    text.truncate(len);
    text.push('\n');
}
