//! Whether two files hold the same bytes, wherever their holes are.

use super::Of;
use crate::entry::DataRun;
use crate::inspect::files::{Data, FilesError};
use crate::units::{KIB, count, index};
use sha2::{Digest, Sha256};

/// Bytes that are compared at a time.
const CHUNK: u64 = 256 * KIB;
/// Bytes that are zero together or not: the block of most filesystems.
const BLOCK: usize = 4096;

/// A digest of data that holes and zeros do not change: of every block that is not all zero, its number and
/// its bytes. Data comes in ascending order, cut in any way.
#[derive(Debug, Default)]
pub(super) struct DataDigest {
    hasher: Sha256,
    /// The block under way.
    nr: u64,
    block: Vec<u8>,
}

impl DataDigest {
    pub(super) fn add(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let (nr, at) = (offset / count(BLOCK), index(offset % count(BLOCK)));
            if nr != self.nr {
                self.flush();
                self.nr = nr;
            }
            let part = data.len().min(BLOCK - at);
            self.block.resize(at, 0);
            self.block.extend_from_slice(&data[..part]);
            offset += count(part);
            data = &data[part..];
        }
    }

    fn flush(&mut self) {
        if self.block.iter().any(|b| *b != 0) {
            self.block.resize(BLOCK, 0);
            self.hasher.update(self.nr.to_le_bytes());
            self.hasher.update(&self.block);
        }
        self.block.clear();
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        self.flush();
        self.hasher.finalize().into()
    }
}

/// The digest of a file in an image.
pub(super) fn digest(data: &Data<'_>) -> Result<[u8; 32], FilesError> {
    let mut digest = DataDigest::default();
    let runs = data.data();
    let mut buf = buffer(&runs);
    for run in runs {
        let (mut at, end) = (run.offset, run.offset + run.len);
        while at < end {
            let part = &mut buf[..index((end - at).min(CHUNK))];
            let n = data.read_at(at, part)?;
            if n == 0 {
                break;
            }
            digest.add(at, &part[..n]);
            at += count(n);
        }
    }
    Ok(digest.finish())
}

/// Whether two files of one size hold the same bytes; an error is of one of them.
pub(super) fn same(a: &Data<'_>, b: &Data<'_>) -> Result<bool, (Of, FilesError)> {
    let runs = union(a.data(), b.data());
    let mut buffers = [buffer(&runs), buffer(&runs)];
    for run in runs {
        let (mut at, end) = (run.offset, run.offset + run.len);
        while at < end {
            let len = index((end - at).min(CHUNK));
            let [left, right] = &mut buffers;
            let n = a.read_at(at, &mut left[..len]);
            let n = n.map_err(|e| (Of::First, e))?;
            let m = b.read_at(at, &mut right[..len]);
            let m = m.map_err(|e| (Of::Second, e))?;
            if left[..n] != right[..m] {
                return Ok(false);
            }
            if n == 0 {
                break;
            }
            at += count(n);
        }
    }
    Ok(true)
}

/// Room for a piece of these: most files are small, and zeros are made for all of it.
fn buffer(runs: &[DataRun]) -> Vec<u8> {
    let longest = runs.iter().map(|r| r.len).max().unwrap_or_default();
    vec![0; index(longest.min(CHUNK))]
}

/// What either of two lists covers.
fn union(a: Vec<DataRun>, b: Vec<DataRun>) -> Vec<DataRun> {
    let mut all = a;
    all.extend(b);
    all.sort_unstable_by_key(|r| r.offset);
    let mut list: Vec<DataRun> = Vec::new();
    for run in all {
        match list.last_mut() {
            Some(last) if last.offset + last.len >= run.offset => {
                let end = (run.offset + run.len).max(last.offset + last.len);
                last.len = end - last.offset;
            }
            _ => list.push(run),
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_bytes_however_they_come() {
        let mut whole = vec![0; 20_000];
        whole[5000..5010].fill(3);
        whole[12_287] = 1;
        let digest = |parts: &[(usize, usize)]| {
            let mut digest = DataDigest::default();
            for (from, to) in parts {
                digest.add(count(*from), &whole[*from..*to]);
            }
            digest.finish()
        };
        let all = digest(&[(0, 20_000)]);
        for parts in [
            &[(4096, 8192), (8192, 12_288)][..],
            &[(5000, 5003), (5003, 5010), (12_287, 12_288)],
            &[(0, 1), (1, 19_999), (19_999, 20_000)],
        ] {
            assert_eq!(digest(parts), all, "{parts:?}");
        }
        assert_ne!(digest(&[(5000, 5010)]), all);
    }

    #[test]
    fn runs_are_joined() {
        let run = |offset, len| DataRun { offset, len };
        let joined = union(
            vec![run(0, 10), run(100, 5)],
            vec![run(5, 20), run(105, 1), run(200, 1)],
        );
        assert_eq!(joined, [run(0, 25), run(100, 6), run(200, 1)]);
    }
}
