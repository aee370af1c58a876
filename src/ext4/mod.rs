//! ext4: a tree in, the extents of a filesystem out.
//!
//! Arithmetic that never writes, then emission that never decides:
//!
//! | file | what it decides or writes |
//! |---|---|
//! | `options`, `features`, `block_size` | what was asked for, and what follows from it on disk |
//! | `geometry` | groups, inodes, descriptors, journal: mke2fs's sums |
//! | `fit` | the smallest geometry for a content |
//! | `tables`, `fixed` | where bitmaps, inode tables and the rest lie in a filesystem of known size |
//! | `alloc`, `place` | where file data lies, while the archive is read |
//! | `plan` | inode numbers, directories, xattrs, extent trees: everything else's place |
//! | `emit` | the bytes of any block, when asked |
//! | `disk` | on-disk structs only |
//! | `check` | an independent reader of a written filesystem |

mod alloc;
mod block_set;
pub mod block_size;
pub mod check;
pub mod checksum;
pub mod dirhash;
pub mod disk;
mod emit;
mod extent_tree;
pub mod features;
pub mod fit;
mod fixed;
mod formatter;
pub mod geometry;
mod geometry_error;
pub mod options;
mod place;
mod plan;
mod tables;
#[cfg(test)]
mod tests;

pub use block_size::BlockSize;
pub use features::Features;
pub use fit::{Available, Fit, FitSize};
pub use formatter::{DEFAULT_MAX_GROW, Formatter};
pub use geometry::Geometry;
pub use geometry_error::GeometryError;
pub use options::{Journal, Options};
pub use place::{FileExtent, FileTooLarge};
pub use plan::{
    DirectoryTooLarge, Identity, Piece, PieceKind, Plan, PlanError, XattrError, lost_found,
};
