//! Directories: every block is scanned, with an htree or without; its nodes look like blocks of no entries.

use super::{Content, Inode, Kind, ReadError, Reader};
use crate::ext4::check::directory as blocks;
use crate::ext4::disk::dirent as disk;
use crate::ext4::disk::inode::{EXT4_ENCRYPT_FL, EXT4_INLINE_DATA_FL};
use crate::units::{count, count32, index, index32, lo8};

/// So many damaged blocks end a directory.
const DAMAGED_MAX: usize = 100;
/// So many bytes of entries end a directory: twenty million files.
const ENTRIES_MAX: usize = 1 << 30;

/// The entries of a directory, "." and ".." left out, in the order of the disk.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    names: Vec<u8>,
    list: Vec<Packed>,
    /// What ".." points to; 0 when there is none.
    parent: u32,
}

/// An entry, as small as it can be: a directory may have millions.
#[derive(Clone, Copy, Debug)]
struct Packed {
    ino: u32,
    start: u32,
    len: u8,
    file_type: u8,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The inode.
    pub ino: u32,
    /// Its name: any bytes; a damaged or hostile disk may have `/`, NUL or nothing in it.
    pub name: &'a [u8],
    /// What it is, if the filesystem says so here (`filetype`).
    pub kind: Option<Kind>,
}

impl Entries {
    /// The entries.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Dirent<'_>> + Clone {
        self.list.iter().map(|e| Dirent {
            ino: e.ino,
            name: &self.names[index32(e.start)..][..usize::from(e.len)],
            kind: kind(e.file_type),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The inode that ".." points to.
    #[must_use]
    pub fn parent(&self) -> Option<u32> {
        (self.parent != 0).then_some(self.parent)
    }

    /// The entry of a name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<Dirent<'_>> {
        self.iter().find(|e| e.name == name)
    }

    fn add(&mut self, entry: &blocks::Entry<'_>) {
        match entry.name {
            b"." => {}
            b".." => self.parent = entry.ino,
            name => {
                self.list.push(Packed {
                    ino: entry.ino,
                    start: count32(self.names.len()),
                    len: lo8(count(name.len())),
                    file_type: entry.file_type,
                });
                self.names.extend_from_slice(name);
            }
        }
    }
}

fn kind(file_type: u8) -> Option<Kind> {
    Some(match file_type {
        disk::EXT4_FT_REG_FILE => Kind::File,
        disk::EXT4_FT_DIR => Kind::Directory,
        disk::EXT4_FT_CHRDEV => Kind::CharDevice,
        disk::EXT4_FT_BLKDEV => Kind::BlockDevice,
        disk::EXT4_FT_FIFO => Kind::Fifo,
        disk::EXT4_FT_SOCK => Kind::Socket,
        disk::EXT4_FT_SYMLINK => Kind::Symlink,
        _ => return None,
    })
}

/// A directory being read.
struct Scan<'a> {
    reader: &'a Reader,
    directory: &'a Inode,
    entries: Entries,
    damaged: usize,
}

impl Scan<'_> {
    /// Takes the entries of a block; whether to go on. `at` is its byte in the filesystem.
    fn block(&mut self, bytes: &[u8], at: u64) -> bool {
        let mut chain = blocks::Entries::new(bytes, bytes.len());
        let mut end = 0;
        for entry in chain.by_ref() {
            end = entry.at;
            if entry.ino != 0 {
                self.entries.add(&entry);
            }
        }
        if !chain.complete() {
            self.damaged += 1;
            let why = "rec_len or name_len makes no sense, the rest of this block is left out";
            let name = format!("directory, inode {}", self.directory.nr);
            self.reader.warn(name, at + count(end), why);
        }
        let bytes = self.entries.names.len() + self.entries.list.len() * size_of::<Packed>();
        self.damaged < DAMAGED_MAX && bytes < ENTRIES_MAX
    }
}

/// Reads a directory.
pub(super) fn read(reader: &Reader, directory: &Inode) -> Result<Entries, ReadError> {
    directory.must_be(Kind::Directory)?;
    if directory.flag(EXT4_ENCRYPT_FL) {
        return Err(ReadError::Encrypted { ino: directory.nr });
    }
    let mut scan = Scan {
        reader,
        directory,
        entries: Entries::default(),
        damaged: 0,
    };
    if directory.flag(EXT4_INLINE_DATA_FL) {
        inline(&mut scan)?;
        return Ok(scan.entries);
    }
    let size = reader.geo.block_size;
    let content = Content::of(reader, directory)?;
    let mut bytes = vec![0; index(size)];
    'all: for run in content.runs() {
        for block in 0..run.len {
            if !run.written || (run.logical + block) * size >= directory.size() {
                break;
            }
            let at = (run.physical + block) * size;
            reader.read(at, &mut bytes, || {
                format!("the directory with inode {}", directory.nr)
            })?;
            if !scan.block(&bytes, at) {
                let why = "too much of the directory is damaged: the rest of it is left out";
                reader.warn(directory.name(), directory.offset, why);
                break 'all;
            }
        }
    }
    Ok(scan.entries)
}

/// A directory in its inode: the number of its parent, entries to the end of `i_block`, and more in
/// `system.data`.
fn inline(scan: &mut Scan<'_>) -> Result<(), ReadError> {
    let directory = scan.directory;
    scan.entries.parent = directory.word(0);
    let (_, head) = directory.disk.i_block.split_at(4);
    scan.block(head, directory.offset + 0x2C);
    let rest = super::xattr::inline_data(scan.reader, directory)?;
    if !rest.is_empty() {
        scan.block(&rest, directory.offset);
    }
    Ok(())
}
