//! An image becomes an EBS snapshot, by EBS direct APIs: no S3, no instance, no volume.
//!
//! ```text
//! start ──► send: PutSnapshotBlock … ──► complete ──► wait
//!            ▲                 │
//!           feed            journal
//! ```
//!
//! Blocks that are free throughout are not sent. Those that must read as zero are: on an encrypted volume a
//! block that was never written reads as what decrypting zeros gives, which is noise.
//!
//! [`import`](fn@import) is the other way, by S3.
//!
//! The client token is a digest of the content and the options. Whoever sends the same image again, be it from
//! another machine, gets the same snapshot.

mod block_map;
mod complete;
mod error;
mod feed;
mod import;
mod journal;
mod look;
mod options;
mod parent;
mod run;
mod send;
mod start;

pub use block_map::{BlockMap, BlockMapError};
pub(in crate::aws) use complete::is_completed;
pub use complete::linear;
pub use error::SnapshotError;
pub use feed::{Body, Fed, Feed, Surveyed};
pub(in crate::aws) use import::cancel;
pub use import::{DiskFormat, ImportOptions, Imported, ROLE, import};
pub use journal::Noted;
pub(in crate::aws) use journal::deleted;
pub use look::look;
pub use options::{MAX_GIBIBYTES, SnapshotOptions};

use super::Aws;
use crate::observe::Observer;
use crate::read_at::ReadAt;
use crate::sink::blocks::{Digest, SNAPSHOT_BLOCK, Survey};
use crate::sink::map::Region;
use crate::units::count;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// An image and what is known of it.
#[derive(Clone)]
pub struct Source {
    /// Its bytes.
    pub image: Arc<dyn ReadAt>,
    /// What they are; covering all of it.
    pub regions: Vec<Region>,
    /// Its blocks of 512 KiB.
    pub survey: Survey,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} bytes)", self.survey.len())
    }
}

impl Source {
    /// Reads all of the image that matters.
    ///
    /// # Errors
    /// As [`Survey::new`].
    pub fn survey(
        image: Arc<dyn ReadAt>,
        regions: Vec<Region>,
        observer: &dyn Observer,
    ) -> io::Result<Self> {
        let survey = Survey::new(&*image, &regions, SNAPSHOT_BLOCK, observer)?;
        Ok(Self {
            image,
            regions,
            survey,
        })
    }
}

/// A snapshot, and how it came about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// `snap-…`.
    pub snapshot_id: String,
    /// Where it is.
    pub region: String,
    /// The volume's size in GiB.
    pub volume_size: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Whether it was there already: the same image, sent before.
    pub existed: bool,
    /// Blocks that this run sent.
    pub sent: u64,
    /// Blocks that an earlier, interrupted run had sent.
    pub resumed: u64,
    /// Blocks of the parent that are still right.
    pub inherited: u64,
    /// Of those sent, blocks of zeros over what the parent has in free space.
    pub scrubbed: u64,
    /// Blocks in which nothing matters.
    pub free: u64,
    /// Requests that were tried again.
    pub retried: u64,
    /// Its blocks, its parent's among them; for the next, incremental one.
    #[serde(skip)]
    pub blocks: Option<BlockMap>,
}

/// Makes a snapshot of an image; finds it, if it was made before. To be run under [`Aws::run`], which deletes
/// a snapshot that did not become one.
///
/// # Errors
/// When AWS refuses or fails, or the image cannot be read.
pub async fn snapshot(
    aws: &Aws,
    source: &Source,
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<Snapshot, SnapshotError> {
    let survey = &source.survey;
    let mut of_size = |size: u64| {
        let image = Arc::clone(&source.image);
        // A server that is not AWS's may have another size.
        let other;
        let survey = match survey.block_size() == size {
            true => survey,
            false => {
                other = Survey::new(&*image, &source.regions, size, observer)?;
                &other
            }
        };
        let total = Some(count(survey.blocks().len()));
        let feed: Box<dyn Feed> = Box::new(Surveyed::new(image, survey));
        Ok((feed, total))
    };
    let (len, content) = (survey.len(), Some(survey.digest()));
    let mut made = run::run(aws, options, len, content, &mut of_size, observer).await?;
    if made.existed && made.block_size == survey.block_size() {
        made.blocks = blocks_of(survey, options).map(|blocks| BlockMap {
            snapshot: made.snapshot_id.clone(),
            block_size: made.block_size,
            blocks,
        });
    }
    Ok(made)
}

/// What a snapshot that was there already has, if that follows from what is at hand.
fn blocks_of(survey: &Survey, options: &SnapshotOptions) -> Option<BTreeMap<u32, Digest>> {
    let mut blocks = match (&options.parent, &options.parent_blocks) {
        (None, _) => BTreeMap::new(),
        (Some(_), Some(map)) => map.blocks.clone(),
        (Some(_), None) => return None,
    };
    if options.scrub {
        blocks
            .values_mut()
            .for_each(|digest| *digest = survey.zero());
    }
    blocks.extend(survey.blocks().iter().map(|b| (b.index, b.digest)));
    Some(blocks)
}

/// Makes a snapshot of blocks that are not all known yet: of an image of `len` bytes that is still being built.
/// `feeds` gives them, and all of them anew where what was made of the first turns out to be deleted by somebody.
/// `content` is a digest of what it is made of, if that is known: by it a repeated or interrupted run is known
/// again. Without it there is a new snapshot every time. To be run under [`Aws::run`].
///
/// # Errors
/// When AWS refuses or fails, or the feed does.
pub async fn stream(
    aws: &Aws,
    mut feeds: impl FnMut() -> Box<dyn Feed> + Send,
    len: u64,
    content: Option<Digest>,
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<Snapshot, SnapshotError> {
    let mut of_size = |_| Ok((feeds(), None));
    run::run(aws, options, len, content, &mut of_size, observer).await
}
