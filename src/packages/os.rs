//! os-release(5).

/// What a system calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`: `debian`; empty when nothing says.
    pub id: String,
    /// `VERSION_ID`: `12`; rolling systems have none.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: Option<String>,
}

impl OsRelease {
    /// Reads shell-like assignments.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let value = |key: &str| {
            // The last one wins, as in a shell.
            let lines = text.lines().rev();
            let mut values = lines.filter_map(|l| l.trim().strip_prefix(key)?.strip_prefix('='));
            values.next().map(unquoted).filter(|v| !v.is_empty())
        };
        Self {
            id: value("ID").unwrap_or_default(),
            version_id: value("VERSION_ID"),
            pretty_name: value("PRETTY_NAME"),
        }
    }
}

/// Without quotes, and without the backslashes in front of what a shell would take for its own.
fn unquoted(value: &str) -> String {
    let quoted = |q: char| value.strip_prefix(q)?.strip_suffix(q);
    if let Some(plain) = quoted('\'') {
        return plain.into();
    }
    let mut text = String::new();
    let mut letters = quoted('"').unwrap_or(value).chars();
    while let Some(c) = letters.next() {
        text.extend(if c == '\\' { letters.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_shell_would() {
        let os = OsRelease::parse(
            b"PRETTY_NAME=\"A \\\"B\\\" \\$C\"\nID=debian\n#VERSION_ID=1\nVERSION_ID='12'\nID_LIKE=x\n",
        );
        assert_eq!(os.id, "debian");
        assert_eq!(os.version_id.as_deref(), Some("12"));
        assert_eq!(os.pretty_name.as_deref(), Some("A \"B\" $C"));
        assert_eq!(
            OsRelease::parse(b"\xff\nVERSION_ID=\n"),
            OsRelease::default()
        );
    }
}
