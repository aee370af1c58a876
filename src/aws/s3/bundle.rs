//! A bundle on its way to S3: the parts, from a folder or as they are made, and the manifest when all are there.

use super::bucket::{Acl, Bucket, BucketOptions, prepare};
use super::each::each;
use super::object::{Listed, Object};
use super::{IN_FLIGHT, Location, S3Error};
use crate::aws::{Aws, Kind};
use crate::bundle::{Digits, Manifest, Options, PART_SIZE, Part, PartInfo, PartSink};
use crate::observe::{Observer, Stage};
use crate::units::{count, index};
use bytes::Bytes;
use serde::Serialize;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Digits of a part's number when it is named before the last part is known: of 10 GiB there are 1026 at most.
pub const PART_DIGITS: usize = 4;

/// How a bundle is uploaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct BundleOptions {
    /// The ACL of its objects.
    pub acl: Acl,
    /// Make the bucket where it is not there.
    pub create_bucket: bool,
    /// Replace another bundle of that name.
    pub force: bool,
}

/// A bundle in S3, and how it came there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Uploaded {
    /// Where its manifest is, as RegisterImage wants it: `bucket/prefix/name.manifest.xml`.
    pub image_location: String,
    /// Where the bucket is.
    pub region: String,
    /// Parts that this run sent.
    pub sent: u64,
    /// Parts that were there already.
    pub present: u64,
    /// Bytes of all parts.
    pub bundled_size: u64,
    /// Requests that were tried again.
    pub retried: u64,
}

/// A part with its name.
struct Named {
    name: String,
    bytes: Bytes,
}

/// The parts of a bundle, as they come.
pub struct Parts(Receiver<Result<Named, S3Error>>);

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

/// Takes parts from [`crate::bundle::pack`] in its thread, and waits while the upload is behind: one part lies
/// between them.
pub struct PartQueue {
    options: Options,
    to: Sender<Result<Named, S3Error>>,
}

impl fmt::Debug for PartQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartQueue")
    }
}

/// Both ends of the way from bundling to uploading. Sets the digits of the parts' names.
#[must_use]
pub fn part_queue(options: &mut Options) -> (PartQueue, Parts) {
    options.digits = Digits::AtLeast(PART_DIGITS);
    let (to, from) = mpsc::channel(1);
    let options = options.clone();
    (PartQueue { options, to }, Parts(from))
}

impl PartSink for PartQueue {
    fn put(&mut self, part: Part) -> io::Result<()> {
        let nr = usize::try_from(part.index).map_err(io::Error::other)?;
        let part = Named {
            name: self.options.part_name(nr, 0),
            bytes: part.bytes,
        };
        let ended = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload has ended");
        self.to.blocking_send(Ok(part)).map_err(ended)
    }
}

impl Parts {
    /// Those of a finished bundle, from the folder where its manifest lies. Each is held against its digest. To be
    /// called in a runtime of tokio.
    #[must_use]
    pub fn of_folder(manifest: &Manifest, folder: &Path) -> Self {
        let (to, from) = mpsc::channel(1);
        let (infos, folder) = (manifest.parts.clone(), PathBuf::from(folder));
        tokio::task::spawn_blocking(move || {
            for info in infos {
                let part = read(&folder, info);
                let failed = part.is_err();
                if to.blocking_send(part).is_err() || failed {
                    return;
                }
            }
        });
        Self(from)
    }
}

fn read(folder: &Path, info: PartInfo) -> Result<Named, S3Error> {
    let name = info.filename;
    let path = folder.join(&name);
    let why = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let file = File::open(&path).map_err(why)?;
    let mut bytes = Vec::with_capacity(index(PART_SIZE));
    file.take(PART_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(why)?;
    if count(bytes.len()) > PART_SIZE {
        let most = PART_SIZE;
        return Err(S3Error::TooLong { name, most });
    }
    if Sha1::digest(&bytes)[..] != info.sha1 {
        return Err(S3Error::Damaged { name });
    }
    let bytes = Bytes::from(bytes);
    Ok(Named { name, bytes })
}

/// A bundle under way. To be used under [`Aws::run`], which deletes what was sent of one that failed.
pub struct BundleUpload<'a> {
    aws: &'a Aws,
    location: Location,
    /// Of the bundle: `NAME.manifest.xml`.
    name: String,
    bucket: Arc<Bucket>,
    /// What was in the bucket under its names.
    there: Arc<BTreeMap<String, Listed>>,
    observer: &'a dyn Observer,
    uploaded: Uploaded,
}

impl fmt::Debug for BundleUpload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleUpload({} to {})", self.name, self.location)
    }
}

impl<'a> BundleUpload<'a> {
    /// Looks at the bucket, and for a bundle of that name. `document` is the manifest, where it is known.
    ///
    /// # Errors
    /// When the bucket will not do, or another bundle is there.
    pub async fn begin(
        aws: &'a Aws,
        location: &Location,
        name: &str,
        document: Option<&[u8]>,
        options: BundleOptions,
        observer: &'a dyn Observer,
    ) -> Result<Self, S3Error> {
        let of_bucket = BucketOptions {
            acl: options.acl,
            create: options.create_bucket,
            kms: false,
        };
        let manifest = location.key(&manifest_name(name))?;
        let bucket = prepare(aws, location, of_bucket, observer).await?;
        let listed = bucket.list(aws, &location.key(&format!("{name}."))?).await;
        let there = match listed {
            Ok(there) => there,
            Err(e) if e.kind() == Some(Kind::Denied) => {
                observer.warn(
                    "what is in the bucket already cannot be seen without the permission s3:ListBucket: all \
                     parts are sent",
                );
                BTreeMap::new()
            }
            Err(e) => return Err(e.into()),
        };
        let image_location = format!("{}/{manifest}", bucket.name);
        if let Some(old) = there.get(&manifest) {
            let same = match document {
                Some(document) => old.holds(&Bytes::copy_from_slice(document)).await,
                None => false,
            };
            if !same && !options.force {
                let place = format!("s3://{image_location}");
                return Err(S3Error::Exists { place });
            }
            if !same {
                // Before its parts change: whoever sees a manifest finds the parts that it names.
                aws.delete_object(&bucket.name, &manifest).await?;
            }
        }
        Ok(Self {
            aws,
            location: location.clone(),
            name: name.to_owned(),
            bucket: Arc::new(bucket),
            there: Arc::new(there),
            observer,
            uploaded: Uploaded {
                image_location,
                region: aws.region().to_owned(),
                sent: 0,
                present: 0,
                bundled_size: 0,
                retried: 0,
            },
        })
    }

    /// Sends the parts, but for those that are there already; of `total` bytes, where that is known.
    ///
    /// # Errors
    /// When AWS refuses or fails, or a part cannot be read.
    pub async fn parts(&mut self, parts: Parts, total: Option<u64>) -> Result<(), S3Error> {
        let aws = self.aws.clone();
        let (location, bucket) = (self.location.clone(), Arc::clone(&self.bucket));
        let there = Arc::clone(&self.there);
        let one = |part: Result<Named, S3Error>| {
            let (aws, bucket, there) = (aws.clone(), Arc::clone(&bucket), Arc::clone(&there));
            let key = part.and_then(|p| Ok((location.key(&p.name)?, p.bytes)));
            async move {
                let (key, bytes) = key?;
                let len = count(bytes.len());
                let there = there.get(&key);
                let sent = bucket.put(&aws, &Object { key, bytes }, there).await?;
                Ok::<_, S3Error>((len, sent))
            }
        };
        let uploaded = &mut self.uploaded;
        let done = |(len, sent): (u64, bool)| {
            uploaded.bundled_size += len;
            match sent {
                true => uploaded.sent += 1,
                false => uploaded.present += 1,
            }
            self.observer
                .progress(Stage::Upload, uploaded.bundled_size, total);
            let detail = figures(uploaded, self.aws.patience().retried());
            self.observer.detail(Stage::Upload, &detail);
        };
        each(&aws, parts.0, index(IN_FLIGHT / PART_SIZE), one, done).await
    }

    /// Sends the manifest, and deletes parts of that name that it does not list: an earlier bundle's.
    ///
    /// # Errors
    /// When AWS refuses or fails.
    pub async fn finish(
        mut self,
        document: Vec<u8>,
        parts: &[PartInfo],
    ) -> Result<Uploaded, S3Error> {
        let key = self.location.key(&manifest_name(&self.name))?;
        let there = self.there.get(&key);
        let bytes = Bytes::from(document);
        self.bucket
            .put(self.aws, &Object { key, bytes }, there)
            .await?;
        let start = self.location.key(&format!("{}.part.", self.name))?;
        let listed = parts.iter().map(|p| self.location.key(&p.filename));
        let listed = listed.collect::<Result<Vec<_>, _>>()?;
        let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        for key in self.there.keys() {
            let part = key.strip_prefix(&start).is_some_and(number);
            if part && !listed.contains(key) {
                let deleted = self.aws.delete_object(&self.bucket.name, key).await;
                if let Err(e) = deleted {
                    self.observer.warn(&format!(
                        "a part of an earlier bundle stays in s3://{}/{key}: {e}",
                        self.bucket.name
                    ));
                }
            }
        }
        self.uploaded.retried = self.aws.patience().retried();
        Ok(self.uploaded)
    }
}

fn manifest_name(name: &str) -> String {
    format!("{name}.manifest.xml")
}

fn figures(uploaded: &Uploaded, retried: u64) -> String {
    let mut text = format!("{} parts sent", uploaded.sent);
    for (n, what) in [(uploaded.present, "there already"), (retried, "retried")] {
        if n > 0 {
            text.push_str(&format!(", {n} {what}"));
        }
    }
    text
}
