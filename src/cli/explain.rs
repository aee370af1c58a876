//! `diskwright explain`: what lies at a byte of an image.

use super::exit::{self, Code, Usage};
use super::sizes;
use anyhow::Context;
use diskwright::display::display_text;
use diskwright::inspect::explain::{Explanation, explain};
use diskwright::inspect::{Info, info, open_image};
use diskwright::units::SECTOR;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

const EXAMPLES: &str = "\
Examples:
  diskwright explain disk.img 0x438
  diskwright explain disk.img p1:1080
  diskwright explain disk.img LBA:2048
  diskwright explain disk.img block:8225 --json | jq -r .path";

/// Say what lies at a byte of an image: structure, field and value, or file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Disk image, or a bare filesystem
    image: PathBuf,

    /// A byte (1080, 0x438, 1MiB), LBA:N, or block:N of the ext filesystem; p2: before it counts from partition 2
    offset: Place,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A place as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    partition: Option<u32>,
    unit: Unit,
    n: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte,
    Sector,
    Block,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (partition, rest) = match text.strip_prefix('p').and_then(|t| t.split_once(':')) {
            Some((number, rest)) => {
                let number = number
                    .parse()
                    .map_err(|_| format!("p{number} is no partition"))?;
                (Some(number), rest)
            }
            None => (None, text),
        };
        let lower = rest.to_ascii_lowercase();
        let (unit, n) = if let Some(n) = lower.strip_prefix("lba:") {
            (Unit::Sector, number(n)?)
        } else if let Some(n) = lower.strip_prefix("block:") {
            (Unit::Block, number(n)?)
        } else if lower.starts_with("0x") {
            (Unit::Byte, number(&lower)?)
        } else {
            (Unit::Byte, sizes::bytes(rest)?)
        };
        Ok(Self { partition, unit, n })
    }
}

/// A number, in decimal or, after 0x, in hexadecimal.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is no number of a byte, sector or block"))
}

impl Place {
    /// The byte of the disk.
    fn byte(self, info: &Info) -> anyhow::Result<u64> {
        let block_of =
            |p: &diskwright::inspect::Partition| p.filesystem.as_ref().map(|f| f.block_size);
        let (start, block) = match (self.partition, self.unit) {
            (Some(number), _) => {
                let own = info.partitions.iter().find(|p| p.number == number);
                let p = own.ok_or_else(|| Usage::new(format!("there is no partition {number}")))?;
                (p.bytes(info.size).0, block_of(p))
            }
            (None, Unit::Block) => match &info.filesystem {
                Some(f) => (0, Some(f.block_size)),
                None => {
                    let with = info.partitions.iter().find(|p| p.filesystem.is_some());
                    with.map_or((0, None), |p| (p.bytes(info.size).0, block_of(p)))
                }
            },
            (None, _) => (0, None),
        };
        let unit = match self.unit {
            Unit::Byte => 1,
            Unit::Sector => SECTOR,
            Unit::Block => {
                block.ok_or_else(|| Usage::new("there is no ext filesystem to count blocks of"))?
            }
        };
        let byte = self.n.checked_mul(unit).and_then(|n| n.checked_add(start));
        match byte.filter(|&byte| byte < info.size) {
            Some(byte) => Ok(byte),
            None => Err(Usage::new(format!(
                "that lies past the end: the image has {} bytes",
                info.size
            ))
            .into()),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let reading = || format!("cannot read {}", args.image.display());
    let disk = open_image(&args.image)?;
    let byte = args.offset.byte(&info(&disk).with_context(reading)?)?;
    let explained = explain(&disk, byte).with_context(reading)?;
    if args.json {
        exit::print_json(&explained)?;
    } else {
        exit::print(&told(&explained))?;
    }
    Ok(Code::Done)
}

fn told(e: &Explanation) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<11}{}", display_text(&value)).expect("a String takes every write");
    };
    let within = e.offset % SECTOR;
    line(
        "byte",
        format!(
            "{} ({:#x}), byte {within} of sector {}",
            e.offset, e.offset, e.sector
        ),
    );
    if let Some(partition) = e.partition {
        let offset = e.partition_offset.unwrap_or(0);
        line(
            "partition",
            format!("{partition}, byte {offset} ({offset:#x}) of it"),
        );
    }
    if let Some(block) = e.block {
        line("block", block.to_string());
    }
    let (at, len) = e.range;
    line(
        "what",
        format!("{}, {} from byte {at}", e.what, sizes::human(len)),
    );
    if let Some(element) = &e.element {
        line("element", element.clone());
    }
    if let Some(f) = &e.field {
        let bytes = if f.len == 1 { "byte" } else { "bytes" };
        line(
            "field",
            format!(
                "{} = {}, {} {bytes} from byte {}",
                f.name, f.value, f.len, f.at
            ),
        );
    }
    if let Some(path) = &e.path {
        match e.file_offset {
            Some(offset) => line("file", format!("{path}, byte {offset}")),
            None => line("file", path.clone()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_sectors_and_blocks() {
        let place = |text: &str| {
            let p: Place = text.parse()?;
            Ok::<_, String>((p.partition, p.unit, p.n))
        };
        for (text, expected) in [
            ("1080", (None, Unit::Byte, 1080)),
            ("0x438", (None, Unit::Byte, 0x438)),
            ("1MiB", (None, Unit::Byte, 1 << 20)),
            ("LBA:7", (None, Unit::Sector, 7)),
            ("lba:0x10", (None, Unit::Sector, 16)),
            ("block:5", (None, Unit::Block, 5)),
            ("p2:block:5", (Some(2), Unit::Block, 5)),
            ("p1:0", (Some(1), Unit::Byte, 0)),
        ] {
            assert_eq!(place(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "p:1",
            "px:1",
            "LBA:",
            "LBA:x",
            "0xg",
            "-1",
            "99999999999999999999",
        ] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
