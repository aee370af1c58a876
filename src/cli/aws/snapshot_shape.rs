//! What is sent to a snapshot and what that is to be: the flags that `snapshot` and `push` share.

use crate::cli::exit::Usage;
use anyhow::Context;
use diskwright::aws::snapshot::{BlockMap, Snapshot, SnapshotOptions, Source};
use diskwright::inspect;
use diskwright::observe::Observer;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::sink::map::{self, Class, Map, MapError};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What holes of an image file are
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Holes {
    /// zeros that count, as mkfs leaves them: sent
    Send,
    /// free space: not sent
    Skip,
}

/// What is known of an image file
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OfImage {
    /// What is where in the image, from `build --map-file` or `qemu-img map --output=json`: what it calls
    /// no data is not sent
    #[arg(long, value_name = "FILE")]
    map_file: Option<PathBuf>,

    /// What holes of the file are, without a map
    #[arg(long, value_enum, default_value = "send", conflicts_with = "map_file")]
    holes: Holes,
}

impl OfImage {
    /// The first flag that is of use only where blocks are sent one by one.
    pub(super) fn of_blocks(&self) -> Option<&'static str> {
        let skip = matches!(self.holes, Holes::Skip);
        let map = self.map_file.as_ref().map(|_| "--map-file");
        map.or_else(|| skip.then_some("--holes skip"))
    }

    /// For what is no image.
    pub(super) fn refuse(&self) -> Result<(), Usage> {
        match (&self.map_file, self.holes) {
            (None, Holes::Send) => Ok(()),
            _ => Err(Usage::new(
                "--map-file and --holes are for disk images, and the input is a root filesystem",
            )),
        }
    }
}

/// What the snapshot is to be
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Snapshot")]
#[group(id = "SnapshotShape")]
pub(super) struct Shape {
    /// Size of the volume in GiB [default: as the image needs]
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(u64).range(1..))]
    volume_size: Option<u64>,

    /// Shown in lists of snapshots [default: the input's name]
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// A tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(super) tags: Vec<(String, String)>,

    /// Encrypt the snapshot
    #[arg(long)]
    encrypted: bool,

    /// ARN of the KMS key to encrypt it with [default: the account's]
    #[arg(long, value_name = "ARN")]
    kms_key_id: Option<String>,

    /// Send only what differs from this snapshot
    #[arg(long, value_name = "SNAPSHOT")]
    parent: Option<String>,

    /// The parent's block map [default: its blocks are read from AWS]
    #[arg(long, value_name = "FILE", requires = "parent")]
    parent_blocks: Option<PathBuf>,

    /// Leave what the parent has where the image is free: files deleted since can be read from the volume
    #[arg(long, requires = "parent")]
    no_scrub: bool,

    /// Write the digests of the snapshot's blocks, for the next --parent-blocks
    #[arg(long, value_name = "FILE")]
    block_map: Option<PathBuf>,

    /// Folder that notes what was sent [default: diskwright in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,

    /// Make another snapshot of an image that was sent before
    #[arg(long)]
    new: bool,
}

impl Shape {
    /// The first flag that is of use only where blocks are sent one by one.
    pub(super) fn of_blocks(&self) -> Option<&'static str> {
        let set = [
            (self.volume_size.is_some(), "--volume-size"),
            (self.parent.is_some(), "--parent"),
            (self.block_map.is_some(), "--block-map"),
            (self.journal.is_some(), "--journal"),
            (self.new, "--new"),
        ];
        set.into_iter().find(|(set, _)| *set).map(|(_, flag)| flag)
    }

    /// The first flag that says how to encrypt.
    pub(super) fn of_encryption(&self) -> Option<&'static str> {
        let key = self.kms_key_id.as_ref().map(|_| "--kms-key-id");
        key.or_else(|| self.encrypted.then_some("--encrypted"))
    }

    /// As options of a snapshot of what is called `name`, and where its block map goes.
    pub(super) fn into_options(
        self,
        name: &Path,
        wait: bool,
    ) -> anyhow::Result<(SnapshotOptions, Option<PathBuf>)> {
        let description = self.description.unwrap_or_else(|| {
            let name = name.file_name().map(|n| n.to_string_lossy());
            name.unwrap_or_default().chars().take(255).collect()
        });
        let parent_blocks = self.parent_blocks.as_deref().map(read_blocks).transpose()?;
        let options = SnapshotOptions {
            volume_size: self.volume_size,
            description,
            tags: self.tags,
            encrypted: self.encrypted || self.kms_key_id.is_some(),
            kms_key_id: self.kms_key_id,
            parent: self.parent,
            parent_blocks,
            scrub: !self.no_scrub,
            wait,
            journal: self.journal.or_else(state_folder),
            another: self.new,
        };
        Ok((options, self.block_map))
    }
}

pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The image, held against its map and read once.
pub(super) fn open(
    path: &Path,
    known: &OfImage,
    observer: &dyn Observer,
) -> anyhow::Result<Source> {
    let reading = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(reading)?;
    if file.metadata().with_context(reading)?.is_dir() {
        anyhow::bail!(
            "{} is a folder: `diskwright build` makes an image of it",
            path.display()
        );
    }
    open_file(&file, path, known, observer)
}

/// The same of a file that is open; messages call it `path`.
pub(super) fn open_file(
    file: &File,
    path: &Path,
    known: &OfImage,
    observer: &dyn Observer,
) -> anyhow::Result<Source> {
    let reading = || format!("cannot read {}", path.display());
    let image = FileAt::new(file.try_clone().with_context(reading)?).with_context(reading)?;
    if let Some(other) = inspect::not_raw(&image).with_context(reading)? {
        anyhow::bail!(
            "{} is {other}, not the plain bytes of a disk",
            path.display()
        );
    }
    if image.is_empty() {
        anyhow::bail!("{} is empty", path.display());
    }
    let len = image.len();
    let mut digest = None;
    let regions = match &known.map_file {
        Some(map_path) => {
            let map = read_map(map_path)?;
            map.fits(file, &image).with_context(|| {
                format!("{} does not fit {}", map_path.display(), path.display())
            })?;
            digest = map.digest;
            map.regions
        }
        None => {
            let hole = match known.holes {
                Holes::Send => Class::Zero,
                Holes::Skip => Class::Free,
            };
            map::of_holes(file, len, hole).with_context(reading)?
        }
    };
    let source = Source::survey(Arc::new(image), regions, observer).with_context(reading)?;
    if digest.is_some_and(|d| d != source.survey.digest()) {
        return Err(anyhow::Error::new(MapError::Changed)
            .context(format!("the map does not fit {}", path.display())));
    }
    Ok(source)
}

fn read_map(path: &Path) -> anyhow::Result<Map> {
    let reading = || format!("cannot read the map {}", path.display());
    let json = std::fs::read(path).with_context(reading)?;
    Map::parse(&json).with_context(reading)
}

fn read_blocks(path: &Path) -> anyhow::Result<BlockMap> {
    let reading = || format!("cannot read the block map {}", path.display());
    let text = std::fs::read_to_string(path).with_context(reading)?;
    BlockMap::parse(&text).with_context(reading)
}

/// `$XDG_STATE_HOME/diskwright`, or what it stands for where it is not set (XDG Base Directory 0.8).
fn state_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")));
    Some(state?.join("diskwright"))
}

/// Writes the snapshot's block map where it was asked for.
pub(super) fn write_blocks(
    path: Option<&Path>,
    made: &Snapshot,
    observer: &dyn Observer,
) -> anyhow::Result<()> {
    match (path, &made.blocks) {
        (None, _) => {}
        (Some(path), Some(blocks)) => std::fs::write(path, blocks.to_text())
            .with_context(|| format!("cannot write {}", path.display()))?,
        (Some(path), None) => observer.warn(&format!(
            "{} is not written: another run had a part in the snapshot, or it was there already and its parent's blocks are not known",
            path.display()
        )),
    }
    Ok(())
}

pub(super) fn summary(made: &Snapshot) -> String {
    let Snapshot {
        snapshot_id,
        region,
        volume_size,
        ..
    } = made;
    if made.existed {
        return format!("{snapshot_id} in {region} is this image already\n");
    }
    let mut text = format!(
        "{snapshot_id} in {region}, {volume_size} GiB: {} blocks sent",
        made.sent
    );
    for (n, what) in [
        (made.resumed, "sent before"),
        (made.inherited, "in the parent"),
        (made.free, "free"),
        (made.retried, "requests retried"),
    ] {
        if n > 0 {
            text.push_str(&format!(", {n} {what}"));
        }
    }
    text + "\n"
}
