//! SHA-256 of files with holes.

use sha2::{Digest as _, Sha256};

use crate::units::{count, index};

/// Bytes of holes in all that are digested: a sparse file claims terabytes for nothing, and SHA-256 knows no
/// shortcut through zeros.
const HOLES: u64 = 64 << 30;

/// What a hole reads as.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// How much of holes is digested yet, of all files together.
#[derive(Debug)]
pub(crate) struct HolesLeft {
    left: u64,
}

impl Default for HolesLeft {
    fn default() -> Self {
        Self { left: HOLES }
    }
}

/// A file under way.
pub(crate) struct SparseDigest {
    hasher: Sha256,
    at: u64,
    size: u64,
    /// Whether a hole was too much.
    given_up: bool,
}

impl SparseDigest {
    /// Of a file of `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            hasher: Sha256::new(),
            at: 0,
            size,
            given_up: false,
        }
    }

    /// Data at byte `offset`, in ascending order; what lies between is a hole. Ends early when `stop` says so.
    pub(crate) fn data(
        &mut self,
        offset: u64,
        data: &[u8],
        holes: &mut HolesLeft,
        stop: &dyn Fn() -> bool,
    ) {
        self.hole(offset, holes, stop);
        self.hasher.update(data);
        self.at = self.at.saturating_add(count(data.len()));
    }

    /// The digest, when the file ends, perhaps with a hole. `None` of one behind the first 64 GiB of holes, and
    /// of what was stopped.
    pub(crate) fn finish(
        mut self,
        holes: &mut HolesLeft,
        stop: &dyn Fn() -> bool,
    ) -> Option<[u8; 32]> {
        self.hole(self.size, holes, stop);
        (!self.given_up).then(|| self.hasher.finalize().into())
    }

    /// A hole up to byte `end`.
    fn hole(&mut self, end: u64, holes: &mut HolesLeft, stop: &dyn Fn() -> bool) {
        self.given_up |= end.saturating_sub(self.at) > holes.left;
        while self.at < end && !self.given_up {
            let step = end.saturating_sub(self.at).min(count(ZEROS.len()));
            let piece = ZEROS.get(..index(step)).unwrap_or_default();
            self.hasher.update(piece);
            self.at = self.at.saturating_add(step);
            holes.left = holes.left.saturating_sub(step);
            self.given_up = stop();
        }
    }
}
