//! `diskwright stat`: all there is to know of a file in an image.

use super::exit::{self, Code};
use super::listing::{self, Json};
use super::look::{Opened, TARGETS};
use diskwright::display::{display_path, display_time};
use diskwright::hex::hex;
use diskwright::inspect::{Accounts, Files, Node};
use diskwright::units::Timestamp;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::Write as _;

const EXAMPLES: &str = "\
Examples:
  diskwright stat disk.img:/bin/ping
  diskwright stat disk.img:/etc/shadow --json | jq .blocks";

/// Show all there is to know of a file in an image: as stat(1), with its attributes and where its data lies
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{TARGETS}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// Which file: IMG:/PATH or IMG:pN:/PATH; a symbolic link at its end is not followed
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::FilePath)]
    target: OsString,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    file: Json,
    atime: String,
    ctime: String,
    crtime: Option<String>,
    /// `i_flags`, in hex.
    flags: Option<String>,
    xattrs: Vec<Xattr>,
    blocks: Vec<Blocks>,
}

#[derive(Serialize)]
struct Xattr {
    name: String,
    /// In hex.
    value: String,
}

/// A run of blocks, in bytes of the disk.
#[derive(Serialize)]
struct Blocks {
    file: u64,
    disk: u64,
    len: u64,
    written: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let opened = Opened::new(&args.target)?;
    let files = opened.files()?;
    let node = opened.node(false)?;
    let accounts = Accounts::of(files);
    let xattrs = files.xattrs(&node)?.into_iter().map(|(name, value)| Xattr {
        name: display_path(&name).to_string(),
        value: hex(&value),
    });
    let whole = Whole {
        file: Json::new(files, &node, opened.path(), &accounts),
        atime: listing::seconds(node.atime),
        ctime: listing::seconds(node.ctime),
        crtime: node.inode().and_then(|i| i.crtime()).map(listing::seconds),
        flags: node.inode().map(|i| format!("{:#x}", i.disk.i_flags.get())),
        xattrs: xattrs.collect(),
        blocks: blocks(files, &node, opened.volume()?.offset)?,
    };
    if args.json {
        exit::print_json(&whole)?;
    } else {
        exit::print(&text(&whole, &node)?)?;
    }
    opened.tell_warnings();
    Ok(Code::Done)
}

/// Where its data lies.
fn blocks(files: &Files, node: &Node, base: u64) -> anyhow::Result<Vec<Blocks>> {
    let (Files::Ext4(reader), Some(inode)) = (files, node.inode()) else {
        return Ok(Vec::new());
    };
    let size = reader.block_size();
    let runs = reader.mapping(inode)?.runs.into_iter().map(|r| Blocks {
        file: r.logical * size,
        disk: base + r.physical * size,
        len: r.len * size,
        written: r.written,
    });
    Ok(runs.collect())
}

fn text(whole: &Whole, node: &Node) -> Result<String, std::fmt::Error> {
    let f = &whole.file;
    let mut t = String::new();
    let arrow = f
        .target
        .as_ref()
        .map_or_else(String::new, |t| format!(" -> {t}"));
    writeln!(t, "  File: {}{arrow}", f.path)?;
    writeln!(
        t,
        "  Size: {}  Allocated: {}  Kind: {}",
        f.size, f.allocated, f.kind
    )?;
    write!(t, " Inode: {}  Links: {}", f.id, f.links)?;
    if let Some([major, minor]) = f.device {
        write!(t, "  Device: {major}, {minor}")?;
    }
    if let Some(flags) = &whole.flags {
        write!(t, "  Flags: {flags}")?;
    }
    let owner = |id: u32, name: &Option<String>| {
        let name = name.as_ref().map_or_else(String::new, |n| format!(" {n}"));
        format!("{id}{name}")
    };
    writeln!(
        t,
        "\nAccess: {} {}  User: {}  Group: {}",
        f.mode,
        listing::mode(node),
        owner(f.uid, &f.user),
        owner(f.gid, &f.group)
    )?;
    let crtime = node.inode().and_then(|i| i.crtime());
    let times = [
        ("Access", Some(node.atime)),
        ("Modify", Some(node.mtime)),
        ("Change", Some(node.ctime)),
        (" Birth", crtime),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            writeln!(t, "{name}: {}", precise(time))?;
        }
    }
    for xattr in &whole.xattrs {
        writeln!(t, " Xattr: {} = {}", xattr.name, xattr.value)?;
    }
    for b in &whole.blocks {
        let set_aside = if b.written { "" } else { ", never written" };
        writeln!(
            t,
            "  Data: {} bytes from {} lie at byte {} of the disk{set_aside}",
            b.len, b.file, b.disk
        )?;
    }
    Ok(t)
}

fn precise(time: Timestamp) -> String {
    format!("{}.{:09} UTC", display_time(time), time.nsec)
}
