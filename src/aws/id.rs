//! What EC2 calls its things by.

/// Whether `id` is `prefix` and 8 or 17 hexadecimal digits.
pub(super) fn is_id(id: &str, prefix: &str) -> bool {
    let digits = id.strip_prefix(prefix).unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}
