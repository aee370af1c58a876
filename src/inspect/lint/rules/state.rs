//! Files and disk as a whole.

use crate::inspect::lint::Hit;
use crate::inspect::lint::facts::{Facts, Sort, shown};
use crate::units::GIB;

/// A day: clocks of different machines may differ by their time zones.
const DAY: i64 = 86_400;
/// So many files are named by a rule that many may break.
const NAMED: usize = 10;

/// Programs that postinst scripts of Debian give to setcap(8), whoever asks.
const CAPABLE: [(&str, &str); 4] = [
    ("iputils-ping", "bin/ping"),
    ("iputils-arping", "usr/bin/arping"),
    ("iputils-clockdiff", "usr/bin/clockdiff"),
    ("mtr-tiny", "usr/bin/mtr-packet"),
];

/// A013.
pub(super) fn capabilities(facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (package, program) in CAPABLE {
        let script = format!("var/lib/dpkg/info/{package}.postinst");
        let sets = facts
            .text(&script)
            .is_some_and(|text| text.contains("setcap "));
        let Some(file) = facts.file(program).filter(|_| sets) else {
            continue;
        };
        // Where setcap fails, the scripts make the program setuid instead.
        if file.sort == Sort::File && !file.capability && file.mode & 0o4000 == 0 {
            let what = format!("/{script} sets capabilities on it, and it has none");
            hits.push(Hit::new(format!("/{program}"), what));
        }
    }
    hits
}

/// A014.
pub(super) fn setuid(facts: &Facts) -> Vec<Hit> {
    let Some(parent) = &facts.parent else {
        return Vec::new();
    };
    let own = facts.setuid();
    let new = own
        .iter()
        .filter(|path| parent.binary_search(path).is_err());
    let new = new.map(|path| Hit::new(shown(path), "it is setuid or setgid, the parent's is not"));
    let lost = parent
        .iter()
        .filter(|path| own.binary_search(path).is_err() && facts.entries.contains_key(*path));
    let lost = lost.map(|path| {
        Hit::new(
            shown(path),
            "it is no longer setuid or setgid as the parent's is",
        )
    });
    new.chain(lost).collect()
}

/// A015.
pub(super) fn future(facts: &Facts) -> Vec<Hit> {
    let latest = facts.now + DAY;
    let mut hits = Vec::new();
    if facts.disk.as_ref().is_some_and(|d| d.made > latest) {
        hits.push(Hit::new("root filesystem", "it was made in the future"));
    }
    let files = facts.entries.iter().filter(|(_, e)| e.mtime > latest);
    let mut more = 0;
    for (path, _) in files {
        if hits.len() < NAMED {
            hits.push(Hit::new(shown(path), "it was changed in the future"));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        hits.push(Hit::new(
            "root filesystem",
            format!("{more} more files were changed in the future"),
        ));
    }
    hits
}

/// A016.
pub(super) fn whole_gib(facts: &Facts) -> Vec<Hit> {
    let size = facts.disk.as_ref().map_or(0, |d| d.size);
    if size.is_multiple_of(GIB) {
        return Vec::new();
    }
    let gib = size.div_ceil(GIB);
    vec![Hit::new(
        "disk",
        format!("{size} bytes; its volume will have {gib} GiB"),
    )]
}

/// A017.
pub(super) fn holes(facts: &Facts) -> Vec<Hit> {
    let holes = facts.disk.as_ref().map_or(0, |d| d.holes);
    if holes == 0 {
        return Vec::new();
    }
    vec![Hit::new(
        "disk",
        format!("{holes} bytes that the filesystem uses are holes of the image file"),
    )]
}
