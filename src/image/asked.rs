//! What a build tells besides the image, to those who keep records.

use super::Digests;
use super::ingest::Ingest;
use super::wanted::KERNEL_MAX;
use super::{BuildError, prepare::Prepared};
use crate::archive::{Input, digest_of_files};
use crate::tree::{NodeKind, Sorted};
use crate::units::count;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What to tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The digests of all files.
    pub digests: bool,
    /// What of the user's was read besides the root filesystem, with digests.
    pub inputs: bool,
    /// Whether the content of the file at a path, without a leading `/`, is to be kept.
    pub files: Option<fn(&[u8]) -> bool>,
}

/// What was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The digests, where they were asked for.
    pub digests: Option<Digests>,
    /// What was read besides the root filesystem, in the order in which it was: folders and files of
    /// [`super::Customize`], and the files of a boot loader that the root filesystem does not bring.
    pub inputs: Vec<Input>,
    /// The files that were asked for, those of them that are in the image, by their paths.
    pub files: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The files of the EFI system partition, where digests were asked for.
    pub esp: Vec<EspEntry>,
    /// The latest time that the image shows, in seconds since 1970.
    pub time: i64,
}

/// A file of the EFI system partition.
#[derive(Clone, Debug)]
pub struct EspEntry {
    /// Its path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

impl Asked {
    pub(super) fn keeps(&self, path: &[u8]) -> bool {
        self.files
            .is_some_and(|files| files(super::wanted::trimmed(path)))
    }

    /// The files that were asked for, from the finished tree.
    pub(super) fn files(
        &self,
        ingest: &mut Ingest<'_>,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, BuildError> {
        let Some(files) = self.files else {
            return Ok(BTreeMap::new());
        };
        let mut paths = Vec::new();
        let sorted: Sorted = ingest.tree.sorted();
        ingest.tree.walk(&sorted, |path, id| {
            let file = matches!(ingest.tree.node(id).kind, NodeKind::File { .. });
            if file && files(path) {
                paths.push(path.to_vec());
            }
        });
        let mut kept = BTreeMap::new();
        for path in paths {
            if let Some(bytes) = ingest.read_to(&path, KERNEL_MAX)? {
                kept.insert(path, bytes);
            }
        }
        Ok(kept)
    }

    /// What was read of the user's: what the edits noted, and the files that a boot loader was made of.
    pub(super) fn inputs(ingest: &mut Ingest<'_>) -> Vec<Input> {
        let mut inputs = std::mem::take(&mut ingest.inputs);
        if !ingest.loaders.is_empty() {
            // Where they lay is the building machine's affair, and may be somebody's home.
            inputs.push(Input {
                digest: Some(digest_of_files(&ingest.loaders)),
                ..Input::new("grub".to_owned(), "grub")
            });
        }
        inputs
    }

    pub(super) fn esp(&self, prepared: &Prepared) -> Vec<EspEntry> {
        let files = prepared.esp.iter().filter(|_| self.digests);
        let files = files.map(|f| EspEntry {
            path: f.path.clone(),
            size: count(f.data.len()),
            sha256: Sha256::digest(&f.data).into(),
        });
        files.collect()
    }
}
