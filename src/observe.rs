//! What a long build tells whoever watches, and how it learns that it should stop.
//!
//! The library neither prints nor draws: it calls an [`Observer`].

use std::fmt;

/// The stages of a run, in order; folders and log spans bear the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading the archive, placing file data as it comes.
    Archive,
    /// Deciding what the image adds: loader, fstab, grub.cfg.
    Prepare,
    /// Laying out metadata.
    Ext4,
    /// Writing metadata to the output.
    Sink,
    /// Digesting the finished image.
    Digest,
    /// Packing an image into a bundle, or taking it out.
    Bundle,
    /// Reading the snapshot that it differs from.
    Parent,
    /// Sending it.
    Upload,
    /// Waiting until AMIs are available; it has no bytes.
    Image,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Archive => "archive",
            Self::Prepare => "prepare",
            Self::Ext4 => "ext4",
            Self::Sink => "sink",
            Self::Digest => "digest",
            Self::Bundle => "bundle",
            Self::Parent => "parent",
            Self::Upload => "upload",
            Self::Image => "image",
        })
    }
}

/// Receives progress and warnings. All methods may be called from several threads.
pub trait Observer: Sync {
    /// `done` of `total` bytes of a stage are through; `total` is `None` on a pipe. Called often.
    fn progress(&self, stage: Stage, done: u64, total: Option<u64>) {
        let _ = (stage, done, total);
    }

    /// More about a stage than its bytes, as it stands now: `"12 retried"`. Called often.
    fn detail(&self, stage: Stage, text: &str) {
        let _ = (stage, text);
    }

    /// Something worth knowing that is not odd; one sentence, without a full stop.
    fn note(&self, message: &str) {
        let _ = message;
    }

    /// Something in the input is odd but was understood; one sentence, without a full stop.
    fn warn(&self, message: &str) {
        let _ = message;
    }

    /// Whether to give up; asked between files and batches.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
