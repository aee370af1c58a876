//! The command line: one file per verb, and what the verbs share.
//!
//! stdout carries the result alone (a path, a table, JSON); everything else goes to stderr. The library
//! neither prints nor exits: [`exit`] turns its errors into text and a code, [`progress`] its progress into
//! bars.

mod aki;
#[cfg(feature = "aws")]
mod ami_shape;
#[cfg(feature = "aws")]
mod aws;
mod boot;
mod boot_junit;
mod build;
mod bundle;
mod bundle_files;
mod bundle_input;
#[cfg(feature = "aws")]
mod console;
#[cfg(feature = "aws")]
mod console_text;
#[cfg(feature = "aws")]
mod copy;
mod doctor;
mod exit;
mod ext4_shape;
mod grub_folders;
#[cfg(feature = "aws")]
mod iam_policy;
mod info;
mod packing;
mod pipeline;
mod plan;
mod progress;
#[cfg(feature = "aws")]
mod prune;
#[cfg(feature = "aws")]
mod push;
mod reading;
#[cfg(feature = "aws")]
mod register;
mod shape;
#[cfg(feature = "aws")]
mod share;
mod signals;
mod sizes;
#[cfg(feature = "aws")]
mod snapshot;
#[cfg(feature = "aws")]
mod snapshot_import;
#[cfg(feature = "aws")]
mod snapshot_shape;
mod spec_file;
mod summary;
mod unbundle;
#[cfg(feature = "aws")]
mod upload_bundle;
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
    Info(info::Args),
    Boot(boot::Args),
    Verify(verify::Args),
    Doctor(Box<doctor::Args>),
    Aki(aki::Args),
    Bundle(Box<bundle::Args>),
    Unbundle(unbundle::Args),
    VerifyBundle(verify_bundle::Args),
    #[cfg(feature = "aws")]
    UploadBundle(Box<upload_bundle::Args>),
    #[cfg(feature = "aws")]
    Snapshot(Box<snapshot::Args>),
    #[cfg(feature = "aws")]
    Push(Box<push::Args>),
    #[cfg(feature = "aws")]
    Register(Box<register::Args>),
    #[cfg(feature = "aws")]
    Copy(Box<copy::Args>),
    #[cfg(feature = "aws")]
    Share(Box<share::Args>),
    #[cfg(feature = "aws")]
    Console(Box<console::Args>),
    #[cfg(feature = "aws")]
    IamPolicy(iam_policy::Args),
    #[cfg(feature = "aws")]
    Prune(Box<prune::Args>),
}

impl Verb {
    /// The spec file that was named, and whether the line names a root filesystem too.
    fn spec(&self) -> Option<(&Path, bool)> {
        let (spec, given) = match self {
            Self::Build(args) => (&args.spec, args.reading.rootfs.len()),
            Self::Plan(args) => (&args.spec, args.reading.rootfs.len()),
            Self::Bundle(args) => (&args.packing.spec, args.packing.reading.rootfs.len()),
            // The last one says where to.
            #[cfg(feature = "aws")]
            Self::UploadBundle(args) => (
                &args.packing.spec,
                args.packing.reading.rootfs.len().saturating_sub(1),
            ),
            #[cfg(feature = "aws")]
            Self::Push(args) => (&args.spec, args.reading.rootfs.len()),
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
        Verb::Info(args) => info::run(&args),
        Verb::Boot(args) => boot::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Doctor(args) => doctor::run(*args),
        Verb::Aki(args) => aki::run(&args),
        Verb::Bundle(args) => bundle::run(*args),
        Verb::Unbundle(args) => unbundle::run(&args),
        Verb::VerifyBundle(args) => verify_bundle::run(&args),
        #[cfg(feature = "aws")]
        Verb::UploadBundle(args) => upload_bundle::run(*args),
        #[cfg(feature = "aws")]
        Verb::Snapshot(args) => snapshot::run(*args),
        #[cfg(feature = "aws")]
        Verb::Push(args) => push::run(*args),
        #[cfg(feature = "aws")]
        Verb::Register(args) => register::run(*args),
        #[cfg(feature = "aws")]
        Verb::Copy(args) => copy::run(*args),
        #[cfg(feature = "aws")]
        Verb::Share(args) => share::run(*args),
        #[cfg(feature = "aws")]
        Verb::Console(args) => console::run(*args),
        #[cfg(feature = "aws")]
        Verb::IamPolicy(args) => iam_policy::run(&args),
        #[cfg(feature = "aws")]
        Verb::Prune(args) => prune::run(*args),
    }
}

/// Reads the command line and, where it names a spec file, reads it once more with the file's keys as flags
/// before the user's own: the later of two flags wins.
fn parse(mut line: Vec<OsString>) -> anyhow::Result<Cli> {
    let cli = Cli::try_parse_from(&line)?;
    let Some((path, rootfs_given)) = cli.verb.spec() else {
        return Ok(cli);
    };
    let mut command = Cli::command();
    // `line[1]` is the verb: the command itself has no flags but --help and --version, which end here.
    let verb = line
        .get(1)
        .and_then(|verb| command.find_subcommand_mut(verb));
    let verb = verb.ok_or_else(|| Usage::new("no verb before the flags"))?;
    let flags = spec_file::flags(path, verb, rootfs_given)?;
    line.splice(2..2, flags);
    let matches = command.try_get_matches_from(line)?;
    Ok(Cli::from_arg_matches(&matches)?)
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
}
