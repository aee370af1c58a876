//! An image that a verb looks into, of any format that can be read from the middle.

use anyhow::Context;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::vdisk::{self, Format};
use std::path::Path;
use std::sync::Arc;

/// The bytes of the disk in an image. Of a raw one the holes are known.
pub(super) fn disk(path: &Path) -> anyhow::Result<Arc<dyn ReadAt>> {
    let reading = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(reading)?;
    let file: Arc<dyn ReadAt> = Arc::new(FileAt::new(file).with_context(reading)?);
    if vdisk::detect(&*file).with_context(reading)? == Format::Raw {
        return Ok(file);
    }
    Ok(vdisk::open(file).with_context(reading)?.disk)
}
