//! The EFI system partition: files in, a FAT volume out, as extents.
//!
//! ```text
//! sector 0      8 (FAT32) or 1       …                                  end
//!  | boot sector, | FAT | copy of it | root directory | clusters         |
//!  | FSInfo, copy |     |            | (FAT12, FAT16) | used … unused …  |
//!    Bytes          Bytes, then Zero                    Bytes    Free
//! ```
//!
//! The `fatfs` crate formats and writes, to memory that holds only the pages that were written.
//!
//! | file | what |
//! |---|---|
//! | `geometry` | cluster size, and with it FAT12, FAT16 or FAT32; the size that files need |
//! | `volume`, `finish` | format and write; what fatfs leaves out |
//! | `map` | which clusters are used: extents |
//! | `sparse`, `clock` | the memory; the time |
//! | `chains` | which clusters belong to which path, ours or not |
//! | `probe` | what the boot sector of a volume says, ours or not |
//! | `read`, `entry`, `table` | files and directories of any volume; names and times; which cluster follows which |

mod chains;
mod clock;
mod entry;
mod finish;
mod geometry;
mod map;
mod probe;
mod read;
mod sparse;
mod table;
mod volume;

pub use chains::{Chains, FatItem, chains};
pub use probe::{FatInfo, probe};
pub use read::{FatReadError, FatReader, Item, Run};
pub use volume::{FatFile, FatSpec, Piece, PieceKind, Volume, volume};

use std::io;

/// Why there is no FAT volume.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The files do not fit.
    #[error(
        "the files of the EFI system partition take {files} bytes: a partition of {size} bytes is too \
         small, {needed} bytes are needed; say `--esp-size {}M`",
        .needed.div_ceil(1 << 20)
    )]
    TooSmall {
        /// Bytes of all files.
        files: u64,
        /// Size of the partition in bytes.
        size: u64,
        /// The least size that holds them, in whole MiB, as bytes.
        needed: u64,
    },
    /// The partition is larger than FAT32 describes with 512-byte sectors.
    #[error("an EFI system partition of {size} bytes is too large: FAT32 ends at 2 TiB")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// A path that FAT cannot hold.
    #[error("`{path}` cannot be the path of a file on the EFI system partition: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// fatfs failed, in memory.
    #[error("the EFI system partition cannot be made")]
    Write(#[source] io::Error),
}
