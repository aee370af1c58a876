//! PutSnapshotBlock, many at a time.

use super::feed::{Body, Fed, Feed};
use super::journal::Journal;
use super::start::Started;
use super::{BlockMap, SnapshotError};
use crate::aws::{Aws, AwsError};
use crate::observe::{Observer, Stage};
use crate::pool::Pool;
use crate::sink::blocks::{Digest, sha256};
use crate::units::{count, index};
use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::ChecksumAlgorithm;
use aws_smithy_types::base64;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinSet;

/// Blocks that wait for their turn; they are not read yet.
const WAITING: usize = 64;
/// Empty buffers that are kept: as many as there are blocks in flight by default.
const BUFFERS: usize = 64;

/// What became of the blocks.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The blocks that came.
    pub(super) matter: BTreeSet<u32>,
    /// Those that the snapshot has from this upload, with their digests.
    pub(super) written: BTreeMap<u32, Digest>,
    /// Of them, those that an earlier run had put there.
    pub(super) resumed: BTreeSet<u32>,
    /// Those that the parent has already.
    pub(super) inherited: BTreeSet<u32>,
    /// Of those sent, the ones that cover what the parent has where nothing matters now.
    pub(super) scrubbed: u64,
}

impl Sent {
    /// Those that this run put there.
    pub(super) fn sent(&self) -> u64 {
        count(self.written.len() - self.resumed.len())
    }

    /// Counts what became of a block, the last time that it came, and gives its number.
    fn note(&mut self, outcome: &Outcome) -> u32 {
        let (Outcome::Sent(nr, _) | Outcome::Resumed(nr, _) | Outcome::Inherited(nr)) = *outcome;
        self.resumed.remove(&nr);
        self.inherited.remove(&nr);
        match *outcome {
            Outcome::Sent(_, digest) => {
                self.written.insert(nr, digest);
            }
            Outcome::Resumed(_, digest) => {
                self.written.insert(nr, digest);
                self.resumed.insert(nr);
            }
            Outcome::Inherited(_) => {
                self.inherited.insert(nr);
            }
        }
        nr
    }
}

/// What need not be sent.
pub(super) struct Known {
    /// By an earlier run of this upload.
    pub(super) journal: HashMap<u32, Digest>,
    pub(super) parent: Option<BlockMap>,
}

enum Outcome {
    Sent(u32, Digest),
    Resumed(u32, Digest),
    Inherited(u32),
}

type Puts = JoinSet<Result<Outcome, SnapshotError>>;

/// What a sender waits for.
enum Event {
    Put(Result<Outcome, SnapshotError>),
    Block(io::Result<Fed>),
    Ended,
}

/// What comes first: a put that is through, or a block where `blocks` are wanted. One of both must be under way.
async fn next(puts: &mut Puts, mut blocks: Option<&mut Receiver<io::Result<Fed>>>) -> Event {
    poll_fn(|context| {
        if let Poll::Ready(Some(outcome)) = puts.poll_join_next(context) {
            let outcome = outcome.expect("a put neither panics nor is aborted");
            return Poll::Ready(Event::Put(outcome));
        }
        let Some(blocks) = &mut blocks else {
            return Poll::Pending;
        };
        let block = blocks.poll_recv(context);
        block.map(|block| block.map_or(Event::Ended, Event::Block))
    })
    .await
}

/// One upload's blocks.
pub(super) struct Sender<'a> {
    aws: &'a Aws,
    started: &'a Started,
    known: Arc<Known>,
    journal: &'a mut Journal,
    observer: &'a dyn Observer,
    /// Blocks that will come, where that is known.
    total: Option<u64>,
    /// A block of zeros and its digest.
    zero: (Bytes, Digest),
    /// For other blocks.
    buffers: Pool,
    pub(super) sent: Sent,
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        aws: &'a Aws,
        started: &'a Started,
        known: Known,
        journal: &'a mut Journal,
        observer: &'a dyn Observer,
        total: Option<u64>,
    ) -> Self {
        let zero = Bytes::from(vec![0; index(started.block_size)]);
        Self {
            aws,
            started,
            known: Arc::new(known),
            journal,
            observer,
            total,
            zero: (zero.clone(), sha256(&zero)),
            buffers: Pool::new(zero.len(), BUFFERS),
            sent: Sent::default(),
        }
    }

    /// Sends all of a feed.
    pub(super) async fn send(&mut self, feed: Box<dyn Feed>) -> Result<(), SnapshotError> {
        let mut blocks = pumped(feed, self.started.block_size);
        let mut puts = JoinSet::new();
        // Blocks that a put is under way for.
        let mut flying = BTreeSet::new();
        let mut ended = false;
        loop {
            let wanted = !ended && self.aws.pace().allows(puts.len());
            if ended && puts.is_empty() {
                return Ok(());
            }
            let block = match next(&mut puts, wanted.then_some(&mut blocks)).await {
                Event::Put(outcome) => {
                    flying.remove(&self.note(&outcome?));
                    continue;
                }
                Event::Ended => {
                    ended = true;
                    continue;
                }
                Event::Block(block) => block?,
            };
            // Once more, and the later one must win: the first has to be through.
            let again = !self.sent.matter.insert(block.index);
            while again && flying.contains(&block.index) {
                if let Event::Put(outcome) = next(&mut puts, None).await {
                    flying.remove(&self.note(&outcome?));
                }
            }
            flying.insert(block.index);
            let put = Put {
                aws: self.aws.clone(),
                started: self.started.clone(),
                known: Arc::clone(&self.known),
                zero: self.zero.clone(),
                buffers: self.buffers.clone(),
                percent: self.percent(),
                again,
            };
            puts.spawn(put.block(block));
        }
    }

    /// Covers with zeros what an earlier run of this upload has sent and this one has not: of files that were
    /// replaced in the meantime.
    pub(super) async fn outdated(&mut self) -> Result<(), SnapshotError> {
        let matter = &self.sent.matter;
        let sent = self.known.journal.keys();
        let old: Vec<u32> = sent.filter(|nr| !matter.contains(nr)).copied().collect();
        if old.is_empty() {
            return Ok(());
        }
        self.send(Box::new(Zeros(self.zero.1, old.into_iter())))
            .await
    }

    /// Covers with zeros what the parent has in blocks that did not come: where nothing matters now.
    pub(super) async fn scrub(&mut self) -> Result<(), SnapshotError> {
        let zero = self.zero.1;
        let matter = std::mem::take(&mut self.sent.matter);
        let parent = self.known.parent.iter().flat_map(|p| &p.blocks);
        let old: Vec<u32> = parent
            .filter(|(nr, digest)| !matter.contains(nr) && **digest != zero)
            .map(|(nr, _)| *nr)
            .collect();
        self.sent.scrubbed = count(old.len());
        self.total = self.total.map(|t| t + count(old.len()));
        self.send(Box::new(Zeros(zero, old.into_iter()))).await?;
        self.sent.matter = matter;
        Ok(())
    }

    /// How much is through, for `x-amz-Progress`.
    fn percent(&self) -> Option<i32> {
        let done = self.through() * 100 / self.total?.max(1);
        i32::try_from(done.min(100)).ok()
    }

    fn through(&self) -> u64 {
        count(self.sent.written.len() + self.sent.inherited.len())
    }

    /// Tells what became of a block, and gives its number.
    fn note(&mut self, outcome: &Outcome) -> u32 {
        if let Outcome::Sent(nr, digest) = outcome {
            self.journal.acknowledged(*nr, digest, self.observer);
        }
        let nr = self.sent.note(outcome);
        let size = self.started.block_size;
        let total = self.total.map(|t| t * size);
        let done = self.through() * size;
        self.observer.progress(Stage::Upload, done, total);
        self.observer.detail(Stage::Upload, &self.figures());
        nr
    }

    fn figures(&self) -> String {
        let sent = &self.sent;
        let mut text = format!("{} sent", sent.sent());
        for (n, what) in [
            (count(sent.resumed.len()), "sent before"),
            (count(sent.inherited.len()), "in the parent"),
            (self.aws.patience().retried(), "retried"),
        ] {
            if n > 0 {
                text.push_str(&format!(", {n} {what}"));
            }
        }
        text
    }
}

/// Runs a feed in a thread of its own: it may wait for an archive. The channel closes at its end.
fn pumped(mut feed: Box<dyn Feed>, block_size: u64) -> Receiver<io::Result<Fed>> {
    let (to, from) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        while let Some(next) = feed.next(block_size).transpose() {
            let failed = next.is_err();
            if to.blocking_send(next).is_err() || failed {
                return;
            }
        }
    });
    from
}

/// Blocks of zeros.
struct Zeros(Digest, std::vec::IntoIter<u32>);

impl Feed for Zeros {
    fn next(&mut self, _: u64) -> io::Result<Option<Fed>> {
        Ok(self.1.next().map(|index| Fed {
            index,
            digest: Some(self.0),
            body: Body::Zero,
        }))
    }
}

struct Put {
    aws: Aws,
    started: Started,
    known: Arc<Known>,
    zero: (Bytes, Digest),
    buffers: Pool,
    percent: Option<i32>,
    /// Whether this run sent this block already, with other bytes.
    again: bool,
}

impl Put {
    async fn block(self, block: Fed) -> Result<Outcome, SnapshotError> {
        if let Some(known) = block.digest.and_then(|d| self.known(block.index, d)) {
            return Ok(known);
        }
        let (nr, size) = (block.index, self.started.block_size);
        let buffers = self.buffers.clone();
        let (bytes, digest) = match block.body {
            Body::Zero => self.zero.clone(),
            _ => tokio::task::spawn_blocking(move || block.load(size, &buffers))
                .await
                .expect("reading a block does not panic")?,
        };
        if let Some(known) = self.known(nr, digest) {
            return Ok(known);
        }
        self.put(nr, bytes, digest).await?;
        Ok(Outcome::Sent(nr, digest))
    }

    fn known(&self, nr: u32, digest: Digest) -> Option<Outcome> {
        if self.again {
            return None;
        }
        if self.known.journal.get(&nr) == Some(&digest) {
            return Some(Outcome::Resumed(nr, digest));
        }
        // What an earlier run put there hides the parent's.
        let parent = self.known.parent.as_ref()?.blocks.get(&nr);
        let same = parent == Some(&digest) && !self.known.journal.contains_key(&nr);
        same.then_some(Outcome::Inherited(nr))
    }

    async fn put(&self, nr: u32, bytes: Bytes, digest: Digest) -> Result<(), AwsError> {
        let Started { id, .. } = &self.started;
        let on = format!("{id}, block {nr}");
        let call = self.started.call("ebs:PutSnapshotBlock", on);
        let nr = i32::try_from(nr).expect("a volume has at most 64 TiB, 2^27 blocks");
        let len = i32::try_from(count(bytes.len())).expect("blocks are 512 KiB");
        let checksum = base64::encode(digest);
        let request = || {
            self.aws
                .ebs()
                .put_snapshot_block()
                .snapshot_id(id)
                .block_index(nr)
                .block_data(ByteStream::from(bytes.clone()))
                .data_length(len)
                .checksum(&checksum)
                .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
                .set_progress(self.percent)
                .send()
        };
        self.aws.call(&call, request).await.map(drop)
    }
}
