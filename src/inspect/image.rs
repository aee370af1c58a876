//! Images from a path, as the bytes of their disk.

use super::format::not_raw;
use super::info::InspectError;
use crate::read_at::{FileAt, ReadAt};
use crate::vdisk::{self, Format};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Opens an image of any format that can be read from the middle; what is read are the bytes of the disk in it.
///
/// # Errors
/// When it cannot be read, or is of a format that is not known.
pub fn open_image(path: &Path) -> Result<Arc<dyn ReadAt>, InspectError> {
    let fail = |source| InspectError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    let file: Arc<dyn ReadAt> = Arc::new(FileAt::new(file).map_err(fail)?);
    if vdisk::detect(&*file).map_err(fail)? != Format::Raw {
        let opened = vdisk::open(file).map_err(|source| InspectError::Format {
            path: path.to_owned(),
            source,
        })?;
        return Ok(opened.disk);
    }
    if let Some(is) = not_raw(&*file).map_err(fail)? {
        return Err(InspectError::NotDisk {
            path: path.to_owned(),
            is,
        });
    }
    Ok(file)
}
