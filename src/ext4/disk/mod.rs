//! The structs of ext4 as they lie on disk, with the kernel's own field names.
//!
//! ```text
//! group 0                                                    group 1 …
//! ┌──────┬────────────┬─────┬──────────┬───────┬──────┬──────┐┌────────────┬─────┬──────────┬────
//! │ 1024 │ Superblock │ GDT │ reserved │ block │ inode│ inode││ Superblock │ GDT │ reserved │ …
//! │ pad  │ 1024 bytes │     │ GDT      │ bitmap│ bitm.│ table││ (backup)   │ copy│ GDT      │
//! └──────┴────────────┴─────┴──────────┴───────┴──────┴──────┘└────────────┴─────┴──────────┴────
//!                      GroupDesc[]                      Inode[]   (backups: sparse_super groups)
//! ```
//! With `flex_bg` the bitmaps and inode tables of 16 groups lie together.
//!
//! Everything is little-endian but the journal, which is big-endian. The structs are unaligned and
//! may be read from and written to any byte slice with `zerocopy`. Sizes are asserted at compile
//! time. Source: Linux `fs/ext4/ext4.h`, `ext4_extents.h`, `xattr.h`, `namei.c`,
//! `include/linux/jbd2.h`, and `Documentation/filesystems/ext4/`.

pub mod dirent;
pub mod extent;
pub mod group_desc;
pub mod htree;
pub mod inode;
pub mod journal;
pub mod orphan;
pub mod superblock;
pub mod xattr;
