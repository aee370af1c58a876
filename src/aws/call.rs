//! One request: how it is named, tried again and told.

use super::client::Aws;
use super::error::AwsError;
use super::fault::{Fault, Kind};
use super::patience::{Attempts, Enough};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};
use tracing::debug;

/// What is asked of AWS, and of what: the subject of every message about it.
#[derive(Clone, Debug)]
pub struct Call {
    operation: &'static str,
    on: String,
    settles: Option<Instant>,
}

impl Call {
    /// `operation` as IAM names it (`ebs:StartSnapshot`), on a snapshot, an image, a bucket (empty where there is none yet).
    #[must_use]
    pub fn new(operation: &'static str, on: impl Into<String>) -> Self {
        Self {
            operation,
            on: on.into(),
            settles: None,
        }
    }

    /// What the request names was made at `made` and may be unknown for `settling` more: until then an answer
    /// that it is absent is worth a wait.
    #[must_use]
    pub fn settling(mut self, made: Instant, settling: Duration) -> Self {
        self.settles = Some(made + settling);
        self
    }

    /// The operation's name.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.on.as_str() {
            "" => f.write_str(self.operation),
            on => write!(f, "{} ({on})", self.operation),
        }
    }
}

impl Aws {
    /// Sends a request until it succeeds, is refused, or the run's patience ends. `request` is called for each
    /// attempt.
    ///
    /// # Errors
    /// [`AwsError::Refused`] and [`AwsError::GaveUp`].
    pub async fn call<T, E, F, Answer>(&self, call: &Call, mut request: F) -> Result<T, AwsError>
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut attempts = Attempts::new(call.settles);
        loop {
            match request().await {
                Ok(answer) => {
                    self.patience().succeeded();
                    self.pace().succeeded();
                    return Ok(answer);
                }
                Err(error) => {
                    let wait = self.failed(call, Fault::of(&error), &mut attempts)?;
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// What to do about a failed attempt: wait that long, or tell.
    fn failed(
        &self,
        call: &Call,
        fault: Fault,
        attempts: &mut Attempts,
    ) -> Result<Duration, AwsError> {
        if matches!(fault.kind, Kind::Throttled | Kind::Timeout) {
            self.pace().overrun();
        }
        match self.patience().again(&fault, attempts) {
            Ok(wait) => {
                debug!(%call, %fault, ?wait, "again");
                Ok(wait)
            }
            Err(Enough::Tired) if attempts.count() > 1 => Err(AwsError::GaveUp {
                call: call.clone(),
                attempts: attempts.count(),
                elapsed: attempts.elapsed(),
                fault: Box::new(fault),
            }),
            Err(Enough::Tired | Enough::Hopeless) => Err(AwsError::Refused {
                call: call.clone(),
                fault: Box::new(fault),
            }),
        }
    }
}
