//! `diskwright prune`: old AMIs and their snapshots go, or are shown.

use super::access::Access;
use crate::cli::exit::{self, Code};
use crate::cli::progress::Progress;
use crate::cli::sizes;
use anyhow::Context;
use diskwright::aws::AwsError;
use diskwright::aws::prune::{Decision, Family, Judged, Plan, Removed, Selection, carry_out, plan};
use diskwright::display::display_path;
use diskwright::observe::Observer;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  diskwright prune --name 'web-*' --keep 3                 shows what would go
  diskwright prune --name 'web-{date}-{digest:8}' --older-than 30d --yes
  diskwright prune --tag team=web --keep 1 --json

An AMI stays that is among the newest, young, protected, shared, launched of
late, or named by an instance, by any version of a launch template or by a
parameter of Systems Manager.";

/// Remove old AMIs and their snapshots
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("family").required(true).multiple(true)))]
pub(in crate::cli) struct Args {
    /// AMIs of this name: * is any characters, ? one, and braces are what the --name of register fills them in with
    #[arg(long, value_name = "GLOB", group = "family")]
    name: Option<Family>,

    /// AMIs with this tag, of any value if none is given; of several, all of them
    #[arg(long = "tag", value_name = "KEY[=VALUE]", group = "family")]
    tags: Vec<String>,

    /// AMIs that diskwright did not make, too, and such snapshots of AMIs that go
    #[arg(long)]
    foreign: bool,

    /// How many of the newest stay, of each architecture
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep: usize,

    /// Younger ones stay
    #[arg(long, value_name = "TIME", default_value = "0d", value_parser = sizes::duration)]
    older_than: Duration,

    /// Those that were launched since stay
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = sizes::duration)]
    unused_for: Duration,

    /// Those that are shared or public go, too
    #[arg(long)]
    shared: bool,

    /// Snapshots whose upload never ended go after this time
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = sizes::duration)]
    orphans: Duration,

    /// Remove
    #[arg(long)]
    yes: bool,

    /// Show what would go, and remove nothing: the default
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    #[command(flatten)]
    access: Access,

    /// No progress and no summary; warnings and errors only
    #[arg(short, long)]
    quiet: bool,

    /// Print what stays and goes as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let progress = Progress::new(args.quiet);
    let selection = Selection {
        name: args.name,
        tags: args.tags.iter().map(|t| tag(t)).collect(),
        foreign: args.foreign,
        keep: args.keep,
        older_than: args.older_than,
        unused_for: args.unused_for,
        shared: args.shared,
        orphans: args.orphans,
    };
    let done = args.access.run(false, &progress, async |aws| {
        let plan = plan(&aws, &selection).await?;
        let removed = match args.yes {
            true => Some(carry_out(&aws, &plan, &progress).await),
            false => None,
        };
        Ok::<_, AwsError>((aws.region().to_owned(), plan, removed))
    });
    progress.finish();
    let (region, plan, removed) = done.context("cannot prune")?;
    if args.json {
        exit::print_json(&serde_json::json!({
            "region": region,
            "images": plan.images,
            "snapshots": plan.snapshots,
            "removed": removed,
        }))?;
    } else {
        exit::print(&table(&plan))?;
    }
    if !args.quiet {
        exit::complain(&summary(&plan, removed.as_ref(), &region));
    }
    let mut failed = removed.map(|r| r.failed).unwrap_or_default().into_iter();
    let Some((first, error)) = failed.next() else {
        return Ok(Code::Done);
    };
    for (id, error) in failed {
        progress.warn(&format!("{id} is left: {error}"));
    }
    Err(anyhow::Error::new(error).context(format!("cannot remove {first}")))
}

fn tag(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// A line for each: its id, when it was made, whether it stays, its name, and why.
fn table(plan: &Plan) -> String {
    let all: Vec<_> = plan.images.iter().chain(&plan.snapshots).collect();
    let name = |judged: &Judged| display_path(judged.name.as_bytes()).to_string();
    let widest = all.iter().map(|j| name(j).chars().count()).max();
    let widest = widest.unwrap_or_default();
    let line = |judged: &&Judged| {
        let decision = match judged.decision {
            Decision::Keep => "keep",
            Decision::Remove => "remove",
        };
        // The day is enough for a person.
        let day = judged.created.split('T').next().unwrap_or_default();
        let (id, reason) = (&judged.id, display_path(judged.reason.as_bytes()));
        let name = name(judged);
        format!("{id:<22} {day:<10} {decision:<6} {name:<widest$}  {reason}\n")
    };
    all.iter().map(line).collect()
}

fn summary(plan: &Plan, removed: Option<&Removed>, region: &str) -> String {
    if let Some(removed) = removed {
        let (images, snapshots) = (removed.images.len(), removed.snapshots.len());
        return format!("{region}: {images} AMIs and {snapshots} snapshots are gone\n");
    }
    let images = plan.images.iter();
    let images = images.filter(|j| j.decision == Decision::Remove).count();
    let snapshots = plan.doomed().count() - images;
    format!(
        "{region}: {images} AMIs, with their snapshots, and {snapshots} unfinished snapshots would go; --yes removes \
         them\n"
    )
}
