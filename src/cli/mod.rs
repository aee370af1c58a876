//! The command line: one file per verb, and what the verbs share.
//!
//! stdout carries the result alone (a path, a table, JSON); everything else goes to stderr. The library
//! neither prints nor exits: [`exit`] turns its errors into text and a code, [`progress`] its progress into
//! bars.

mod aki;
#[cfg(feature = "aws")]
mod aws;
mod boot;
mod boot_junit;
mod build;
mod bundle;
mod bundle_files;
mod bundle_input;
mod cat;
mod completions;
mod convert;
mod customize_shape;
mod diff;
mod doctor;
mod du;
mod exit;
mod explain;
mod ext4_shape;
mod extract;
mod grub_folders;
mod info;
mod lint;
mod lint_sarif;
mod listing;
mod look;
mod ls;
mod man;
mod map;
mod output;
mod packing;
mod pipeline;
mod places;
mod plan;
mod progress;
mod reading;
mod records;
mod repro;
mod resolved;
mod sbom;
mod schema;
mod shape;
mod signals;
mod sizes;
mod spec_file;
mod spooled;
mod stat;
mod summary;
mod tree;
mod unbundle;
mod verify;
mod verify_bundle;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use exit::{Code, Usage};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  diskwright build rootfs.tar.zst -o disk.img
  diskwright boot disk.img --expect login:

Exit codes:
  0 done   1 findings   2 usage   3 bad input or environment   4 AWS said no
  130, 143 interrupted";

/// Turns a root filesystem archive into a bootable disk image: no root, no loop device, no mount, no VM.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Build(Box<build::Args>),
    Plan(Box<plan::Args>),
    Convert(convert::Args),
    Info(info::Args),
    Ls(ls::Args),
    Tree(tree::Args),
    Cat(cat::Args),
    Stat(stat::Args),
    Du(du::Args),
    Extract(extract::Args),
    Diff(diff::Args),
    Map(map::Args),
    Explain(explain::Args),
    Lint(lint::Args),
    Boot(boot::Args),
    Verify(verify::Args),
    Sbom(sbom::Args),
    Repro(repro::Args),
    Doctor(Box<doctor::Args>),
    Aki(aki::Args),
    Bundle(Box<bundle::Args>),
    Unbundle(unbundle::Args),
    VerifyBundle(verify_bundle::Args),
    #[cfg(feature = "aws")]
    #[command(flatten)]
    Aws(aws::Verb),
    Man(man::Args),
    Completions(completions::Args),
    Schema(schema::Args),
}

impl Verb {
    /// The spec file that was named, and whether the line names a root filesystem too.
    fn spec(&self) -> Option<(&Path, bool)> {
        let (spec, given) = match self {
            Self::Build(args) => (&args.spec, args.reading.rootfs.len()),
            Self::Plan(args) => (&args.spec, args.reading.rootfs.len()),
            Self::Bundle(args) => (&args.packing.spec, args.packing.reading.rootfs.len()),
            #[cfg(feature = "aws")]
            Self::Aws(verb) => return verb.spec(),
            _ => return None,
        };
        Some((spec.as_deref()?, given > 0))
    }
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    log_to_stderr();
    exit::finish(signals::install().and_then(|()| run(std::env::args_os().collect())))
}

fn run(line: Vec<OsString>) -> anyhow::Result<Code> {
    match parse(line)?.verb {
        Verb::Build(args) => build::run(*args),
        Verb::Plan(args) => plan::run(*args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Info(args) => info::run(&args),
        Verb::Ls(args) => ls::run(&args),
        Verb::Tree(args) => tree::run(&args),
        Verb::Cat(args) => cat::run(&args),
        Verb::Stat(args) => stat::run(&args),
        Verb::Du(args) => du::run(&args),
        Verb::Extract(args) => extract::run(&args),
        Verb::Diff(args) => diff::run(&args),
        Verb::Map(args) => map::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Lint(args) => lint::run(&args),
        Verb::Boot(args) => boot::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Sbom(args) => sbom::run(args),
        Verb::Repro(args) => repro::run(args),
        Verb::Doctor(args) => doctor::run(*args),
        Verb::Aki(args) => aki::run(&args),
        Verb::Bundle(args) => bundle::run(*args),
        Verb::Unbundle(args) => unbundle::run(&args),
        Verb::VerifyBundle(args) => verify_bundle::run(&args),
        #[cfg(feature = "aws")]
        Verb::Aws(verb) => aws::run(verb),
        Verb::Man(args) => man::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Schema(args) => schema::run(&args),
    }
}

/// Reads the command line and, where it names a spec file, reads it once more with the file's keys as flags
/// before the user's own: the later of two flags wins.
fn parse(mut line: Vec<OsString>) -> anyhow::Result<Cli> {
    packing::account_of_old(&mut line);
    let mut command = Cli::command();
    let mut matches = match command.try_get_matches_from_mut(&line) {
        Ok(matches) => matches,
        Err(e) => return Err(without_aws(&line).map_or_else(|| e.into(), Into::into)),
    };
    let cli = Cli::from_arg_matches(&matches)?;
    let Some((path, rootfs_given)) = cli.verb.spec() else {
        return Ok(cli.resolved(&command, &matches));
    };
    // `line[1]` is the verb: the command itself has no flags but --help and --version, which end here.
    let verb = line
        .get(1)
        .and_then(|verb| command.find_subcommand_mut(verb));
    let verb = verb.ok_or_else(|| Usage::new("no verb before the flags"))?;
    let flags = spec_file::flags(path, verb, rootfs_given)?;
    line.splice(2..2, flags);
    packing::account_of_old(&mut line);
    matches = command.try_get_matches_from_mut(line)?;
    Ok(Cli::from_arg_matches(&matches)?.resolved(&command, &matches))
}

/// What the feature `aws` brings.
const AWS_VERBS: [&str; 9] = [
    "snapshot",
    "push",
    "upload-bundle",
    "register",
    "copy",
    "share",
    "console",
    "prune",
    "iam-policy",
];

/// What to say to somebody who asks for AWS of a program without it, as `make demo` builds it.
fn without_aws(line: &[OsString]) -> Option<Usage> {
    let word = |n: usize| line.get(n).and_then(|w| w.to_str());
    let verb = word(1)?;
    let doctor = verb == "doctor" && line.iter().any(|w| w == "--aws");
    let asked = AWS_VERBS.contains(&verb) || doctor;
    (asked && cfg!(not(feature = "aws"))).then(|| {
        Usage::new(format!(
            "this diskwright was built without the feature `aws`, which {verb} needs: `cargo build --release` \
             has it, and takes minutes"
        ))
    })
}

impl Cli {
    /// Tells `build` what was asked for, its records' sake.
    fn resolved(mut self, command: &clap::Command, matches: &clap::ArgMatches) -> Self {
        if let Verb::Build(args) = &mut self.verb
            && let Some((name, matches)) = matches.subcommand()
            && let Some(verb) = command.find_subcommand(name)
        {
            args.records.resolved = resolved::of(verb, matches);
        }
        self
    }
}

/// `DISKWRIGHT_LOG=debug` shows the library's spans and events.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::from_env("DISKWRIGHT_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    #[cfg(feature = "aws")]
    fn verbs_that_are_not_built_are_known_by_name() {
        let all = <aws::Verb as Subcommand>::augment_subcommands(clap::Command::new("aws"));
        let names: Vec<_> = all.get_subcommands().map(clap::Command::get_name).collect();
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        let names = names
            .into_iter()
            .map(|n| AWS_VERBS.iter().find(|v| **v == n).copied());
        let names = names.collect::<Option<Vec<_>>>().unwrap();
        assert_eq!(sorted(names), sorted(AWS_VERBS.to_vec()));
    }

    /// On a terminal of 80 columns, its own line breaks are the only ones.
    #[test]
    fn text_after_the_flags_is_at_most_80_columns_wide() {
        for verb in Cli::command().get_subcommands() {
            let texts = [verb.get_after_help(), verb.get_after_long_help()];
            for text in texts.into_iter().flatten().map(ToString::to_string) {
                let wide = text.lines().find(|line| line.chars().count() > 80);
                assert_eq!(wide, None, "{}", verb.get_name());
            }
        }
    }
}
