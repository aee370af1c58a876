//! ACLs as `getfacl --numeric` prints them, from the attribute that holds them.

const TAGS: [(u16, &str); 6] = [
    (1, "user"),
    (2, "user"),
    (4, "group"),
    (8, "group"),
    (16, "mask"),
    (32, "other"),
];

fn sorted(mut entries: Vec<(u16, u32, String)>, prefix: &str) -> Vec<String> {
    entries.sort();
    let lines = entries.into_iter();
    lines
        .map(|(_, _, line)| format!("{prefix}{line}"))
        .collect()
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
