//! `diskwright diff`: what two images have not in common.

use super::exit::{self, Code};
use super::progress::Progress;
use super::sizes::{human, thousands};
use anyhow::Context;
use diskwright::display::display_text;
use diskwright::inspect::diff::{Diff, Side, diff};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

const EXAMPLES: &str = "\
Examples:
  diskwright diff old.img new.img
  diskwright diff --stat rootfs.tar disk.img
  diskwright diff --json old.img new.img | jq -r '.packages.upgraded[].name'

Exit codes:
  0 nothing differs   1 something does";

/// Show what two images have not in common: files, packages, structures, blocks of a snapshot
///
/// Either may be a root filesystem as `build` takes it: a tar, a folder, a container image. Structures, blocks and
/// the files of other partitions than the root are those of two images. A file that cannot be read counts as one
/// that differs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The first: image or root filesystem
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    a: OsString,

    /// The second
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    b: OsString,

    /// Numbers alone
    #[arg(long)]
    stat: bool,

    /// Print as JSON
    #[arg(long, conflicts_with = "stat")]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let progress = Progress::new(true);
    let open = |text: &OsStr| {
        let opened = Side::open(text, &progress);
        opened.with_context(|| format!("cannot compare {}", text.display()))
    };
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let found = diff(&a, &b, &progress);
    progress.finish();
    let found = found.context("cannot compare the two")?;
    if args.json {
        exit::print_json(&found)?;
    } else {
        let mut text = String::new();
        if !args.stat {
            details(&mut text, &found)?;
        }
        numbers(&mut text, &found)?;
        exit::print(&text)?;
    }
    Ok(if found.is_empty() {
        Code::Done
    } else {
        Code::Findings
    })
}

/// A line for each: `+` in the second alone, `-` in the first alone, `~` in both, `!` where nobody knows.
fn details(text: &mut String, diff: &Diff) -> std::fmt::Result {
    for (sign, list) in [('-', &diff.files.removed), ('+', &diff.files.added)] {
        for e in list {
            writeln!(text, "{sign} {} ({})", e.path, e.kind)?;
        }
    }
    for changed in &diff.files.changed {
        writeln!(text, "~ {}", changed.path)?;
        for (field, from, to) in &changed.what {
            if *field == "content" {
                writeln!(text, "    content: {from} bytes, then {to}")?;
            } else {
                writeln!(text, "    {field}: {from}, then {to}")?;
            }
        }
    }
    for u in &diff.files.unreadable {
        let why = display_text(&u.why);
        writeln!(
            text,
            "! {} cannot be read in the {}: {why}",
            u.path,
            u.of.word()
        )?;
    }
    let packages = &diff.packages;
    for (sign, list) in [('-', &packages.removed), ('+', &packages.added)] {
        for p in list {
            writeln!(
                text,
                "{sign} package {} {}",
                display_text(&p.name),
                display_text(&p.version)
            )?;
        }
    }
    for p in &packages.upgraded {
        let what = if p.downgrade {
            "downgraded"
        } else {
            "upgraded"
        };
        writeln!(
            text,
            "~ package {}: {what} from {} to {}",
            display_text(&p.name),
            display_text(&p.from),
            display_text(&p.to)
        )?;
    }
    for field in &diff.structures {
        let side = |value: &Option<String>| {
            display_text(value.as_deref().unwrap_or("nothing")).to_string()
        };
        let (from, to) = (side(&field.from), side(&field.to));
        writeln!(text, "~ {}: {from}, then {to}", field.field)?;
    }
    Ok(())
}

fn numbers(text: &mut String, diff: &Diff) -> std::fmt::Result {
    let n = |len: usize| thousands(len.try_into().unwrap_or(u64::MAX));
    let f = &diff.files;
    write!(
        text,
        "files: {} added, {} removed, {} changed",
        n(f.added.len()),
        n(f.removed.len()),
        n(f.changed.len())
    )?;
    if !f.unreadable.is_empty() {
        write!(text, ", {} unreadable", n(f.unreadable.len()))?;
    }
    writeln!(text)?;
    let p = &diff.packages;
    let down = p.upgraded.iter().filter(|p| p.downgrade).count();
    writeln!(
        text,
        "packages: {} added, {} removed, {} upgraded, {} downgraded",
        n(p.added.len()),
        n(p.removed.len()),
        n(p.upgraded.len() - down),
        n(down)
    )?;
    if let Some(blocks) = &diff.blocks {
        writeln!(
            text,
            "structures: {} fields differ",
            n(diff.structures.len())
        )?;
        writeln!(
            text,
            "snapshot: {} of {} blocks of {} differ, {}",
            thousands(blocks.differ),
            thousands(blocks.to.max(blocks.from)),
            human(blocks.block_size),
            human(blocks.differ * blocks.block_size)
        )?;
    }
    Ok(())
}
