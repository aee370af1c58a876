//! What a snapshot is to be.

use super::{BlockMap, SnapshotError};
use crate::aws::image::check_tags;
use crate::sink::blocks::{Digest, sha256};
use crate::units::GIB;
use std::path::PathBuf;

/// The largest volume, in GiB (`StartSnapshot`, `VolumeSize`).
pub const MAX_GIBIBYTES: u64 = 65_536;

/// What the snapshot is to be.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The volume's size in GiB; `None`: as small as the image allows.
    pub volume_size: Option<u64>,
    /// Shown in lists, at most 255 characters.
    pub description: String,
    /// At most 50.
    pub tags: Vec<(String, String)>,
    /// Encrypt it, with the account's key or `kms_key_id`.
    pub encrypted: bool,
    /// The ARN of a KMS key.
    pub kms_key_id: Option<String>,
    /// The snapshot from which this one differs.
    pub parent: Option<String>,
    /// The parent's blocks, where they are known; else they are read from AWS.
    pub parent_blocks: Option<BlockMap>,
    /// Overwrite with zeros what the parent has where nothing matters now: files that were deleted since.
    pub scrub: bool,
    /// Wait until AWS has completed it.
    pub wait: bool,
    /// Folder to note in what was sent: an interrupted run goes on there.
    pub journal: Option<PathBuf>,
    /// Make another one, even if this very image was sent before; it is not noted.
    pub another: bool,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            volume_size: None,
            description: String::new(),
            tags: Vec::new(),
            encrypted: false,
            kms_key_id: None,
            parent: None,
            parent_blocks: None,
            scrub: true,
            wait: true,
            journal: None,
            another: false,
        }
    }
}

impl SnapshotOptions {
    /// Refuses what AWS would refuse, before anything is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, len: u64) -> Result<(), SnapshotError> {
        let gibibytes = self.gibibytes(len);
        let needed = Self {
            volume_size: None,
            ..self.clone()
        }
        .gibibytes(len);
        if gibibytes > MAX_GIBIBYTES {
            return Err(SnapshotError::TooLarge { gibibytes });
        }
        if gibibytes < needed {
            return Err(SnapshotError::TooSmall { gibibytes, needed });
        }
        check_tags(&self.tags).map_err(|e| SnapshotError::Tags { why: e.to_string() })?;
        if self.parent.is_some() && (self.encrypted || self.kms_key_id.is_some()) {
            return Err(SnapshotError::ParentDecides);
        }
        if let (Some(map), Some(parent)) = (&self.parent_blocks, &self.parent)
            && map.snapshot != *parent
        {
            return Err(SnapshotError::OtherParent {
                map: map.snapshot.clone(),
                parent: parent.clone(),
            });
        }
        Ok(())
    }

    /// What a snapshot of `content` that is made so is told by: what it holds, and by which key it is encrypted. `None`
    /// where there is to be another one whatever is there.
    #[must_use]
    pub fn identity(&self, content: &Digest) -> Option<Digest> {
        let parent = self.parent.as_deref().unwrap_or_default();
        let key = self.kms_key_id.as_deref().unwrap_or_default();
        let plain = !self.encrypted && self.parent.is_none();
        (!self.another).then(|| match plain {
            true => *content,
            // A child is encrypted as its parent is.
            false => sha256(&[&content[..], key.as_bytes(), b" ", parent.as_bytes()].concat()),
        })
    }

    /// The volume's size for an image of `len` bytes, in GiB.
    pub(super) fn gibibytes(&self, len: u64) -> u64 {
        self.volume_size.unwrap_or_else(|| len.div_ceil(GIB).max(1))
    }
}
