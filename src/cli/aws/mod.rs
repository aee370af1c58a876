//! The verbs that talk to AWS, and what they share.

mod access;
mod ami_shape;
mod console;
mod console_text;
mod copy;
mod iam_policy;
mod prune;
mod push;
mod push_route;
mod register;
mod share;
mod snapshot;
mod snapshot_import;
mod snapshot_shape;
mod upload_bundle;

pub(super) use access::Access;

use crate::cli::exit::Code;
use std::path::Path;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    UploadBundle(Box<upload_bundle::Args>),
    Snapshot(Box<snapshot::Args>),
    Push(Box<push::Args>),
    Register(Box<register::Args>),
    Copy(Box<copy::Args>),
    Share(Box<share::Args>),
    Console(Box<console::Args>),
    IamPolicy(iam_policy::Args),
    Prune(Box<prune::Args>),
}

impl Verb {
    /// The spec file that was named, and whether the line names a root filesystem too.
    pub(super) fn spec(&self) -> Option<(&Path, bool)> {
        let (spec, given) = match self {
            // The last one says where to.
            Self::UploadBundle(args) => (
                &args.packing.spec,
                args.packing.reading.rootfs.len().saturating_sub(1),
            ),
            Self::Push(args) => (&args.spec, args.reading.rootfs.len()),
            _ => return None,
        };
        Some((spec.as_deref()?, given > 0))
    }
}

pub(super) fn run(verb: Verb) -> anyhow::Result<Code> {
    match verb {
        Verb::UploadBundle(args) => upload_bundle::run(*args),
        Verb::Snapshot(args) => snapshot::run(*args),
        Verb::Push(args) => push::run(*args),
        Verb::Register(args) => register::run(*args),
        Verb::Copy(args) => copy::run(*args),
        Verb::Share(args) => share::run(*args),
        Verb::Console(args) => console::run(*args),
        Verb::IamPolicy(args) => iam_policy::run(&args),
        Verb::Prune(args) => prune::run(*args),
    }
}
