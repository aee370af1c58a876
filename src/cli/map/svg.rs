//! A map for a page: the disk as a bar, each part of it magnified, a legend with sizes.
//!
//! ```text
//!   ┌ magnified ┐ ┌ magnified ┐       every part but the largest
//!    \         /   \         /
//!   ┌─────┬───────┬─────────────────┐ the disk
//!   └─────┴───────┴─────────────────┘
//!         /                          \
//!   ┌───────────────────────────────┐ the largest part, in rows
//! ```
//!
//! No script, no image, no font: it shows in a README. Colours follow the reader's choice of dark or light.
//! A segment has a cell at least, and there are so many segments at most that any disk gives a short file.

use super::areas::Area;
use super::palette::look;
use super::strip::{Parts, Segment, segments, share};
use crate::cli::sizes::{human, thousands};
use diskwright::inspect::map::Kind;
use diskwright::units::{count, index};
use std::fmt::Write as _;

/// Width of the picture, in its own units.
const WIDTH: u64 = 1000;
/// Blank at each side.
const MARGIN: u64 = 20;
/// Width of what is drawn.
const INNER: u64 = WIDTH - 2 * MARGIN;
/// Parts that are magnified beside the largest.
const MOST_BESIDE: usize = 4;
/// A cell of a bar: nothing is narrower.
const BAR_CELL: u64 = 12;
/// A cell of a magnified part.
const CELL: u64 = 7;
/// Left of the rows stand their offsets.
const OFFSETS: u64 = 64;
/// Cells in a row.
const COLUMNS: u64 = (INNER - OFFSETS) / CELL;
/// Rows of the largest part, and their distance.
const ROWS: u64 = 14;
const ROW: u64 = 18;
/// Segments of the largest part, and of each other.
const SEGMENTS: usize = 240;
const SEGMENTS_BESIDE: usize = 48;
/// Columns of the legend.
const LEGEND: u64 = 3;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}
.h{font-size:17px;font-weight:600}.b{font-weight:600}.s{font-size:11px;fill:#59636e}
.p{fill:#fff}.a{fill:#f6f8fa;stroke:#d1d9e0}.z{fill:#818b98;fill-opacity:.13}
#u path{stroke:#818b98}.k12{fill:#dfe4ea}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.p{fill:#0d1117}
.a{fill:#151b23;stroke:#3d444d}.k12{fill:#2b323b}}
";

/// The map as an SVG.
pub(super) fn draw(title: &str, areas: &[Area<'_>]) -> String {
    let mut page = Page {
        body: String::new(),
        y: MARGIN,
    };
    page.y += 14;
    page.text(MARGIN, "h", title);
    page.y += 16;
    let largest = (0..areas.len()).max_by_key(|&i| (areas[i].len(), std::cmp::Reverse(i)));
    let Some(largest) = largest else {
        return page.finish(title, &Parts::default());
    };
    let beside: Vec<usize> = (0..areas.len())
        .filter(|&i| i != largest && areas[i].is_mixed())
        .take(MOST_BESIDE)
        .collect();
    if areas.len() > 1 {
        let lens: Vec<u64> = areas.iter().map(Area::len).collect();
        let spans = spans(&share(&lens, INNER / BAR_CELL), MARGIN, BAR_CELL);
        page.beside(areas, &beside, &spans);
        page.disk(areas, &spans);
        let (from, to) = spans[largest];
        page.zoom((from, to), page.y, (MARGIN, WIDTH - MARGIN), page.y + 26);
        page.y += 26;
    }
    page.rows(&areas[largest]);
    let parts = super::areas::total(areas);
    page.legend(&parts);
    page.finish(title, &parts)
}

/// Where things lie that are so many cells wide: left and right edge.
fn spans(cells: &[u64], left: u64, cell: u64) -> Vec<(u64, u64)> {
    let mut x = left;
    let span = |n: &u64| {
        let from = x;
        x += n * cell;
        (from, x)
    };
    cells.iter().map(span).collect()
}

struct Page {
    body: String,
    /// Where the next thing is drawn.
    y: u64,
}

macro_rules! put {
    ($page:expr, $($text:tt)*) => {
        write!($page.body, $($text)*).expect("a String takes every write")
    };
}

impl Page {
    fn text(&mut self, x: u64, class: &str, text: &str) {
        let y = self.y;
        put!(
            self,
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>\n",
            escape(text)
        );
    }

    /// The magnified parts above the disk.
    fn beside(&mut self, areas: &[Area<'_>], which: &[usize], spans: &[(u64, u64)]) {
        if which.is_empty() {
            return;
        }
        let gap = 16;
        let panels = count(which.len());
        let width = (INNER - gap * (panels - 1)) / panels;
        let top = self.y + 14;
        for (n, &i) in (0..).zip(which) {
            let x = MARGIN + n * (width + gap);
            let area = &areas[i];
            self.y = top;
            let room = index(width / 8);
            self.text(x, "b", &cut(&area.name, room));
            self.y = top + 15;
            let size = human(area.len());
            let holds = match area.holds.as_str() {
                "" => size,
                holds => format!("{holds}, {size}"),
            };
            self.text(x, "s", &cut(&holds, room));
            let list = segments(area.regions, SEGMENTS_BESIDE.min(index(width / CELL)));
            let lens: Vec<u64> = list.iter().map(|s| s.len).collect();
            let cells = share(&lens, width / CELL);
            for (segment, (from, to)) in list.iter().zip(spans_of(&cells, x)) {
                self.cell(segment, from, top + 23, to - from, 28);
            }
            let right = x + width / CELL * CELL;
            self.zoom((x, right), top + 53, spans[i], top + 79);
        }
        self.y = top + 79;
    }

    /// The bar of the disk: a box with a name for each area, and what is in it as a thin strip.
    fn disk(&mut self, areas: &[Area<'_>], spans: &[(u64, u64)]) {
        let y = self.y;
        for (area, &(from, to)) in areas.iter().zip(spans) {
            let (width, title) = (to - from, escape(&area.title()));
            put!(
                self,
                "<g><title>{title}, from byte {}</title>\n<rect class=\"a\" x=\"{from}\" y=\"{y}\" \
                 width=\"{width}\" height=\"44\"/>\n",
                area.at()
            );
            let room = index(width / 8);
            let names = [area.title(), area.name.clone(), human(area.len())];
            if let Some(name) = names.iter().find(|n| n.chars().count() <= room) {
                let (x, y, name) = (from + width / 2, y + 22, escape(name));
                put!(
                    self,
                    "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>\n"
                );
            }
            let list = segments(area.regions, 32);
            let lens: Vec<u64> = list.iter().map(|s| s.len).collect();
            let inner = (width - 4).max(count(lens.len()));
            let cells = share(&lens, inner);
            for (segment, (from, to)) in list.iter().zip(spans_px(&cells, from + 2)) {
                let (kind, width) = (segment.kind.index(), to - from);
                let y = y + 34;
                put!(
                    self,
                    "<rect class=\"k{kind}\" x=\"{from}\" y=\"{y}\" width=\"{width}\" height=\"8\"/>"
                );
            }
            put!(self, "</g>\n");
        }
        self.y = y + 44;
    }

    /// What leads from a part to the same part magnified.
    fn zoom(&mut self, (a, b): (u64, u64), y: u64, (c, d): (u64, u64), below: u64) {
        put!(
            self,
            "<path class=\"z\" d=\"M{a} {y}H{b}L{d} {below}H{c}Z\"/>\n"
        );
    }

    /// The largest part, row by row.
    fn rows(&mut self, area: &Area<'_>) {
        self.y += 20;
        self.text(MARGIN, "b", &area.title());
        self.y += 12;
        let list = segments(area.regions, SEGMENTS);
        let lens: Vec<u64> = list.iter().map(|s| s.len).collect();
        let left = MARGIN + OFFSETS;
        let mut column = 0;
        for (segment, cells) in list.iter().zip(share(&lens, COLUMNS * ROWS)) {
            let mut done = 0;
            while done < cells {
                if column == 0 {
                    let into = u128::from(segment.len) * u128::from(done) / u128::from(cells);
                    let offset = segment.at - area.at() + u64::try_from(into).unwrap_or(0);
                    let (x, y, offset) = (left - 8, self.y + 12, human(offset));
                    put!(
                        self,
                        "<text class=\"s\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{offset}</text>\n"
                    );
                }
                let now = (cells - done).min(COLUMNS - column);
                let y = self.y;
                self.cell(segment, left + column * CELL, y, now * CELL, ROW - 3);
                done += now;
                column += now;
                if column == COLUMNS {
                    column = 0;
                    self.y += ROW;
                }
            }
        }
        self.y += 14;
    }

    fn cell(&mut self, segment: &Segment, x: u64, y: u64, width: u64, height: u64) {
        let kind = segment.kind.index();
        put!(
            self,
            "<rect class=\"k{kind}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{height}\" rx=\"2\"><title>{}\
             </title></rect>\n",
            width - 1,
            hover(segment)
        );
    }

    fn legend(&mut self, parts: &Parts) {
        let entries: Vec<_> = parts.iter().collect();
        let rows = count(entries.len()).div_ceil(LEGEND);
        let width = INNER / LEGEND;
        let top = self.y + 8;
        for (n, (kind, bytes, regions)) in (0..).zip(entries) {
            let (x, y) = (MARGIN + n / rows.max(1) * width, top + n % rows.max(1) * 22);
            let (nr, name) = (kind.index(), kind.name());
            let (size, regions) = (human(bytes), thousands(regions));
            put!(
                self,
                "<rect class=\"k{nr}\" x=\"{x}\" y=\"{y}\" width=\"14\" height=\"14\" rx=\"3\"/>\
                 <text x=\"{}\" y=\"{base}\">{name}</text>\
                 <text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{size}</text>\
                 <text class=\"s\" x=\"{}\" y=\"{base}\" text-anchor=\"end\">{regions} ×</text>\n",
                x + 22,
                x + 222,
                x + 280,
                base = y + 12
            );
        }
        self.y = top + rows * 22;
    }

    fn finish(self, title: &str, parts: &Parts) -> String {
        let height = self.y + MARGIN / 2;
        let title = escape(title);
        let mut style = String::new();
        for (kind, ..) in parts.iter() {
            let (nr, (r, g, b)) = (kind.index(), look(kind).rgb);
            let rule = match kind {
                Kind::Unpartitioned => format!(".k{nr}{{fill:url(#u)}}\n"),
                // Free space is the ground that the rest stands on: STYLE has it.
                Kind::Free => continue,
                _ => format!(".k{nr}{{fill:#{r:02x}{g:02x}{b:02x}}}\n"),
            };
            style.push_str(&rule);
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}{style}</style>\n\
             <defs><pattern id=\"u\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <path d=\"M0 6L6 0\" stroke-width=\"1\"/></pattern></defs>\n\
             <rect class=\"p\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n{}</svg>\n",
            self.body
        )
    }
}

fn spans_of(cells: &[u64], left: u64) -> Vec<(u64, u64)> {
    spans(cells, left, CELL)
}

fn spans_px(cells: &[u64], left: u64) -> Vec<(u64, u64)> {
    spans(cells, left, 1)
}

/// What a segment is, in a line for each kind in it.
fn hover(segment: &Segment) -> String {
    let end = segment.at + segment.len - 1;
    let mut text = format!("bytes {} to {end}", thousands(segment.at));
    for (kind, bytes, regions) in segment.parts.iter() {
        let regions = thousands(regions);
        write!(text, "\n{}: {}, {regions} ×", kind.name(), human(bytes))
            .expect("a String takes every write");
    }
    text
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let short: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{short}…")
}

/// Text of XML; characters that XML has no place for are replaced.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
