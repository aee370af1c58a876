//! Links and reachability, once every directory was read.

use super::report::{Step, inode};
use super::{Checker, inodes, journal, orphan_file};
use crate::ext4::disk::inode::{EXT4_LINK_MAX, EXT4_ROOT_INO};
use crate::ext4::disk::superblock::RO_COMPAT_DIR_NLINK;

/// Checks link counts, "..", and that every directory leads up to the root.
pub(super) fn check(cx: &mut Checker) -> Step {
    journal::check_presence(cx)?;
    orphan_file::check_presence(cx)?;
    let root = cx.inodes.iter().find(|i| i.ino == EXT4_ROOT_INO);
    if root.is_none_or(|i| i.kind != inodes::KIND_DIRECTORY) {
        cx.find(
            inode(EXT4_ROOT_INO),
            inodes::offset(cx, EXT4_ROOT_INO),
            "there is no root directory",
        )?;
    }
    check_counts(cx)?;
    check_dotdot(cx)?;
    check_reach(cx)
}

/// Inodes that need no name.
fn is_nameless(cx: &Checker, ino: u32) -> bool {
    (ino < cx.sb.s_first_ino.get() && ino != EXT4_ROOT_INO) || orphan_file::is(cx, ino)
}

fn check_counts(cx: &mut Checker) -> Step {
    let many = cx.sb.s_feature_ro_compat.get() & RO_COMPAT_DIR_NLINK != 0;
    for n in 0..cx.inodes.len() {
        let i = cx.inodes[n];
        if is_nameless(cx, i.ino) {
            continue;
        }
        let is_dir = i.kind == inodes::KIND_DIRECTORY;
        let overflown = many && is_dir && i.links == 1 && i.counted > EXT4_LINK_MAX;
        let why = if i.counted == 0 || (is_dir && i.parent == 0 && i.ino != EXT4_ROOT_INO) {
            format!(
                "no directory holds a name of it (i_links_count is {})",
                i.links
            )
        } else if u32::from(i.links) != i.counted && !overflown {
            format!(
                "i_links_count is {}, directories hold {} links",
                i.links, i.counted
            )
        } else {
            continue;
        };
        cx.find(inode(i.ino), inodes::offset(cx, i.ino), why)?;
    }
    Ok(())
}

fn check_dotdot(cx: &mut Checker) -> Step {
    for n in 0..cx.directories.len() {
        let dir = cx.directories[n];
        let place = cx.inodes.binary_search_by_key(&dir.ino, |i| i.ino);
        let parent = place.map_or(0, |p| cx.inodes[p].parent);
        let parent = if dir.ino == EXT4_ROOT_INO {
            EXT4_ROOT_INO
        } else {
            parent
        };
        if parent != 0 && dir.dotdot != 0 && dir.dotdot != parent {
            let why = format!(
                "\"..\" is inode {}, the directory lies in inode {parent}",
                dir.dotdot
            );
            cx.find(inode(dir.ino), dir.offset, why)?;
        }
    }
    Ok(())
}

/// What is known of a directory while the ways up are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Unknown,
    Current,
    Done,
}

/// Finds directories that hold each other in a circle.
fn check_reach(cx: &mut Checker) -> Step {
    let mut ways = vec![Way::Unknown; cx.inodes.len()];
    let mut path = Vec::new();
    for start in 0..cx.inodes.len() {
        if cx.inodes[start].kind != inodes::KIND_DIRECTORY {
            continue;
        }
        let mut at = Some(start);
        while let Some(n) = at.filter(|n| ways[*n] == Way::Unknown) {
            ways[n] = Way::Current;
            path.push(n);
            let parent = cx.inodes[n].parent;
            at = cx.inodes.binary_search_by_key(&parent, |i| i.ino).ok();
        }
        let circle = at.filter(|n| ways[*n] == Way::Current);
        for n in path.drain(..) {
            ways[n] = Way::Done;
        }
        if let Some(n) = circle {
            let ino = cx.inodes[n].ino;
            let why = "the directory lies in itself and cannot be reached from the root";
            cx.find(inode(ino), inodes::offset(cx, ino), why)?;
        }
    }
    Ok(())
}
