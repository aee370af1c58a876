//! Sound filesystems have no findings; every damage has the finding that names it.
//!
//! | file | proves |
//! |---|---|
//! | `clean` | what e2fsprogs makes is without findings |
//! | `shapes` | every shape of filesystem is read, or refused by name |
//! | `damage` | one damaged field, one finding that names it |
//! | `odd_shapes` | the same of structures that few filesystems have |
//! | `blind_spots` | what `e2fsck -fn` accepts is found all the same |
//! | `hostile` | no bytes make it panic |
//!
//! `fixtures` makes the filesystems, `lab` damages and mends them.

mod blind_spots;
mod clean;
mod damage;
mod fixtures;
mod hostile;
mod lab;
mod odd_shapes;
mod shapes;

const TOOLS: [&str; 3] = ["mke2fs", "debugfs", "e2fsck"];
/// Byte of the superblock.
const SB: usize = 1024;
/// Byte of group 1.
const GROUP: usize = 32_768 * 4096;
