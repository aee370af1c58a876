//! tar, in every dialect that a root filesystem comes in: v7, ustar, star, GNU, pax.
//!
//! ```text
//!  ┌─ 512 ─┬──── size, padded to 512 ────┬─ 512 ─┬─ … ─┬─ 512 ─┬─ 512 ─┐
//!  │ x hdr │ "30 mtime=1700000000.5\n" … │ file  │ data│ zeros │ zeros │
//!  └───────┴─────────────────────────────┴───────┴─────┴───────┴───────┘
//!   headers that say more about the next entry          end of the archive
//! ```
//!
//! Sources: POSIX.1-2024 `pax`, section "ustar" and "pax Interchange Format"; the GNU tar manual,
//! appendix "Tar Internals"; libarchive's tar(5). Where they leave a choice, this is ours:
//!
//! | case | GNU tar | libarchive | here |
//! |---|---|---|---|
//! | size of a symlink, device, directory or fifo | skipped or 0 | 0 | no data follows |
//! | size of a hard link, v7 and GNU headers | 0 | 0 | no data follows |
//! | size of a hard link, ustar and pax | 0 | data follows | data, unless a header or zeros follow |
//! | unknown type | a file | a file | a file, with a warning |
//! | no end marker | accepted | accepted | accepted, with a warning |
//! | one zero block, then more | stops | stops | an error: files would be missing |
//! | wrong checksum | skips on | an error | an error |

mod extension;
mod header;
mod member;
mod number;
mod pax;
mod pax_value;
mod reader;
mod report;
mod sparse;
mod write;

pub(super) use header::looks_like_header;
pub(super) use reader::TarReader;
pub use write::TarWriter;

/// The block of tar, in bytes: headers and data are padded to it.
const BLOCK: u64 = 512;

/// ext4's largest file with 4 KiB blocks (2^32 blocks), in bytes; a size above it is damage.
const FILE_MAX: u64 = 16 << 40;

/// Zeros between the end of `size` bytes and the next block.
const fn padding(size: u64) -> u64 {
    // `size` modulo 512 is below 512, so neither step can leave the range.
    (BLOCK.wrapping_sub(size & 511)) & 511
}
