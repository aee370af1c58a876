//! ACLs as `getfacl --numeric` prints them, from an archive's text or attribute: a naive reading.

use std::collections::BTreeMap;

const TAGS: [(u16, &str); 6] = [
    (1, "user"),
    (2, "user"),
    (4, "group"),
    (8, "group"),
    (16, "mask"),
    (32, "other"),
];

/// The numbers of the accounts of an archive.
pub struct Names(BTreeMap<(&'static str, String), String>);

impl Names {
    /// Of the contents of `etc/passwd` and `etc/group`.
    pub fn new(files: &BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let mut map = BTreeMap::new();
        for (path, kind) in [("etc/passwd", "user"), ("etc/group", "group")] {
            let text = files.get(path.as_bytes()).cloned().unwrap_or_default();
            for line in String::from_utf8(text).unwrap().lines() {
                let fields: Vec<&str> = line.split(':').collect();
                map.insert((kind, fields[0].into()), fields[2].into());
            }
        }
        Self(map)
    }
}

fn sorted(mut entries: Vec<(u16, u32, String)>, prefix: &str) -> Vec<String> {
    entries.sort();
    let lines = entries.into_iter();
    lines
        .map(|(_, _, line)| format!("{prefix}{line}"))
        .collect()
}

/// Of the text in a pax record: whole entries with a mask, as tar writes them.
pub fn of_text(text: &[u8], prefix: &str, names: &Names) -> Vec<String> {
    let mut entries = Vec::new();
    for entry in String::from_utf8(text.to_vec()).unwrap().split([',', '\n']) {
        let entry = entry.split('#').next().unwrap().trim();
        if entry.is_empty() {
            continue;
        }
        let fields: Vec<&str> = entry.split(':').collect();
        let (kind, name, perm) = (fields[0], fields[1], fields[2]);
        let &(plain, kind) = TAGS.iter().find(|t| t.1 == kind).unwrap();
        if name.is_empty() {
            entries.push((plain, 0, format!("{kind}::{perm}")));
            continue;
        }
        let known = names.0.get(&(kind, name.into())).map(String::as_str);
        let id = known.or(fields.get(3).copied()).unwrap_or(name);
        // A stranger's entry is left out.
        if let Ok(nr) = id.parse() {
            entries.push((plain * 2, nr, format!("{kind}:{nr}:{perm}")));
        }
    }
    sorted(entries, prefix)
}

/// Of the value of `system.posix_acl_*`, version 2.
pub fn of_xattr(value: &[u8], prefix: &str) -> Vec<String> {
    assert_eq!(value[..4], [2, 0, 0, 0]);
    let mut entries = Vec::new();
    for e in value[4..].chunks_exact(8) {
        let (tag, perm) = (u16::from_le_bytes([e[0], e[1]]), e[2]);
        let id = u32::from_le_bytes(e[4..].try_into().unwrap());
        let kind = TAGS.iter().find(|t| t.0 == tag).unwrap().1;
        let may = |bit: u8, letter| if perm & bit > 0 { letter } else { '-' };
        let perm: String = [may(4, 'r'), may(2, 'w'), may(1, 'x')].iter().collect();
        if matches!(tag, 2 | 8) {
            entries.push((tag, id, format!("{kind}:{id}:{perm}")));
        } else {
            assert_eq!(id, u32::MAX, "an entry for nobody");
            entries.push((tag, 0, format!("{kind}::{perm}")));
        }
    }
    sorted(entries, prefix)
}

/// The permission bits that a file with this access ACL shows.
pub fn mode(lines: &[String]) -> u32 {
    let of = |start: &str| {
        let perm = lines.iter().find_map(|l| l.strip_prefix(start))?;
        let bits = perm.chars().fold(0, |n, c| n << 1 | u32::from(c != '-'));
        Some(bits)
    };
    let group = of("mask::").or_else(|| of("group::")).unwrap();
    of("user::").unwrap() << 6 | group << 3 | of("other::").unwrap()
}
