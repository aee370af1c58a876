//! ext4: a tree in, the extents of a filesystem out.
//!
//! Arithmetic that never writes, then emission that never decides:
//!
//! | file | what it decides or writes |
//! |---|---|
//! | `builder` | the front: options, files, finish |
//! | `filesystem`, `contents` | a finished filesystem as a value |
//! | `insert` | an entry into the tree, its data to its place |
//! | `options`, `features`, `block_size` | what was asked for, and what follows from it on disk |
//! | `geometry` | groups, inodes, descriptors, journal: mke2fs's sums |
//! | `fit` | the smallest geometry for a content |
//! | `tables`, `fixed` | where bitmaps, inode tables and the rest lie in a filesystem of known size |
//! | `alloc`, `place` | where file data lies, while the archive is read |
//! | `plan` | inode numbers, directories, xattrs, extent trees: everything else's place |
//! | `emit` | the bytes of any block, when asked |
//! | `disk` | on-disk structs only |
//! | `check` | an independent checker of a written filesystem |
//! | `read` | files, directories and xattrs of any ext2, ext3 or ext4 filesystem |

mod alloc;
mod block_set;
pub mod block_size;
mod builder;
pub mod check;
pub mod checksum;
mod contents;
pub mod dirhash;
pub mod disk;
mod emit;
mod extent_tree;
pub mod features;
mod filesystem;
pub mod fit;
mod fixed;
mod formatter;
pub mod geometry;
mod geometry_error;
mod insert;
pub mod options;
mod place;
mod plan;
pub mod read;
mod tables;
#[cfg(test)]
mod tests;

pub use crate::entry::{DataRun, Entry, EntryKind};
pub use crate::tree::Meta;
pub use block_size::BlockSize;
pub use builder::{Builder, BuilderError, Format, Size};
pub use contents::Data;
pub use features::Features;
pub use filesystem::{Filesystem, Holds};
pub use fit::{Available, Fit, FitSize};
pub use formatter::{DEFAULT_MAX_GROW, Formatter};
pub use geometry::Geometry;
pub use geometry_error::GeometryError;
pub use insert::{EntryError, Placed};
pub use options::{Journal, Options};
pub use place::{FileExtent, FileTooLarge};
pub use plan::{
    DirectoryTooLarge, Identity, Piece, PieceKind, Plan, PlanError, XattrError, lost_found,
};
