//! An image, opened: its partition table, and the filesystems that can be read.

use super::files::{Files, FilesError};
use super::image::open_image;
use super::info::{Info, InspectError, info};
use crate::ext4::read::Reader;
use crate::fat::FatReader;
use crate::read_at::{ReadAt, Window};
use crate::units::SECTOR;
use std::path::Path;
use std::sync::Arc;

/// An open image.
pub struct Disk {
    image: Arc<dyn ReadAt>,
    info: Info,
    volumes: Vec<Volume>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("volumes", &self.volumes)
            .finish()
    }
}

/// A filesystem on it.
#[derive(Debug)]
pub struct Volume {
    /// Number of its partition, from 1; `None` when it is the whole disk.
    pub partition: Option<u32>,
    /// First byte on the disk.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// What is on it, or why that cannot be read.
    files: Result<Files, FilesError>,
}

impl Volume {
    /// The files on it.
    ///
    /// # Errors
    /// When the filesystem is damaged or has features that are not known.
    pub fn files(&self) -> Result<&Files, &FilesError> {
        self.files.as_ref()
    }
}

impl Disk {
    /// Opens an image by its path.
    ///
    /// # Errors
    /// When it cannot be read, or is of a format that is not known. A disk without a filesystem, or with a
    /// damaged one, can be opened.
    pub fn open(path: &Path) -> Result<Self, InspectError> {
        Self::of(open_image(path)?)
    }

    /// An image that is open already, as the bytes of the disk.
    ///
    /// # Errors
    /// When it cannot be read, or its partition table is damaged.
    pub fn of(image: Arc<dyn ReadAt>) -> Result<Self, InspectError> {
        let info = info(&*image)?;
        let mut volumes = Vec::new();
        let whole = (None, 0, image.len());
        if info.filesystem.is_some() {
            volumes.push(ext4(&image, whole));
        } else if info.partitions.is_empty() && is_fat(&image)? {
            volumes.push(fat(&image, whole));
        }
        for p in &info.partitions {
            let len = p.sectors.saturating_mul(SECTOR);
            let place = (Some(p.number), p.start.saturating_mul(SECTOR), len);
            if p.filesystem.is_some() {
                volumes.push(ext4(&image, place));
            } else if p.fat.is_some() {
                volumes.push(fat(&image, place));
            }
        }
        Ok(Self {
            image,
            info,
            volumes,
        })
    }

    /// The bytes of the disk.
    #[must_use]
    pub fn image(&self) -> &Arc<dyn ReadAt> {
        &self.image
    }

    /// Its partition table and filesystems.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The filesystems, in the order of their partitions.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// The root filesystem: the first ext4 with an `/etc`, else the largest ext4, else the largest of any
    /// kind.
    #[must_use]
    pub fn root(&self) -> Option<&Volume> {
        let is_ext4 = |v: &&Volume| matches!(v.files, Ok(Files::Ext4(_)));
        let with_etc = |v: &&Volume| {
            let found = v.files().ok().and_then(|f| f.resolve(b"/etc", true).ok());
            found.is_some()
        };
        let all = || self.volumes.iter();
        all()
            .filter(is_ext4)
            .find(with_etc)
            .or_else(|| all().filter(is_ext4).max_by_key(|v| v.len))
            .or_else(|| all().max_by_key(|v| v.len))
    }

    /// The filesystem of a partition.
    #[must_use]
    pub fn partition(&self, number: u32) -> Option<&Volume> {
        self.volumes.iter().find(|v| v.partition == Some(number))
    }
}

/// Number of the partition, first byte, length.
type Place = (Option<u32>, u64, u64);

fn window(image: &Arc<dyn ReadAt>, (_, offset, len): Place) -> Arc<dyn ReadAt> {
    Arc::new(Window::new(Arc::clone(image), offset, len))
}

fn volume((partition, offset, len): Place, files: Result<Files, FilesError>) -> Volume {
    Volume {
        partition,
        offset,
        len,
        files,
    }
}

fn ext4(image: &Arc<dyn ReadAt>, place: Place) -> Volume {
    let opened = Reader::open(window(image, place));
    volume(
        place,
        opened.map(|r| Files::Ext4(Box::new(r))).map_err(Into::into),
    )
}

fn fat(image: &Arc<dyn ReadAt>, place: Place) -> Volume {
    let opened = FatReader::open(window(image, place));
    volume(place, opened.map(Files::Fat).map_err(Into::into))
}

fn is_fat(image: &Arc<dyn ReadAt>) -> Result<bool, InspectError> {
    let found = crate::fat::probe(&**image, 0);
    let found = found.map_err(|source| InspectError::Read { offset: 0, source })?;
    Ok(found.is_some())
}
