//! The table of the README: what survives the way from an archive into a filesystem, with diskwright and with
//! the programs that are installed here. debugfs, dumpe2fs and e2fsck read all of them alike.
//!
//! Each cell is one run on an archive with that feature and nothing else odd, so that a program which refuses
//! one thing is still tried on the next. Debian 12's mke2fs takes no archives. A newer one, without installing
//! it, for the column of the README:
//!
//! ```sh
//! echo 'deb http://deb.debian.org/debian bookworm-backports main' | sudo tee /etc/apt/sources.list.d/backports.list
//! sudo apt-get update && apt-get download {e2fsprogs,libext2fs2}/bookworm-backports
//! for deb in *.deb; do dpkg -x "$deb" new; done
//! printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$PWD/new/lib/x86_64-linux-gnu" "$PWD/new/sbin/mke2fs" >mke2fs
//! chmod +x mke2fs
//! DISKWRIGHT_MKE2FS=$PWD/mke2fs UPDATE_GOLDEN=1 cargo test --test it fidelity_table
//! ```

use crate::common::member::Member;
use crate::common::peers::{Failure, Peer, Pins};
use crate::fidelity_rows::{Cell, Row, control, no, rows, yes_if};
use crate::tools;
use std::path::Path;

const DETERMINISTIC: &str = "two runs give the same bytes";
const CLEAN: &str = "e2fsck finds nothing in any of these";

/// A program's column, and whether all that it made was clean.
fn column(peer: Peer) -> Vec<Cell> {
    let mut dirty = Vec::new();
    let mut cell = |row: &Row| {
        if peer == Peer::Mke2fsFolder && !row.in_folders {
            return Cell::Meaningless;
        }
        let folder = tempfile::tempdir().unwrap();
        match peer.make(&row.layers, folder.path(), Pins::None) {
            Ok(made) => {
                if !made.is_clean() {
                    dirty.push(row.what);
                }
                (row.judge)(&made)
            }
            Err(Failure::Refused(why)) => {
                eprintln!("{peer:?}, {}: {why}", row.what);
                no("an error")
            }
            Err(Failure::NoInput(why)) => {
                eprintln!("{peer:?}, {}: not tried: {why}", row.what);
                Cell::Untried
            }
        }
    };
    let rows = rows();
    if cell(&control()) != Cell::Yes {
        // Tarballs came with 1.47.1, and only where libarchive is.
        assert_eq!(peer, Peer::Mke2fsTar, "{peer:?} makes a file");
        return vec![no(NO_TARS); rows.len() + 2];
    }
    let mut cells: Vec<_> = rows.iter().map(&mut cell).collect();
    cells.push(repeatable(peer));
    if !dirty.is_empty() {
        eprintln!("{peer:?}: e2fsck complains about {dirty:?}");
    }
    cells.push(yes_if(dirty.is_empty()));
    cells
}

/// Makes the same twice, in different seconds.
fn repeatable(peer: Peer) -> Cell {
    let members = [vec![
        Member::folder("./").bytes(),
        Member::folder("d").bytes(),
        Member::file("d/f", "content").bytes(),
    ]];
    let twice = |pins| {
        let once = || {
            let folder = tempfile::tempdir().unwrap();
            let made = peer.make(&members, folder.path(), pins).unwrap();
            std::fs::read(made.disk()).unwrap()
        };
        let a = once();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let b = once();
        a == b
    };
    if twice(Pins::None) {
        Cell::Yes
    } else if twice(Pins::All) {
        Cell::Partly("with options for it")
    } else {
        no("")
    }
}

/// What an mke2fs without libarchive, or before 1.47.1, gets.
const NO_TARS: &str = "not in this version";
const OPENING: &str = "<!-- fidelity: tests/it/fidelity_table.rs writes this -->\n";
const CLOSING: &str = "<!-- fidelity ends -->";

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<_> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The cells of a table, its ruler left out.
fn parse(table: &str) -> Vec<Vec<String>> {
    let lines = table.lines().filter(|l| l.starts_with("| "));
    let cells = |l: &str| {
        l.trim_matches('|')
            .split('|')
            .map(|c| c.trim().to_owned())
            .collect()
    };
    lines.map(cells).collect()
}

#[test]
fn the_table_of_the_readme_is_what_the_programs_here_do() {
    let readers = ["debugfs", "dumpe2fs", "e2fsck"];
    if !readers.into_iter().all(tools::have) {
        return;
    }
    let peers: Vec<_> = Peer::ALL.into_iter().filter(|p| p.is_here()).collect();
    let columns: Vec<_> = peers.iter().map(|&p| (p.title(), column(p))).collect();
    let ours = &columns[0].1;
    let names: Vec<_> = rows()
        .iter()
        .map(|r| r.what)
        .chain([DETERMINISTIC, CLEAN])
        .collect();
    for (name, cell) in names.iter().zip(ours) {
        assert_eq!(*cell, Cell::Yes, "diskwright: {name}");
    }
    let titles = columns.iter().map(|(title, _)| title.clone());
    let mut table = line([String::new()].into_iter().chain(titles)).replacen("|  |", "| |", 1);
    table += &format!("|{}\n", "---|".repeat(columns.len() + 1));
    for (nr, name) in names.iter().enumerate() {
        let cells = columns.iter().map(|(_, cells)| cells[nr].to_string());
        table += &line([(*name).to_owned()].into_iter().chain(cells));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(OPENING).expect("the README has the mark");
    let (kept, after) = rest
        .split_once(CLOSING)
        .expect("the README has the end mark");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        // A table of fewer programs, or of older ones, is none to keep.
        assert_eq!(columns.len(), Peer::ALL.len(), "every program is here");
        let whole = !table.contains("not tried") && !table.contains(NO_TARS);
        assert!(whole, "{table}");
        std::fs::write(path, [before, OPENING, &table, CLOSING, after].concat()).unwrap();
        return;
    }
    compare(&parse(kept), &parse(&table));
}

/// Ours as it stands there; a peer's only in the version that stands there.
#[track_caller]
fn compare(kept: &[Vec<String>], now: &[Vec<String>]) {
    let column = |table: &[Vec<String>], nr: usize| -> Vec<String> {
        table.iter().map(|line| line[nr].clone()).collect()
    };
    let advice = "UPDATE_GOLDEN=1 cargo test --test it fidelity_table";
    for nr in [0, 1] {
        assert_eq!(
            column(now, nr),
            column(kept, nr),
            "rows of the README: {advice}"
        );
    }
    for nr in 2..now[0].len() {
        let title = &now[0][nr];
        let Some(there) = kept[0].iter().position(|t| t == title) else {
            eprintln!("note: the README tells of another version than {title}");
            continue;
        };
        for (now, kept) in now.iter().zip(kept) {
            let same = now[nr] == kept[there] || now[nr] == Cell::Untried.to_string();
            assert!(
                same,
                "{title}, {}: {:?} in the README, {:?} here: {advice}",
                now[0], kept[there], now[nr]
            );
        }
    }
}
