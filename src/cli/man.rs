//! `diskwright man`: manual pages, made of the help texts.

use super::Cli;
use super::exit::{self, Code};
use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  diskwright man ~/.local/share/man/man1";

/// Write the manual pages into a folder, one for each verb
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where they go; it is made if it is not there, pages in it are replaced
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let folder = &args.folder;
    let writing = || format!("cannot write manual pages to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(writing)?;
    let names = pages(folder).with_context(writing)?;
    let lines = names
        .iter()
        .map(|n| format!("{}\n", folder.join(n).display()));
    exit::print(&lines.collect::<String>())?;
    Ok(Code::Done)
}

/// Writes the page of the command and of every verb; gives their names.
fn pages(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let name = command.get_name().to_owned();
    let mut names = vec![page(folder, &name, command.clone())?];
    for verb in command.get_subcommands() {
        let title = format!("{name}-{}", verb.get_name());
        names.push(page(folder, &title, verb.clone())?);
    }
    names.sort();
    Ok(names)
}

fn page(folder: &Path, title: &str, command: Command) -> std::io::Result<String> {
    let mut text = Vec::new();
    // No date: the pages of a version are the same whenever they are made.
    Man::new(command)
        .title(title.to_uppercase())
        .date("")
        .render(&mut text)?;
    let name = format!("{title}.1");
    std::fs::write(folder.join(&name), text)?;
    Ok(name)
}
