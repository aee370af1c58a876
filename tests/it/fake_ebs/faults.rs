//! What goes wrong on purpose.

use super::http::Response;
use std::collections::HashMap;

/// What happens instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too many requests of the account.
    AccountThrottle,
    /// Too many requests of the snapshot.
    SnapshotThrottle,
    /// Status 500.
    Internal,
    /// Somebody else writes the same block.
    Conflicting,
    /// Status 403.
    Denied,
    /// The session is over.
    Expired,
    /// The request's time is another than the service's, whatever the client makes of its answers.
    Skewed,
    /// The request is taken, and nothing ever comes back.
    Hang,
    /// The same, and it is carried out.
    Mute,
    /// The connection ends when half of the request's body is there.
    Cut,
    /// The request is carried out, and the connection ends before the answer.
    Lose,
    /// The request is carried out, and the connection ends in the middle of the answer.
    Torn,
}

/// Which of an operation's requests go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The first so many.
    First(u32),
    /// All but the first so many.
    After(u32),
    /// Every so-manieth, from that one on.
    Every(u32),
    /// From one on to another, both counted from 1.
    Between(u32, u32),
}

#[derive(Default)]
pub struct Faults {
    rules: Vec<(&'static str, When, Fault)>,
    seen: HashMap<&'static str, u32>,
}

impl Faults {
    pub fn add(&mut self, operation: &'static str, when: When, fault: Fault) {
        self.rules.push((operation, when, fault));
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    pub fn seen(&self, operation: &str) -> u32 {
        self.seen.get(operation).copied().unwrap_or(0)
    }

    /// Counts a request, and says what goes wrong with it.
    pub fn next(&mut self, operation: &'static str) -> Option<Fault> {
        let seen = self.seen.entry(operation).or_default();
        *seen += 1;
        let nr = *seen;
        let mut rules = self.rules.iter().filter(|(of, ..)| *of == operation);
        let rule = rules.find(|(_, when, _)| match when {
            When::First(n) => nr <= *n,
            When::After(n) => nr > *n,
            When::Every(n) => nr.is_multiple_of(*n),
            When::Between(first, last) => (*first..=*last).contains(&nr),
        });
        rule.map(|(.., fault)| *fault)
    }
}

impl Fault {
    /// What happens to every service now and then, and passes.
    pub const USUAL: [Self; 5] = [
        Self::AccountThrottle,
        Self::Internal,
        Self::Cut,
        Self::Lose,
        Self::Hang,
    ];

    /// The answer, where there is one.
    pub fn response(self, operation: &str) -> Option<Response> {
        let ec2 = matches!(
            operation,
            "DescribeSnapshots" | "DeleteSnapshot" | "GetConsoleOutput" | "GetConsoleScreenshot"
        ) || [
            super::images::OPERATIONS,
            super::imports::OPERATIONS,
            super::uses::OPERATIONS,
            super::doctor::OPERATIONS,
        ]
        .concat()
        .contains(&operation);
        if self == Self::Conflicting && !ec2 {
            return Some(super::ebs::invalid("in use", "CONFLICTING_BLOCK_UPDATE"));
        }
        let (status, code, message) = match self {
            Self::AccountThrottle if ec2 => {
                (503, "RequestLimitExceeded", "Request limit exceeded.")
            }
            Self::AccountThrottle => (400, "ThrottlingException", "Rate exceeded"),
            Self::SnapshotThrottle if ec2 => {
                (503, "RequestLimitExceeded", "Request limit exceeded.")
            }
            Self::SnapshotThrottle => (
                400,
                "RequestThrottledException",
                "Too many of this snapshot",
            ),
            Self::Internal | Self::Conflicting if ec2 => {
                (500, "InternalError", "An internal error has occurred")
            }
            Self::Internal => (
                500,
                "InternalServerException",
                "An internal error has occurred",
            ),
            Self::Denied if ec2 => (403, "UnauthorizedOperation", "You are not authorized"),
            Self::Denied => (
                403,
                "AccessDeniedException",
                "not authorized to perform this",
            ),
            // EC2 says of expired keys what it says of an old signature.
            Self::Expired | Self::Skewed if ec2 => (400, "RequestExpired", "Request has expired."),
            Self::Expired => (
                403,
                "ExpiredTokenException",
                "The security token is expired",
            ),
            Self::Skewed => (
                403,
                "InvalidSignatureException",
                "Signature expired: is now earlier than",
            ),
            _ => return None,
        };
        Some(match ec2 {
            true => super::ec2::error(status, code, message),
            false => super::ebs::error(status, code, message),
        })
    }
}
