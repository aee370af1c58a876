//! One upload, from its token to the completed snapshot.

use super::complete::{complete, completed_by_another, may_be_complete, state_of, wait};
use super::error::GENERATIONS;
use super::feed::Feed;
use super::journal::Journal;
use super::parent;
use super::send::{Known, Sender, Sent};
use super::start::{Started, of_generation, start, token};
use super::{BlockMap, Snapshot, SnapshotError, SnapshotOptions};
use crate::aws::{Aws, Call, Kind, Made};
use crate::hex::hex;
use crate::observe::Observer;
use crate::sink::blocks::Digest;
use crate::units::count;
use aws_sdk_ebs::types::Status;
use aws_sdk_ec2::types::SnapshotState;
use std::error::Error;
use std::io;

/// Gives the blocks of a size, and how many will come where that is known.
pub(super) type Feeds<'a> =
    &'a mut (dyn FnMut(u64) -> io::Result<(Box<dyn Feed>, Option<u64>)> + Send);

pub(super) async fn run(
    aws: &Aws,
    options: &SnapshotOptions,
    len: u64,
    content: Option<Digest>,
    feeds: Feeds<'_>,
    observer: &dyn Observer,
) -> Result<Snapshot, SnapshotError> {
    options.check(len)?;
    let content = content.filter(|_| !options.another);
    let token = token(aws, options, len, content.as_ref());
    let mut journal = match &options.journal {
        Some(folder) if content.is_some() => {
            let name = format!("{}.journal", &hex(&token)[..32]);
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
    let mut run = Run {
        aws,
        options,
        len,
        observer,
        parent: None,
    };
    if let (true, Some(id)) = (journal.completed, journal.snapshot.clone()) {
        let call = Call::new("ec2:DescribeSnapshots", &id);
        if let Some(snapshot) = run.there_still(&call, &id, journal.block_size).await? {
            return Ok(snapshot);
        }
        journal.next_generation(observer);
    }
    run.parent = match (&options.parent, &options.parent_blocks) {
        (Some(_), Some(map)) => Some(map.clone()),
        (Some(parent), None) => Some(parent::fetch(aws, parent, observer).await?),
        (None, _) => None,
    };
    for _ in 0..GENERATIONS {
        let name = of_generation(&token, journal.generation);
        if let Some(snapshot) = run.generation(&name, &mut journal, &mut *feeds).await? {
            return Ok(snapshot);
        }
        journal.next_generation(observer);
    }
    Err(SnapshotError::Exhausted)
}

struct Run<'a> {
    aws: &'a Aws,
    options: &'a SnapshotOptions,
    len: u64,
    observer: &'a dyn Observer,
    parent: Option<BlockMap>,
}

impl Run<'_> {
    /// One token: the snapshot that came of it; `None` if that one failed or is gone.
    async fn generation(
        &self,
        token: &str,
        journal: &mut Journal,
        feeds: Feeds<'_>,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let started = start(self.aws, self.options, self.len, token, journal.held()).await?;
        match started.status {
            Status::Completed => {
                // The token's answer is that of then: it may have been deleted since.
                let call = started.call("ec2:DescribeSnapshots", started.id.clone());
                let there = self
                    .there_still(&call, &started.id, started.block_size)
                    .await?;
                if there.is_some() {
                    journal.started(&started.id, started.block_size, self.observer);
                    journal.finished(self.observer);
                }
                return Ok(there);
            }
            Status::Error => {
                self.aws.delete_snapshot(&started.id).await?;
                return Ok(None);
            }
            _ => {}
        }
        journal.started(&started.id, started.block_size, self.observer);
        let (feed, total) = feeds(started.block_size)?;
        match self.upload(&started, journal, feed, total).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            // What the token stands for was deleted.
            Err(SnapshotError::Aws(e)) if e.kind() == Some(Kind::Absent) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A snapshot that was completed, if nobody deleted it since.
    async fn there_still(
        &self,
        call: &Call,
        id: &str,
        block_size: u64,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        match state_of(self.aws, call, id).await {
            Ok((SnapshotState::Completed | SnapshotState::Pending, _)) => {
                self.wait(&Started::known(id, block_size)).await?;
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
        feed: Box<dyn Feed>,
        total: Option<u64>,
    ) -> Result<Snapshot, SnapshotError> {
        if let Some(parent) = &self.parent
            && parent.block_size != started.block_size
        {
            return Err(SnapshotError::BlockSizes {
                parent: parent.block_size,
                child: started.block_size,
            });
        }
        let known = Known {
            journal: journal.blocks.clone(),
            parent: self.parent.clone(),
        };
        let pending = Made::Upload {
            id: started.id.clone(),
            journal: journal.held(),
        };
        let mut sender = Sender::new(self.aws, started, known, journal, self.observer, total);
        let sending = async {
            sender.send(feed).await?;
            sender.outdated().await?;
            if self.options.scrub {
                sender.scrub().await?;
            }
            complete(self.aws, started, &sender.sent.written).await
        };
        let mine = match sending.await {
            Ok(()) => {
                let id = started.id.clone();
                self.aws.made(Made::Snapshot { id });
                true
            }
            Err(e) if may_be_complete(&e) && completed_by_another(self.aws, started).await => {
                // Of what blocks, is not known: those of another run may be among them.
                false
            }
            Err(e) => return Err(e),
        };
        self.aws.ledger().keep(&pending);
        let sent = std::mem::take(&mut sender.sent);
        drop(sender);
        self.wait(started).await?;
        journal.finished(self.observer);
        let made = self.made(started, &sent);
        Ok(Snapshot {
            blocks: made.blocks.filter(|_| mine),
            ..made
        })
    }

    async fn wait(&self, started: &Started) -> Result<(), SnapshotError> {
        match self.options.wait {
            true => wait(self.aws, started, self.observer).await,
            false => Ok(()),
        }
    }

    fn made(&self, started: &Started, sent: &Sent) -> Snapshot {
        let all = self.len.div_ceil(started.block_size);
        let parent = self.parent.as_ref().map(|p| p.blocks.clone());
        let mut blocks = parent.unwrap_or_default();
        blocks.extend(&sent.written);
        Snapshot {
            sent: sent.sent(),
            resumed: count(sent.resumed.len()),
            inherited: count(sent.inherited.len()),
            scrubbed: sent.scrubbed,
            free: all - count(sent.matter.len()),
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
        Snapshot {
            snapshot_id: id.to_owned(),
            region: self.aws.region().to_owned(),
            volume_size: self.options.gibibytes(self.len),
            block_size,
            existed: true,
            sent: 0,
            resumed: 0,
            inherited: 0,
            scrubbed: 0,
            free: 0,
            retried: self.aws.patience().retried(),
            blocks: None,
        }
    }
}
