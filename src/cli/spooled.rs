//! An image whose file data lies in a file without a name: for what reads it more than once, or tells its holes first.

use super::signals;
use anyhow::Context;
use diskwright::archive::Rootfs;
use diskwright::image::{self, Report, Spec};
use diskwright::observe::Observer;
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::sink::raw::{RawFile, RawOptions};
use std::path::Path;
use std::sync::Arc;

/// An image whose file data lies in a file without a name.
pub(super) struct Spooled {
    pub(super) image: image::Image,
    pub(super) report: Report,
    /// The time of its newest file, in seconds since 1970.
    pub(super) mtime: i64,
}

/// Builds it; `folder` has room for its files.
pub(super) fn build(
    rootfs: &mut Rootfs,
    spec: &Spec,
    folder: &Path,
    observer: &dyn Observer,
) -> anyhow::Result<Spooled> {
    // Never finished: it goes when it is dropped.
    let options = RawOptions {
        force: true,
        sync: false,
    };
    let mut spool = RawFile::create(&folder.join(".diskwright-spool"), options)?;
    let _guard = spool.temporary().map(signals::guard);
    let built = image::build(rootfs, spec, spool.spool(), observer)?;
    built.image.verify()?;
    spool.end_at(built.image.size())?;
    let file = spool.file().try_clone().context("cannot read the spool")?;
    let data: Arc<dyn ReadAt> = Arc::new(FileAt::new(file).context("cannot read the spool")?);
    let newest = built.image.filesystem().tree().newest().unwrap_or_default();
    Ok(Spooled {
        mtime: spec.source_date_epoch.unwrap_or(newest.sec),
        report: built.report,
        image: built.image.with_data(&data),
    })
}
