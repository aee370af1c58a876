//! `diskwright map`: what lies where on a disk, as a picture.
//!
//! | file | what |
//! |---|---|
//! | `areas` | partitions, and what lies between them |
//! | `strip` | thousands of regions to the segments that a line has room for |
//! | `palette` | colours and letters |
//! | `terminal`, `svg` | the two pictures |

mod areas;
mod palette;
mod strip;
mod svg;
mod terminal;

use super::exit::{self, Code};
use super::places::refuse_same_file;
use super::sizes::human;
use anyhow::Context;
use diskwright::inspect::map::{Map, map};
use diskwright::inspect::open_image;
use diskwright::sink::beside::Beside;
use diskwright::sink::raw::RawOptions;
use palette::Depth;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  diskwright map disk.img
  diskwright map disk.img --svg disk.svg
  diskwright map disk.img --json | jq '.regions[] | select(.kind == \"journal\")'";

/// Columns where nobody says how many there are.
const WIDTH: usize = 80;
/// Columns that a picture needs at least, and those beyond which it gets no better.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=160;

/// Draw what lies where on an image
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Disk image, or a bare filesystem
    image: PathBuf,

    /// Draw to a file, for a page, instead (`-`: standard output)
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,

    /// Replace FILE if it exists
    #[arg(long, requires = "svg")]
    force: bool,

    /// Colours: on a terminal that shows them and without NO_COLOR, or as said
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,

    /// Print every region as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let disk = open_image(&args.image)?;
    let map = map(&disk).with_context(|| format!("cannot read {}", args.image.display()))?;
    let areas = areas::areas(&map);
    let name = args.image.file_name().unwrap_or(args.image.as_os_str());
    let title = title(&name.to_string_lossy(), &map);
    if args.json {
        exit::print_json(&map)?;
    } else if let Some(to) = &args.svg {
        let picture = svg::draw(&title, &areas);
        if to == Path::new("-") {
            exit::print(&picture)?;
        } else {
            write(args, to, &picture)?;
        }
    } else {
        let depth = depth(args.color);
        let text = terminal::draw(&areas, width(), depth);
        exit::print(&format!("{title}\n\n{text}"))?;
    }
    if !map.complete {
        exit::complain("warning: damaged metadata: some of what is shown as free may be in use\n");
    }
    Ok(Code::Done)
}

/// Name, size and partition table in a line.
fn title(name: &str, map: &Map) -> String {
    let name = diskwright::display::display_path(name.as_bytes()).to_string();
    let size = human(map.info.size);
    match map.info.scheme {
        "none" => format!("{name}: {size}"),
        scheme => format!("{name}: {size}, {}", scheme.to_uppercase()),
    }
}

/// Writes a picture, whole or not at all.
fn write(args: &Args, to: &Path, picture: &str) -> anyhow::Result<()> {
    refuse_same_file(&args.image, "the image that is drawn", to)?;
    let options = RawOptions {
        force: args.force,
        sync: false,
    };
    let mut file = Beside::create(to, options)?;
    file.write(|out| out.write_all(picture.as_bytes()))?;
    file.place()?.keep();
    Ok(())
}

fn depth(color: Color) -> Depth {
    let variable = |name: &str| std::env::var(name).ok();
    match color {
        Color::Never => Depth::None,
        Color::Auto if !std::io::stdout().is_terminal() => Depth::None,
        Color::Auto => palette::depth(variable),
        // Asked for, so that nothing speaks against it but what the terminal cannot do.
        Color::Always => match palette::depth(|name| variable(name).filter(|_| name != "NO_COLOR"))
        {
            Depth::None => Depth::Sixteen,
            depth => depth,
        },
    }
}

/// Columns, by `COLUMNS` or the terminal.
fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let terminal = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
    };
    let width: usize = said.or_else(terminal).unwrap_or(WIDTH);
    width.clamp(*WIDTHS.start(), *WIDTHS.end())
}
