//! File data in a file without a name, laid out as the disk will be: the spool of an image that is sent away
//! while its archive is still being read.
//!
//! ```text
//!  place(at, data) ──► file ──► a block that is passed: told, read and sent
//!  vacant(at, len) ───────────► a block of zeros: told and sent
//!                                │ its file was replaced, or metadata came to lie in it
//!                                ▼
//!                              sent once more, when the image is known: [`Spooled::rest`]
//! ```

use super::blocks::SNAPSHOT_BLOCK;
use super::raw::batch::Writer;
use super::raw::{punch, read_back};
use crate::extent::{Content, Extent};
use crate::image::Spool;
use crate::read_at::ReadAt;
use crate::units::{count, count32, index};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// A spool that tells which blocks of [`SNAPSHOT_BLOCK`] bytes may be sent.
#[derive(Debug)]
pub struct FileSpool {
    file: Arc<File>,
    writer: Writer,
    told: Sender<Block>,
    /// Bytes in a block of the filesystem: what a file leaves of its last one stays zero.
    align: u64,
    /// Up to here nothing more comes.
    cursor: u64,
    /// The last block that data came to lie in, unless it is passed.
    open: Option<u32>,
    /// Passed, and perhaps not in the file yet.
    passed: VecDeque<u32>,
    /// Those that were told.
    early: BTreeSet<u32>,
    /// Of those told, the ones that changed since.
    stale: BTreeSet<u32>,
}

impl FileSpool {
    /// In `folder`, for a filesystem with blocks of `align` bytes. Blocks with data go to `told` when no more comes
    /// behind them, others when they are said to be vacant; whoever listens may go away.
    ///
    /// # Errors
    /// When the folder takes no files.
    pub fn create(folder: &Path, align: u64, told: Sender<Block>) -> io::Result<Self> {
        // tempfile's error names the temporary.
        let file = tempfile::tempfile_in(folder).map_err(|e| io::Error::from(e.kind()))?;
        let file = Arc::new(file);
        Ok(Self {
            writer: Writer::start(Arc::clone(&file)),
            file,
            told,
            align,
            cursor: 0,
            open: None,
            passed: VecDeque::new(),
            early: BTreeSet::new(),
            stale: BTreeSet::new(),
        })
    }

    /// The data, readable from now on as far as blocks were told.
    #[must_use]
    pub fn data(&self) -> Arc<dyn ReadAt> {
        Arc::new(Data(Arc::clone(&self.file)))
    }

    /// Everything was placed.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn finish(mut self) -> io::Result<Spooled> {
        self.writer.flush()?;
        Ok(Spooled {
            early: self.early,
            stale: self.stale,
        })
    }

    fn cover(&mut self, at: u64, len: u64) {
        let end = (at + len).next_multiple_of(self.align);
        let from = at.max(self.cursor);
        if from >= end {
            return;
        }
        for block in nr(from)..=nr(end - 1) {
            if self.open == Some(block) {
                continue;
            }
            self.passed.extend(self.open.replace(block));
            if self.early.contains(&block) {
                // It was vacant.
                self.stale.insert(block);
            }
        }
        if end.is_multiple_of(SNAPSHOT_BLOCK) {
            self.passed.extend(self.open.take());
        }
        self.cursor = end;
    }

    /// These bytes, whose block may be told already, are others now.
    fn changed(&mut self, at: u64, len: u64) {
        let touched = nr(at)..=nr(at + len.max(1) - 1);
        self.passed.retain(|b| !touched.contains(b));
        self.stale.extend(self.early.range(touched));
    }

    /// Tells of the blocks whose last byte lies before byte `written`: the end of their data is in the file, too.
    fn tell(&mut self, written: u64) {
        while let Some(&first) = self.passed.front()
            && (u64::from(first) + 1) * SNAPSHOT_BLOCK <= written
        {
            self.passed.pop_front();
            if self.early.insert(first) {
                self.say(first, true);
            }
        }
    }

    fn say(&self, index: u32, data: bool) {
        // Nobody listens any more: the upload failed, and says so.
        let _ = self.told.send(Block { index, data });
    }
}

impl Spool for FileSpool {
    fn place(&mut self, at: u64, data: Bytes, _keep: bool) -> io::Result<()> {
        let len = count(data.len());
        // The cursor is rounded up: a file that comes in pieces goes on before it.
        if at < self.cursor.saturating_sub(self.align - 1) {
            self.changed(at, len);
        }
        self.cover(at, len);
        self.writer.place(at, data)?;
        self.tell(self.writer.written());
        Ok(())
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        self.writer.settle(at..at + len)?;
        punch(&self.file, at, len)?;
        self.changed(at, len);
        Ok(())
    }

    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.writer.settle(at..at + count(buf.len()))?;
        read_back(&self.file, at, buf)
    }

    fn vacant(&mut self, at: u64, len: u64) {
        let end = (at + len) / SNAPSHOT_BLOCK;
        for block in at.max(self.cursor).div_ceil(SNAPSHOT_BLOCK)..end {
            let index = count32(index(block));
            self.early.insert(index);
            self.say(index, false);
        }
    }
}

/// The number of the block that byte `at` lies in.
fn nr(at: u64) -> u32 {
    count32(index(at / SNAPSHOT_BLOCK))
}

/// The spooled bytes: zeros where nothing was placed.
struct Data(Arc<File>);

impl ReadAt for Data {
    fn len(&self) -> u64 {
        u64::MAX
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        read_back(&self.0, offset, buf)
    }
}

/// What was told of an image, when all of its data is there.
#[derive(Debug, Default)]
pub struct Spooled {
    early: BTreeSet<u32>,
    stale: BTreeSet<u32>,
}

/// A block to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Its number.
    pub index: u32,
    /// Whether there is more in it than zeros.
    pub data: bool,
}

/// What lies in a block, the later outweighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Zero,
    File,
    Metadata,
}

impl Spooled {
    /// The blocks of `block_size` bytes of an image with these extents that were not told or that are others
    /// since; ascending. Those of another size than [`SNAPSHOT_BLOCK`] were none of them told.
    #[must_use]
    pub fn rest(&self, extents: &[Extent], block_size: u64) -> Vec<Block> {
        let mut blocks: Vec<(u32, Holds)> = Vec::new();
        for e in extents {
            let holds = match e.content {
                Content::Free => continue,
                Content::Zero => Holds::Zero,
                Content::File { .. } => Holds::File,
                Content::Bytes { .. } => Holds::Metadata,
            };
            for nr in e.start / block_size..=(e.end() - 1) / block_size {
                let nr = count32(index(nr));
                match blocks.last_mut() {
                    Some((last, held)) if *last == nr => *held = holds.max(*held),
                    _ => blocks.push((nr, holds)),
                }
            }
        }
        let told = block_size == SNAPSHOT_BLOCK;
        let fine = |nr: u32| told && self.early.contains(&nr) && !self.stale.contains(&nr);
        let list = blocks.into_iter();
        let list = list.filter(|&(nr, holds)| holds == Holds::Metadata || !fine(nr));
        let mut list: Vec<Block> = list
            .map(|(index, holds)| Block {
                index,
                data: holds != Holds::Zero,
            })
            .collect();
        if told {
            // What was sent of a file that is gone must not stay, even where nothing matters now.
            let there: BTreeSet<u32> = list.iter().map(|r| r.index).collect();
            let gone = self.stale.difference(&there);
            list.extend(gone.map(|&index| Block { index, data: true }));
            list.sort_unstable();
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::SourceNr;
    use crate::units::KIB;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::mpsc::channel;

    const ALIGN: u64 = 4 * KIB;
    const FILE: Content = Content::File {
        source: SourceNr(1),
        offset: 0,
    };
    const METADATA: Content = Content::Bytes {
        source: SourceNr(0),
        offset: 0,
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// What was told, sent when it was told and sent again as [`Spooled::rest`] says is the image.
        #[test]
        fn what_is_told_and_the_rest_are_the_image(
            vacant in prop::collection::vec((0u64..9_000_000, 1u64..3_000_000), 0..3),
            files in prop::collection::vec((2u64..700_000, 0u8..3, any::<bool>()), 1..24),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (told, listen) = channel();
            let mut spool = FileSpool::create(folder.path(), ALIGN, told).unwrap();
            let data = spool.data();
            let block = index(SNAPSHOT_BLOCK);
            let mut sent: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            let take = |sent: &mut BTreeMap<u32, Vec<u8>>| {
                for Block { index, data: some } in listen.try_iter() {
                    let mut buf = vec![0; block];
                    if some {
                        data.read_exact_at(u64::from(index) * SNAPSHOT_BLOCK, &mut buf).unwrap();
                    }
                    sent.insert(index, buf);
                }
            };
            // Where it is so, and where it turns out not to be.
            for (at, len) in vacant {
                spool.vacant(at, len);
            }
            let (mut want, mut extents, mut placed) = (Vec::new(), Vec::new(), Vec::new());
            for (n, &(len, kind, dropped)) in files.iter().enumerate() {
                let start = count(want.len());
                let size = len.next_multiple_of(ALIGN);
                let byte = u8::try_from(n + 1).unwrap();
                want.resize(index(start + size), u8::from(kind == 1));
                if kind > 0 {
                    let content = if kind == 1 { METADATA } else { Content::Zero };
                    extents.push(Extent { start, len: size, content });
                    continue;
                }
                want[index(start)..index(start + len)].fill(byte);
                // In two pieces, cut anywhere.
                let cut = (len * 5 / 7).max(1);
                for (at, len) in [(start, cut), (start + cut, len - cut)] {
                    spool.place(at, vec![byte; index(len)].into(), false).unwrap();
                }
                take(&mut sent);
                let content = if dropped { Content::Free } else { FILE };
                extents.push(Extent { start, len: size, content });
                if dropped {
                    placed.push((start, len));
                }
            }
            for (start, len) in placed {
                want[index(start)..index(start + len)].fill(0);
                spool.punch(start, len).unwrap();
            }
            let done = spool.finish().unwrap();
            take(&mut sent);
            // Metadata is the image's alone: what was told has none of it.
            want.resize(want.len().next_multiple_of(block), 0);
            for rest in done.rest(&extents, SNAPSHOT_BLOCK) {
                let image = want.chunks(block).nth(index(rest.index.into()));
                let image = image.filter(|_| rest.data).map_or(vec![0; block], <[u8]>::to_vec);
                sent.insert(rest.index, image);
            }
            for (nr, bytes) in want.chunks(block).enumerate() {
                match sent.get(&count32(nr)) {
                    Some(there) => prop_assert!(there == bytes, "block {nr}"),
                    None => prop_assert!(bytes.iter().all(|b| *b == 0), "block {nr} is missing"),
                }
            }
        }
    }

    #[test]
    fn a_passed_block_is_told_before_the_end_and_not_among_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (told, listen) = channel();
        let mut spool = FileSpool::create(folder.path(), ALIGN, told).unwrap();
        let step = 64 * KIB;
        // The last of each block is a hole.
        for n in (0..200).filter(|n| n % 8 < 7) {
            spool
                .place(n * step, vec![7; index(step)].into(), false)
                .unwrap();
        }
        // Far behind, so that all before is written.
        spool.place(208 * step, vec![7; 8].into(), false).unwrap();
        spool.read_back(208 * step, &mut [0; 8]).unwrap();
        spool
            .place(208 * step + ALIGN, vec![7; 8].into(), false)
            .unwrap();
        let block = |index| Block { index, data: true };
        assert_eq!(
            listen.try_iter().collect::<Vec<_>>(),
            (0..25).map(block).collect::<Vec<_>>()
        );
        let done = spool.finish().unwrap();
        let extents = [
            Extent {
                start: 0,
                len: 209 * step,
                content: FILE,
            },
            Extent {
                start: 209 * step,
                len: step,
                content: Content::Free,
            },
        ];
        let rest = done.rest(&extents, SNAPSHOT_BLOCK);
        assert_eq!(rest, [block(25), block(26)]);
        assert_eq!(done.rest(&extents, 2 * SNAPSHOT_BLOCK).len(), 14);
    }

    #[test]
    fn metadata_and_zeros_are_told_apart() {
        let size = SNAPSHOT_BLOCK;
        let extents = [
            Extent {
                start: 0,
                len: 10,
                content: METADATA,
            },
            Extent {
                start: 10,
                len: 2 * size,
                content: Content::Zero,
            },
            Extent {
                start: 2 * size + 10,
                len: size - 10,
                content: Content::Free,
            },
            Extent {
                start: 3 * size,
                len: size,
                content: FILE,
            },
        ];
        let rest = Spooled::default().rest(&extents, size);
        let rest: Vec<_> = rest.iter().map(|r| (r.index, r.data)).collect();
        assert_eq!(rest, [(0, true), (1, false), (2, false), (3, true)]);
    }
}
