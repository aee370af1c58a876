//! Files of a volume, whether ext4 or FAT.

use crate::display::display_path;
use crate::entry::DataRun;
use crate::ext4::disk::inode::EXT4_ROOT_INO;
use crate::ext4::read::{Content, Inode, ReadError, Reader, Warning, Xattrs};
use crate::fat::{self, FatReadError, FatReader};
use crate::units::{Timestamp, index};

pub use crate::ext4::read::Kind;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// An ext4 filesystem cannot be read.
    #[error(transparent)]
    Ext4(#[from] ReadError),
    /// A FAT volume cannot be read.
    #[error(transparent)]
    Fat(#[from] FatReadError),
    /// There is no such file.
    #[error("{path}: there is no such file or directory in the image")]
    NotFound {
        /// The path, as far as it was followed.
        path: String,
    },
    /// A path leads through what is no directory.
    #[error("{path} in the image is {is}, not a directory")]
    NotDirectory {
        /// The path.
        path: String,
        /// What it is.
        is: &'static str,
    },
    /// Symbolic links that lead to one another.
    #[error("{path}: the symbolic links in the image lead to too many others")]
    Loop {
        /// The path.
        path: String,
    },
    /// No file can have such a name: empty, `.`, `..`, or with a slash or NUL in it.
    #[error("it bears a name that no file can have")]
    Name,
    /// No path is so long.
    #[error("its path is longer than Linux takes")]
    TooLong,
    /// Blocks that are there twice.
    #[error(
        "its blocks belong to other files too: those read before have all that the volume holds; repair a copy \
         with e2fsck or fsck.fat"
    )]
    Shared,
    /// A directory that is there twice.
    #[error("its blocks are those of a directory that was read before")]
    Again,
    /// It has no bytes to read.
    #[error("{path} in the image is {is}, not a regular file")]
    NotFile {
        /// The path.
        path: String,
        /// What it is.
        is: &'static str,
    },
}

/// The files of a volume.
#[derive(Debug)]
pub enum Files {
    /// ext2, ext3 or ext4.
    Ext4(Box<Reader>),
    /// FAT12, FAT16 or FAT32.
    Fat(FatReader),
}

/// A file of any kind. On FAT, what it does not know is what Linux shows by default: root's, mode 0755.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What two names of one file share: the inode number, or the byte of FAT's directory entry.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, set-id bits and the sticky bit.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes, holes counted.
    pub size: u64,
    /// Bytes on the disk.
    pub allocated: u64,
    /// Names that it has.
    pub links: u16,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// As it lies on the disk.
    raw: Raw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Raw {
    Inode(Box<Inode>),
    Item(fat::Item),
}

impl Node {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// The inode, on ext4.
    #[must_use]
    pub fn inode(&self) -> Option<&Inode> {
        match &self.raw {
            Raw::Inode(inode) => Some(inode),
            Raw::Item(_) => None,
        }
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    /// The name: any bytes.
    pub name: Vec<u8>,
    /// Of [`Node::id`].
    pub id: u64,
}

/// Whether a file can have a name: damaged or hostile filesystems have others, which lead elsewhere.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

/// The bytes of a file.
#[derive(Debug)]
pub enum Data<'a> {
    /// On ext4.
    Ext4(Content<'a>),
    /// On FAT.
    Fat {
        /// Its volume.
        reader: &'a FatReader,
        /// The file.
        item: fat::Item,
        /// Where its bytes lie.
        runs: Vec<fat::Run>,
    },
}

impl Data<'_> {
    /// Size in bytes, holes counted.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Ext4(content) => content.size(),
            Self::Fat { item, .. } => item.size,
        }
    }

    /// The parts that are no holes, in bytes, sorted and apart from one another.
    #[must_use]
    pub fn data(&self) -> Vec<DataRun> {
        match self {
            Self::Ext4(content) => content.data(),
            Self::Fat { item, .. } => {
                let whole = DataRun {
                    offset: 0,
                    len: item.size,
                };
                Vec::from_iter((item.size > 0).then_some(whole))
            }
        }
    }

    /// Fills `buf` from byte `offset`; how many bytes there were, 0 at the end. Holes read as zeros.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, FilesError> {
        match self {
            Self::Ext4(content) => Ok(content.read_at(offset, buf)?),
            Self::Fat { reader, item, runs } => Ok(reader.read_at(item, runs, offset, buf)?),
        }
    }
}

impl Files {
    /// The kind of filesystem: `ext4` (for ext2 and ext3 too) or `fat`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ext4(_) => "ext4",
            Self::Fat(_) => "fat",
        }
    }

    /// The root directory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn root(&self) -> Result<Node, FilesError> {
        self.node(match self {
            Self::Ext4(_) => EXT4_ROOT_INO.into(),
            Self::Fat(_) => 0,
        })
    }

    /// A file by its number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn node(&self, id: u64) -> Result<Node, FilesError> {
        match self {
            Self::Ext4(reader) => {
                let inode = reader.inode(u32::try_from(id).unwrap_or(u32::MAX))?;
                Ok(of_inode(reader, inode))
            }
            Self::Fat(reader) => Ok(of_item(reader, reader.item(id)?)),
        }
    }

    /// The names in a directory, sorted bytewise.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn children(&self, directory: &Node) -> Result<Vec<Child>, FilesError> {
        let mut list: Vec<Child> = match (self, &directory.raw) {
            (Self::Ext4(reader), Raw::Inode(inode)) => {
                let entries = reader.entries(inode)?;
                let child = |e: crate::ext4::read::Dirent<'_>| Child {
                    name: e.name.to_vec(),
                    id: e.ino.into(),
                };
                entries.iter().map(child).collect()
            }
            (Self::Fat(reader), Raw::Item(item)) => {
                let child = |(name, item): (String, fat::Item)| Child {
                    name: name.into_bytes(),
                    id: item.at,
                };
                reader.entries(item)?.into_iter().map(child).collect()
            }
            _ => Vec::new(),
        };
        list.sort_unstable();
        Ok(list)
    }

    /// What a directory is made of, by numbers that no other has: blocks, clusters, or the inode itself.
    pub(super) fn places(&self, directory: &Node) -> Result<Vec<u64>, FilesError> {
        let mut places = Vec::new();
        match (self, &directory.raw) {
            (Self::Ext4(reader), Raw::Inode(inode)) => {
                // Blocks are numbered below 2^48.
                places.push(1 << 63 | directory.id);
                for run in reader.mapping(inode)?.runs {
                    places.extend(run.physical..run.physical + run.len);
                }
            }
            (Self::Fat(reader), Raw::Item(item)) => {
                for run in reader.runs(item)? {
                    let step = index(reader.cluster_size().max(1));
                    places.extend((run.at..run.at + run.len).step_by(step));
                }
            }
            _ => {}
        }
        Ok(places)
    }

    /// Extended attributes by their full names; none on FAT.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn xattrs(&self, node: &Node) -> Result<Xattrs, FilesError> {
        match (self, &node.raw) {
            (Self::Ext4(reader), Raw::Inode(inode)) => Ok(reader.xattrs(inode)?),
            _ => Ok(Xattrs::new()),
        }
    }

    /// What a symbolic link points to.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn target(&self, link: &Node) -> Result<Vec<u8>, FilesError> {
        match (self, &link.raw) {
            (Self::Ext4(reader), Raw::Inode(inode)) => Ok(reader.target(inode)?),
            _ => Ok(Vec::new()),
        }
    }

    /// The bytes of a regular file; `path` is how an error calls it.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn data(&self, node: &Node, path: &[u8]) -> Result<Data<'_>, FilesError> {
        if node.kind != Kind::File {
            return Err(FilesError::NotFile {
                path: display_path(path).to_string(),
                is: node.kind.words(),
            });
        }
        match (self, &node.raw) {
            (Self::Ext4(reader), Raw::Inode(inode)) => Ok(Data::Ext4(reader.content(inode)?)),
            (Self::Fat(reader), Raw::Item(item)) => Ok(Data::Fat {
                reader,
                item: *item,
                runs: reader.runs(item)?,
            }),
            // A node of another volume.
            _ => Err(FilesError::NotFound {
                path: display_path(path).to_string(),
            }),
        }
    }

    /// All bytes of a regular file of at most `max`; `None` when there is no such file, or a larger one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn small(&self, path: &[u8], max: u64) -> Result<Option<Vec<u8>>, FilesError> {
        let node = match self.resolve(path, true) {
            Ok(node) if node.kind == Kind::File && node.size <= max => node,
            Ok(_) | Err(FilesError::NotFound { .. } | FilesError::NotDirectory { .. }) => {
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        let mut bytes = vec![0; index(node.size)];
        self.data(&node, path)?.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// What made no sense since this was last asked.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        match self {
            Self::Ext4(reader) => reader.warnings(),
            Self::Fat(_) => Vec::new(),
        }
    }
}

fn of_inode(reader: &Reader, inode: Inode) -> Node {
    Node {
        id: inode.nr.into(),
        kind: inode.kind(),
        mode: inode.permissions(),
        uid: inode.uid(),
        gid: inode.gid(),
        size: inode.size(),
        allocated: inode.allocated(reader.block_size()),
        links: inode.links(),
        mtime: inode.mtime(),
        atime: inode.atime(),
        ctime: inode.ctime(),
        device: inode.device(),
        raw: Raw::Inode(Box::new(inode)),
    }
}

fn of_item(reader: &FatReader, item: fat::Item) -> Node {
    let allocated = if item.directory {
        // Its length stands nowhere: the chain ends somewhere.
        let runs = reader.runs(&item).unwrap_or_default();
        runs.iter().map(|r| r.len).sum()
    } else {
        item.size.next_multiple_of(reader.cluster_size().max(1))
    };
    Node {
        id: item.at,
        kind: if item.directory {
            Kind::Directory
        } else {
            Kind::File
        },
        mode: if item.read_only { 0o555 } else { 0o755 },
        uid: 0,
        gid: 0,
        size: if item.directory { allocated } else { item.size },
        allocated,
        links: 1,
        mtime: item.modified,
        atime: item.modified,
        ctime: item.modified,
        device: None,
        raw: Raw::Item(item),
    }
}
