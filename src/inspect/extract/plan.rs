//! Which files there are, and in which order they go: directories, then files with data in the order of
//! their places, then what has none. A build places data in that order.

use super::{ExtractError, Extracted};
use crate::display::display_path;
use crate::ext4::read::{Reader, Run};
use crate::inspect::files::{Data, Files, FilesError, Kind, Node, is_name};
use crate::inspect::taken::Taken;
use crate::inspect::walk::Met;
use crate::observe::Observer;
use std::collections::HashMap;

/// More room than this is not kept for what replaced files left: the image is none of ours.
const ROOM_MAX: u64 = 64 << 20;

/// Neither are files of ours so far apart, in bytes.
const GAP_MAX: u64 = 1 << 30;

/// A file to be taken out.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its path from where the extraction begins; empty there.
    pub(super) path: Vec<u8>,
    pub(super) id: u64,
    /// Of another name of the same file: where the first one stands in [`Plan::items`].
    pub(super) link: Option<Vec<u8>>,
    /// Bytes of free blocks before its data.
    pub(super) room: u64,
    class: Class,
}

/// The order of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Directory,
    /// By the first block of its data.
    Data(u64),
    Bare,
}

/// All files, in order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    pub(super) done: Extracted,
}

/// Whether a path leads to nowhere but below where it begins. The walk has made sure of it; this is a second
/// look before something is written.
pub(super) fn is_inside(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').all(is_name)
}

/// Finds all files from `start` on.
pub(super) fn plan(
    files: &Files,
    start: &Node,
    observer: &dyn Observer,
) -> Result<Plan, ExtractError> {
    let mut plan = Plan::default();
    // By number: where the first name stands in `items`, as yet unsorted.
    let mut firsts: HashMap<u64, usize> = HashMap::new();
    let mut taken = Taken::of(files);
    for met in files.walk(start.clone()) {
        if observer.cancelled() {
            return Err(ExtractError::Interrupted);
        }
        let mut leave_out = |path: &[u8], why: &str| {
            plan.done.left_out += 1;
            observer.warn(&format!("/{}: left out: {why}", display_path(path)));
        };
        let met = match met {
            Ok(met) => met,
            Err((path, e)) => {
                leave_out(&path, &e.to_string());
                continue;
            }
        };
        let node = &met.node;
        if matches!(node.kind, Kind::Socket | Kind::Unknown) {
            leave_out(&met.path, &format!("it is {}", node.kind.words()));
            continue;
        }
        // Whatever the inode says of its links: damage has one under many names, and each would be read anew.
        let first = firsts.get(&node.id).filter(|_| !node.is_directory());
        let first = first.and_then(|n| Some(plan.items.get(*n)?.path.clone()));
        let class = match (&first, node.kind) {
            (Some(_), _) => Class::Bare,
            (None, Kind::Directory) => Class::Directory,
            (None, Kind::File) => match place(files, &met, &mut taken) {
                Ok(class) => class,
                Err(e) => {
                    leave_out(&met.path, &e.to_string());
                    continue;
                }
            },
            _ => Class::Bare,
        };
        if first.is_none() && !node.is_directory() {
            firsts.insert(node.id, plan.items.len());
        }
        plan.items.push(Item {
            path: met.path,
            id: node.id,
            link: first,
            room: 0,
            class,
        });
    }
    // Stable: what has no place keeps the order of the walk, so that a link comes behind its file.
    plan.items.sort_by_key(|item| item.class);
    if let Files::Ext4(reader) = files {
        keep_room(reader, &mut plan.items);
    }
    Ok(plan)
}

/// Where a file's data begins.
fn place(files: &Files, file: &Met, taken: &mut Taken) -> Result<Class, FilesError> {
    let data = files.data(&file.node, &file.path)?;
    taken.take(&data)?;
    let Data::Ext4(content) = data else {
        return Ok(Class::Bare);
    };
    let first = content.runs().first();
    Ok(first.map_or(Class::Bare, |run| Class::Data(run.physical)))
}

/// Notes the free blocks before each file's data: room that replaced files left behind, which a build keeps
/// free too when the archive replaces a file there. Only where all data lies as a build places it, one file
/// behind the other.
fn keep_room(reader: &Reader, items: &mut [Item]) {
    let (mut reached, mut total) = (0, 0);
    let mut rooms = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let Class::Data(_) = item.class else { continue };
        let inode = reader.inode(u32::try_from(item.id).unwrap_or_default());
        let Some(runs) = inode.ok().and_then(|i| reader.mapping(&i).ok()) else {
            return;
        };
        let Some(first) = runs.runs.first() else {
            continue;
        };
        if first.physical.saturating_sub(reached) > GAP_MAX / reader.block_size() {
            return;
        }
        let free = reader.free_blocks(reached, first.physical).unwrap_or(0);
        for Run { physical, len, .. } in runs.runs {
            if physical < reached {
                return;
            }
            reached = physical + len;
        }
        if free > 0 {
            let room = free * reader.block_size();
            total += room;
            rooms.push((n, room));
        }
    }
    if total <= ROOM_MAX {
        for (n, room) in rooms {
            items[n].room = room;
        }
    }
}
