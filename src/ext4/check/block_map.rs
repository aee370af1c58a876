//! The block map of ext2 and ext3, which an inode without `EXTENTS_FL` still has: every block of the
//! file by number, through up to three levels of blocks of numbers.
//!
//! ```text
//! i_block:  │ 0 … 11: data │ 12: one level │ 13: two levels │ 14: three levels │
//! ```
//! The walk keeps its own stack of at most three blocks, and follows a block only when it was free
//! until then: maps that share blocks or loop end at once.

use super::Checker;
use super::extents::{self, Mapped};
use super::geometry::Geometry;
use super::inodes::Item;
use super::report::Step;
use crate::ext4::disk::inode::{EXT4_IND_BLOCK, EXT4_N_BLOCKS};

/// Blocks that a file with a block map can have.
pub(super) fn reach(geo: &Geometry) -> u64 {
    let n = geo.block_size / 4;
    super::usage::at(EXT4_IND_BLOCK) + n + n * n + n * n * n
}

/// A block of numbers on the way down.
struct Table {
    words: Vec<u32>,
    next: usize,
    /// Levels of tables below: 0 when the words are data blocks.
    below: usize,
    /// Byte in the filesystem.
    offset: u64,
}

/// Walks the map in the inode's `i_block`, claims its blocks, and keeps the runs if asked to.
pub(super) fn walk(cx: &mut Checker, item: &Item, keep: bool) -> Step<Mapped> {
    let mut mapped = Mapped {
        sound: true,
        ..Mapped::default()
    };
    let per_block = cx.geo.block_size / 4;
    // File block that the next word stands for, and the stack of tables.
    let mut file = 0;
    let mut stack = vec![];
    for n in 0..EXT4_N_BLOCKS {
        let below = (n + 1).saturating_sub(EXT4_IND_BLOCK);
        stack.push(Table {
            words: vec![item.block_word(n)],
            next: 0,
            below,
            offset: item.offset + 0x28 + super::usage::at(n) * 4,
        });
        while let Some(top) = stack.last_mut() {
            let Some(&word) = top.words.get(top.next) else {
                stack.pop();
                continue;
            };
            let at = top.offset + super::usage::at(top.next) * 4;
            top.next += 1;
            let (block, below) = (u64::from(word), top.below);
            let covers = (0..below).fold(1, |n: u64, _| n * per_block);
            if block == 0 {
                file += covers;
            } else if below == 0 {
                data(cx, item, &mut mapped, (file, block), at, keep)?;
                file += 1;
            } else if extents::claim(cx, item, &mut mapped, (block, 1), at, "an indirect block")? {
                mapped.nodes += 1;
                stack.push(Table {
                    words: words(&cx.block(block)?),
                    next: 0,
                    below: below - 1,
                    offset: cx.geo.byte(block),
                });
            } else {
                file += covers;
            }
        }
    }
    Ok(mapped)
}

fn words(block: &[u8]) -> Vec<u32> {
    let word = |b: &[u8]| <[u8; 4]>::try_from(b).map_or(0, u32::from_le_bytes);
    block.chunks_exact(4).map(word).collect()
}

fn data(
    cx: &mut Checker,
    item: &Item,
    mapped: &mut Mapped,
    (file, block): (u64, u64),
    at: u64,
    keep: bool,
) -> Step {
    if !extents::claim(cx, item, mapped, (block, 1), at, "a block")? {
        return Ok(());
    }
    mapped.data += 1;
    mapped.end = file + 1;
    mapped.mapped_end = file + 1;
    if keep {
        mapped.add_run(file, block, 1);
    }
    Ok(())
}
