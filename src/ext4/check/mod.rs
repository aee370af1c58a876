//! An independent checker of a written ext4 filesystem.
//!
//! It reads bytes and knows nothing of the planner that may have written them. What e2fsck checks
//! it checks too; beyond that, what e2fsck lets pass: every entry of the resize inode, the contents
//! of backup superblocks and descriptor copies, the order of xattr entries, ACL values, nanoseconds,
//! the hash of a shared xattr block, the overhead the superblock states.
//!
//! | step | module | establishes |
//! |---|---|---|
//! | 1 | `superblock`, `features`, `geometry`, `backups` | the geometry; copies agree |
//! | 2 | `groups` | where metadata lies; every such block is claimed once |
//! | 3 | `inodes`, `extents`, `block_map`, `xattr`, `acl`, `resize_inode`, `journal`, `orphan_file` | every inode in use; its blocks are claimed once |
//! | 4 | `directory`, `htree` | every name; links are counted |
//! | 5 | `links` | all is reachable, counts agree |
//! | 6 | `bitmaps` | bitmaps and free counts against what is claimed |
//!
//! The input may be hostile: nothing recurses, a block is followed at most once (a second claim is
//! a finding and is not followed), and the check ends at [`MAX_FINDINGS`]. Memory grows with the
//! inodes in use and with an eighth of a byte a block in groups that hold anything.

mod acl;
mod backups;
mod bitmaps;
mod block_map;
pub(in crate::ext4) mod directory;
mod extents;
mod features;
pub(in crate::ext4) mod geometry;
pub(in crate::ext4) mod groups;
mod htree;
mod inodes;
mod journal;
mod links;
mod orphan_file;
mod paths;
mod report;
mod resize_inode;
pub(in crate::ext4) mod superblock;
mod usage;
mod xattr;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;

use crate::ext4::disk::group_desc::GroupDesc;
use crate::ext4::disk::superblock::Superblock;
use crate::observe::Observer;
use crate::read_at::ReadAt;
use crate::units::{count, index};
use directory::Directory;
use extents::Run;
use geometry::Geometry;
use inodes::InodeInfo;
use report::{Place, Report, Step, Stop};
use usage::UsedBlocks;

/// The check ends after so many findings: a filesystem with more is lost anyway.
pub const MAX_FINDINGS: usize = 1000;

/// Something wrong with the filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong: "group 3 block bitmap", "inode 1234 /etc/passwd".
    pub structure: String,
    /// Where it lies, in bytes from the start of the filesystem.
    pub offset: u64,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} (byte {}): {}",
            self.structure, self.offset, self.message
        )
    }
}

/// What the filesystem holds, as counted by the check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks of the filesystem.
    pub blocks: u64,
    /// Blocks that something uses, metadata included.
    pub blocks_used: u64,
    /// Inodes of the filesystem.
    pub inodes: u64,
    /// Inodes in use, the reserved ones included.
    pub inodes_used: u64,
    /// Regular files with a name.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices, fifos and sockets.
    pub specials: u64,
    /// Whether every step ran: false when the geometry is unusable or [`MAX_FINDINGS`] was reached.
    pub complete: bool,
}

/// Why a filesystem cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No superblock.
    #[error(
        "no ext4 filesystem: at byte 1080 stands 0x{found:04x} where superblock.s_magic is 0xef53; \
         is this the start of the partition?"
    )]
    NotExt4 {
        /// What stands in place of `s_magic`.
        found: u16,
    },
    /// Too short to hold a superblock.
    #[error(
        "no ext4 filesystem: {len} bytes are too few for a superblock, which ends at byte 2048"
    )]
    TooShort {
        /// Bytes there are.
        len: u64,
    },
    /// The image could not be read.
    #[error("cannot read {len} bytes at byte {offset} of the filesystem")]
    Read {
        /// First byte.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Why.
        source: io::Error,
    },
    /// The filesystem may be sound, but this checker cannot tell.
    #[error("this checker does not read filesystems with {names}; `e2fsck -fn` may")]
    Unsupported {
        /// Features, as mke2fs names them.
        names: String,
    },
    /// The journal holds changes that are not in their places yet.
    #[error(
        "s_feature_incompat has needs_recovery: the filesystem was not unmounted cleanly; mount it \
         once or run `e2fsck -p` on it, then check it"
    )]
    NeedsRecovery,
    /// The observer asked to stop.
    #[error("the check was cancelled")]
    Cancelled,
}

/// Checks the ext4 filesystem `fs`, whose first byte is the first of the filesystem.
///
/// An empty list of findings and `complete` mean a clean filesystem.
///
/// # Errors
/// When `fs` is no ext4 filesystem or cannot be read, and when `observer` cancels. What is wrong
/// with an ext4 filesystem is a [`Finding`], never an error.
pub fn check(
    fs: &dyn ReadAt,
    observer: &dyn Observer,
) -> Result<(Summary, Vec<Finding>), CheckError> {
    let mut report = Report::default();
    let sb = superblock::read(fs)?;
    let geo = match superblock::geometry(&sb, fs.len(), &mut report) {
        Ok(Some(geo)) => geo,
        Ok(None) | Err(Stop::Full) => return Ok((Summary::default(), report.unnamed())),
        Err(Stop::Error(e)) => return Err(e),
    };
    let mut checker = Checker {
        fs,
        observer,
        seed: geo.seed(&sb),
        used: UsedBlocks::new(&geo),
        groups: Vec::new(),
        itable_sound: Vec::new(),
        inodes: Vec::new(),
        directories: Vec::new(),
        runs: Vec::new(),
        xattr_blocks: HashMap::new(),
        journal_blocks: 0,
        orphan_file: false,
        sb,
        geo,
        report,
    };
    let complete = match checker.run() {
        Ok(()) => true,
        Err(Stop::Full) => false,
        Err(Stop::Error(e)) => return Err(e),
    };
    let summary = checker.summary(complete);
    let findings = paths::name(&mut checker)?;
    Ok((summary, findings))
}

/// The state of one check; a step each reads what those before it found.
struct Checker<'a> {
    fs: &'a dyn ReadAt,
    observer: &'a dyn Observer,
    sb: Superblock,
    geo: Geometry,
    /// Checksum seed of the filesystem.
    seed: u32,
    groups: Vec<GroupDesc>,
    /// Whether a group's inode table lies where it may, and alone.
    itable_sound: Vec<bool>,
    used: UsedBlocks,
    report: Report,
    /// Inodes in use, ascending.
    inodes: Vec<InodeInfo>,
    directories: Vec<Directory>,
    /// Blocks of all directories; each owns a range.
    runs: Vec<Run>,
    /// Inodes that point at an xattr block.
    xattr_blocks: HashMap<u64, u32>,
    journal_blocks: u64,
    /// The orphan file was met.
    orphan_file: bool,
}

impl Checker<'_> {
    fn run(&mut self) -> Step {
        superblock::check(self)?;
        groups::check(self)?;
        backups::check(self)?;
        inodes::check(self)?;
        xattr::check_refcounts(self)?;
        directory::check(self)?;
        links::check(self)?;
        bitmaps::check(self)
    }

    fn summary(&self, complete: bool) -> Summary {
        let named = |kind| {
            let first = self.sb.s_first_ino.get();
            count(
                self.inodes
                    .iter()
                    .filter(|i| i.kind == kind && i.ino >= first)
                    .count(),
            )
        };
        let kinds = inodes::KIND_SPECIALS.iter();
        Summary {
            block_size: self.geo.block_size,
            blocks: self.geo.blocks,
            blocks_used: self.used.total(),
            inodes: u64::from(self.geo.inodes),
            inodes_used: inodes::used(self),
            files: named(inodes::KIND_FILE),
            directories: count(self.directories.len()),
            symlinks: named(inodes::KIND_SYMLINK),
            specials: kinds.map(|k| named(*k)).sum(),
            complete,
        }
    }

    /// Reads one block; the caller knows that it lies in the filesystem.
    fn block(&self, nr: u64) -> Step<Vec<u8>> {
        let mut buf = vec![0; index(self.geo.block_size)];
        self.read(self.geo.byte(nr), &mut buf)?;
        Ok(buf)
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Step {
        read(self.fs, offset, buf).map_err(Stop::Error)
    }

    fn find(&mut self, place: impl Into<Place>, offset: u64, message: impl Into<String>) -> Step {
        self.report.add(place, offset, message)
    }

    fn cancel_point(&self) -> Step {
        if self.observer.cancelled() {
            Err(Stop::Error(CheckError::Cancelled))
        } else {
            Ok(())
        }
    }
}

fn read(fs: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> Result<(), CheckError> {
    let len = count(buf.len());
    fs.read_exact_at(offset, buf)
        .map_err(|source| CheckError::Read {
            offset,
            len,
            source,
        })
}
