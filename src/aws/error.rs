//! Why a run against AWS failed, and what to do about it.

use super::call::Call;
use super::fault::{Fault, Kind};
use super::image::ImageError;
use super::s3::S3Error;
use super::snapshot::SnapshotError;
use std::error::Error;
use std::time::Duration;

/// A request that failed, or that could not even be made. None of the messages holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// AWS says no, and would say it again.
    #[error("{call}: {fault}")]
    Refused {
        /// What was asked.
        call: Call,
        /// The answer.
        fault: Box<Fault>,
    },
    /// It was tried again until the run's patience ended.
    #[error("{call} failed {attempts} times in {} s, at last with: {fault}", elapsed.as_secs())]
    GaveUp {
        /// What was asked.
        call: Call,
        /// How often.
        attempts: u32,
        /// From the first attempt to the last.
        elapsed: Duration,
        /// The last answer.
        fault: Box<Fault>,
    },
    /// An answer without something that it must hold.
    #[error("{call}: the answer has no {missing}")]
    Answer {
        /// What was asked.
        call: Call,
        /// What is missing.
        missing: &'static str,
    },
    /// Neither the options nor the environment nor the profile names a region.
    #[error("no region: neither --region nor AWS_REGION nor the profile names one")]
    NoRegion,
    /// No source of credentials has any.
    #[error("no credentials for AWS")]
    NoCredentials {
        /// What the SDK says.
        source: aws_credential_types::provider::error::CredentialsError,
    },
    /// An endpoint that is no URL.
    #[error("the endpoint {url:?} is no URL: it must begin with http:// or https://")]
    Endpoint {
        /// As given.
        url: String,
    },
    /// Whoever watches asked for an end.
    #[error("interrupted")]
    Interrupted,
}

impl AwsError {
    /// The error of AWS that `error` is or stands for.
    #[must_use]
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        // A transparent error is not among the sources of the one that wraps it.
        if let Some(SnapshotError::Aws(aws) | SnapshotError::S3(S3Error::Aws(aws))) =
            error.downcast_ref()
        {
            return Some(aws);
        }
        if let Some(S3Error::Aws(aws)) = error.downcast_ref() {
            return Some(aws);
        }
        match error.downcast_ref() {
            Some(ImageError::Aws(aws)) => return Some(aws),
            Some(ImageError::Look(look)) => return Self::of(look),
            _ => {}
        }
        error.downcast_ref()
    }

    /// The request that failed.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Refused { call, .. } | Self::GaveUp { call, .. } | Self::Answer { call, .. } => {
                Some(call)
            }
            _ => None,
        }
    }

    /// What AWS, or the lack of it, said.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Refused { fault, .. } | Self::GaveUp { fault, .. } => Some(fault),
            _ => None,
        }
    }

    /// What kind of fault that was.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.fault().map(|f| f.kind)
    }

    /// Whether the other side decided it: neither the input nor this machine.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::GaveUp { .. } | Self::Answer { .. }
        )
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::NoRegion => "say --region, as in --region eu-west-1".into(),
            Self::NoCredentials { .. } => {
                "log in (aws sso login), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile \
                 with --profile, or run on an instance with a role"
                    .into()
            }
            Self::Refused { call, fault } | Self::GaveUp { call, fault, .. } => {
                return advice(call, fault);
            }
            _ => return None,
        };
        Some(text)
    }
}

fn advice(call: &Call, fault: &Fault) -> Option<String> {
    Some(match fault.kind {
        Kind::Denied if call.operation().starts_with("ebs:") => format!(
            "the keys in use need the permission {}, and for an encrypted snapshot those of its KMS key",
            call.operation()
        ),
        Kind::Denied => format!("the keys in use need the permission {}", call.operation()),
        Kind::Keys => {
            "the keys are wrong, or of an account that has not enabled this region: `aws sts get-caller-identity` \
             tells which, and `aws account enable-region` enables one"
                .into()
        }
        Kind::Refused
            if call.operation() == "ec2:GetConsoleOutput"
                && fault.code.as_deref() == Some("UnsupportedOperation") =>
        {
            "leave out --latest and --follow: of this instance AWS has the console as of its last start or stop"
                .into()
        }
        Kind::Credentials => {
            "log in again (aws sso login) or get new keys, then run the same command: it goes on where this \
             one ended"
                .into()
        }
        Kind::Clock if fault.code.as_deref() == Some("RequestExpired") => {
            "set this machine's clock, if it is off; else the keys have expired: log in again (aws sso login) or \
             get new ones"
                .into()
        }
        Kind::Clock => "set this machine's clock: AWS takes no signature more than minutes off".into(),
        Kind::Certificate => {
            "install ca-certificates, or the certificate of the proxy in between, among those of the system"
                .into()
        }
        Kind::Connection => "check the network, the region's name and the endpoint".into(),
        Kind::Timeout => {
            "check the network; on a slow line say --timeout 60s, and fewer at once with --parallel 4".into()
        }
        Kind::Throttled => {
            "others use up the account's quota of requests: try again later, or with --patience 15m".into()
        }
        Kind::Service => "AWS has trouble: try again later".into(),
        Kind::Absent | Kind::Conflict | Kind::Garbled | Kind::Refused => return None,
    })
}
