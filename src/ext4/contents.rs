//! The data of a filesystem's files, at its place in the filesystem.

use super::plan::Plan;
use crate::entry::DataRun;
use crate::read_at::ReadAt;
use crate::tree::{DataId, NodeId, NodeKind};
use crate::units::{count, index};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What a regular file holds: bytes in memory, or anything that can be read at an offset.
#[derive(Clone)]
pub struct Data(Arc<dyn ReadAt>);

impl Data {
    /// What `source` reads, from its first byte to its last; it is read when the filesystem is.
    pub fn from_source(source: impl ReadAt + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Data {
    /// The same with holes: what is in none of `runs` reads as zeros.
    pub(super) fn only(self, runs: &[DataRun]) -> Self {
        Self::from_source(Sparse {
            data: self,
            runs: runs.to_vec(),
        })
    }
}

/// Data of which only parts count, sorted and disjoint.
struct Sparse {
    data: Data,
    runs: Vec<DataRun>,
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.data.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        let end = offset + count(buf.len());
        let first = self.runs.partition_point(|r| r.offset + r.len <= offset);
        for run in self.runs[first..].iter().take_while(|r| r.offset < end) {
            let (from, to) = (run.offset.max(offset), (run.offset + run.len).min(end));
            let out = &mut buf[index(from - offset)..index(to - offset)];
            self.data.0.read_exact_at(from, out)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.len())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_source(bytes)
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Data {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

/// A run of a file's blocks: `len` bytes from byte `at` of the filesystem.
#[derive(Debug)]
struct Run {
    at: u64,
    len: u64,
    node: NodeId,
    data: DataId,
    /// Byte of the file.
    offset: u64,
}

/// All data, readable where it lies in the filesystem.
#[derive(Debug)]
pub(super) struct Contents {
    len: u64,
    /// Sorted, disjoint.
    runs: Vec<Run>,
    sources: HashMap<DataId, Data>,
}

impl Contents {
    pub(super) fn new(plan: &Plan, sources: HashMap<DataId, Data>) -> Self {
        let (mut runs, block) = (Vec::new(), plan.geometry.block());
        for (node, n) in plan.tree().nodes().filter(|(_, n)| n.links > 0) {
            let NodeKind::File { data: Some(id), .. } = n.kind else {
                continue;
            };
            runs.extend(plan.placement.extents(id).iter().map(|e| Run {
                at: e.start * block,
                len: u64::from(e.len) * block,
                node,
                data: id,
                offset: u64::from(e.logical) * block,
            }));
        }
        runs.sort_unstable_by_key(|r| r.at);
        Self {
            len: plan.size(),
            runs,
            sources,
        }
    }

    /// The file that has byte `at` of the filesystem, and which of its bytes that is.
    pub(super) fn file_at(&self, at: u64) -> Option<(NodeId, u64)> {
        let run = self.run_at(at)?;
        Some((run.node, run.offset + (at - run.at)))
    }

    fn run_at(&self, at: u64) -> Option<&Run> {
        let n = self.runs.partition_point(|r| r.at + r.len <= at);
        self.runs.get(n).filter(|r| r.at <= at)
    }
}

/// What no file has reads as zeros, and so does the rest of a file's last block.
impl ReadAt for Contents {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        let end = offset + count(buf.len());
        let first = self.runs.partition_point(|r| r.at + r.len <= offset);
        for run in self.runs[first..].iter().take_while(|r| r.at < end) {
            let Some(Data(source)) = self.sources.get(&run.data) else {
                continue;
            };
            let (from, to) = (run.at.max(offset), (run.at + run.len).min(end));
            let in_file = run.offset + (from - run.at);
            let len = (to - from).min(source.len().saturating_sub(in_file));
            if len == 0 {
                continue;
            }
            let start = index(from - offset);
            source.read_exact_at(in_file, &mut buf[start..start + index(len)])?;
        }
        Ok(())
    }
}
