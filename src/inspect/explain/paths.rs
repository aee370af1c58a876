//! The name of an inode: directories are walked from the root until it is met.

use crate::ext4::disk::inode::EXT4_ROOT_INO;
use crate::ext4::read::{Kind, Reader};
use std::collections::{HashMap, VecDeque};

/// A path of an inode, from `/`: its first name in the order of the walk, the shallowest. `None` where no
/// directory leads to it. Directories that cannot be read are passed over.
#[must_use]
pub fn path_of(reader: &Reader, ino: u32) -> Option<Vec<u8>> {
    if ino == EXT4_ROOT_INO {
        return Some(b"/".to_vec());
    }
    // Of each directory its parent and its name there; a directory is entered once.
    let mut known: HashMap<u32, (u32, Vec<u8>)> = HashMap::new();
    let mut queue = VecDeque::from([EXT4_ROOT_INO]);
    while let Some(directory) = queue.pop_front() {
        let Ok(inode) = reader.inode(directory) else {
            continue;
        };
        let Ok(entries) = reader.entries(&inode) else {
            continue;
        };
        for entry in entries.iter() {
            if entry.ino == ino {
                return Some(joined(&known, directory, entry.name));
            }
            // Without `filetype` the inode says it.
            let kind = entry
                .kind
                .or_else(|| Some(reader.inode(entry.ino).ok()?.kind()));
            let new = entry.ino != EXT4_ROOT_INO && !known.contains_key(&entry.ino);
            if kind == Some(Kind::Directory) && new {
                known.insert(entry.ino, (directory, entry.name.to_vec()));
                queue.push_back(entry.ino);
            }
        }
    }
    None
}

fn joined(known: &HashMap<u32, (u32, Vec<u8>)>, mut directory: u32, name: &[u8]) -> Vec<u8> {
    let mut parts = vec![name];
    // Each was entered by one that was entered before: this ends at the root.
    while let Some((parent, name)) = known.get(&directory) {
        parts.push(name);
        directory = *parent;
    }
    let mut path = Vec::new();
    for part in parts.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    path
}
