//! A filesystem as a value: every byte of it can be read, and named.

use super::check::{self, CheckError, Finding, Summary};
use super::contents::Contents;
use super::plan::{Piece, PieceKind, Plan};
use crate::display::display_path;
use crate::extent::{Content, Extent, Layout, SourceNr};
use crate::observe::Silent;
use crate::read_at::ReadAt;
use crate::tree::NodeId;
use crate::units::index;
use std::io;
use std::sync::Arc;

/// The source of a filesystem's metadata in its extents.
const METADATA: SourceNr = SourceNr(0);
/// The source of its files' data. Both are read at the offset in the filesystem.
const DATA: SourceNr = SourceNr(1);

/// What [`super::Builder::finish`] gives: a filesystem that is nowhere written, each block of which is
/// rendered when it is read.
///
/// As a [`ReadAt`] it is the device, as a [`Layout`] the list of what lies where.
#[derive(Clone, Debug)]
pub struct Filesystem {
    plan: Arc<Plan>,
    contents: Arc<Contents>,
    extents: Vec<Extent>,
    warnings: Vec<String>,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A structure of the filesystem.
    Metadata(Piece),
    /// Data of a file.
    File {
        /// The file.
        node: NodeId,
        /// Which of its bytes come first in the block.
        offset: u64,
    },
    /// Zeros that must be zeros: the journal, inodes that are not in use.
    Zero,
    /// Nothing.
    Free,
}

impl Filesystem {
    pub(super) fn new(plan: Plan, contents: Contents, warnings: Vec<String>) -> Self {
        Self {
            extents: plan.extents(0, METADATA, DATA, &[]),
            plan: Arc::new(plan),
            contents: Arc::new(contents),
            warnings,
        }
    }

    /// Where everything lies, and the tree.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes in a block.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        self.plan.geometry().block()
    }

    /// Blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.len() / self.block_size()
    }

    /// What was asked for and left out, with the reason: attributes that Linux would refuse.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The bytes of one block.
    ///
    /// # Errors
    /// `UnexpectedEof` when there is no such block; whatever a file's source says.
    pub fn read_block(&self, block: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; index(self.block_size())];
        let offset = block.checked_mul(self.block_size());
        let offset = offset.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// What one block holds; past the end of the filesystem, nothing.
    #[must_use]
    pub fn holds(&self, block: u64) -> Holds {
        let Some(at) = block.checked_mul(self.block_size()) else {
            return Holds::Free;
        };
        let n = self.extents.partition_point(|e| e.end() <= at);
        let content = self.extents.get(n).map_or(Content::Free, |e| e.content);
        let metadata = || self.plan.piece_at(block).copied().map(Holds::Metadata);
        let file = || {
            let (node, offset) = self.contents.file_at(at)?;
            Some(Holds::File { node, offset })
        };
        match content {
            Content::Free => Holds::Free,
            Content::Zero => Holds::Zero,
            Content::Bytes { .. } => metadata().unwrap_or(Holds::Zero),
            Content::File { .. } => file().unwrap_or(Holds::Zero),
        }
    }

    /// What one block holds, in words: `block bitmap of group 0`, `directory /etc`,
    /// `/etc/hostname from byte 4096`.
    #[must_use]
    pub fn describe(&self, block: u64) -> String {
        match self.holds(block) {
            Holds::Free => "free".into(),
            Holds::Zero => "zeros".into(),
            Holds::File { node, offset } => format!("{} from byte {offset}", self.path(node)),
            Holds::Metadata(piece) => {
                let name = piece.kind.name();
                match piece.kind {
                    PieceKind::Superblock { group }
                    | PieceKind::BlockBitmap { group }
                    | PieceKind::InodeBitmap { group }
                    | PieceKind::InodeTable { group } => format!("{name} of group {group}"),
                    PieceKind::Directory { node, .. } => format!("{name} {}", self.path(node)),
                    PieceKind::Symlink { node } => format!("{name} {}", self.path(node)),
                    PieceKind::ExtentTree { node } => format!("{name} of {}", self.path(node)),
                    _ => name.into(),
                }
            }
        }
    }

    /// A path of a node, from `/`, safe to print: the first of its names in canonical order.
    #[must_use]
    pub fn path(&self, node: NodeId) -> String {
        let mut found = "/".to_owned();
        self.plan.tree().walk(&self.plan.sorted, |path, n| {
            if n == node && found.len() == 1 {
                found = format!("/{}", display_path(path));
            }
        });
        found
    }

    /// Reads the filesystem back with [`check::check`], which knows nothing of how it was made. No
    /// findings and [`Summary::complete`] mean that it is clean.
    ///
    /// # Errors
    /// When a file's source cannot be read.
    pub fn verify(&self) -> Result<(Summary, Vec<Finding>), CheckError> {
        check::check(self, &Silent)
    }
}

impl ReadAt for Filesystem {
    fn len(&self) -> u64 {
        self.plan.size()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        crate::extent::read(&self.extents, offset, buf, |source, at, out| {
            if source == METADATA {
                self.plan.read_exact_at(at, out)
            } else {
                self.contents.read_exact_at(at, out)
            }
        })
    }
}

impl Layout for Filesystem {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}
