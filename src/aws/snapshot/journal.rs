//! What of an upload AWS has acknowledged, in a file, so that a run that was killed goes on where it ended.
//!
//! A line each, appended as it happens; a line that was cut off is as if it were not there:
//!
//! ```text
//! diskwright journal 1
//! generation 0
//! snapshot snap-0123456789abcdef0 524288
//! block 17 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! completed
//! ```
//!
//! AWS answers the token of a snapshot that was deleted with that snapshot: the next `generation` is another
//! token.

use crate::hex::hex;
use crate::observe::Observer;
use crate::sink::blocks::{Digest, from_hex};
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TITLE: &str = "diskwright journal 1";
/// How often a journal that another run holds is asked for.
const ASK: Duration = Duration::from_millis(200);

/// A journal could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    /// The system says no.
    #[error("cannot keep the journal {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of that name that is something else.
    #[error("{} is no journal of diskwright; it is left as it is", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// A journal that no other run takes up while this is held: until what it is of is deleted, or stays.
#[derive(Clone, Debug)]
pub struct Noted {
    path: PathBuf,
    /// The lock is the open file's.
    _lock: Arc<File>,
}

impl PartialEq for Noted {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Noted {}

impl Hash for Noted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

/// The state of one upload.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// `None`: nothing is written down.
    file: Option<(PathBuf, Arc<File>)>,
    pub(super) generation: u32,
    pub(super) snapshot: Option<String>,
    pub(super) block_size: u64,
    pub(super) blocks: HashMap<u32, Digest>,
    pub(super) completed: bool,
}

impl Journal {
    /// Opens or makes the journal, and waits for another run that holds it: it sends the same image.
    ///
    /// # Errors
    /// When the file cannot be had or is something else.
    pub(super) async fn open(path: &Path, observer: &dyn Observer) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let options = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path);
        let file = options.map_err(failed)?;
        let mut told = false;
        while let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(e.into()));
            }
            if !told {
                observer.note("another run sends the same image: waiting for it");
                told = true;
            }
            tokio::time::sleep(ASK).await;
        }
        let mut journal = Self::default();
        let whole = journal.read(&file).map_err(failed)?;
        let Some(whole) = whole else {
            return Err(JournalError::Foreign {
                path: path.to_owned(),
            });
        };
        // What was cut off would run into the next line.
        file.set_len(whole).map_err(failed)?;
        journal.file = Some((path.to_owned(), Arc::new(file)));
        if whole == 0 {
            journal.try_write(&format!("{TITLE}\n")).map_err(failed)?;
        }
        Ok(journal)
    }

    /// Reads what was written and gives its length up to the last whole line; `None` if it is no journal.
    fn read(&mut self, file: &File) -> io::Result<Option<u64>> {
        let mut lines = BufReader::new(file);
        lines.rewind()?;
        let (mut whole, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let len = lines.read_until(b'\n', &mut line)?;
            let Some(text) = line.strip_suffix(b"\n") else {
                // Of a title that was cut off nothing is lost either.
                let title = whole > 0 || TITLE.as_bytes().starts_with(&line);
                return Ok(title.then_some(whole));
            };
            let text = String::from_utf8_lossy(text);
            if whole == 0 && text != TITLE {
                return Ok(None);
            }
            self.apply(&text);
            whole += crate::units::count(len);
        }
    }

    fn apply(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["generation", n] => {
                *self = Self {
                    file: self.file.take(),
                    generation: n.parse().unwrap_or(self.generation),
                    ..Self::default()
                };
            }
            ["snapshot", id, size] => {
                self.snapshot = Some(id.to_owned());
                self.block_size = size.parse().unwrap_or_default();
                self.blocks.clear();
                self.completed = false;
            }
            ["block", nr, digest] => {
                if let (Ok(nr), Some(digest)) = (nr.parse(), from_hex(digest)) {
                    self.blocks.insert(nr, digest);
                }
            }
            ["completed"] => self.completed = true,
            ["deleted"] => {
                let next = self.generation + 1;
                self.apply(&format!("generation {next}"));
            }
            // A later version's.
            _ => {}
        }
    }

    fn try_write(&mut self, text: &str) -> io::Result<()> {
        match &mut self.file {
            Some((_, file)) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }

    /// Writes a line; the run goes on without a journal that cannot be written.
    fn line(&mut self, line: &str, observer: &dyn Observer) {
        let written = self.try_write(&format!("{line}\n"));
        if let (Err(error), Some((path, _))) = (written, &self.file) {
            observer.warn(&format!(
                "cannot write {}: {error}; if this run is killed, the next one sends what this one has sent",
                path.display()
            ));
            self.file = None;
        }
    }

    /// The file, while it is written to.
    pub(super) fn held(&self) -> Option<Noted> {
        self.file.as_ref().map(|(path, file)| Noted {
            path: path.clone(),
            _lock: Arc::clone(file),
        })
    }

    /// Begins anew with a token that AWS has not seen.
    pub(super) fn next_generation(&mut self, observer: &dyn Observer) {
        let next = self.generation + 1;
        let line = format!("generation {next}");
        self.apply(&line);
        self.line(&line, observer);
    }

    /// A snapshot was started.
    pub(super) fn started(&mut self, id: &str, block_size: u64, observer: &dyn Observer) {
        if self.snapshot.as_deref() == Some(id) && self.block_size == block_size {
            return;
        }
        let line = format!("snapshot {id} {block_size}");
        self.apply(&line);
        self.line(&line, observer);
    }

    /// AWS has a block.
    pub(super) fn acknowledged(&mut self, nr: u32, digest: &Digest, observer: &dyn Observer) {
        if self.file.is_some() {
            self.line(&format!("block {nr} {}", hex(digest)), observer);
        }
    }

    /// All is there: what is left of the journal is the snapshot's name.
    pub(super) fn finished(&mut self, observer: &dyn Observer) {
        if self.completed {
            return;
        }
        self.completed = true;
        self.blocks.clear();
        let Some((_, file)) = &self.file else { return };
        // On failure the blocks stay; they do no harm.
        if file.set_len(0).is_ok() {
            let (generation, size) = (self.generation, self.block_size);
            let id = self.snapshot.clone().unwrap_or_default();
            let text = format!("{TITLE}\ngeneration {generation}\nsnapshot {id} {size}\ncompleted");
            self.line(&text, observer);
        } else {
            self.line("completed", observer);
        }
    }
}

/// Notes that the snapshot of a journal is gone. Best effort: without the note, the next run finds out.
pub(in crate::aws) fn deleted(noted: &Noted) {
    if let Ok(mut file) = OpenOptions::new().append(true).open(&noted.path) {
        let _ = file.write_all(b"deleted\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;

    fn open(path: &Path) -> Result<Journal, JournalError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(Journal::open(path, &Silent))
    }

    #[test]
    fn what_was_acknowledged_is_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/one.journal");
        let mut journal = open(&path).unwrap();
        journal.started("snap-1", 4096, &Silent);
        for nr in 0..3 {
            journal.acknowledged(nr, &[7; 32], &Silent);
        }
        drop(journal);
        let text = std::fs::read(&path).unwrap();
        // The last line is cut at every one of its bytes.
        for cut in 1..=72 {
            std::fs::write(&path, &text[..text.len() - cut]).unwrap();
            let mut journal = open(&path).unwrap();
            assert_eq!(journal.blocks.len(), 2, "{cut}");
            journal.acknowledged(9, &[9; 32], &Silent);
            drop(journal);
            let journal = open(&path).unwrap();
            assert_eq!(journal.blocks.len(), 3, "{cut}");
            assert_eq!(journal.blocks[&9], [9; 32]);
        }
    }

    #[test]
    fn generations_and_completion_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.journal");
        let mut journal = open(&path).unwrap();
        journal.started("snap-1", 4096, &Silent);
        journal.acknowledged(1, &[7; 32], &Silent);
        journal.finished(&Silent);
        drop(journal);
        let journal = open(&path).unwrap();
        assert!(journal.completed && journal.blocks.is_empty());
        assert_eq!(journal.snapshot.as_deref(), Some("snap-1"));
        deleted(&journal.held().unwrap());
        drop(journal);
        let mut journal = open(&path).unwrap();
        assert_eq!((journal.generation, journal.snapshot.take()), (1, None));
        journal.next_generation(&Silent);
        drop(journal);
        assert_eq!(open(&path).unwrap().generation, 2);
    }

    #[test]
    fn a_file_that_is_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["my notes\nand more\n", "my notes"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(open(&path), Err(JournalError::Foreign { .. })));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
