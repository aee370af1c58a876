//! A disk in any format, in one forward pass: to a file or a pipe.

use super::blame::Marked;
use super::packed;
use super::raw::target::Target;
use super::raw::{RawOptions, SinkError};
use crate::extent::Layout;
use crate::in_order::processors;
use crate::observe::Observer;
use crate::vdisk::{Format, Forward, Outlet, copy, qcow2, vhd, vmdk};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// Writes `disk` in `format`.
///
/// # Errors
/// When the format holds no disk of that size; whatever the disk or `out` says; `Interrupted` when `observer` asks
/// for an end. [`super::of_reading`] knows which are the disk's.
pub fn write(
    format: Format,
    disk: &dyn Layout,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<()> {
    write_on(processors(), format, disk, out, observer)
}

/// The same on so many threads, which does not change a byte.
///
/// # Errors
/// As [`write()`].
pub fn write_on(
    threads: NonZeroUsize,
    format: Format,
    disk: &dyn Layout,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<()> {
    let disk = &Marked(disk);
    match format {
        Format::Raw => copy(disk, out, observer),
        Format::RawZst => packed::zstd(threads, disk, out, observer),
        Format::RawGz => packed::gzip(threads, disk, out, observer),
        Format::Qcow2 => qcow2::write(disk, out, observer),
        Format::Vmdk => vmdk::write_on(threads, disk, out, observer),
        Format::Vhd => vhd::write(disk, out, observer),
        Format::VhdFixed => vhd::write_fixed(disk, out, observer),
    }
}

/// An image under way that is written in one forward pass. Dropped before [`FormatFile::finish`], it leaves
/// nothing.
#[derive(Debug)]
pub struct FormatFile {
    target: Target,
    file: Arc<File>,
}

impl FormatFile {
    /// Makes a temporary beside `path`.
    ///
    /// # Errors
    /// As [`super::raw::RawFile::create`].
    pub fn create(path: &Path, options: RawOptions) -> Result<Self, SinkError> {
        let (target, file) = Target::create(path, options)?;
        let file = Arc::new(file);
        Ok(Self { target, file })
    }

    /// The temporary's path, where it has one.
    #[must_use]
    pub fn temporary(&self) -> Option<&Path> {
        self.target.temporary()
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As [`write()`], and when the disk is full.
    pub fn write(
        &mut self,
        format: Format,
        disk: &dyn Layout,
        observer: &dyn Observer,
    ) -> Result<(), SinkError> {
        let mut outlet = Outlet::file(Arc::clone(&self.file));
        let written = write(format, disk, &mut outlet, observer);
        let written = written.and_then(|()| outlet.finish().map(|_| ()));
        written.map_err(|e| self.target.failed(e))
    }

    /// The file as it stands.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it under its name.
    ///
    /// # Errors
    /// When it cannot be renamed, or the name was taken meanwhile.
    pub fn finish(self) -> Result<(), SinkError> {
        self.target.publish(&self.file)
    }
}
