//! What the parent of an incremental snapshot has: from AWS, where no block map is at hand.

use super::{BlockMap, SnapshotError};
use crate::aws::{Aws, AwsError, Call};
use crate::observe::{Observer, Stage};
use crate::sink::blocks::{Digest, sha256};
use crate::units::count;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::base64;
use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// ListSnapshotBlocks and GetSnapshotBlock: a digest comes with its block alone, so that all blocks of the
/// parent are read.
///
/// # Errors
/// When AWS refuses, or a block is not what its digest says.
pub(super) async fn fetch(
    aws: &Aws,
    parent: &str,
    observer: &dyn Observer,
) -> Result<BlockMap, SnapshotError> {
    let Listed {
        block_size,
        blocks: listed,
        ..
    } = list(aws, parent).await?;
    let total = Some(count(listed.len()) * block_size);
    let mut blocks = BTreeMap::new();
    let mut left = listed.into_iter();
    let mut tasks = JoinSet::new();
    loop {
        while aws.pace().allows(tasks.len()) {
            let Some((nr, token)) = left.next() else {
                break;
            };
            tasks.spawn(get(aws.clone(), parent.to_owned(), nr, token));
        }
        let Some(got) = tasks.join_next().await else {
            return Ok(BlockMap {
                snapshot: parent.to_owned(),
                block_size,
                blocks,
            });
        };
        let (nr, digest) = got.expect("a get neither panics nor is aborted")?;
        blocks.insert(nr, digest);
        let done = count(blocks.len()) * block_size;
        observer.progress(Stage::Parent, done, total);
    }
}

/// What AWS says that a snapshot has.
pub(super) struct Listed {
    /// Bytes of a block.
    pub(super) block_size: u64,
    /// The volume's size in GiB.
    pub(super) gibibytes: u64,
    /// Numbers of the blocks, and the tokens to read them by.
    pub(super) blocks: Vec<(i32, String)>,
}

/// ListSnapshotBlocks, to its end.
pub(super) async fn list(aws: &Aws, parent: &str) -> Result<Listed, SnapshotError> {
    let call = Call::new("ebs:ListSnapshotBlocks", parent);
    let (mut listed, mut page) = (Vec::new(), None);
    loop {
        let request = || {
            aws.ebs()
                .list_snapshot_blocks()
                .snapshot_id(parent)
                // The most that it takes.
                .max_results(10_000)
                .set_next_token(page.clone())
                .send()
        };
        let answer = aws.call(&call, request).await?;
        for block in answer.blocks() {
            if let (Some(nr), Some(token)) = (block.block_index(), block.block_token()) {
                listed.push((nr, token.to_owned()));
            }
        }
        page = answer.next_token().map(ToOwned::to_owned);
        if page.is_none() {
            let size = answer.block_size().and_then(|s| u64::try_from(s).ok());
            let size = size.filter(|s| *s > 0).ok_or_else(|| AwsError::Answer {
                call: call.clone(),
                missing: "BlockSize",
            })?;
            let gibibytes = answer.volume_size().and_then(|s| u64::try_from(s).ok());
            return Ok(Listed {
                block_size: size,
                gibibytes: gibibytes.unwrap_or_default(),
                blocks: listed,
            });
        }
    }
}

async fn get(
    aws: Aws,
    parent: String,
    nr: i32,
    token: String,
) -> Result<(u32, Digest), SnapshotError> {
    let (index, bytes) = block(&aws, &parent, nr, &token).await?;
    Ok((index, sha256(&bytes)))
}

/// A block of a snapshot, as its digest promises it.
pub(super) async fn block(
    aws: &Aws,
    parent: &str,
    nr: i32,
    token: &str,
) -> Result<(u32, Bytes), SnapshotError> {
    let call = Call::new("ebs:GetSnapshotBlock", format!("{parent}, block {nr}"));
    let index = u32::try_from(nr).map_err(|_| AwsError::Answer {
        call: call.clone(),
        missing: "block number that is positive",
    })?;
    let request = async || {
        let answer = aws
            .ebs()
            .get_snapshot_block()
            .snapshot_id(parent)
            .block_index(nr)
            .block_token(token)
            .send()
            .await?;
        let promised = answer.checksum;
        // A body that is cut off or damaged is a failed attempt like any other.
        let failed = |why: BoxError| SdkError::dispatch_failure(ConnectorError::io(why));
        let body = answer.block_data.collect().await;
        let bytes = body.map_err(|e| failed(e.into()))?.into_bytes();
        match promised.is_none_or(|p| p == base64::encode(sha256(&bytes))) {
            true => Ok(bytes),
            false => Err(failed("the block is not what its checksum says".into())),
        }
    };
    Ok((index, aws.call(&call, request).await?))
}
