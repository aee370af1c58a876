//! A large object, sent in parts.

use super::bucket::Bucket;
use super::each::each;
use super::object::md5;
use super::{IN_FLIGHT, Location, S3Error};
use crate::aws::ledger::gone;
use crate::aws::{Aws, AwsError, Call, Kind, Made};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{GIB, MIB, count, index};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::base64;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes of a part, unless there would be too many. S3 takes no less than 5 MiB.
const PART: u64 = 8 * MIB;
/// The most parts of an object ("Multipart upload limits").
const MOST_PARTS: u64 = 10_000;
/// The largest part (the same page).
const LARGEST_PART: u64 = 5 * GIB;

/// A large object that was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Large {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

impl fmt::Debug for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl Large {
    /// The ledger's entry.
    #[must_use]
    pub fn made(&self) -> Made {
        Made::Object {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
        }
    }
}

/// Bytes of the parts of an object of `len` bytes.
fn part_size(len: u64) -> u64 {
    len.div_ceil(MOST_PARTS).next_multiple_of(MIB).max(PART)
}

/// Sends all of `source` as one object. To be used under [`Aws::run`], which deletes what was sent if the run
/// fails.
///
/// # Errors
/// When AWS refuses or fails, or `source` cannot be read.
pub async fn put_large(
    aws: &Aws,
    bucket: &Bucket,
    location: &Location,
    name: &str,
    source: &Arc<dyn ReadAt>,
    observer: &dyn Observer,
) -> Result<Large, S3Error> {
    let (len, most) = (source.len(), MOST_PARTS * LARGEST_PART);
    if len > most {
        return Err(S3Error::TooLarge { len, most });
    }
    let key = location.key(name)?;
    let call = bucket.call("s3:PutObject", &key);
    let request = || {
        let request = aws.s3().create_multipart_upload().bucket(&bucket.name);
        request.key(&key).set_acl(bucket.acl.canned()).send()
    };
    // Before the request: an answer that is lost leaves an upload whose id nobody knows.
    let unnamed = Made::Parts {
        bucket: bucket.name.clone(),
        key: key.clone(),
        upload: None,
    };
    aws.made(unnamed.clone());
    let retried = aws.patience().retried();
    let begun = aws.call(&call, request).await;
    if let Err(AwsError::Refused { .. }) = begun {
        aws.ledger().keep(&unnamed);
    }
    let begun = begun?;
    let lost = aws.patience().retried() > retried;
    if !lost {
        aws.ledger().keep(&unnamed);
    }
    let id = begun.upload_id().ok_or_else(|| AwsError::Answer {
        call: call.clone(),
        missing: "upload's id",
    })?;
    let upload = Upload {
        aws: aws.clone(),
        bucket: bucket.clone(),
        key,
        id: id.to_owned(),
        source: Arc::clone(source),
        len: source.len(),
        part_size: part_size(source.len()),
    };
    let unfinished = upload.made();
    aws.made(unfinished.clone());
    let tags = upload.send(observer).await?;
    let large = upload.complete(&call, tags).await?;
    aws.ledger().keep(&unfinished);
    if lost {
        if let Err(e) = abort(aws, &large.bucket, &large.key, None).await {
            observer.warn(&format!("{unnamed} may be left behind: {e}"));
        }
        aws.ledger().keep(&unnamed);
    }
    Ok(large)
}

#[derive(Clone)]
struct Upload {
    aws: Aws,
    bucket: Bucket,
    key: String,
    id: String,
    source: Arc<dyn ReadAt>,
    len: u64,
    part_size: u64,
}

impl Upload {
    fn made(&self) -> Made {
        Made::Parts {
            bucket: self.bucket.name.clone(),
            key: self.key.clone(),
            upload: Some(self.id.clone()),
        }
    }

    /// Sends the parts; gives their ETags by number.
    async fn send(&self, observer: &dyn Observer) -> Result<BTreeMap<i32, String>, S3Error> {
        let (to, numbers) = mpsc::channel(1);
        let parts = self.len.div_ceil(self.part_size).max(1);
        let last = i32::try_from(parts).expect("there are at most 10,000 parts");
        let feed = tokio::spawn(async move {
            for number in 1..=last {
                if to.send(number).await.is_err() {
                    return;
                }
            }
        });
        let (mut tags, mut sent) = (BTreeMap::new(), 0);
        let width = index((IN_FLIGHT / self.part_size).max(1));
        let one = |number| self.clone().part(number);
        let done = |(number, len, tag)| {
            tags.insert(number, tag);
            sent += len;
            observer.progress(Stage::Upload, sent, Some(self.len));
            let retried = self.aws.patience().retried();
            let detail = format!("{} of {parts} parts, {retried} retried", tags.len());
            observer.detail(Stage::Upload, &detail);
        };
        let ended = each(&self.aws, numbers, width, one, done).await;
        feed.abort();
        ended.map(|()| tags)
    }

    /// Sends one part; gives number, length and ETag.
    async fn part(self, number: i32) -> Result<(i32, u64, String), S3Error> {
        let nr = u64::try_from(number - 1).expect("parts are counted from 1");
        let at = nr * self.part_size;
        let len = self.part_size.min(self.len - at);
        let source = Arc::clone(&self.source);
        let read = move || -> io::Result<Bytes> {
            let mut buf = vec![0; index(len)];
            source.read_exact_at(at, &mut buf)?;
            Ok(Bytes::from(buf))
        };
        let bytes = tokio::task::spawn_blocking(read).await;
        let bytes = bytes.expect("reading does not panic")?;
        let md5 = base64::encode(md5(bytes.clone()).await);
        let on = format!("{}, part {number}", self.key);
        let call = self.bucket.call("s3:PutObject", &on);
        let request = || {
            let request = self.aws.s3().upload_part().bucket(&self.bucket.name);
            let request = request.key(&self.key).upload_id(&self.id);
            let body = ByteStream::from(bytes.clone());
            request
                .part_number(number)
                .content_md5(&md5)
                .body(body)
                .send()
        };
        let answer = self.aws.call(&call, request).await?;
        let tag = answer.e_tag().ok_or(AwsError::Answer {
            call,
            missing: "part's ETag",
        })?;
        Ok((number, count(bytes.len()), tag.to_owned()))
    }

    async fn complete(&self, call: &Call, tags: BTreeMap<i32, String>) -> Result<Large, AwsError> {
        let parts = tags.into_iter().map(|(number, tag)| {
            let part = CompletedPart::builder().part_number(number);
            part.e_tag(tag).build()
        });
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let large = Large {
            bucket: self.bucket.name.clone(),
            key: self.key.clone(),
        };
        // Before the request: the object may be there when its answer is lost.
        self.aws.made(large.made());
        let request = || {
            let request = self.aws.s3().complete_multipart_upload();
            let request = request.bucket(&large.bucket).key(&large.key);
            let request = request.upload_id(&self.id);
            request.multipart_upload(parts.clone()).send()
        };
        match self.aws.call(call, request).await {
            Ok(_) => Ok(large),
            // An earlier attempt may have done it, and its answer was lost.
            Err(e) if e.kind() == Some(Kind::Absent) && self.is_there().await? => Ok(large),
            Err(e) => Err(e),
        }
    }

    async fn is_there(&self) -> Result<bool, AwsError> {
        let listed = self.bucket.list(&self.aws, &self.key).await?;
        Ok(listed.get(&self.key).is_some_and(|l| l.size == self.len))
    }
}

/// Ends an upload in parts, or all of a key; S3 keeps none of the parts.
pub(in crate::aws) async fn abort(
    aws: &Aws,
    bucket: &str,
    key: &str,
    upload: Option<&str>,
) -> Result<(), AwsError> {
    if let Some(upload) = upload {
        return abort_one(aws, bucket, key, upload).await;
    }
    let call = Call::new(
        "s3:ListBucketMultipartUploads",
        format!("s3://{bucket}/{key}"),
    );
    let request = || {
        let request = aws.s3().list_multipart_uploads().bucket(bucket);
        request.prefix(key).send()
    };
    let listed = aws.call(&call, request).await?;
    for upload in listed.uploads() {
        if let (Some(id), true) = (upload.upload_id(), upload.key() == Some(key)) {
            abort_one(aws, bucket, key, id).await?;
        }
    }
    Ok(())
}

async fn abort_one(aws: &Aws, bucket: &str, key: &str, upload: &str) -> Result<(), AwsError> {
    let call = Call::new(
        "s3:AbortMultipartUpload",
        format!("s3://{bucket}/{key}, {upload}"),
    );
    let request = || {
        let request = aws.s3().abort_multipart_upload().bucket(bucket);
        request.key(key).upload_id(upload).send()
    };
    gone(aws.call(&call, request).await.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_object() {
        assert_eq!(part_size(1), PART);
        assert_eq!(part_size(80_000 * MIB), PART);
        assert_eq!(part_size(80_001 * MIB), 9 * MIB);
        assert_eq!(part_size(MOST_PARTS * LARGEST_PART), LARGEST_PART);
    }
}
