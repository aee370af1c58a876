//! Images from a path, as the bytes of their disk.

use super::format::not_raw;
use super::info::InspectError;
use crate::read_at::{FileAt, ReadAt};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Opens an image of any known format; what is read are the bytes of the disk in it.
///
/// # Errors
/// When it cannot be read, or is of a format that is not known.
pub fn open_image(path: &Path) -> Result<Arc<dyn ReadAt>, InspectError> {
    let fail = |source| InspectError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    let disk = FileAt::new(file).map_err(fail)?;
    if let Some(is) = not_raw(&disk).map_err(fail)? {
        return Err(InspectError::NotDisk {
            path: path.to_owned(),
            is,
        });
    }
    Ok(Arc::new(disk))
}
