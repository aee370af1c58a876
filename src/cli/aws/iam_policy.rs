//! `diskwright iam-policy`: the permissions that a run needs, and no more.

use crate::cli::exit::{self, Code, Usage};
use diskwright::aws::image::Destination;
use diskwright::aws::policy::{
    Task, Wanted, key_arn, policy, vmimport_permissions, vmimport_trust,
};

const EXAMPLES: &str = "\
Examples:
  diskwright iam-policy > policy.json
  diskwright iam-policy --region eu-west-1 --copy-to us-east-1 --ssm /images/web
  diskwright iam-policy --route import --bucket in --document vmimport-policy

For: aws iam create-policy --policy-name diskwright \\
    --policy-document file://policy.json";

/// Way of an image to AWS
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Route {
    /// EBS direct APIs
    Ebs,
    /// a bundle in S3
    Bundle,
    /// S3 and ImportSnapshot
    Import,
}

/// Which document
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Document {
    /// for whoever runs diskwright
    Policy,
    /// who may take the role vmimport, which ImportSnapshot needs
    VmimportTrust,
    /// what that role may do
    VmimportPolicy,
}

/// Print the least policy that a run needs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Way of the image to AWS
    #[arg(long, value_enum, default_value = "ebs")]
    route: Route,

    /// What only a snapshot needs, without an AMI
    #[arg(long, conflicts_with_all = ["copy_to", "share", "deprecate", "protect", "ssm"])]
    snapshot_only: bool,

    /// Reading a --parent from AWS
    #[arg(long)]
    parent: bool,

    /// Copies to these regions, each with the KMS key of its copy if it has one of its own
    #[arg(long, value_name = "REGION[=KEY],…", value_delimiter = ',')]
    copy_to: Vec<Destination>,

    /// Sharing the AMI and its snapshots
    #[arg(long)]
    share: bool,

    /// A date of deprecation
    #[arg(long)]
    deprecate: bool,

    /// Protection from deregistration
    #[arg(long)]
    protect: bool,

    /// A parameter of Systems Manager with the AMI's id; any, if none is named
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "*")]
    ssm: Option<String>,

    /// Encryption with this KMS key; any, if none is named; may be given several times
    #[arg(long, value_name = "ARN", num_args = 0..=1, default_missing_value = "*")]
    #[arg(value_parser = key)]
    kms_key: Vec<String>,

    /// What `console` needs
    #[arg(long)]
    console: bool,

    /// What `prune` needs
    #[arg(long)]
    prune: bool,

    /// What `doctor --aws` needs
    #[arg(long)]
    doctor: bool,

    /// The bucket of --route bundle or import [default: any]
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,

    /// Making the bucket too
    #[arg(long)]
    create_bucket: bool,

    /// The region of all this [default: any]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,

    /// Which document to print
    #[arg(long, value_enum, default_value = "policy")]
    document: Document,
}

/// What stands for any name on the command line.
const ANY: &str = "*";

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let importing = args.route == Route::Import;
    if args.document != Document::Policy && !importing {
        return Err(Usage::new("the role vmimport belongs to --route import").into());
    }
    if args.route == Route::Ebs && (args.bucket.is_some() || args.create_bucket) {
        return Err(Usage::new("a bucket belongs to --route bundle or --route import").into());
    }
    let named = |value: &Option<String>| value.clone().filter(|v| v != ANY);
    let mut regions: Vec<String> = args.region.iter().cloned().collect();
    // Without a region of its own, a run may be anywhere: those that it copies to are among them.
    if !regions.is_empty() {
        regions.extend(args.copy_to.iter().map(|to| to.region.clone()));
    }
    let wanted = Wanted {
        tasks: tasks(args),
        regions,
        keys: keys(args),
        parameter: named(&args.ssm),
        bucket: args.bucket.clone(),
    };
    exit::print_json(&match args.document {
        Document::Policy => policy(&wanted),
        Document::VmimportTrust => vmimport_trust(),
        Document::VmimportPolicy => vmimport_permissions(&wanted),
    })?;
    if importing && args.document == Document::Policy {
        exit::complain(
            "note: ImportSnapshot needs the role vmimport as well: --document vmimport-trust and vmimport-policy print \
             what it is made of\n",
        );
    }
    Ok(Code::Done)
}

/// `--kms-key`: what can be the resource of a policy.
fn key(text: &str) -> Result<String, String> {
    match text {
        ANY => Ok(text.to_owned()),
        arn if arn.starts_with("arn:") && arn.contains(":key/") => Ok(text.to_owned()),
        _ => Err("a policy names a key by its ARN, arn:aws:kms:…:key/…, not by an alias".into()),
    }
}

fn encrypts(args: &Args) -> bool {
    !args.kms_key.is_empty() || args.copy_to.iter().any(|to| to.encrypted)
}

/// The ARNs of all keys; none where any will do.
fn keys(args: &Args) -> Vec<String> {
    if args.kms_key.iter().any(|key| key == ANY) {
        return Vec::new();
    }
    let of_copies = args.copy_to.iter();
    let of_copies = of_copies.filter_map(|to| Some(key_arn(&to.region, to.kms_key_id.as_deref()?)));
    args.kms_key.iter().cloned().chain(of_copies).collect()
}

fn tasks(args: &Args) -> Vec<Task> {
    let mut tasks = vec![match args.route {
        Route::Ebs => Task::Snapshot,
        Route::Bundle => Task::Bundle,
        Route::Import => Task::Import,
    }];
    for (asked, task) in [
        (!args.snapshot_only, Task::Register),
        (args.create_bucket, Task::CreateBucket),
        (args.parent, Task::Parent),
        (!args.copy_to.is_empty(), Task::Copy),
        (args.share, Task::Share),
        (args.deprecate, Task::Deprecate),
        (args.protect, Task::Protect),
        (args.ssm.is_some(), Task::Parameter),
        (encrypts(args), Task::Key),
        (args.console, Task::Console),
        (args.prune, Task::Prune),
        (args.doctor, Task::Doctor),
    ] {
        if asked {
            tasks.push(task);
        }
    }
    tasks
}
