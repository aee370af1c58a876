//! Entries into the tree, their data to where it will live.

use super::asked::Asked;
use super::digests::Digesting;
use super::pv::Ahead;
use super::zeros::Zeros;
use super::{BuildError, Spool, customize, wanted};
use crate::archive::{DataRun, Entry, EntryKind, Input, Item, Rootfs};
use crate::ext4::disk::inode::TIMES;
use crate::ext4::{EntryError, Formatter};
use crate::observe::{Observer, Stage};
use crate::tree::{DataId, NodeId, Tree};
use crate::units::{Timestamp, count, index};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// Warnings of one build that are worth reading; of the rest only the number is told.
const WARNINGS_SHOWN: u64 = 20;

/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 4 << 20;

/// A tree and its placed data, in the making.
pub(super) struct Ingest<'a> {
    pub(super) formatter: Formatter,
    pub(super) tree: Tree,
    pub(super) zeros: Zeros,
    /// Byte of the disk at which the filesystem begins.
    pub(super) base: u64,
    pub(super) spool: &'a mut dyn Spool,
    pub(super) observer: &'a dyn Observer,
    /// Kernels that PV-GRUB is to read, when it is.
    pub(super) kernels: Option<Ahead>,
    /// What is to be told besides.
    pub(super) asked: Asked,
    /// Where files are digested, when they are.
    pub(super) digesting: Option<Digesting<'a>>,
    /// Whether the spool keeps what customising reads, too.
    pub(super) customizes: bool,
    /// What of the user's was read besides the archive, where that is asked for.
    pub(super) inputs: Vec<Input>,
    /// Files of boot loaders that were read outside of the archive, by their paths below `/usr/lib`: SHA-256.
    pub(super) loaders: BTreeMap<String, [u8; 32]>,
    /// Files that the spool keeps.
    kept: HashSet<DataId>,
    /// Pieces of such files, by their offset, for which a full filesystem had no place.
    unplaced: HashMap<DataId, Vec<(u64, Bytes)>>,
    /// Bytes of file data placed and not dropped again.
    pub(super) data: u64,
    pub(super) warnings: Warnings<'a>,
}

/// A node, `None` when it was left out, and where the runs of its data belong, when data follows.
type Inserted = (Option<NodeId>, Option<(DataId, Vec<DataRun>)>);

/// Passes on the first warnings, counts the rest.
pub(super) struct Warnings<'a> {
    observer: &'a dyn Observer,
    count: u64,
}

impl Warnings<'_> {
    pub(super) fn warn(&mut self, message: &str) {
        self.count += 1;
        if self.count <= WARNINGS_SHOWN {
            self.observer.warn(message);
        }
    }

    /// Tells how many were held back.
    pub(super) fn close(&self) {
        if let Some(more @ 1..) = self.count.checked_sub(WARNINGS_SHOWN) {
            self.observer
                .warn(&format!("and {more} more warnings like these"));
        }
    }
}

impl<'a> Ingest<'a> {
    pub(super) fn new(
        formatter: Formatter,
        base: u64,
        spool: &'a mut dyn Spool,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            zeros: Zeros::new(formatter.block_size().bytes()),
            formatter,
            tree: Tree::new(),
            base,
            spool,
            observer,
            kernels: None,
            asked: Asked::default(),
            digesting: None,
            customizes: false,
            inputs: Vec::new(),
            loaders: BTreeMap::new(),
            kept: HashSet::new(),
            unplaced: HashMap::new(),
            data: 0,
            warnings: Warnings { observer, count: 0 },
        }
    }

    /// Reads every layer to its end.
    pub(super) fn archive(&mut self, reader: &mut Rootfs) -> Result<(), BuildError> {
        let mut reported = 0;
        let (mut absolute, mut clamped) = (0, 0_u64);
        while let Some(item) = reader.next_item()? {
            self.check()?;
            match item {
                Item::Layer => self.tree.begin_layer().map_err(EntryError::from)?,
                Item::Entry(entry) => {
                    absolute += u64::from(entry.path.first() == Some(&b'/'));
                    let times = [Some(entry.mtime), entry.atime, entry.ctime];
                    let beyond = |t: &Timestamp| !TIMES.contains(&t.sec);
                    clamped += u64::from(times.iter().flatten().any(beyond));
                    self.entry(&entry, &mut || Ok(reader.next_data()?))?;
                }
                Item::Whiteout(path) => {
                    let hidden = self.tree.whiteout(&path).map_err(EntryError::from)?;
                    self.drop_data(hidden.dropped)?;
                }
                Item::Opaque(path) => {
                    let hidden = self.tree.opaque(&path).map_err(EntryError::from)?;
                    self.drop_data(hidden.dropped)?;
                }
            }
            let (done, total) = reader.progress();
            if done >= reported + PROGRESS_STEP {
                reported = done;
                self.observer.progress(Stage::Archive, done, total);
            }
            reader.take_warnings().iter().for_each(|w| self.warn(w));
        }
        reader.take_warnings().iter().for_each(|w| self.warn(w));
        let (done, total) = reader.progress();
        self.observer.progress(Stage::Archive, done, total);
        if clamped > 0 {
            let entries = match clamped {
                1 => "1 entry has a time".into(),
                n => format!("{n} entries have times"),
            };
            self.warn(&format!(
                "{entries} that ext4 cannot hold, before 1901 or after 2446: the nearest it can is taken"
            ));
        }
        if absolute > 0 {
            let entries = match absolute {
                1 => "1 entry has an absolute name".into(),
                n => format!("{n} entries have absolute names"),
            };
            self.warn(&format!("{entries}; the leading '/' is left out"));
        }
        Ok(())
    }

    /// Puts an entry into the tree, and its data, which `next` brings piece by piece, to where it will live.
    /// Its node; `None` when it was left out.
    pub(super) fn entry(
        &mut self,
        entry: &Entry,
        next: &mut dyn FnMut() -> Result<Option<Bytes>, BuildError>,
    ) -> Result<Option<NodeId>, BuildError> {
        let (node, data) = self.insert(entry)?;
        let Some((id, runs)) = data else {
            return Ok(node);
        };
        let is_kernel = self.kernels.is_some() && wanted::is_kernel(&entry.path);
        let keep = is_kernel
            || wanted::wants(&entry.path)
            || self.asked.keeps(&entry.path)
            || (self.customizes && customize::wants(&entry.path));
        // As far as it is read again.
        let kept_to = match is_kernel || self.asked.keeps(&entry.path) {
            true => wanted::KERNEL_MAX,
            false => wanted::READ_MAX,
        };
        let ahead = self.kernels.as_ref().filter(|_| is_kernel);
        let mut kernel = ahead.and_then(|a| a.buffer(entry));
        let mut runs = runs.into_iter();
        let mut run = DataRun { offset: 0, len: 0 };
        while let Some(mut data) = next()? {
            self.check()?;
            if let Some(kernel) = &mut kernel {
                kernel.extend_from_slice(&data);
            }
            while !data.is_empty() {
                if run.len == 0 {
                    let Some(next) = runs.next() else { break };
                    run = next;
                }
                let part = data.split_to(data.len().min(index(run.len)));
                let at = run.offset;
                run = DataRun {
                    offset: at + count(part.len()),
                    len: run.len - count(part.len()),
                };
                self.place(id, at, part, keep && at < kept_to)?;
            }
        }
        if let (Some(ahead), Some(kernel)) = (&mut self.kernels, kernel) {
            ahead.start(id, &entry.path, kernel);
        }
        Ok(node)
    }

    /// Puts an entry into the tree; when data follows, where its runs belong.
    fn insert(&mut self, entry: &Entry) -> Result<Inserted, BuildError> {
        // GRUB reads a file that begins with a hole as damaged: under /boot there are none.
        let dense = in_boot(&entry.path);
        let placed = self.formatter.insert(&mut self.tree, entry, dense)?;
        if let Some(w) = placed.warning {
            self.warn(&w);
        }
        self.punch(placed.dropped)?;
        let EntryKind::File { size, data } = &entry.kind else {
            return Ok((placed.node, None));
        };
        let Some(id) = placed.data else {
            if let Some(digesting) = &mut self.digesting {
                digesting.hole(*size);
            }
            return Ok((placed.node, None));
        };
        self.data += self.formatter.placed(id);
        if let Some(digesting) = &mut self.digesting {
            digesting.begin(id, *size);
        }
        let runs = data.clone().unwrap_or_else(|| {
            vec![DataRun {
                offset: 0,
                len: *size,
            }]
        });
        Ok((placed.node, Some((id, runs))))
    }

    /// Puts `data` at byte `offset` of a file.
    fn place(
        &mut self,
        id: DataId,
        mut offset: u64,
        mut data: Bytes,
        keep: bool,
    ) -> Result<(), BuildError> {
        if let Some(digesting) = &mut self.digesting {
            digesting.data(offset, &data);
        }
        if keep {
            self.kept.insert(id);
        }
        while !data.is_empty() {
            // A full filesystem: the rest is only counted, so that the error can say how much. What prepare reads
            // again it must find, or it would tell something else.
            let Some((at, room)) = self.formatter.locate(id, offset) else {
                if keep {
                    let pieces = self.unplaced.entry(id).or_default();
                    pieces.push((offset, Bytes::copy_from_slice(&data)));
                }
                return Ok(());
            };
            let part = data.split_to(data.len().min(index(room)));
            offset += count(part.len());
            let (base, spool) = (self.base, &mut self.spool);
            self.zeros
                .split(at, &part, |at, part| spool.place(base + at, part, keep))
                .map_err(BuildError::Spool)?;
        }
        Ok(())
    }

    /// Puts a file of our own into the tree, its data in pieces. Its node; `None` when it was left out.
    pub(super) fn edit(
        &mut self,
        entry: &Entry,
        data: Vec<Bytes>,
    ) -> Result<Option<NodeId>, BuildError> {
        let (node, placed) = self.insert(entry)?;
        let Some((id, _)) = placed else {
            return Ok(node);
        };
        let mut at = 0;
        for piece in data {
            let len = count(piece.len());
            self.place(id, at, piece, true)?;
            at += len;
        }
        Ok(node)
    }

    /// Takes a file out of the tree.
    pub(super) fn forget(&mut self, path: &[u8]) -> Result<(), BuildError> {
        let dropped = self.tree.remove(path).dropped;
        self.drop_data(dropped)
    }

    pub(super) fn drop_data(&mut self, dropped: Vec<DataId>) -> Result<(), BuildError> {
        let dropped = dropped
            .into_iter()
            .flat_map(|id| self.formatter.drop_file(id));
        let dropped = dropped.collect();
        self.punch(dropped)
    }

    /// Forgets bytes of the filesystem, which belonged to files that are gone.
    fn punch(&mut self, dropped: Vec<Range<u64>>) -> Result<(), BuildError> {
        for range in dropped {
            self.data -= range.end - range.start;
            let at = self.base + range.start;
            self.spool
                .punch(at, range.end - range.start)
                .map_err(BuildError::Spool)?;
        }
        Ok(())
    }

    /// Reads a file that was placed with `keep`, every symbolic link followed.
    pub(super) fn read(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, BuildError> {
        self.read_to(path, wanted::READ_MAX)
    }

    /// The same, up to byte `max`.
    pub(super) fn read_to(&mut self, path: &[u8], max: u64) -> Result<Option<Vec<u8>>, BuildError> {
        let Some(node) = self.tree.resolve(path) else {
            return Ok(None);
        };
        let crate::tree::NodeKind::File { size, data } = self.tree.node(node).kind else {
            return Ok(None);
        };
        let mut bytes = vec![0; index(size.min(max))];
        let Some(id) = data else {
            return Ok(Some(bytes));
        };
        let mut at = 0;
        while at < bytes.len() {
            let Some((from, room)) = self.formatter.locate(id, count(at)) else {
                // A hole, or the end of a full filesystem.
                match self.formatter.behind_hole(id, count(at)) {
                    Some(next) => at = index(next),
                    None => break,
                }
                continue;
            };
            let end = bytes.len().min(at + index(room));
            self.spool
                .read_back(self.base + from, &mut bytes[at..end])
                .map_err(BuildError::Spool)?;
            at = end;
        }
        for (offset, piece) in self.unplaced.get(&id).into_iter().flatten() {
            let to = index(*offset).min(bytes.len());
            let len = piece.len().min(bytes.len() - to);
            bytes[to..to + len].copy_from_slice(&piece[..len]);
        }
        Ok(Some(bytes))
    }

    /// Whether [`Ingest::read`] reads this file's data.
    pub(super) fn keeps(&self, data: DataId) -> bool {
        self.kept.contains(&data)
    }

    /// The data of the file at `path`, every symbolic link followed.
    pub(super) fn data_of(&self, path: &[u8]) -> Option<DataId> {
        match self.tree.node(self.tree.resolve(path)?).kind {
            crate::tree::NodeKind::File { data, .. } => data,
            _ => None,
        }
    }

    pub(super) fn warn(&mut self, message: &str) {
        self.warnings.warn(message);
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.observer.cancelled() {
            Err(BuildError::Interrupted)
        } else {
            Ok(())
        }
    }
}

fn in_boot(path: &[u8]) -> bool {
    wanted::trimmed(path).starts_with(b"boot/")
}
