//! One object.

use super::bucket::{Acl, Bucket};
use crate::aws::{Aws, AwsError, Call, Kind, Made};
use crate::hex::hex;
use crate::units::count;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::base64;
use bytes::Bytes;
use md5::{Digest, Md5};
use std::collections::BTreeMap;

/// The MD5 of some bytes.
pub(super) type Md5Digest = [u8; 16];

/// What is to be an object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) bytes: Bytes,
}

/// What S3 tells about an object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) size: u64,
    /// Without its quotes. Of what was put in one piece, and not encrypted with a key of KMS, the MD5.
    pub(super) etag: String,
}

impl Listed {
    fn is(&self, bytes: &Bytes, md5: &Md5Digest) -> bool {
        self.size == count(bytes.len()) && self.etag == hex(md5)
    }

    /// Whether it is these bytes.
    pub(super) async fn holds(&self, bytes: &Bytes) -> bool {
        self.is(bytes, &md5(bytes.clone()).await)
    }
}

/// The digest of a body; apart from the threads that wait for answers.
pub(super) async fn md5(bytes: Bytes) -> Md5Digest {
    tokio::task::spawn_blocking(move || Md5::digest(&bytes).into())
        .await
        .expect("a digest does not panic")
}

impl Bucket {
    /// A request about an object. That a bucket made just now is not there yet is worth a wait.
    pub(super) fn call(&self, operation: &'static str, key: &str) -> Call {
        let call = Call::new(operation, format!("s3://{}/{key}", self.name));
        match self.made {
            Some(made) => call.settling(made, super::bucket::SETTLING),
            None => call,
        }
    }

    /// Puts an object, unless `there` is it already. Tells whether it had to.
    pub(super) async fn put(
        &self,
        aws: &Aws,
        object: &Object,
        there: Option<&Listed>,
    ) -> Result<bool, AwsError> {
        let Object { key, bytes } = object;
        let md5 = md5(bytes.clone()).await;
        if there.is_some_and(|listed| listed.is(bytes, &md5)) && self.give_acl(aws, key).await? {
            return Ok(false);
        }
        let made = Made::Object {
            bucket: self.name.clone(),
            key: key.clone(),
        };
        // Before the request: an answer may be lost, and the run be stopped, when the object is there.
        aws.made(made.clone());
        let md5 = base64::encode(md5);
        let acl = self.acl.canned();
        let request = || {
            aws.s3()
                .put_object()
                .bucket(&self.name)
                .key(key)
                .set_acl(acl.clone())
                .content_md5(&md5)
                .body(ByteStream::from(bytes.clone()))
                .send()
        };
        let sent = aws.call(&self.call("s3:PutObject", key), request).await;
        if let Err(AwsError::Refused { .. }) = sent {
            aws.ledger().keep(&made);
        }
        sent.map(|_| true)
    }

    /// Gives the bundle's ACL to an object that an earlier run put, with whatever ACL. `false` where the server
    /// cannot do that.
    async fn give_acl(&self, aws: &Aws, key: &str) -> Result<bool, AwsError> {
        if self.acl == Acl::Private {
            return Ok(true);
        }
        let acl = self.acl.canned();
        let request = || {
            let request = aws.s3().put_object_acl().bucket(&self.name).key(key);
            request.set_acl(acl.clone()).send()
        };
        let call = self.call("s3:PutObjectAcl", key);
        match aws.call(&call, request).await {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), Some(Kind::Absent | Kind::Refused)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The objects whose keys begin with `start`.
    pub(super) async fn list(
        &self,
        aws: &Aws,
        start: &str,
    ) -> Result<BTreeMap<String, Listed>, AwsError> {
        let call = self.call("s3:ListBucket", start);
        let mut listed = BTreeMap::new();
        let mut from: Option<String> = None;
        loop {
            let request = || {
                let request = aws.s3().list_objects_v2().bucket(&self.name).prefix(start);
                request.set_continuation_token(from.clone()).send()
            };
            let page = aws.call(&call, request).await?;
            for object in page.contents() {
                let size = object.size().and_then(|s| u64::try_from(s).ok());
                if let (Some(key), Some(size), Some(etag)) = (object.key(), size, object.e_tag()) {
                    let etag = etag.trim_matches('"').to_owned();
                    listed.insert(key.to_owned(), Listed { size, etag });
                }
            }
            from = page.next_continuation_token().map(ToOwned::to_owned);
            if from.is_none() || page.is_truncated() != Some(true) {
                return Ok(listed);
            }
        }
    }
}
