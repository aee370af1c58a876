//! `diskwright console`: what an instance has printed, and whether it came up.

use super::access::Access;
use super::console_text::Reader;
use crate::cli::boot::pattern;
use crate::cli::exit::{self, Code, Usage};
use crate::cli::progress::Progress;
use crate::cli::sizes;
use anyhow::Context;
use diskwright::aws::Aws;
use diskwright::aws::console::{Console, Window, console, is_instance_id, screenshot};
use diskwright::boot::DEFAULT_FAIL;
use regex::bytes::Regex;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  diskwright console i-0123456789abcdef0
  diskwright console i-0123456789abcdef0 --follow --expect login: --for 5m
  diskwright console i-0123456789abcdef0 --screenshot screen.jpg

Exit code 1: it shows a kernel panic, emergency mode, a rescue shell or another
--fail, or not what --expect says.";

/// Print what an instance has printed on its serial console
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The instance's id
    #[arg(value_name = "INSTANCE")]
    instance: String,

    /// The console as it is now, which Nitro instances have; else as of the last start or stop
    #[arg(long)]
    latest: bool,

    /// Go on with what is new, as it is now, until a failure, --expect, --for or Ctrl-C
    #[arg(long)]
    follow: bool,

    /// How often --follow looks
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = sizes::duration)]
    every: Duration,

    /// How long --follow goes on [default: no limit]
    #[arg(long = "for", value_name = "TIME", value_parser = sizes::duration, requires = "follow")]
    limit: Option<Duration>,

    /// What a line must show
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    expect: Option<Regex>,

    /// What no line may show [default: kernel panics and rescue shells]
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    fail: Vec<Regex>,

    /// Write a picture of the screen, a JPEG
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    screenshot: Option<PathBuf>,

    #[command(flatten)]
    access: Access,

    /// Print the console and what was found as JSON
    #[arg(long, conflicts_with = "follow")]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let instance = args.instance;
    if !is_instance_id(&instance) {
        return Err(Usage::with_help(
            format!("{instance:?} is not the id of an instance"),
            "an id is i- and 8 or 17 digits and letters from a to f, as `aws ec2 describe-instances` lists them",
        )
        .into());
    }
    let mut fail = args.fail;
    if fail.is_empty() {
        fail.push(pattern(DEFAULT_FAIL).map_err(anyhow::Error::msg)?);
    }
    let expecting = args.expect.is_some();
    // `NO_COLOR` (no-color.org) asks for none, whatever the terminal.
    let coloured = !args.json
        && io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let mut reader = Reader::new(coloured, fail, args.expect);
    let follow = args.follow.then_some(Follow {
        every: args.every,
        until: args.limit.map(|limit| Instant::now() + limit),
    });
    let (region, shown) = args
        .access
        .run(false, &Progress::new(true), async |aws| {
            if let Some(path) = &args.screenshot {
                let jpeg = screenshot(&aws, &instance).await?;
                std::fs::write(path, &jpeg)
                    .with_context(|| format!("cannot write the screenshot {}", path.display()))?;
            }
            let shown = match &follow {
                Some(follow) => follow.show(&aws, &instance, &mut reader).await,
                None => Ok(console(&aws, &instance, args.latest).await?),
            };
            anyhow::Ok((aws.region().to_owned(), shown?))
        })
        .with_context(|| format!("cannot read the console of {instance}"))?;
    let empty = shown.bytes.is_empty();
    if !args.follow {
        let text = reader.push(&shown.bytes) + reader.finish();
        let text = match text.ends_with('\n') || text.is_empty() {
            true => text,
            false => text + "\n",
        };
        if args.json {
            exit::print_json(&serde_json::json!({
                "instance-id": instance,
                "region": region,
                "taken": shown.taken,
                "console": text,
                "findings": reader.findings,
                "expected": expecting.then_some(reader.expected),
            }))?;
        } else {
            exit::print(&text)?;
        }
    }
    for line in &reader.findings {
        exit::complain(&format!("failed: {line}\n"));
    }
    if expecting && !reader.expected {
        exit::complain("failed: no line shows what is expected\n");
    }
    if empty {
        exit::complain(
            "note: the console is empty; AWS posts it some minutes after a start, and with --latest at once\n",
        );
    }
    let fine = reader.findings.is_empty() && (!expecting || reader.expected);
    Ok(if fine { Code::Done } else { Code::Findings })
}

/// How to go on looking.
struct Follow {
    every: Duration,
    until: Option<Instant>,
}

impl Follow {
    /// Prints what is new until there is a verdict; gives the last look.
    async fn show(
        &self,
        aws: &Aws,
        instance: &str,
        reader: &mut Reader,
    ) -> anyhow::Result<Console> {
        let mut window = Window::default();
        loop {
            let now = console(aws, instance, true).await?;
            let news = window.look(&now.bytes);
            if news.gap {
                exit::complain(
                    "\nnote: this does not continue what came before: the instance began anew, or printed more \
                     than the 64 KiB that AWS keeps\n",
                );
            }
            exit::print(&(reader.push(news.bytes) + reader.finish()))?;
            let over = self.until.is_some_and(|until| Instant::now() >= until);
            if over || reader.expected || !reader.findings.is_empty() {
                exit::print("\n")?;
                return Ok(now);
            }
            tokio::time::sleep(self.every).await;
        }
    }
}
