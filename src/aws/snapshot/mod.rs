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
//! The client token is a digest of the content and the options. Whoever sends the same image again, be it from
//! another machine, gets the same snapshot.

mod block_map;
mod complete;
mod feed;
mod journal;
mod parent;
mod send;
mod start;

pub use block_map::{BlockMap, BlockMapError};
pub(in crate::aws) use complete::is_completed;
pub use complete::linear;
pub use feed::{Body, Fed, Feed, Surveyed};
pub(in crate::aws) use journal::deleted;
pub use send::Sent;
pub use start::{Started, start};

use super::{Aws, AwsError, Kind, Made};
use crate::observe::Observer;
use crate::read_at::ReadAt;
use crate::sink::blocks::{SNAPSHOT_BLOCK, Survey, to_hex};
use crate::sink::map::Region;
use crate::units::count;
use aws_sdk_ebs::types::Status;
use aws_sdk_ec2::types::SnapshotState;
use complete::{complete, completed_by_another, may_be_complete, state_of, wait};
use journal::Journal;
use send::{Known, Sender};
use serde::Serialize;
use start::{of_generation, token};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The largest volume, in GiB (`StartSnapshot`, `VolumeSize`).
pub const MAX_GIBIBYTES: u64 = 65_536;
/// Tokens of snapshots that failed or were deleted, and that AWS still knows, before something else is wrong.
const GENERATIONS: u32 = 5;

/// What the snapshot is to be.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The volume's size in GiB; `None`: as small as the image allows.
    pub volume_size: Option<u64>,
    /// Shown in lists, at most 255 characters.
    pub description: String,
    /// At most 50.
    pub tags: Vec<(String, String)>,
    /// Encrypt it, with the account's key or `kms_key_id`.
    pub encrypted: bool,
    /// The ARN of a KMS key.
    pub kms_key_id: Option<String>,
    /// The snapshot from which this one differs.
    pub parent: Option<String>,
    /// The parent's blocks, where they are known; else they are read from AWS.
    pub parent_blocks: Option<BlockMap>,
    /// Overwrite with zeros what the parent has where nothing matters now: files that were deleted since.
    pub scrub: bool,
    /// Wait until AWS has completed it.
    pub wait: bool,
    /// Folder to note in what was sent: an interrupted run goes on there.
    pub journal: Option<PathBuf>,
    /// Make another one, even if this very image was sent before; it is not noted.
    pub another: bool,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            volume_size: None,
            description: String::new(),
            tags: Vec::new(),
            encrypted: false,
            kms_key_id: None,
            parent: None,
            parent_blocks: None,
            scrub: true,
            wait: true,
            journal: None,
            another: false,
        }
    }
}

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

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// AWS says no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The image cannot be read.
    #[error("cannot read the image")]
    Read(#[from] io::Error),
    /// More than a volume holds.
    #[error("a volume of {gibibytes} GiB: {MAX_GIBIBYTES} GiB (64 TiB) are the most that EBS has")]
    TooLarge {
        /// As asked for.
        gibibytes: u64,
    },
    /// Less than the image needs.
    #[error("a volume of {gibibytes} GiB is smaller than the image, which needs {needed} GiB")]
    TooSmall {
        /// As asked for.
        gibibytes: u64,
        /// As the image needs.
        needed: u64,
    },
    /// AWS takes no such pair.
    #[error(
        "a snapshot with a parent is encrypted as its parent is: neither --encrypted nor --kms-key-id"
    )]
    ParentDecides,
    /// A block map of another snapshot.
    #[error("the block map is of snapshot {map}, the parent is {parent}")]
    OtherParent {
        /// Whose map it is.
        map: String,
        /// Whose it should be.
        parent: String,
    },
    /// Parent and child have blocks of different sizes.
    #[error("the parent's blocks have {parent} bytes, the snapshot's {child}")]
    BlockSizes {
        /// The parent's.
        parent: u64,
        /// The new snapshot's.
        child: u64,
    },
    /// A block that three times did not arrive whole.
    #[error("block {index} of {snapshot} does not arrive as its checksum promises")]
    Block {
        /// Whose.
        snapshot: String,
        /// Which.
        index: u32,
    },
    /// AWS could not make a snapshot of the blocks.
    #[error("AWS failed to complete {id}: {message}")]
    Failed {
        /// `snap-…`.
        id: String,
        /// Why, if it says so.
        message: String,
    },
    /// AWS is not done after an hour.
    #[error("{id} is still pending after {minutes} minutes")]
    NeverCompleted {
        /// `snap-…`.
        id: String,
        /// Since it was said to be complete.
        minutes: u64,
    },
    /// Every token leads to a snapshot that failed.
    #[error(
        "AWS answers {GENERATIONS} requests for a new snapshot with ones that failed or are gone"
    )]
    Exhausted,
}

impl SnapshotOptions {
    /// Refuses what AWS would refuse, before anything is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, len: u64) -> Result<(), SnapshotError> {
        let gibibytes = self.gibibytes(len);
        let needed = Self {
            volume_size: None,
            ..self.clone()
        }
        .gibibytes(len);
        if gibibytes > MAX_GIBIBYTES {
            return Err(SnapshotError::TooLarge { gibibytes });
        }
        if gibibytes < needed {
            return Err(SnapshotError::TooSmall { gibibytes, needed });
        }
        if self.parent.is_some() && (self.encrypted || self.kms_key_id.is_some()) {
            return Err(SnapshotError::ParentDecides);
        }
        if let (Some(map), Some(parent)) = (&self.parent_blocks, &self.parent)
            && map.snapshot != *parent
        {
            return Err(SnapshotError::OtherParent {
                map: map.snapshot.clone(),
                parent: parent.clone(),
            });
        }
        Ok(())
    }
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
    options.check(source.survey.len())?;
    let token = token(aws, options, source.survey.len(), &source.survey.digest());
    let mut journal = match &options.journal {
        Some(folder) if !options.another => {
            let name = format!("{}.journal", &to_hex(&token)[..32]);
            let opened = Journal::open(&folder.join(name), observer).await;
            opened.unwrap_or_else(|e| {
                // Notes are a help and no need.
                let why = e.source().map(|s| format!(": {s}")).unwrap_or_default();
                observer.warn(&format!("{e}{why}; an interrupted run will send all again"));
                Journal::default()
            })
        }
        _ => Journal::default(),
    };
    let parent = match (&options.parent, &options.parent_blocks) {
        (Some(_), Some(map)) => Some(map.clone()),
        (Some(parent), None) => Some(parent::fetch(aws, parent, observer).await?),
        (None, _) => None,
    };
    for _ in 0..GENERATIONS {
        let name = of_generation(&token, journal.generation);
        let run = Run {
            aws,
            source,
            options,
            observer,
            parent: parent.as_ref(),
        };
        if let Some(snapshot) = run.generation(&name, &mut journal).await? {
            return Ok(snapshot);
        }
        journal.next_generation(observer);
    }
    Err(SnapshotError::Exhausted)
}

struct Run<'a> {
    aws: &'a Aws,
    source: &'a Source,
    options: &'a SnapshotOptions,
    observer: &'a dyn Observer,
    parent: Option<&'a BlockMap>,
}

impl Run<'_> {
    /// One token: the snapshot that came of it; `None` if that one failed or is gone.
    async fn generation(
        &self,
        token: &str,
        journal: &mut Journal,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        if let (true, Some(id)) = (journal.completed, journal.snapshot.clone()) {
            return self.there_still(&id, journal.block_size).await;
        }
        let len = self.source.survey.len();
        let started = start(self.aws, self.options, len, token, journal.path()).await?;
        match started.status {
            Status::Completed => {
                journal.started(&started.id, started.block_size, self.observer);
                journal.finished(self.observer);
                return Ok(Some(self.existing(&started.id, started.block_size)));
            }
            Status::Error => {
                self.aws.delete_snapshot(&started.id).await?;
                return Ok(None);
            }
            _ => {}
        }
        journal.started(&started.id, started.block_size, self.observer);
        match self.upload(&started, journal).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            // What the token stands for was deleted.
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The snapshot that the journal calls completed, if nobody deleted it since.
    async fn there_still(
        &self,
        id: &str,
        block_size: u64,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let call = super::Call::new("ec2:DescribeSnapshots", id);
        match state_of(self.aws, &call, id).await {
            Ok((SnapshotState::Completed | SnapshotState::Pending, _)) => {
                Ok(Some(self.existing(id, block_size)))
            }
            Ok(_) => Ok(None),
            Err(e) if e.kind() == Some(Kind::Absent) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    async fn upload(
        &self,
        started: &Started,
        journal: &mut Journal,
    ) -> Result<Snapshot, SnapshotError> {
        let size = started.block_size;
        if let Some(parent) = self.parent
            && parent.block_size != size
        {
            return Err(SnapshotError::BlockSizes {
                parent: parent.block_size,
                child: size,
            });
        }
        // A server that is not AWS's may have another size.
        let survey = match self.source.survey.block_size() == size {
            true => self.source.survey.clone(),
            false => Survey::new(
                &*self.source.image,
                &self.source.regions,
                size,
                self.observer,
            )?,
        };
        let known = Known {
            journal: journal.blocks.clone(),
            parent: self.parent.cloned(),
        };
        let pending = Made::Upload {
            id: started.id.clone(),
            journal: journal.path().map(ToOwned::to_owned),
        };
        let mut sender = Sender {
            aws: self.aws,
            started,
            known: Arc::new(known),
            journal,
            observer: self.observer,
            total: Some(count(survey.blocks().len())),
            sent: Sent::default(),
        };
        let sending = async {
            let image = Arc::clone(&self.source.image);
            sender.send(Surveyed::new(image, &survey)).await?;
            if self.options.scrub {
                sender.scrub(&survey).await?;
            }
            complete(self.aws, started, &sender.sent.written).await
        };
        match sending.await {
            Ok(()) => {
                let id = started.id.clone();
                self.aws.made(Made::Snapshot { id });
            }
            Err(e) if may_be_complete(&e) && completed_by_another(self.aws, started).await => {}
            Err(e) => return Err(e),
        }
        self.aws.ledger().keep(&pending);
        let sent = std::mem::take(&mut sender.sent);
        if self.options.wait {
            wait(self.aws, started, self.observer).await?;
        }
        journal.finished(self.observer);
        Ok(self.made(started, &survey, &sent))
    }

    fn made(&self, started: &Started, survey: &Survey, sent: &Sent) -> Snapshot {
        let all = survey.len().div_ceil(started.block_size);
        let mut blocks = self.parent.map(|p| p.blocks.clone()).unwrap_or_default();
        blocks.extend(&sent.written);
        Snapshot {
            sent: sent.sent,
            resumed: sent.resumed,
            inherited: sent.inherited,
            scrubbed: sent.scrubbed,
            free: all - count(survey.blocks().len()),
            blocks: Some(BlockMap {
                snapshot: started.id.clone(),
                block_size: started.block_size,
                blocks,
            }),
            existed: false,
            ..self.existing(&started.id, started.block_size)
        }
    }

    fn existing(&self, id: &str, block_size: u64) -> Snapshot {
        let len = self.source.survey.len();
        let survey = &self.source.survey;
        let blocks = BlockMap {
            snapshot: id.to_owned(),
            block_size,
            blocks: survey
                .blocks()
                .iter()
                .map(|b| (b.index, b.digest))
                .collect(),
        };
        Snapshot {
            snapshot_id: id.to_owned(),
            region: self.aws.region().to_owned(),
            volume_size: self.options.gibibytes(len),
            block_size,
            existed: true,
            sent: 0,
            resumed: 0,
            inherited: 0,
            scrubbed: 0,
            free: 0,
            retried: self.aws.patience().retried(),
            blocks: (block_size == survey.block_size() && self.parent.is_none()).then_some(blocks),
        }
    }
}

fn is_absent(error: &SnapshotError) -> bool {
    matches!(error, SnapshotError::Aws(e) if e.kind() == Some(Kind::Absent))
}
