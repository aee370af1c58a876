//! `diskwright du`: what takes the space in an image.

use super::exit::{self, Code};
use super::look::{self, Opened, Out, TARGETS, tell_unread};
use super::sizes::human;
use diskwright::display::display_path;
use serde::Serialize;
use std::collections::HashSet;
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  diskwright du -s disk.img
  diskwright du -L 2 -h disk.img:/usr | sort -h";

/// Show what takes the space in an image, as du(1) does
///
/// In KiB on the disk; a file of several names counts once.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, arg = look::help())]
#[command(after_help = EXAMPLES, after_long_help = format!("{TARGETS}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// Where to begin: IMG, IMG:/PATH or IMG:pN:/PATH
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::FilePath)]
    target: OsString,

    /// The sum alone
    #[arg(short, long)]
    summarize: bool,

    /// Files too, not only directories
    #[arg(short, long)]
    all: bool,

    /// How many levels to show
    #[arg(short = 'L', long, value_name = "N")]
    levels: Option<usize>,

    /// Sizes of files, not what they take on the disk
    #[arg(long)]
    apparent_size: bool,

    /// Sizes for people, as 1.2 MiB
    #[arg(short = 'h', long = "human-readable")]
    human: bool,

    /// Print as JSON, in bytes
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Sum {
    path: String,
    bytes: u64,
}

/// A directory under way.
struct Level {
    path: Vec<u8>,
    bytes: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let opened = Opened::new(&args.target)?;
    let files = opened.files()?;
    let base = opened.path().strip_suffix(b"/").unwrap_or(opened.path());
    let mut report = Report {
        args,
        base,
        out: Out::new(),
        json: Vec::new(),
    };
    let (mut levels, mut seen): (Vec<Level>, _) = (Vec::new(), HashSet::new());
    for met in files.walk(opened.node(true)?) {
        let met = match met {
            Ok(met) => met,
            Err(unread) => {
                tell_unread(&unread);
                continue;
            }
        };
        while levels.len() > met.depth {
            report.close(&mut levels)?;
        }
        let bytes = if args.apparent_size {
            met.node.size
        } else {
            met.node.allocated
        };
        let bytes = if seen.insert(met.node.id) { bytes } else { 0 };
        if met.node.is_directory() || met.depth == 0 {
            let path = met.path;
            levels.push(Level { path, bytes });
            continue;
        }
        if let Some(level) = levels.last_mut() {
            level.bytes = level.bytes.saturating_add(bytes);
        }
        if args.all {
            report.line(&met.path, met.depth, bytes)?;
        }
    }
    while !levels.is_empty() {
        report.close(&mut levels)?;
    }
    if args.json {
        exit::print_json(&report.json)?;
    }
    report.out.end()?;
    opened.tell_warnings();
    Ok(Code::Done)
}

struct Report<'a> {
    args: &'a Args,
    base: &'a [u8],
    out: Out,
    json: Vec<Sum>,
}

impl Report<'_> {
    /// Ends the innermost directory.
    fn close(&mut self, levels: &mut Vec<Level>) -> anyhow::Result<()> {
        let Some(level) = levels.pop() else {
            return Ok(());
        };
        if let Some(above) = levels.last_mut() {
            above.bytes = above.bytes.saturating_add(level.bytes);
        }
        self.line(&level.path, levels.len(), level.bytes)
    }

    fn line(&mut self, path: &[u8], depth: usize, bytes: u64) -> anyhow::Result<()> {
        let most = if self.args.summarize {
            Some(0)
        } else {
            self.args.levels
        };
        if most.is_some_and(|most| depth > most) {
            return Ok(());
        }
        let slash: &[u8] = if path.is_empty() && !self.base.is_empty() {
            b""
        } else {
            b"/"
        };
        let path = [self.base, slash, path].concat();
        let path = display_path(&path).to_string();
        if self.args.json {
            self.json.push(Sum { path, bytes });
            return Ok(());
        }
        let size = if self.args.human {
            human(bytes).replace(' ', "")
        } else {
            bytes.div_ceil(1024).to_string()
        };
        self.out.text(&format!("{size}\t{path}\n"))
    }
}
