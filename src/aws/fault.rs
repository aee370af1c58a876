//! What an answer of AWS, or the lack of one, means for the request: try again, wait, or give up.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use std::fmt;
use std::iter::successors;

/// What went wrong, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Too many requests: worth a wait and fewer at a time.
    Throttled,
    /// No answer in time.
    Timeout,
    /// The connection was refused, reset or cut, or the name does not resolve.
    Connection,
    /// An answer that cannot be read: cut off, or not what the service's model says.
    Garbled,
    /// The service failed (status 5xx).
    Service,
    /// The signature's time is not the service's: the SDK notes the difference and signs the next one with it.
    Clock,
    /// What was named is not there; right after it was made, not yet.
    Absent,
    /// The keys do not allow it (status 401 and 403).
    Denied,
    /// The service does not know the keys, or their signature is wrong; or the account has not enabled the region.
    Keys,
    /// There are no credentials, or they have expired.
    Credentials,
    /// It contradicts what is there: another request was there first (status 409).
    Conflict,
    /// The certificate of the server is not one to trust.
    Certificate,
    /// Anything else that the same request would meet again.
    Refused,
}

impl Kind {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Throttled
                | Self::Timeout
                | Self::Connection
                | Self::Garbled
                | Self::Service
                | Self::Clock
        )
    }
}

/// A failed attempt of a request.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What it means.
    pub kind: Kind,
    /// The service's code, such as `ThrottlingException`.
    pub code: Option<String>,
    /// What the service says, or why there was no answer.
    pub message: String,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What AWS's support asks for.
    pub request_id: Option<String>,
}

/// Codes that ask for fewer requests: those of EBS direct, which has one per account and one per snapshot
/// (`error-retries` of its user guide), of EC2 and of S3.
const THROTTLED: &[&str] = &[
    "ThrottlingException",
    "RequestThrottledException",
    "RequestThrottled",
    "RequestThrottleException",
    "Throttling",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "SlowDown",
    "ConcurrentLimitExceededException",
    "SnapshotCreationPerVolumeRateExceeded",
];

/// Reasons of a ValidationException of EBS direct that are nobody's mistake (`ValidationExceptionReason`): somebody
/// else, with the same token, writes the same block.
const PASSING: [&[u8]; 2] = [b"CONFLICTING_BLOCK_UPDATE", b"WRITE_REQUEST_TIMEOUT"];

fn passes(body: &[u8]) -> bool {
    PASSING.iter().any(|reason| {
        let mut windows = body.windows(reason.len());
        windows.any(|w| w == *reason)
    })
}

/// Codes of credentials that were good once.
const EXPIRED: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "UnauthorizedSSOTokenException",
];

/// Codes of keys that are wrong, by EC2, STS, the JSON protocols and S3 (Common errors of each), and of regions and
/// services that the account has not enabled.
const KEYS: &[&str] = &[
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
];

/// Codes of a signature whose time is off.
const CLOCK: &[&str] = &[
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
    "RequestExpired",
];

impl Fault {
    /// Looks at what an SDK says.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|r| r.status().as_u16());
        match error {
            SdkError::ServiceError(service) => {
                let mut fault = Self::answered(service.err().meta(), status);
                let body = service.raw().body().bytes().unwrap_or_default();
                if fault.kind == Kind::Refused && passes(body) {
                    fault.kind = Kind::Service;
                }
                fault
            }
            SdkError::TimeoutError(_) => Self::silent(Kind::Timeout, "no answer in time", status),
            other => Self::unanswered(other, status),
        }
    }

    fn silent(kind: Kind, message: impl Into<String>, status: Option<u16>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            status,
            request_id: None,
        }
    }

    /// No answer, or none that can be read.
    fn unanswered(error: &(dyn Error + 'static), status: Option<u16>) -> Self {
        let chain = || successors(Some(error), cause);
        let text: Vec<String> = chain().skip(1).map(ToString::to_string).collect();
        let says = |what: &str| text.iter().any(|t| t.contains(what));
        // The SDK's causes repeat one another; the last is the one that says why.
        let last = text.last().cloned().unwrap_or_else(|| error.to_string());
        let kind = if chain().any(|e| e.is::<CredentialsError>()) || says("credential") {
            Kind::Credentials
        } else if says("certificate") || says("CertificateRequired") {
            Kind::Certificate
        } else if says("timed out") || says("timeout") {
            Kind::Timeout
        } else if matches!(error.to_string().as_str(), "failed to construct request") {
            Kind::Refused
        } else if status.is_some() {
            Kind::Garbled
        } else {
            Kind::Connection
        };
        Self::silent(kind, last, status)
    }

    fn answered(meta: &aws_smithy_types::error::ErrorMetadata, status: Option<u16>) -> Self {
        let code = meta.code().unwrap_or_default();
        let message = meta.message().unwrap_or_default();
        Self {
            kind: kind_of(code, message, status.unwrap_or_default()),
            code: (!code.is_empty()).then(|| code.to_owned()),
            message: message.to_owned(),
            status,
            request_id: meta.extra("aws_request_id").map(ToOwned::to_owned),
        }
    }
}

fn cause<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    (*error).source()
}

fn kind_of(code: &str, message: &str, status: u16) -> Kind {
    let skewed = || message.contains("Signature expired") || message.contains("not yet current");
    match code {
        _ if THROTTLED.contains(&code) || status == 429 => Kind::Throttled,
        _ if EXPIRED.contains(&code) => Kind::Credentials,
        _ if CLOCK.contains(&code) || skewed() => Kind::Clock,
        // EC2 says so of somebody else's AMI, too.
        "AuthFailure" if message.starts_with("Not authorized") => Kind::Denied,
        _ if KEYS.contains(&code) => Kind::Keys,
        "RequestTimeout" | "RequestTimeoutException" => Kind::Timeout,
        // The one ValidationException that is worth another try (`error-retries` of EBS direct).
        "ValidationException" if message.contains("Failed to read block data") => Kind::Connection,
        // A body that came damaged (S3, "Error responses").
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => Kind::Connection,
        // CompleteMultipartUpload may say so under status 200.
        "InternalError" | "ServiceUnavailable" => Kind::Service,
        // Another operation on the same bucket or object is under way.
        "OperationAborted" | "ConditionalRequestConflict" => Kind::Service,
        "ResourceNotFoundException" => Kind::Absent,
        _ if code.ends_with(".NotFound") || status == 404 => Kind::Absent,
        "NotImplemented" | "NotImplementedException" => Kind::Refused,
        _ if status == 409 => Kind::Conflict,
        "UnauthorizedOperation" | "AccessDenied" => Kind::Denied,
        _ if status == 401 || status == 403 => Kind::Denied,
        _ if status == 501 => Kind::Refused,
        _ if status >= 500 => Kind::Service,
        _ => Kind::Refused,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, self.message.as_str()) {
            (Some(code), "") => f.write_str(code)?,
            (Some(code), message) => write!(f, "{code}: {message}")?,
            (None, "") => match self.status {
                Some(status) => write!(f, "status {status} and no reason")?,
                None => f.write_str("no reason given")?,
            },
            (None, message) => f.write_str(message)?,
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_mean_what_the_user_guides_say() {
        let read = "Failed to read block data";
        for (code, message, status, kind) in [
            ("ThrottlingException", "", 400, Kind::Throttled),
            ("RequestThrottledException", "", 400, Kind::Throttled),
            ("RequestLimitExceeded", "", 503, Kind::Throttled),
            ("InternalServerException", "", 500, Kind::Service),
            ("ValidationException", read, 400, Kind::Connection),
            ("ValidationException", "bad checksum", 400, Kind::Refused),
            ("AccessDeniedException", "", 403, Kind::Denied),
            ("ServiceQuotaExceededException", "", 402, Kind::Refused),
            ("ConflictException", "", 409, Kind::Conflict),
            ("ResourceNotFoundException", "", 404, Kind::Absent),
            ("InvalidSnapshot.NotFound", "", 400, Kind::Absent),
            ("ExpiredTokenException", "", 403, Kind::Credentials),
            (
                "InvalidSignatureException",
                "Signature expired: 2",
                403,
                Kind::Clock,
            ),
            (
                "InvalidSignatureException",
                "does not match",
                403,
                Kind::Keys,
            ),
            (
                "AuthFailure",
                "AWS was not able to validate",
                401,
                Kind::Keys,
            ),
            (
                "AuthFailure",
                "Not authorized for images",
                403,
                Kind::Denied,
            ),
            ("OptInRequired", "", 403, Kind::Keys),
            ("InvalidClientTokenId", "", 403, Kind::Keys),
            ("RequestTimeTooSkewed", "", 403, Kind::Clock),
            ("NotImplemented", "", 501, Kind::Refused),
            ("InternalError", "", 200, Kind::Service),
            ("BadDigest", "", 400, Kind::Connection),
            ("", "", 502, Kind::Service),
        ] {
            assert_eq!(kind_of(code, message, status), kind, "{code} {status}");
        }
    }
}
