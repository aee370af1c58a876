//! An image whose file data lies in a file without a name: for what reads it more than once, or tells its holes first.

use anyhow::Context;
use diskwright::archive::Rootfs;
use diskwright::image::{self, BuildError, Report, Spec};
use diskwright::observe::Observer;
use diskwright::sink::spool::FileSpool;
use std::path::Path;
use std::sync::mpsc::channel;

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
    let keeping = || format!("cannot keep file data in {}", folder.display());
    // Nobody listens: its blocks are asked for when all of them are there.
    let (told, _) = channel();
    let spool = FileSpool::create(folder, spec.block_size.bytes(), told);
    let mut spool = spool.with_context(keeping)?;
    let data = spool.data();
    let built = image::build(rootfs, spec, &mut spool, observer).map_err(|e| match e {
        // The library's build does not know where its spool lies.
        BuildError::Spool(source) => anyhow::Error::new(source).context(keeping()),
        other => other.into(),
    })?;
    built.image.verify()?;
    spool.finish().with_context(keeping)?;
    let newest = built.image.filesystem().tree().newest().unwrap_or_default();
    Ok(Spooled {
        mtime: spec.source_date_epoch.unwrap_or(newest.sec),
        report: built.report,
        image: built.image.with_data(&data),
    })
}
