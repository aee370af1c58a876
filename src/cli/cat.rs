//! `diskwright cat`: the bytes of files in an image.

use super::exit::Code;
use super::look::{Opened, Out, TARGETS};
use anyhow::Context;
use diskwright::units::{KIB, count, index};
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  diskwright cat disk.img:/etc/fstab
  diskwright cat disk.img:p15:/EFI/debian/grub.cfg";

/// Print files of an image, as cat(1) does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{TARGETS}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// What to print: IMG:/PATH or IMG:pN:/PATH
    #[arg(value_name = "TARGET", required = true, value_hint = clap::ValueHint::FilePath)]
    targets: Vec<OsString>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let mut out = Out::new();
    let mut buf = vec![0; index(256 * KIB)];
    for target in &args.targets {
        let opened = Opened::new(target)?;
        let node = opened.node(true)?;
        let reading = || format!("cannot print {}", target.display());
        let data = opened.files()?.data(&node, opened.path());
        let data = data.with_context(reading)?;
        let mut at = 0;
        loop {
            let n = data.read_at(at, &mut buf).with_context(reading)?;
            if n == 0 {
                break;
            }
            out.write(&buf[..n])?;
            at += count(n);
        }
        opened.tell_warnings();
    }
    out.end()?;
    Ok(Code::Done)
}
