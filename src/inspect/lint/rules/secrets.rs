//! What should be each instance's own, or nobody's.

use crate::inspect::lint::facts::{Facts, Sort, shown};
use crate::inspect::lint::{Hit, Target, sshd};

/// A007.
pub(super) fn machine_id(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let id = facts.text("etc/machine-id").unwrap_or_default();
    if !matches!(id.trim(), "" | "uninitialized") {
        hits.push(Hit::new("/etc/machine-id", "it holds an id"));
    }
    let dbus = facts.entries.get(b"var/lib/dbus/machine-id".as_slice());
    if dbus.is_some_and(|e| e.sort == Sort::File && e.size > 0) {
        hits.push(Hit::new("/var/lib/dbus/machine-id", "it holds an id"));
    }
    hits
}

/// A008.
pub(super) fn host_keys(facts: &Facts) -> Vec<Hit> {
    let keys = facts
        .below("etc/ssh/ssh_host_")
        .filter(|(path, e)| path.ends_with(b"_key") && e.size > 0);
    keys.map(|(path, _)| Hit::new(shown(path), "a private host key"))
        .collect()
}

/// A009.
pub(super) fn people(facts: &Facts, target: Target) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (path, entry) in &facts.entries {
        if entry.sort != Sort::File || entry.size == 0 || !is_home(path) {
            continue;
        }
        let what = match name(path) {
            "authorized_keys" => "keys that may log in",
            ".bash_history" | ".zsh_history" | ".ash_history" | ".python_history"
            | ".mysql_history" | ".psql_history" => "a history of commands",
            "id_rsa" | "id_ecdsa" | "id_ed25519" | "id_dsa" => "a private key",
            ".netrc" | ".git-credentials" | ".pgpass" | ".my.cnf" => "credentials",
            "credentials" if path.ends_with(b".aws/credentials") => "credentials of AWS",
            "config.json" if path.ends_with(b".docker/config.json") => "credentials of registries",
            _ => continue,
        };
        hits.push(Hit::new(shown(path), what));
    }
    for path in ["etc/passwd", "etc/shadow"] {
        for (n, line) in (1..).zip(facts.text(path).unwrap_or_default().lines()) {
            let mut fields = line.split(':');
            let (user, hash) = (fields.next().unwrap_or_default(), fields.next());
            let what = match hash.map(str::as_bytes) {
                // Comments, and what NIS adds.
                None => continue,
                _ if user.starts_with(['#', '+', '-']) => continue,
                Some([]) => "needs no password",
                Some([b'!' | b'*', ..]) => continue,
                // The password is in /etc/shadow.
                Some(b"x") if path == "etc/passwd" => continue,
                _ => "has a password",
            };
            hits.push(Hit::new(format!("/{path}:{n}"), format!("{user} {what}")));
        }
    }
    if target == Target::Marketplace {
        hits.extend(sshd::passwords(facts));
    }
    hits
}

/// Whether a path lies in somebody's home.
fn is_home(path: &[u8]) -> bool {
    path.starts_with(b"root/") || path.starts_with(b"home/")
}

fn name(path: &[u8]) -> &str {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    std::str::from_utf8(name).unwrap_or_default()
}
