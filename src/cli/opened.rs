//! An image of any format as the disk that it holds.

use anyhow::Context;
use diskwright::inspect::not_disk;
use diskwright::observe::{Observer, Silent};
use diskwright::read_at::ReadAt;
use diskwright::vdisk::{Opened, open_path, spool_folder};
use std::path::Path;
use std::sync::Arc;

/// The disk in the image at `path`. A compressed one is decompressed first, where there is room.
pub(super) fn disk(path: &Path) -> anyhow::Result<Arc<dyn ReadAt>> {
    Ok(open(path, &spool_folder(), &Silent)?.disk)
}

/// The same with its format; `folder` has room for what is decompressed.
pub(super) fn open(path: &Path, folder: &Path, observer: &dyn Observer) -> anyhow::Result<Opened> {
    let reading = || format!("cannot read {}", path.display());
    let opened = open_path(path, folder, observer).with_context(reading)?;
    if let Some(other) = not_disk(&opened).with_context(reading)? {
        anyhow::bail!(
            "{} is {other}, and no image that can be read",
            path.display()
        );
    }
    Ok(opened)
}
