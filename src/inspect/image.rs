//! Images from a path, as the bytes of their disk.

use super::format::not_disk;
use super::info::InspectError;
use crate::observe::{Observer, Silent};
use crate::read_at::ReadAt;
use crate::vdisk::{Opened, VdiskError, open_path, spool_folder};
use std::path::Path;
use std::sync::Arc;

/// Opens an image of any format; what is read are the bytes of the disk in it. A compressed one is decompressed into
/// a file without a name in [`spool_folder`].
///
/// # Errors
/// When it cannot be read, or is of a format that is not known.
pub fn open_image(path: &Path) -> Result<Arc<dyn ReadAt>, InspectError> {
    Ok(open_image_in(path, &spool_folder(), &Silent)?.disk)
}

/// The same with its format; `folder` has room for what is decompressed.
///
/// # Errors
/// As of [`open_image`].
pub fn open_image_in(
    path: &Path,
    folder: &Path,
    observer: &dyn Observer,
) -> Result<Opened, InspectError> {
    let fail = |source| InspectError::Open {
        path: path.to_owned(),
        source,
    };
    let opened = open_path(path, folder, observer).map_err(|e| match e {
        VdiskError::Open(source) => fail(source),
        source => InspectError::Format {
            path: path.to_owned(),
            source,
        },
    })?;
    match not_disk(&opened).map_err(fail)? {
        None => Ok(opened),
        Some(is) => Err(InspectError::NotDisk {
            path: path.to_owned(),
            is,
        }),
    }
}
