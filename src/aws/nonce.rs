//! Numbers that nobody else has.

use std::hash::{BuildHasher, RandomState};

/// 32 random hexadecimal digits: a client token, or the mark of a run. No secret.
pub(super) fn nonce() -> String {
    // Each RandomState has other keys.
    let part = |n: u64| RandomState::new().hash_one(n);
    format!("{:016x}{:016x}", part(0), part(1))
}
