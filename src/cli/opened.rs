//! An image of any format as the disk that it holds.

use anyhow::Context;
use diskwright::observe::Silent;
use diskwright::read_at::ReadAt;
use diskwright::vdisk::{open_path, spool_folder};
use std::path::Path;
use std::sync::Arc;

/// The disk in the image at `path`. A compressed one is decompressed first, where there is room.
pub(super) fn disk(path: &Path) -> anyhow::Result<Arc<dyn ReadAt>> {
    let opened = open_path(path, &spool_folder(), &Silent);
    let opened = opened.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(opened.disk)
}
