//! `diskwright tree`: what is in an image, as a tree.

use super::exit::Code;
use super::look::{Opened, Out, TARGETS, tell_unread};
use diskwright::display::display_path;
use diskwright::inspect::{Entered, Files, FilesError, Kind, Node, is_name};
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  diskwright tree -L 2 disk.img
  diskwright tree disk.img:/etc/systemd";

/// Show what is in an image as a tree, as tree(1) does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{TARGETS}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// Where to begin: IMG, IMG:/PATH or IMG:pN:/PATH
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::FilePath)]
    target: OsString,

    /// How many levels to show
    #[arg(short = 'L', long, value_name = "N")]
    levels: Option<usize>,

    /// Names that begin with a dot too
    #[arg(short, long)]
    all: bool,

    /// Directories alone
    #[arg(short, long)]
    directories: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let opened = Opened::new(&args.target)?;
    let files = opened.files()?;
    let start = opened.node(true)?;
    if !start.is_directory() {
        let path = display_path(opened.path()).to_string();
        let is = start.kind.words();
        let looking = format!("cannot look into {}", opened.address.image.display());
        return Err(anyhow::Error::new(FilesError::NotDirectory { path, is }).context(looking));
    }
    let mut out = Out::new();
    out.text(&format!("{}\n", args.target.display()))?;
    let mut drawn = Drawing {
        args,
        files,
        entered: Entered::default(),
        counts: [0; 2],
    };
    drawn.draw(&mut out, &start)?;
    let [directories, others] = drawn.counts;
    let noun = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let mut text = format!("\n{}", noun(directories, "directory", "directories"));
    if !args.directories {
        text.push_str(&format!(", {}", noun(others, "file", "files")));
    }
    out.text(&format!("{text}\n"))?;
    out.end()?;
    opened.tell_warnings();
    Ok(Code::Done)
}

struct Drawing<'a> {
    args: &'a Args,
    files: &'a Files,
    entered: Entered,
    /// Directories, and all else.
    counts: [u64; 2],
}

/// A directory under way.
struct Level {
    path: Vec<u8>,
    /// What is left of it.
    rest: std::vec::IntoIter<(Vec<u8>, Node)>,
}

impl Drawing<'_> {
    fn draw(&mut self, out: &mut Out, start: &Node) -> anyhow::Result<()> {
        let mut stack = vec![self.level(Vec::new(), start)];
        while let Some(level) = stack.last_mut() {
            let Some((name, node)) = level.rest.next() else {
                stack.pop();
                continue;
            };
            let last = level.rest.len() == 0;
            let slash: &[u8] = if level.path.is_empty() { b"" } else { b"/" };
            let path = [&level.path[..], slash, &name].concat();
            let above = &stack[..stack.len() - 1];
            let bars = above
                .iter()
                .map(|l| if l.rest.len() > 0 { "│   " } else { "    " });
            let branch = if last { "└── " } else { "├── " };
            let mut line: String = bars.chain([branch]).collect();
            line.push_str(&display_path(&name).to_string());
            if node.kind == Kind::Symlink {
                let target = self.files.target(&node).unwrap_or_default();
                line.push_str(&format!(" -> {}", display_path(&target)));
            }
            line.push('\n');
            out.text(&line)?;
            self.counts[usize::from(!node.is_directory())] += 1;
            let deeper = self.args.levels.is_none_or(|most| stack.len() < most);
            if deeper && node.is_directory() && is_name(&name) {
                stack.push(self.level(path, &node));
            }
        }
        Ok(())
    }

    /// What is to be shown of a directory.
    fn level(&mut self, path: Vec<u8>, node: &Node) -> Level {
        let children = self.entered.children(self.files, &path, node);
        let children = children.unwrap_or_else(|e| {
            tell_unread(&(path.clone(), e));
            Vec::new()
        });
        let mut list = Vec::new();
        for child in children {
            if child.name.starts_with(b".") && !self.args.all {
                continue;
            }
            match self.files.node(child.id) {
                Ok(node) if self.args.directories && !node.is_directory() => {}
                Ok(node) => list.push((child.name, node)),
                Err(e) => tell_unread(&(child.name, e)),
            }
        }
        Level {
            path,
            rest: list.into_iter(),
        }
    }
}
