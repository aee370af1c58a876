//! Whether sshd lets people in by password, as sshd_config(5) has it: the first value of a keyword holds, files
//! are included where they are named, what stands behind `Match` holds for some.

use super::Hit;
use super::facts::{Facts, Sort, shown};
use fast_glob::glob_match;
use std::collections::BTreeMap;

/// sshd's own file: openSUSE has it below /usr until somebody changes it.
const FILES: [&str; 2] = ["etc/ssh/sshd_config", "usr/etc/ssh/sshd_config"];
/// So deep files include others, as in sshd.
const DEEP: u8 = 16;
/// So many bytes are read in all, so many of which every file and every `Include` counts for, and so many names of
/// a folder are looked at: an image may say more than anybody can read.
const ROOM: usize = 4 << 20;
const STEP: usize = 4 << 10;
const IN_FOLDER: usize = 10_000;

/// What the marketplace refuses to have set to `yes`, and whether sshd has it so by default.
const REFUSED: [(&str, bool); 2] = [("passwordauthentication", true), ("permitrootlogin", false)];

/// What was read so far.
struct Config<'a> {
    facts: &'a Facts,
    /// Of each keyword the value that holds, and where it stands.
    first: BTreeMap<String, (String, String)>,
    /// What is refused and holds for some.
    matched: Vec<Hit>,
    /// What is left of [`ROOM`].
    room: usize,
}

/// Where a password is enough to log in.
pub(super) fn passwords(facts: &Facts) -> Vec<Hit> {
    let Some(file) = FILES.iter().find(|file| facts.file(file).is_some()) else {
        return Vec::new();
    };
    let mut config = Config {
        facts,
        first: BTreeMap::new(),
        matched: Vec::new(),
        room: ROOM,
    };
    config.file(file, false, 0);
    let mut hits = config.matched;
    for (keyword, default) in REFUSED {
        match config.first.get(keyword) {
            Some((value, place)) if value == "yes" => {
                hits.push(Hit::new(place, format!("{keyword} yes")));
            }
            None if default => {
                let what = format!("{keyword} is not set, and sshd's default is yes");
                hits.push(Hit::new(format!("/{file}"), what));
            }
            _ => {}
        }
    }
    hits
}

impl Config<'_> {
    /// Reads a file; `matched` when it is included behind `Match`.
    fn file(&mut self, path: &str, matched: bool, depth: u8) {
        let mut within = matched;
        let text = self.facts.text(path).unwrap_or_default();
        if depth > DEEP || !self.take(STEP + text.len()) {
            return;
        }
        for (n, line) in (1..).zip(text.lines()) {
            let mut words = words(line);
            let Some(keyword) = words.next().filter(|w| !w.starts_with('#')) else {
                continue;
            };
            let keyword = keyword.to_lowercase();
            if keyword == "include" {
                for pattern in words.take_while(|w| !w.starts_with('#')) {
                    if !self.take(STEP) {
                        return;
                    }
                    for found in self.included(pattern) {
                        self.file(&found, within, depth + 1);
                    }
                }
                continue;
            }
            let value = words.next().unwrap_or_default().to_lowercase();
            if keyword == "match" {
                within = matched || value != "all";
                continue;
            }
            let place = format!("{}:{n}", shown(path.as_bytes()));
            if !REFUSED.iter().any(|(refused, _)| *refused == keyword) {
                continue;
            }
            if !within {
                self.first.entry(keyword).or_insert((value, place));
            } else if value == "yes" {
                let what = format!("{keyword} yes, for those whom Match names");
                self.matched.push(Hit::new(place, what));
            }
        }
    }

    /// Whether there is room for some more bytes; they are taken.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.room = left.unwrap_or(0);
        left.is_some()
    }

    /// Files that a pattern of `Include` means, by name.
    fn included(&self, pattern: &str) -> Vec<String> {
        let pattern = match pattern.strip_prefix('/') {
            Some(path) => path.to_owned(),
            None => format!("etc/ssh/{pattern}"),
        };
        let Some((folder, name)) = pattern.rsplit_once('/') else {
            return Vec::new();
        };
        if !name.contains(['*', '?']) {
            return vec![pattern];
        }
        // What is more than glob(7) knows, and sets of letters, which nobody has in these names.
        if name.contains(['{', '}', '[', ']', '!', '\\']) {
            return Vec::new();
        }
        let folder = format!("{folder}/");
        let all = self.facts.below(&folder).take(IN_FOLDER);
        let own = all.filter_map(|(path, entry)| {
            let file = std::str::from_utf8(path).ok()?;
            let own = &file[folder.len()..];
            let fits = !own.contains('/') && !own.starts_with('.') && glob_match(name, own);
            (fits && entry.sort != Sort::Directory).then(|| file.to_owned())
        });
        own.collect()
    }
}

/// Words of a line: parted by spaces or an equals sign, in quotes or not.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(|c: char| c.is_whitespace() || c == '=');
    parts.map(|w| w.trim_matches('"')).filter(|w| !w.is_empty())
}
