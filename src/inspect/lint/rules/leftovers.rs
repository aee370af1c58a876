//! What the machine that built it left behind.

use crate::inspect::lint::Hit;
use crate::inspect::lint::facts::{Facts, Sort, shown};

/// A012.
pub(super) fn build_machine(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let own = |path: &str| {
        let entry = facts
            .entries
            .get(path.as_bytes())
            .filter(|e| e.sort == Sort::File);
        let content = entry.and_then(|e| e.content.as_deref())?;
        Some(String::from_utf8_lossy(content).into_owned())
    };
    for line in own("etc/resolv.conf").unwrap_or_default().lines() {
        // A stub on the machine itself is no leftover.
        if let Some(server) = line.strip_prefix("nameserver").map(str::trim)
            && !server.starts_with("127.")
        {
            hits.push(Hit::new(
                "/etc/resolv.conf",
                format!("name server {server}"),
            ));
        }
    }
    let hostname = own("etc/hostname").unwrap_or_default();
    let hostname = hostname.trim();
    let container = hostname.len() == 12 && hostname.bytes().all(|b| b.is_ascii_hexdigit());
    if container {
        hits.push(Hit::new(
            "/etc/hostname",
            format!("{hostname}, the name of a container"),
        ));
    }
    let of_proxy = |line: &str| {
        let line = line.trim().to_lowercase();
        line.starts_with("acquire::") && line.contains("::proxy")
    };
    for (path, text) in facts.texts("etc/apt/apt.conf") {
        // Of a file's the first: a hostile one may have millions.
        let first = (1..).zip(text.lines()).find(|(_, line)| of_proxy(line));
        if let Some((n, _)) = first {
            let place = format!("{}:{n}", shown(path));
            hits.push(Hit::new(place, "a proxy for packages"));
        }
    }
    hits
}

/// A020.
pub(super) fn container(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    for path in [".dockerenv", "run/.containerenv"] {
        if facts.entries.contains_key(path.as_bytes()) {
            hits.push(Hit::new(
                format!("/{path}"),
                "programs take the machine for a container",
            ));
        }
    }
    if facts
        .entries
        .get(b"etc/hosts".as_slice())
        .is_some_and(|e| e.sort == Sort::File && e.size == 0)
    {
        hits.push(Hit::new("/etc/hosts", "it is empty: nothing is localhost"));
    }
    hits
}
