//! Paths for the inodes that findings are about, looked up only when there are findings.

use std::collections::{HashMap, HashSet};

use super::directory::Entries;
use super::report::Stop;
use super::{CheckError, Checker, Finding, inodes};
use crate::ext4::disk::inode::EXT4_ROOT_INO;

/// A path of more components is shown from there on only.
const DEPTH_MAX: usize = 64;

/// Names by inode: the directory that holds it and the name there.
type Names = HashMap<u32, (u32, Vec<u8>)>;

/// Ends the check: the findings with paths.
pub(super) fn name(cx: &mut Checker) -> Result<Vec<Finding>, CheckError> {
    let report = std::mem::take(&mut cx.report);
    if report.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: HashSet<u32> = report.inodes().collect();
    let names = match collect(cx, &wanted) {
        Ok(names) => names,
        Err(Stop::Error(e)) => return Err(e),
        Err(Stop::Full) => Names::new(),
    };
    Ok(report.named(|ino| path(&names, ino)))
}

/// Names of the wanted inodes and of all directories.
fn collect(cx: &Checker, wanted: &HashSet<u32>) -> Result<Names, Stop> {
    let mut names = Names::new();
    for dir in &cx.directories {
        let runs = super::extents::slice(&cx.runs, dir.first_run, dir.end_run);
        for block in runs.iter().flat_map(|r| r.disk..r.disk + r.len) {
            let bytes = cx.block(block)?;
            for entry in Entries::new(&bytes, bytes.len()) {
                let dots = entry.name == b"." || entry.name == b"..";
                if entry.ino == 0 || dots || names.contains_key(&entry.ino) {
                    continue;
                }
                let is_dir = cx.inodes.binary_search_by_key(&entry.ino, |i| i.ino);
                let is_dir = is_dir.is_ok_and(|n| cx.inodes[n].kind == inodes::KIND_DIRECTORY);
                if is_dir || wanted.contains(&entry.ino) {
                    names.insert(entry.ino, (dir.ino, entry.name.to_vec()));
                }
            }
        }
    }
    Ok(names)
}

/// The path of an inode, or what of it is known.
fn path(names: &Names, ino: u32) -> Option<String> {
    if ino == EXT4_ROOT_INO {
        return Some("/".into());
    }
    let mut parts = Vec::new();
    let mut at = ino;
    while at != EXT4_ROOT_INO && parts.len() < DEPTH_MAX {
        let Some((parent, name)) = names.get(&at) else {
            break;
        };
        parts.push(shown(name));
        at = *parent;
    }
    if parts.is_empty() {
        return None;
    }
    parts.reverse();
    let start = if at == EXT4_ROOT_INO { "/" } else { "…/" };
    Some(format!("{start}{}", parts.join("/")))
}

fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) if !name.chars().any(char::is_control) => name.into(),
        _ => name.escape_ascii().to_string(),
    }
}
