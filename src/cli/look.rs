//! What the verbs share that look into an image.

use super::exit::{self, complain};
use anyhow::Context;
use diskwright::display::display_path;
use diskwright::inspect::{Address, Disk, Files, Node, Unread, Volume};
use std::ffi::OsStr;
use std::io::{self, BufWriter, StdoutLock, Write};

/// So many warnings of one image are told.
const WARNINGS_SHOWN: usize = 20;

/// How a target is written: the help of every verb that takes one.
pub(super) const TARGETS: &str = "\
IMG is a disk image or a bare filesystem; IMG:/PATH a file in it, of its root filesystem; IMG:pN:/PATH
one of partition N. Symbolic links are followed inside the image.";

/// An image that a target names, opened.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) address: Address,
}

impl Opened {
    pub(super) fn new(target: &OsStr) -> anyhow::Result<Self> {
        let address = Address::parse(target);
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
        let found = self.files()?.resolve(self.path(), follow);
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
