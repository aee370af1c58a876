//! The bytes of a file, and the target of a symbolic link.

use super::{Inode, Kind, ReadError, Reader, Run, mapping, xattr};
use crate::entry::DataRun;
use crate::ext4::disk::inode::{EXT4_ENCRYPT_FL, EXT4_INLINE_DATA_FL};
use crate::units::{count, index};

/// Longest target of a symbolic link: one block, of 64 KiB at most.
const TARGET_MAX: u64 = 1 << 16;

/// The bytes of a file.
#[derive(Debug)]
pub struct Content<'a> {
    reader: &'a Reader,
    ino: u32,
    size: u64,
    runs: Vec<Run>,
    /// What the inode itself holds.
    inline: Option<Vec<u8>>,
}

impl<'a> Content<'a> {
    pub(super) fn open(reader: &'a Reader, inode: &Inode) -> Result<Self, ReadError> {
        inode.must_be(Kind::File)?;
        Self::of(reader, inode)
    }

    /// The bytes of an inode of any kind.
    pub(super) fn of(reader: &'a Reader, inode: &Inode) -> Result<Self, ReadError> {
        if inode.flag(EXT4_ENCRYPT_FL) {
            return Err(ReadError::Encrypted { ino: inode.nr });
        }
        let mut inline = None;
        if inode.flag(EXT4_INLINE_DATA_FL) {
            inline = Some(inline_data(reader, inode)?);
        }
        let size = inode.size();
        // The kernel takes no larger files: blocks of a file have numbers of 32 bits.
        let most = match &inline {
            Some(bytes) => count(bytes.len()),
            None => reader.geo.block_size << 32,
        };
        if size > most {
            let why = format!("i_size {size} is more than the {most} bytes there can be");
            return Err(inode.damaged(why));
        }
        Ok(Self {
            reader,
            ino: inode.nr,
            size,
            runs: mapping::read(reader, inode)?.runs,
            inline,
        })
    }

    /// Size in bytes, holes counted.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its blocks.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The parts that hold data, in bytes, sorted, apart from one another and within the size.
    #[must_use]
    pub fn data(&self) -> Vec<DataRun> {
        let block = self.reader.geo.block_size;
        let all = DataRun {
            offset: 0,
            len: self.size,
        };
        if self.inline.is_some() {
            return Vec::from_iter((self.size > 0).then_some(all));
        }
        let mut list: Vec<DataRun> = Vec::new();
        for run in self.runs.iter().filter(|r| r.written) {
            let offset = run.logical * block;
            let end = (offset + run.len * block).min(self.size);
            if offset >= end {
                break;
            }
            match list.last_mut() {
                Some(last) if last.offset + last.len == offset => last.len = end - last.offset,
                _ => list.push(DataRun {
                    offset,
                    len: end - offset,
                }),
            }
        }
        list
    }

    /// Fills `buf` from byte `offset`; how many bytes there were, 0 at the end. Holes read as zeros.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        let len = index(self.size.saturating_sub(offset).min(count(buf.len())));
        let buf = &mut buf[..len];
        buf.fill(0);
        if let Some(inline) = &self.inline {
            let from = inline.get(index(offset)..).unwrap_or_default();
            for (to, from) in buf.iter_mut().zip(from) {
                *to = *from;
            }
            return Ok(len);
        }
        let block = self.reader.geo.block_size;
        let end = offset + count(len);
        let first = self
            .runs
            .partition_point(|r| (r.logical + r.len) * block <= offset);
        for run in &self.runs[first..] {
            let start = run.logical * block;
            if start >= end {
                break;
            }
            if !run.written {
                continue;
            }
            let (from, to) = (start.max(offset), (start + run.len * block).min(end));
            let part = &mut buf[index(from - offset)..index(to - offset)];
            let at = run.physical * block + (from - start);
            self.reader.read(at, part, || {
                format!("inode {} from its byte {from}", self.ino)
            })?;
        }
        Ok(len)
    }
}

/// The target of a symbolic link.
pub(super) fn target(reader: &Reader, link: &Inode) -> Result<Vec<u8>, ReadError> {
    link.must_be(Kind::Symlink)?;
    let size = link.size();
    if size == 0 || size > TARGET_MAX {
        return Err(link.damaged(format!("i_size {size} of a symbolic link")));
    }
    if link.flag(EXT4_ENCRYPT_FL) {
        return Err(ReadError::Encrypted { ino: link.nr });
    }
    let inline = link.flag(EXT4_INLINE_DATA_FL);
    if !inline && mapping::is_fast_symlink(link) {
        return Ok(link.disk.i_block[..index(size)].to_vec());
    }
    let mut target = vec![0; index(size)];
    Content::of(reader, link)?.read_at(0, &mut target)?;
    Ok(target)
}

/// Data in the inode: the 60 bytes of `i_block`, then the value of `system.data` (Linux
/// `fs/ext4/inline.c`).
pub(super) fn inline_data(reader: &Reader, inode: &Inode) -> Result<Vec<u8>, ReadError> {
    let mut data = inode.disk.i_block.to_vec();
    data.extend(xattr::inline_data(reader, inode)?);
    Ok(data)
}
