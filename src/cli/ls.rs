//! `diskwright ls`: names in an image.

use super::exit::{self, Code};
use super::listing::{self, Json, Row, Style};
use super::look::{self, Opened, Out, TARGETS, tell_unread};
use diskwright::display::display_path;
use diskwright::inspect::{Accounts, Child, Entered, Files, Node, is_name};
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  diskwright ls disk.img
  diskwright ls -l disk.img:/etc
  diskwright ls -lR disk.img:p1:/";

/// List files in an image, as ls(1) does
///
/// Names are sorted by their bytes, times are in UTC, owners bear the names of the image's own /etc/passwd.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, arg = look::help())]
#[command(after_help = EXAMPLES, after_long_help = format!("{TARGETS}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// What to list: IMG, IMG:/PATH or IMG:pN:/PATH
    #[arg(value_name = "TARGET", required = true, value_hint = clap::ValueHint::FilePath)]
    targets: Vec<OsString>,

    /// Mode, links, owner, group, size and time of each
    #[arg(short, long)]
    long: bool,

    /// Names that begin with a dot too
    #[arg(short, long)]
    all: bool,

    /// Directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// A directory itself, not what is in it
    #[arg(short, long)]
    directory: bool,

    /// Owners by number (implies --long)
    #[arg(short, long)]
    numeric: bool,

    /// Sizes for people, as 1.2 MiB
    #[arg(short = 'h', long = "human-readable")]
    human: bool,

    /// A name a line: the default
    #[arg(short = '1')]
    one: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let mut json = Vec::new();
    let mut out = Out::new();
    for (n, target) in args.targets.iter().enumerate() {
        let opened = Opened::new(target)?;
        let files = opened.files()?;
        let accounts = if args.numeric {
            Accounts::default()
        } else {
            Accounts::of(files)
        };
        let style = Style {
            accounts,
            human: args.human,
        };
        // ls(1) shows a link itself in a long listing, and follows it in a short one.
        let long = args.long || args.numeric;
        let follow = !(long || args.directory) || opened.path().ends_with(b"/");
        let node = opened.node(follow)?;
        let mut lister = Lister {
            args,
            files,
            style,
            out: &mut out,
            json: &mut json,
            entered: Entered::default(),
            long,
        };
        if !args.json && (args.targets.len() > 1) {
            let gap = if n > 0 { "\n" } else { "" };
            lister.out.text(&format!("{gap}{}:\n", target.display()))?;
        }
        lister.target(opened.path(), &node)?;
        opened.tell_warnings();
    }
    if args.json {
        exit::print_json(&json)?;
    }
    out.end()?;
    Ok(Code::Done)
}

struct Lister<'a> {
    args: &'a Args,
    files: &'a Files,
    style: Style,
    out: &'a mut Out,
    json: &'a mut Vec<Json>,
    entered: Entered,
    long: bool,
}

impl Lister<'_> {
    fn target(&mut self, path: &[u8], node: &Node) -> anyhow::Result<()> {
        if !node.is_directory() || self.args.directory {
            let path = path.to_vec();
            return self.rows(b"", &[(path, node.clone())]);
        }
        let base = path.strip_suffix(b"/").unwrap_or(path);
        // Directories to list: those that are in one together, under its path.
        let start = vec![(Vec::new(), node.clone())];
        let mut rest = vec![(base.to_vec(), start.into_iter())];
        let mut first = true;
        while let Some((above, list)) = rest.last_mut() {
            let Some((name, directory)) = list.next() else {
                rest.pop();
                continue;
            };
            let path = match &name[..] {
                b"" => above.clone(),
                name => [&above[..], b"/", name].concat(),
            };
            if self.args.recursive && !self.args.json {
                let gap = if first { "" } else { "\n" };
                let shown = if path.is_empty() { &b"/"[..] } else { &path };
                self.out.text(&format!("{gap}{}:\n", display_path(shown)))?;
            }
            first = false;
            let children = self.entered.children(self.files, &path, &directory);
            let children = match children {
                Ok(children) => children,
                Err(e) => {
                    tell_unread(&(path, e));
                    continue;
                }
            };
            let inside = self.directory(&path, children)?;
            if self.args.recursive {
                rest.push((path, inside.into_iter()));
            }
        }
        Ok(())
    }

    /// Lists a directory; the directories in it.
    fn directory(
        &mut self,
        path: &[u8],
        children: Vec<Child>,
    ) -> anyhow::Result<Vec<(Vec<u8>, Node)>> {
        let mut rows = Vec::new();
        for child in children {
            if child.name.starts_with(b".") && !self.args.all {
                continue;
            }
            match self.files.node(child.id) {
                Ok(node) => rows.push((child.name, node)),
                Err(e) => tell_unread(&([path, b"/", &child.name].concat(), e)),
            }
        }
        if self.long && !self.args.json {
            // In KiB, as GNU ls counts.
            let sizes = rows.iter().map(|(_, node)| node.allocated / 512);
            let total = sizes.fold(0, u64::saturating_add);
            self.out.text(&format!("total {}\n", total.div_ceil(2)))?;
        }
        self.rows(&[path, b"/"].concat(), &rows)?;
        rows.retain(|(name, node)| node.is_directory() && is_name(name));
        Ok(rows)
    }

    /// Shows files: name, node; `base` is what stands before the names in their paths.
    fn rows(&mut self, base: &[u8], rows: &[(Vec<u8>, Node)]) -> anyhow::Result<()> {
        let (files, style) = (self.files, &self.style);
        if self.args.json {
            let json = rows.iter().map(|(name, node)| {
                Json::new(files, node, &[base, name].concat(), &style.accounts)
            });
            self.json.extend(json);
            return Ok(());
        }
        if self.long {
            let rows = rows
                .iter()
                .map(|(name, node)| Row::new(files, node, name, style));
            return self.out.write(&listing::lines(&rows.collect::<Vec<_>>()));
        }
        for (name, _) in rows {
            self.out.text(&format!("{}\n", display_path(name)))?;
        }
        Ok(())
    }
}
