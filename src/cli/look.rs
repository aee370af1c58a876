//! What the verbs share that look into an image.

use super::exit::{self, Usage, complain};
use anyhow::Context;
use clap::{Arg, ArgAction};
use diskwright::display::{display_path, nearest};
use diskwright::inspect::{Address, Disk, Files, FilesError, Node, Unread, Volume};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// So many warnings of one image are told.
const WARNINGS_SHOWN: usize = 20;

/// How a target is written: the help of every verb that takes one.
pub(super) const TARGETS: &str = "\
IMG is a disk image or a bare filesystem; IMG:/PATH a file in it, of its root
filesystem; IMG:pN:/PATH one of partition N. Symbolic links are followed inside
the image.";

/// `--help` of verbs whose `-h` is that of GNU ls: sizes for people.
pub(super) fn help() -> Arg {
    let help = Arg::new("help").long("help").help("Print help");
    // Last, where clap puts its own.
    help.action(ArgAction::HelpLong).display_order(999)
}

/// An image that a target names, opened.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) address: Address,
}

impl Opened {
    pub(super) fn new(target: &OsStr) -> anyhow::Result<Self> {
        let address = Address::parse(target);
        if let Some(meant) = meant(&address.image) {
            return Err(Usage::with_help(
                format!("there is no {}", address.image.display()),
                format!("for a file in the image say {}", meant.display()),
            )
            .into());
        }
        let disk = Disk::open(&address.image);
        let disk = disk.with_context(|| format!("cannot look into {}", address.image.display()))?;
        Ok(Self { disk, address })
    }

    /// The filesystem that the target names.
    pub(super) fn volume(&self) -> anyhow::Result<&Volume> {
        let volume = self.address.volume(&self.disk);
        volume.with_context(|| format!("cannot look into {}", self.address.image.display()))
    }

    pub(super) fn files(&self) -> anyhow::Result<&Files> {
        let volume = self.volume()?;
        volume.files().map_err(|e| {
            let place = match volume.partition {
                Some(n) => format!("partition {n} of "),
                None => String::new(),
            };
            anyhow::anyhow!("{e}").context(format!(
                "cannot read {place}{}",
                self.address.image.display()
            ))
        })
    }

    /// The path in the image; the root when none was said.
    pub(super) fn path(&self) -> &[u8] {
        self.address.path.as_deref().unwrap_or(b"/")
    }

    /// The file that the target names.
    pub(super) fn node(&self, follow: bool) -> anyhow::Result<Node> {
        let files = self.files()?;
        let found = files.resolve(self.path(), follow).map_err(|e| {
            let near = matches!(e, FilesError::NotFound { .. });
            match near.then(|| near_name(files, self.path())).flatten() {
                Some(near) => anyhow::anyhow!("{e}; did you mean {}?", display_path(&near)),
                None => e.into(),
            }
        });
        found.with_context(|| format!("cannot look into {}", self.address.image.display()))
    }

    /// Tells what made no sense in the filesystem.
    pub(super) fn tell_warnings(&self) {
        let Ok(Ok(files)) = self.volume().map(Volume::files) else {
            return;
        };
        let warnings = files.warnings();
        for warning in warnings.iter().take(WARNINGS_SHOWN) {
            complain(&format!("warning: {warning}\n"));
        }
        if let Some(more @ 1..) = warnings.len().checked_sub(WARNINGS_SHOWN) {
            complain(&format!(
                "warning: and {more} more; `e2fsck -fn` lists what is wrong\n"
            ));
        }
    }
}

/// The target that `image` was to be, where that is no file but leads through one or names one before a colon:
/// `disk.img/etc`, `disk.img:etc`, `disk.img:`.
fn meant(image: &Path) -> Option<OsString> {
    let bytes = image.as_os_str().as_bytes();
    if image.exists() {
        return None;
    }
    let ends = bytes.iter().enumerate().rev();
    let mut ends = ends.filter(|(_, b)| matches!(b, b'/' | b':'));
    let is_image = |at: usize| {
        let found = Path::new(OsStr::from_bytes(&bytes[..at])).metadata();
        found.is_ok_and(|found| !found.is_dir())
    };
    let (at, _) = ends.find(|(at, _)| is_image(*at))?;
    let (image, rest) = (&bytes[..at], &bytes[at + 1..]);
    let partition = rest.strip_prefix(b"p").map_or(0, |digits| {
        let digits = digits.iter().take_while(|b| b.is_ascii_digit());
        digits.count()
    });
    let (partition, path) = match rest.get(partition + 1) {
        Some(b':') if partition > 0 => rest.split_at(partition + 2),
        _ => rest.split_at(0),
    };
    let slash = path.iter().take_while(|b| **b == b'/').count();
    let whole = [image, b":", partition, b"/", &path[slash..]].concat();
    Some(OsString::from_vec(whole))
}

/// The path that is most like one that is not there: its first name that is missing, replaced.
fn near_name(files: &Files, path: &[u8]) -> Option<Vec<u8>> {
    let names: Vec<&[u8]> = path
        .split(|b| *b == b'/')
        .filter(|n| !n.is_empty())
        .collect();
    for (nr, name) in names.iter().enumerate().rev() {
        let folder = names[..nr].iter().flat_map(|n| [b"/", *n].concat());
        let folder: Vec<u8> = folder.collect();
        let Ok(node) = files.resolve(&folder, true) else {
            continue;
        };
        let children = files.children(&node).ok()?;
        let known = children.iter().map(|c| std::str::from_utf8(&c.name).ok());
        let near = nearest(std::str::from_utf8(name).ok()?, known.flatten())?;
        return Some([&folder[..], b"/", near.as_bytes()].concat());
    }
    None
}

/// Tells of a file that cannot be read.
pub(super) fn tell_unread((path, error): &Unread) {
    let cause = std::error::Error::source(error).map_or_else(String::new, |e| format!(": {e}"));
    complain(&format!(
        "warning: /{}: {error}{cause}\n",
        display_path(path)
    ));
}

/// Standard output, to be written in large pieces.
pub(super) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(super) fn new() -> Self {
        Self(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        exit::stdout(self.0.write_all(bytes))
    }

    pub(super) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(text.as_bytes())
    }

    pub(super) fn end(mut self) -> anyhow::Result<()> {
        exit::stdout(self.0.flush())
    }
}
