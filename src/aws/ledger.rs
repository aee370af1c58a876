//! What a run has made and may have to take back.

use super::call::Call;
use super::client::Aws;
use super::error::AwsError;
use super::fault::Kind;
use super::image;
use super::s3;
use super::snapshot::{self, Noted};
use crate::observe::Observer;
use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long an interrupted run deletes what it made: a little less than the program gives it.
const WIND_UP: Duration = Duration::from_secs(25);
/// How often whoever watches is asked whether to go on.
const ASK: Duration = Duration::from_millis(100);
/// How long a snapshot may be in use after its AMI is gone.
const IN_USE: Duration = Duration::from_secs(10);

/// Objects that are deleted at a time.
const AT_ONCE: usize = 16;

/// Something in an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    /// A snapshot that blocks are sent to. If somebody else with the same token has completed it, it is theirs.
    Upload {
        /// `snap-…`.
        id: String,
        /// Where it is noted what was sent.
        journal: Option<Noted>,
    },
    /// A snapshot that is ours.
    Snapshot {
        /// `snap-…`.
        id: String,
    },
    /// A bucket, which goes if nothing is in it.
    Bucket {
        /// Its name.
        name: String,
    },
    /// An upload in parts that is not complete.
    Parts {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// Its id; `None`: whichever there are.
        upload: Option<String>,
    },
    /// A snapshot that VM Import makes.
    Import {
        /// `import-snap-…`; `None`: the answer with it has not come.
        id: Option<String>,
        /// The key of what is imported, which is no other import's.
        key: String,
    },
    /// An object in S3.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// An AMI.
    Image {
        /// `ami-…`.
        id: String,
        /// Whether its snapshots were made along with it, as a copy's are.
        snapshots: bool,
    },
    /// An AMI that was asked for and may be there: the answer with its id has not come.
    Unanswered {
        /// Its name.
        name: String,
        /// Its tag [`image::RUN_TAG`].
        run: String,
        /// As for [`Made::Image`].
        snapshots: bool,
    },
    /// The value of a parameter of Systems Manager.
    Parameter {
        /// Its name.
        name: String,
        /// Its value now, if nobody else has set it since.
        value: String,
        /// Its value before; `None`: there was no such parameter.
        was: Option<String>,
    },
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload { id, .. } | Self::Snapshot { id } => write!(f, "snapshot {id}"),
            Self::Bucket { name } => write!(f, "bucket {name}"),
            Self::Parts { bucket, key, .. } => {
                write!(f, "unfinished upload to s3://{bucket}/{key}")
            }
            Self::Import { id: Some(id), .. } => write!(f, "import {id}"),
            Self::Import { key, .. } => write!(f, "import of {key}, if it was begun,"),
            Self::Object { bucket, key } => write!(f, "object s3://{bucket}/{key}"),
            Self::Image { id, .. } => write!(f, "AMI {id}"),
            Self::Parameter { name, .. } => write!(f, "parameter {name}"),
            Self::Unanswered { name, .. } => write!(f, "AMI {name:?}, if it was made,"),
        }
    }
}

/// Something that should be gone and is not.
#[derive(Debug)]
pub struct Left {
    /// What.
    pub made: Made,
    /// Where.
    pub region: String,
    /// Why.
    pub error: AwsError,
}

/// What a run has made, in order; shared by the clients of all regions.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<(String, Made)>>);

impl Ledger {
    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<(String, Made)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest entry, and with it those before it that can be deleted at the same time.
    fn latest(&self) -> Vec<(String, Made)> {
        let entries = self.entries();
        let object = |entry: &&(String, Made)| matches!(entry.1, Made::Object { .. });
        let objects = entries
            .iter()
            .rev()
            .take(AT_ONCE)
            .take_while(object)
            .count();
        let kept = entries.len().saturating_sub(objects.max(1));
        entries[kept..].to_vec()
    }

    /// Takes off what shall stay, whatever comes.
    pub fn keep(&self, made: &Made) {
        self.entries().retain(|(_, m)| m != made);
    }

    /// Takes everything off.
    pub fn keep_all(&self) {
        self.entries().clear();
    }
}

impl Aws {
    /// Enters what was just made in this client's region.
    pub fn made(&self, made: Made) {
        self.ledger()
            .entries()
            .push((self.region().to_owned(), made));
    }

    /// Deletes what is in the ledger, the latest first, and gives what could not be deleted. What was not reached, or
    /// is being deleted, is in the ledger still.
    pub async fn undo(&self) -> Vec<Left> {
        let mut left = Vec::new();
        loop {
            let mut deleting = JoinSet::new();
            let latest = self.ledger().latest();
            for (region, made) in latest.clone() {
                let aws = self.in_region(&region);
                deleting.spawn(async move {
                    let deleted = aws.delete(&made).await;
                    deleted.err().map(|error| Left {
                        made,
                        region,
                        error,
                    })
                });
            }
            if deleting.is_empty() {
                return left;
            }
            while let Some(ended) = deleting.join_next().await {
                left.extend(ended.expect("a deletion neither panics nor is aborted"));
            }
            self.ledger().entries().retain(|e| !latest.contains(e));
        }
    }

    async fn delete(&self, made: &Made) -> Result<(), AwsError> {
        match made {
            Made::Upload { id, journal } => {
                if snapshot::is_completed(self, id).await? {
                    return Ok(());
                }
                self.delete_snapshot(id).await?;
                if let Some(journal) = journal {
                    snapshot::deleted(journal);
                }
                Ok(())
            }
            Made::Snapshot { id } => self.delete_snapshot(id).await,
            Made::Bucket { name } => {
                let call = Call::new("s3:DeleteBucket", name);
                let request = || self.s3().delete_bucket().bucket(name).send();
                match gone(self.call(&call, request).await.map(drop)) {
                    // Somebody else has put something there since.
                    Err(e) if e.kind() == Some(Kind::Conflict) => Ok(()),
                    other => other,
                }
            }
            Made::Parts {
                bucket,
                key,
                upload,
            } => s3::abort(self, bucket, key, upload.as_deref()).await,
            Made::Import { id, key } => snapshot::cancel(self, id.as_deref(), key).await,
            Made::Object { bucket, key } => self.delete_object(bucket, key).await,
            Made::Image { id, snapshots } => image::remove(self, id, *snapshots).await,
            Made::Parameter { name, value, was } => {
                image::restore(self, name, value, was.as_deref()).await
            }
            Made::Unanswered {
                name,
                run,
                snapshots,
            } => image::remove_unanswered(self, name, run, *snapshots).await,
        }
    }

    /// Deletes an object; that it is gone already is what was wanted.
    pub(super) async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), AwsError> {
        let call = Call::new("s3:DeleteObject", format!("s3://{bucket}/{key}"));
        let request = || self.s3().delete_object().bucket(bucket).key(key).send();
        gone(self.call(&call, request).await.map(drop))
    }

    /// Deletes a snapshot; that it is gone already is what was wanted. One of an AMI that was just deregistered is
    /// in use for a moment longer.
    pub(super) async fn delete_snapshot(&self, id: &str) -> Result<(), AwsError> {
        let call = Call::new("ec2:DeleteSnapshot", id);
        let begun = Instant::now();
        loop {
            let request = || self.ec2().delete_snapshot().snapshot_id(id).send();
            let deleted = self.call(&call, request).await.map(drop);
            let code = deleted.as_ref().err().and_then(AwsError::fault);
            let code = code.and_then(|f| f.code.as_deref());
            if code != Some("InvalidSnapshot.InUse") || begun.elapsed() > IN_USE {
                return gone(deleted);
            }
            tokio::time::sleep(ASK * 10).await;
        }
    }

    /// Does `work` until it ends or `observer` asks for an end; then what was made stays if it succeeded and is
    /// deleted if it did not, unless [`super::Options::keep`] says otherwise.
    ///
    /// # Errors
    /// Those of `work`; [`AwsError::Interrupted`].
    pub async fn run<T, E: From<AwsError>>(
        &self,
        observer: &dyn Observer,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let failed = match until_cancelled(observer, work).await {
            Ok(Ok(value)) => {
                self.ledger().keep_all();
                return Ok(value);
            }
            Ok(Err(error)) => error,
            Err(interrupted) => interrupted.into(),
        };
        if self.options().keep {
            for (region, made) in self.ledger().entries().drain(..) {
                observer.note(&format!("kept: {made} in {region}"));
            }
        }
        // What wore the run's patience out is no reason to leave something behind.
        self.patience().renew();
        let ended = match observer.cancelled() {
            false => Some(self.undo().await),
            // Whoever interrupts does not wait for long.
            true => tokio::time::timeout(WIND_UP, self.undo()).await.ok(),
        };
        for Left {
            made,
            region,
            error,
        } in ended.into_iter().flatten()
        {
            observer.warn(&format!("{made} in {region} is left behind: {error}"));
        }
        for (region, made) in self.ledger().entries().drain(..) {
            observer.warn(&format!(
                "{made} in {region} is left behind: there was no time to delete it"
            ));
        }
        Err(failed)
    }
}

/// That something is gone is what was wanted.
pub(super) fn gone(deleted: Result<(), AwsError>) -> Result<(), AwsError> {
    match deleted {
        Err(e) if e.kind() == Some(Kind::Absent) => Ok(()),
        other => other,
    }
}

async fn until_cancelled<T>(
    observer: &dyn Observer,
    work: impl Future<Output = T>,
) -> Result<T, AwsError> {
    let mut work = pin!(work);
    loop {
        match tokio::time::timeout(ASK, work.as_mut()).await {
            Ok(value) => return Ok(value),
            Err(_) if observer.cancelled() => return Err(AwsError::Interrupted),
            Err(_) => {}
        }
    }
}
