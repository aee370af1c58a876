//! Directories: the chain of entries in every block, names, types, and the links they make.

use zerocopy::FromBytes;

use super::extents::{self, Run};
use super::htree::{self, Slot};
use super::report::{Step, inode};
use super::{Checker, inodes, usage};
use crate::ext4::checksum;
use crate::ext4::disk::dirent as disk;
use crate::ext4::disk::dirent::{DirEntry2, DirEntryTail};
use crate::ext4::disk::superblock::INCOMPAT_FILETYPE;
use crate::units::{count, index};

/// A directory that the scan of inodes met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    pub(super) ino: u32,
    /// Checksum seed.
    pub(super) seed: u32,
    /// Byte of the inode in the filesystem.
    pub(super) offset: u64,
    /// Blocks by its size.
    pub(super) blocks: u64,
    /// Its extents cover its size without a hole.
    pub(super) whole: bool,
    /// `EXT4_INDEX_FL` is set.
    pub(super) indexed: bool,
    /// Its part of the list of runs.
    pub(super) first_run: u64,
    pub(super) end_run: u64,
    /// The inode of "..", once read.
    pub(super) dotdot: u32,
}

/// One entry of a block.
#[derive(Clone, Copy, Debug)]
pub(in crate::ext4) struct Entry<'b> {
    pub(in crate::ext4) at: usize,
    pub(in crate::ext4) ino: u32,
    pub(in crate::ext4) file_type: u8,
    pub(in crate::ext4) name: &'b [u8],
    rec_len: usize,
}

/// The entries of a block up to the first that makes no sense; unused ones have inode 0.
pub(in crate::ext4) struct Entries<'b> {
    bytes: &'b [u8],
    at: usize,
    end: usize,
}

impl<'b> Entries<'b> {
    /// The entries in the first `end` bytes of a block.
    pub(in crate::ext4) fn new(bytes: &'b [u8], end: usize) -> Self {
        Self { bytes, at: 0, end }
    }

    /// Whether the chain ended where it should.
    pub(in crate::ext4) fn complete(&self) -> bool {
        self.at == self.end
    }
}

impl<'b> Iterator for Entries<'b> {
    type Item = Entry<'b>;

    fn next(&mut self) -> Option<Entry<'b>> {
        let rest = self.bytes.get(self.at..self.end)?;
        let (head, rest_after) = DirEntry2::read_from_prefix(rest).ok()?;
        let rec_len = rec_len(head.rec_len.get(), self.bytes.len());
        let name_len = usize::from(head.name_len);
        let needed = if head.inode.get() == 0 {
            8
        } else {
            (8 + name_len).next_multiple_of(4)
        };
        if !rec_len.is_multiple_of(4) || rec_len < needed.max(8) || rec_len > rest.len() {
            return None;
        }
        let name = if head.inode.get() == 0 {
            &[]
        } else {
            rest_after.get(..name_len)?
        };
        let entry = Entry {
            at: self.at,
            ino: head.inode.get(),
            file_type: head.file_type,
            name,
            rec_len,
        };
        self.at += rec_len;
        Some(entry)
    }
}

/// `rec_len` in bytes: in a block of 64 KiB, the whole block is stored as 65535 or 0.
pub(super) fn rec_len(raw: u16, block_size: usize) -> usize {
    if block_size == 1 << 16 && (raw == 0 || raw == u16::MAX) {
        return block_size;
    }
    usize::from(raw)
}

/// Names of one directory, to find two that are equal.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    /// Start and end in `bytes`, byte in the filesystem.
    spans: Vec<(usize, usize, u64)>,
}

impl Names {
    fn add(&mut self, name: &[u8], offset: u64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.spans.push((start, self.bytes.len(), offset));
    }

    /// A name that is there twice, with the byte of the later one.
    fn doubles(&mut self) -> Vec<(&[u8], u64)> {
        let Self { bytes, spans } = self;
        let name = |s: &(usize, usize, u64)| bytes.get(s.0..s.1).unwrap_or_default();
        spans.sort_unstable_by(|a, b| name(a).cmp(name(b)).then(a.2.cmp(&b.2)));
        let pairs = spans.windows(2).filter(|w| name(&w[0]) == name(&w[1]));
        pairs.map(|w| (name(&w[1]), w[1].2)).collect()
    }
}

/// Checks every directory.
pub(super) fn check(cx: &mut Checker) -> Step {
    for n in 0..cx.directories.len() {
        cx.cancel_point()?;
        let dir = cx.directories[n];
        let runs = extents::slice(&cx.runs, dir.first_run, dir.end_run).to_vec();
        let slots = if dir.indexed && dir.whole {
            htree::read(cx, &dir, &runs)?
        } else {
            None
        };
        let mut walk = Walk {
            n,
            dir,
            slots,
            names: Names::default(),
        };
        for run in &runs {
            walk.run(cx, run)?;
        }
        for (name, offset) in walk.names.doubles() {
            let why = format!("the name {} is there twice", name.escape_ascii());
            cx.find(inode(dir.ino), offset, why)?;
        }
    }
    Ok(())
}

/// One directory being read.
struct Walk {
    /// Its place in the list.
    n: usize,
    dir: Directory,
    slots: Option<Vec<Slot>>,
    names: Names,
}

impl Walk {
    fn run(&mut self, cx: &mut Checker, run: &Run) -> Step {
        for into in 0..run.len {
            let (file, block) = (run.file + into, run.disk + into);
            let slot = self
                .slots
                .as_ref()
                .and_then(|s| s.get(index(file)))
                .copied();
            if slot == Some(Slot::Node) && file > 0 {
                continue;
            }
            let bytes = cx.block(block)?;
            self.block(cx, file, cx.geo.byte(block), &bytes, slot)?;
        }
        Ok(())
    }

    fn block(
        &mut self,
        cx: &mut Checker,
        file: u64,
        offset: u64,
        bytes: &[u8],
        slot: Option<Slot>,
    ) -> Step {
        let ino = self.dir.ino;
        if slot == Some(Slot::Unseen) {
            let why = format!("no htree entry points at directory block {file}");
            cx.find(inode(ino), offset, why)?;
        }
        let is_root = self.dir.indexed && file == 0;
        // Without sound slots one cannot know which blocks are leaves; then no tail is expected.
        let tailed = cx.geo.checksums && !is_root && (slot.is_some() || !self.dir.indexed);
        let end = if tailed {
            bytes.len() - 12
        } else {
            bytes.len()
        };
        if tailed {
            self.check_tail(cx, bytes, offset)?;
        }
        let mut entries = Entries::new(bytes, end);
        let mut n = 0;
        for entry in entries.by_ref() {
            let at = offset + usage::at(entry.at);
            if file == 0 && n < 2 {
                self.dots(cx, n, &entry, at)?;
            } else if entry.ino != 0 && !is_root {
                self.entry(cx, &entry, at, slot)?;
            }
            n += 1;
        }
        if !entries.complete() {
            let at = offset + usage::at(entries.at);
            let why = format!("directory block {file}: rec_len, name_len or inode makes no sense");
            cx.find(inode(ino), at, why)?;
        } else if file == 0 && n < 2 {
            cx.find(inode(ino), offset, "the directory lacks \".\" or \"..\"")?;
        }
        Ok(())
    }

    fn check_tail(&self, cx: &mut Checker, bytes: &[u8], offset: u64) -> Step {
        let Ok((_, tail)) = DirEntryTail::read_from_suffix(bytes) else {
            return Ok(());
        };
        let crc = checksum::dirent_block(self.dir.seed, bytes);
        let shape = tail.det_reserved_zero1.get() == 0
            && tail.det_rec_len.get() == 12
            && tail.det_reserved_zero2 == 0
            && tail.det_reserved_ft == disk::EXT4_FT_DIR_CSUM;
        let at = offset + count(bytes.len()) - 12;
        if !shape {
            return cx.find(
                inode(self.dir.ino),
                at,
                "a directory block ends without its tail",
            );
        }
        if tail.det_checksum.get() != crc {
            let why = format!(
                "det_checksum is 0x{:08x}, not 0x{crc:08x}",
                tail.det_checksum
            );
            return cx.find(inode(self.dir.ino), at, why);
        }
        Ok(())
    }

    /// "." and "..", the first two entries of the first block.
    fn dots(&mut self, cx: &mut Checker, n: usize, entry: &Entry, at: u64) -> Step {
        let (name, sound): (&[u8], bool) = if n == 0 {
            (b".", entry.ino == self.dir.ino && entry.rec_len == 12)
        } else {
            (b"..", entry.ino != 0)
        };
        let file_type = file_type(cx, inodes::KIND_DIRECTORY);
        if entry.name != name || !sound || entry.file_type != file_type {
            let name = name.escape_ascii();
            let why = format!("entry {n} is not \"{name}\" with its inode, type and rec_len");
            return cx.find(inode(self.dir.ino), at, why);
        }
        if n == 1 {
            cx.directories[self.n].dotdot = entry.ino;
        }
        self.link(cx, entry, at).map(|_| ())
    }

    fn entry(&mut self, cx: &mut Checker, entry: &Entry, at: u64, slot: Option<Slot>) -> Step {
        let shown = entry.name.escape_ascii();
        let name = entry.name;
        if name.is_empty()
            || name == b"."
            || name == b".."
            || name.iter().any(|b| b"/\0".contains(b))
        {
            cx.find(
                inode(self.dir.ino),
                at,
                format!("{shown:?} is no name of an entry"),
            )?;
        }
        self.names.add(name, at);
        if let Some(Slot::Leaf(range)) = slot
            && let Some(hash) = range.miss(name)
        {
            let why = format!("the name {shown} hashes to 0x{hash:08x}, outside its leaf's range");
            cx.find(inode(self.dir.ino), at, why)?;
        }
        if entry.ino < cx.sb.s_first_ino.get() {
            let why = format!(
                "the name {shown} points at the reserved inode {}",
                entry.ino
            );
            return cx.find(inode(self.dir.ino), at, why);
        }
        let Some(place) = self.link(cx, entry, at)? else {
            return Ok(());
        };
        let info = &mut cx.inodes[place];
        if info.kind == inodes::KIND_DIRECTORY {
            if info.parent != 0 {
                let why = format!(
                    "the name {shown} is a second link to the directory {}",
                    info.ino
                );
                return cx.find(inode(self.dir.ino), at, why);
            }
            info.parent = self.dir.ino;
        }
        Ok(())
    }

    /// Counts a link; the place of the inode it points at, if that is in use.
    fn link(&self, cx: &mut Checker, entry: &Entry, at: u64) -> Step<Option<usize>> {
        let shown = entry.name.escape_ascii();
        let Ok(place) = cx.inodes.binary_search_by_key(&entry.ino, |i| i.ino) else {
            let why = format!(
                "the name {shown} points at inode {}, which is not in use",
                entry.ino
            );
            cx.find(inode(self.dir.ino), at, why)?;
            return Ok(None);
        };
        let file_type = file_type(cx, cx.inodes[place].kind);
        let info = &mut cx.inodes[place];
        info.counted = info.counted.saturating_add(1);
        let expected = file_type;
        if entry.file_type != expected {
            let is = entry.file_type;
            let why =
                format!("the name {shown} has file_type {is}, its inode is of type {expected}");
            cx.find(inode(self.dir.ino), at, why)?;
        }
        Ok(Some(place))
    }
}

/// `file_type` of an inode by `i_mode >> 12`; the high half of `name_len` without the feature.
fn file_type(cx: &Checker, kind: u8) -> u8 {
    if cx.sb.s_feature_incompat.get() & INCOMPAT_FILETYPE == 0 {
        return 0;
    }
    match kind {
        8 => disk::EXT4_FT_REG_FILE,
        4 => disk::EXT4_FT_DIR,
        2 => disk::EXT4_FT_CHRDEV,
        6 => disk::EXT4_FT_BLKDEV,
        1 => disk::EXT4_FT_FIFO,
        12 => disk::EXT4_FT_SOCK,
        10 => disk::EXT4_FT_SYMLINK,
        _ => disk::EXT4_FT_UNKNOWN,
    }
}
