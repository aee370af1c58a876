//! Buckets and what is in them.

use crate::fake_ebs::Faults;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub struct Object {
    pub bytes: Vec<u8>,
    /// Without its quotes.
    pub etag: String,
    pub acl: String,
}

/// An upload in parts that has neither been completed nor aborted.
pub struct Upload {
    pub key: String,
    /// Number to bytes and ETag.
    pub parts: BTreeMap<u32, (Vec<u8>, String)>,
}

pub struct Bucket {
    pub region: &'static str,
    /// As GetBucketOwnershipControls tells it; `None`: never set, as of old buckets.
    pub ownership: Option<&'static str>,
    /// `AES256` or `aws:kms`.
    pub encryption: &'static str,
    pub made: Option<Instant>,
    pub objects: BTreeMap<String, Object>,
    pub uploads: BTreeMap<String, Upload>,
    /// Uploads that were ever begun.
    pub begun: usize,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            region: super::REGION,
            ownership: Some("BucketOwnerPreferred"),
            encryption: "AES256",
            made: None,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            begun: 0,
        }
    }
}

#[derive(Default)]
pub struct S3State {
    pub faults: Faults,
    pub buckets: BTreeMap<String, Bucket>,
    /// Buckets that are other accounts'.
    pub taken: Vec<String>,
    /// For how long a new bucket is not found.
    pub settling: Duration,
    /// Bytes of bodies in flight, and the most there ever were.
    pub running: usize,
    pub widest: usize,
    /// What was refused, for messages of failed tests.
    pub refusals: Vec<String>,
}

impl S3State {
    pub fn bucket(&mut self, name: &str) -> &mut Bucket {
        self.buckets.entry(name.to_owned()).or_default()
    }

    /// Keys and ACLs of a bucket's objects.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let bucket = self.buckets.get(bucket);
        bucket.map_or_else(Vec::new, |b| b.objects.keys().cloned().collect())
    }
}
