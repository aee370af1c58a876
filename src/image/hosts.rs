//! `/etc/hosts`: the address at which a system without a fixed one finds its own name.

/// Where Debian's installer puts the name of a host without a fixed address (Debian reference, 5.1.1).
const OWN_ADDRESS: &[u8] = b"127.0.1.1";
/// What a system without a hosts file gets before its own name.
const NEW: &[u8] = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// `text` with `name`, and the name without its domain, at 127.0.1.1: in the place of such lines, else behind those
/// of 127.0.0.1. `None` where it names the host already. Without `text`, that of a new system.
pub(super) fn with_name(text: Option<&[u8]>, name: &str) -> Option<Vec<u8>> {
    let text = text.unwrap_or(NEW);
    let mut lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    let short = name.split('.').next().unwrap_or(name);
    let own = match short == name {
        true => [OWN_ADDRESS, b"\t", name.as_bytes()].concat(),
        false => [OWN_ADDRESS, b"\t", name.as_bytes(), b" ", short.as_bytes()].concat(),
    };
    if lines
        .iter()
        .any(|line| names(line).any(|n| n == name.as_bytes()))
    {
        return None;
    }
    match lines.iter().position(|line| address(line) == OWN_ADDRESS) {
        Some(at) => {
            lines.retain({
                let mut first = true;
                move |line| address(line) != OWN_ADDRESS || std::mem::take(&mut first)
            });
            lines[at] = &own;
        }
        None => {
            let of_loopback = |line: &&[u8]| address(line) == b"127.0.0.1";
            let behind = lines.iter().rposition(of_loopback).map_or(0, |at| at + 1);
            lines.insert(behind, &own);
        }
    }
    let joined = lines.join(&b'\n');
    (joined != text).then_some(joined)
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = line.split(|&b| b == b'#').next().unwrap_or_default();
    line.split(u8::is_ascii_whitespace)
        .filter(|w| !w.is_empty())
}

fn address(line: &[u8]) -> &[u8] {
    words(line).next().unwrap_or_default()
}

fn names(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(line).skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_once_at_its_own_address() {
        for (text, name, expected) in [
            (
                None,
                "web",
                Some(
                    "127.0.0.1\tlocalhost\n127.0.1.1\tweb\n::1\tlocalhost ip6-localhost ip6-loopback\n",
                ),
            ),
            (
                Some("127.0.0.1 localhost\n127.0.1.1 old.example.org old\n10.0.0.1 db\n"),
                "web.example.org",
                Some("127.0.0.1 localhost\n127.0.1.1\tweb.example.org web\n10.0.0.1 db\n"),
            ),
            // mmdebstrap's.
            (
                Some("127.0.0.1 localhost\n127.0.1.10 other"),
                "web",
                Some("127.0.0.1 localhost\n127.0.1.1\tweb\n127.0.1.10 other"),
            ),
            (Some(""), "web", Some("127.0.1.1\tweb\n")),
            (
                Some("# web\n::1 localhost\n"),
                "web",
                Some("127.0.1.1\tweb\n# web\n::1 localhost\n"),
            ),
            (
                Some("127.0.0.1 localhost\n10.0.0.5 web web.lan\n"),
                "web",
                None,
            ),
            (Some("127.0.1.1\tweb\n"), "web", None),
            (
                Some("127.0.1.1 web.example.org web db\n"),
                "web.example.org",
                None,
            ),
            (
                Some("127.0.1.1 a\n::1 b\n127.0.1.1 c\n"),
                "web",
                Some("127.0.1.1\tweb\n::1 b\n"),
            ),
        ] {
            let made = with_name(text.map(str::as_bytes), name);
            let made = made.map(|m| String::from_utf8(m).unwrap());
            assert_eq!(made.as_deref(), expected, "{text:?} {name}");
        }
    }
}
