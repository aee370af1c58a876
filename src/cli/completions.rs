//! `diskwright completions`: what a shell needs to complete the command line.

use super::Cli;
use super::exit::{self, Code};
use clap::CommandFactory;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  diskwright completions bash \\
      >~/.local/share/bash-completion/completions/diskwright
  diskwright completions zsh >~/.zfunc/_diskwright
  diskwright completions fish >~/.config/fish/completions/diskwright.fish";

/// Print what a shell needs to complete verbs, flags and their values
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    exit::print(&String::from_utf8(script)?)?;
    Ok(Code::Done)
}
