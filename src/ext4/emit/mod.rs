//! The bytes of any block of a [`Plan`], when asked. Nothing is decided here.

mod directory;
mod extents;
mod inode;
mod journal;
mod orphan;
mod resize;
mod superblock;

use super::disk::inode::EXT4_JOURNAL_INO;
use super::plan::bitmap;
use super::plan::{Piece, PieceKind, Plan};
use crate::extent::{Content, Extent, SourceNr};
use crate::read_at::ReadAt;
use crate::units::{count, index, index32};
use std::io;
use zerocopy::IntoBytes;

impl Plan {
    /// Fills `out`, one block, with block `into` of `piece`.
    fn render(&self, piece: &Piece, into: u64, out: &mut [u8]) {
        out.fill(0);
        match piece.kind {
            PieceKind::Superblock { group } => superblock::render(self, group, out),
            PieceKind::GroupDescriptors => {
                let size = index(self.geometry.features.descriptor());
                let first = index(into * self.geometry.descriptors_per_block());
                let descriptors = self.groups.get(first..).unwrap_or_default();
                for (slot, desc) in out.chunks_exact_mut(size).zip(descriptors) {
                    slot.copy_from_slice(&desc.as_bytes()[..size]);
                }
            }
            PieceKind::ReservedGdt => resize::reserved_gdt(self, piece.start + into, out),
            PieceKind::BlockBitmap { group } => out.copy_from_slice(&bitmap::blocks(self, group)),
            PieceKind::InodeBitmap { group } => out.copy_from_slice(&bitmap::inodes(self, group)),
            PieceKind::InodeTable { group } => inode::table_block(self, group, into, out),
            PieceKind::Directory { node, logical } => {
                directory::block(self, node, u64::from(logical) + into, out);
            }
            PieceKind::Symlink { node } => inode::symlink_block(self, node, out),
            PieceKind::Xattr { index } => {
                let block = &self.xattr_blocks[index32(index)];
                out.copy_from_slice(&block.bytes);
                let sums = self.sums();
                super::plan::xattr::finish_block(out, block.refcount, block.nr, sums);
            }
            PieceKind::ExtentTree { node } => extents::node_block(self, node, into, out),
            PieceKind::JournalExtents => {
                extents::system_node_block(self, &self.journal, EXT4_JOURNAL_INO, into, out);
            }
            PieceKind::OrphanFile => orphan::block(self, piece.start + into, out),
            PieceKind::OrphanExtents => {
                if let Some(inode) = self.orphan_inode() {
                    extents::system_node_block(self, &self.orphan_file, inode, into, out);
                }
            }
            PieceKind::ResizeDind => resize::dind(self, out),
            PieceKind::JournalSuperblock => journal::superblock(self, out),
        }
    }

    pub(super) fn piece_at(&self, block: u64) -> Option<&Piece> {
        let n = self.pieces.partition_point(|p| p.start + p.len <= block);
        self.pieces.get(n).filter(|p| p.start <= block)
    }

    /// The metadata's pieces, by block.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The extents of the filesystem, `base` bytes into the disk: metadata is read from `plan`, data
    /// from `data`, where it lies at its place on the disk. `zero_runs` are the blocks of files that
    /// turned out to be zero, sorted.
    #[must_use]
    pub fn extents(
        &self,
        base: u64,
        plan: SourceNr,
        data: SourceNr,
        zero_runs: &[std::ops::Range<u64>],
    ) -> Vec<Extent> {
        // Blocks in use that no piece renders: data where a file has them, else zeros.
        let mut files = super::block_set::BlockSet::default();
        for (_, node) in self.tree.nodes().filter(|(_, n)| n.links > 0) {
            if let crate::tree::NodeKind::File { data: Some(id), .. } = node.kind {
                for e in self.placement.extents(id) {
                    files.insert(e.blocks());
                }
            }
        }
        for run in zero_runs {
            files.remove(run.clone());
        }
        let block = self.geometry.block();
        let mut list = Vec::new();
        let mut push = |from: u64, to: u64, content| {
            let (start, len) = (base + from * block, (to - from) * block);
            crate::extent::push(
                &mut list,
                Extent {
                    start,
                    len,
                    content,
                },
            );
        };
        let mut unrendered = |from: u64, to: u64| {
            let mut at = from;
            for used in self.used.parts_in(&(from..to)) {
                push(at, used.start, Content::Free);
                let mut inner = used.start;
                for file in files.parts_in(&used) {
                    push(inner, file.start, Content::Zero);
                    let offset = base + file.start * block;
                    push(
                        file.start,
                        file.end,
                        Content::File {
                            source: data,
                            offset,
                        },
                    );
                    inner = file.end;
                }
                push(inner, used.end, Content::Zero);
                at = used.end;
            }
            push(at, to, Content::Free);
        };
        let mut at = 0;
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for p in &self.pieces {
            unrendered(at, p.start);
            pieces.push((p.start, p.start + p.len));
            at = p.start + p.len;
        }
        unrendered(at, self.geometry.blocks);
        for (from, to) in pieces {
            let content = Content::Bytes {
                source: plan,
                offset: from * block,
            };
            list.push(Extent {
                start: base + from * block,
                len: (to - from) * block,
                content,
            });
        }
        list.sort_unstable_by_key(|e| e.start);
        let mut joined = Vec::with_capacity(list.len());
        for e in list {
            crate::extent::push(&mut joined, e);
        }
        joined
    }
}

/// Reads the metadata; blocks that no piece renders read as zero.
impl ReadAt for Plan {
    fn len(&self) -> u64 {
        self.size()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset
            .checked_add(count(buf.len()))
            .is_none_or(|end| end > self.size())
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = self.geometry.block();
        let mut at = offset;
        let mut rest = buf;
        let mut whole = vec![0; index(size)];
        while !rest.is_empty() {
            let (block, into) = (at / size, index(at % size));
            let len = (index(size) - into).min(rest.len());
            let (out, more) = rest.split_at_mut(len);
            match self.piece_at(block) {
                None => out.fill(0),
                Some(p) if len == whole.len() => self.render(p, block - p.start, out),
                Some(p) => {
                    self.render(p, block - p.start, &mut whole);
                    out.copy_from_slice(&whole[into..into + len]);
                }
            }
            rest = more;
            at += count(len);
        }
        Ok(())
    }
}
