//! `diskwright lint`: whether an image or a root filesystem is fit to be an AMI.

use super::exit::{self, Code};
use super::lint_sarif;
use anyhow::Context;
use diskwright::archive::{LOOKS_AT, Looks, Origin, Rootfs, looks};
use diskwright::inspect::lint::{
    CATALOGUE, Facts, Finding, Rule, Severity, Target, lint, of_image, of_rootfs, rule,
};
use diskwright::inspect::open_image;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  diskwright lint disk.img
  diskwright lint rootfs.tar.zst --target marketplace --allow A007
  diskwright lint disk.img --sarif > lint.sarif
  diskwright lint --explain A004";

/// Say what makes an image, or a root filesystem, unfit to be an AMI; warnings and errors give exit code 1
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Disk image; or a root filesystem, as `build` takes it, one or more layers
    #[arg(value_name = "IMG|ROOTFS", required_unless_present_any = ["explain", "rules"])]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    names: Vec<std::ffi::OsString>,

    /// What it is for: an AMI of one's own, or one that strangers start
    #[arg(long, default_value = "ami")]
    target: For,

    /// Leave out a rule; may be given several times, or a list with commas
    #[arg(long, value_name = "ID", value_delimiter = ',', value_parser = known)]
    allow: Vec<&'static Rule>,

    /// An image or root filesystem that setuid programs are compared with (A014)
    #[arg(long, value_name = "IMG|ROOTFS")]
    parent: Option<std::ffi::OsString>,

    /// Print a rule: what it asks for, why, how to mend it
    #[arg(long, value_name = "ID", value_parser = known)]
    explain: Option<&'static Rule>,

    /// Print all rules
    #[arg(long)]
    rules: bool,

    /// Print the findings as JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,

    /// Print the findings as SARIF 2.1.0, for code scanning
    #[arg(long)]
    sarif: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum For {
    Ami,
    Marketplace,
}

fn known(id: &str) -> Result<&'static Rule, String> {
    rule(id).ok_or_else(|| format!("there is no rule {id}: `diskwright lint --rules` lists them"))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let asked = args.explain.map(std::slice::from_ref);
    if let Some(rules) = asked.or(args.rules.then_some(CATALOGUE)) {
        let told: Vec<String> = rules.iter().map(explained).collect();
        exit::print(&told.join("\n"))?;
        return Ok(Code::Done);
    }
    let mut facts = facts(&args.names)?;
    if let Some(parent) = &args.parent {
        facts.compare(&self::facts(std::slice::from_ref(parent))?);
    }
    let target = match args.target {
        For::Ami => Target::Ami,
        For::Marketplace => Target::Marketplace,
    };
    let unread = facts.unread();
    if unread > 0 {
        let what = "paths cannot be read and were not judged; `diskwright verify` says why";
        exit::complain(&format!("{unread} {what}\n"));
    }
    let mut findings = lint(&facts, target);
    findings.retain(|f| !args.allow.iter().any(|rule| rule.id == f.rule));
    let name = args.names.last().map(|n| n.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if args.json {
        exit::print_json(&findings)?;
    } else if args.sarif {
        exit::print_json(&lint_sarif::log(&name, &findings))?;
    } else {
        exit::print(&told(&findings))?;
        if findings.is_empty() {
            exit::complain(&format!("{name}: nothing to find fault with\n"));
        }
    }
    let bad = findings.iter().any(|f| f.severity > Severity::Info);
    Ok(if bad { Code::Findings } else { Code::Done })
}

/// Looks at an image, or reads a root filesystem.
fn facts(names: &[std::ffi::OsString]) -> anyhow::Result<Facts> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now
        .ok()
        .and_then(|t| i64::try_from(t.as_secs()).ok())
        .unwrap_or(i64::MAX >> 1);
    let origins: Vec<Origin> = names.iter().map(|name| Origin::parse(name)).collect();
    if let [Origin::Path(path)] = &origins[..]
        && is_image(path)?
    {
        let reading = || format!("cannot look at {}", path.display());
        let disk = open_image(path)?;
        return of_image(&disk, now).with_context(reading);
    }
    let mut rootfs = Rootfs::open_with(&origins, &diskwright::archive::Options::default())?;
    Ok(of_rootfs(&mut rootfs, now)?)
}

/// Whether a path names a disk image, by its first bytes: what is no archive is one.
fn is_image(path: &Path) -> anyhow::Result<bool> {
    if path.is_dir() || path.as_os_str() == "-" {
        return Ok(false);
    }
    let reading = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(reading)?;
    let mut head = Vec::new();
    let most = diskwright::units::count(LOOKS_AT);
    file.take(most)
        .read_to_end(&mut head)
        .with_context(reading)?;
    Ok(!matches!(looks(&head), Looks::Archive(_)))
}

/// A line for each finding, and what to do behind the last of each rule that is broken.
fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    for of_rule in findings.chunk_by(|a, b| a.rule == b.rule) {
        for f in of_rule {
            let severity = f.severity.name();
            text.push_str(&format!(
                "{} {severity}: {}: {}\n",
                f.rule, f.place, f.message
            ));
        }
        let mended = of_rule.iter().find(|f| f.judged);
        if let Some(rule) = mended.and_then(|f| rule(f.rule)) {
            text.push_str(&format!("     mend: {}\n", rule.mend));
        }
    }
    text
}

fn explained(rule: &Rule) -> String {
    format!(
        "{}: {}\n  severity  {}; {} with --target marketplace\n  why       {}\n  mend      {}\n",
        rule.id,
        rule.title,
        rule.severity.name(),
        rule.marketplace.name(),
        rule.why,
        rule.mend
    )
}
