//! An image of any format as the disk that it holds.

use super::forward::going_on;
use super::{Format, Forward, MAX_DISK, Outlet, Run, VdiskError, VirtualDisk, qcow2, vhd, vmdk};
use crate::observe::{Observer, Stage};
use crate::read_at::{FileAt, ReadAt};
use crate::units::{MIB, SECTOR, count, index};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// zstd(1) decodes windows up to 2^27 bytes unless told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Zeros of this many bytes become a hole.
const HOLE: usize = 64 << 10;

/// An image that was opened.
pub struct Opened {
    /// Its format.
    pub format: Format,
    /// The disk.
    pub disk: Arc<dyn VirtualDisk>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({}, {} bytes)", self.format, self.disk.len())
    }
}

/// The bytes of the file are the disk's.
struct Raw {
    bytes: Arc<dyn ReadAt>,
    /// Knows its holes; without it all is taken as stored.
    file: Option<File>,
}

impl Raw {
    fn new(bytes: Arc<dyn ReadAt>, file: Option<File>) -> Result<Arc<Self>, VdiskError> {
        let len = bytes.len();
        if len > MAX_DISK {
            return Err(VdiskError::Unsupported {
                what: format!("this is a raw disk of {len} bytes"),
                instead: "disks of up to 64 TiB are read",
            });
        }
        Ok(Arc::new(Self { bytes, file }))
    }
}

impl ReadAt for Raw {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.read_exact_at(offset, buf)
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        self.bytes.hole(offset)
    }
}

impl VirtualDisk for Raw {
    fn run(&self, at: u64) -> io::Result<Run> {
        match &self.file {
            Some(file) => stored(file, at, self.len()),
            None => Ok(Run {
                len: self.len().saturating_sub(at),
                stored: true,
            }),
        }
    }
}

/// Whether byte `at` of a file of `len` bytes is in a hole, and how far that goes. Where the filesystem knows no
/// holes, all of it is stored.
///
/// # Errors
/// When the file cannot be looked at.
pub fn stored(file: &File, at: u64, len: u64) -> io::Result<Run> {
    let run = |to: u64, stored| Run {
        len: to.min(len).saturating_sub(at),
        stored,
    };
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) if data > at => return Ok(run(data, false)),
        Ok(_) | Err(Errno::INVAL) => {}
        Err(Errno::NXIO) => return Ok(run(len, false)),
        Err(e) => return Err(e.into()),
    }
    match seek(file, SeekFrom::Hole(at)) {
        Ok(hole) if hole > at => Ok(run(hole, true)),
        Ok(_) | Err(Errno::NXIO | Errno::INVAL) => Ok(run(len, true)),
        Err(e) => Err(e.into()),
    }
}

/// The format of a file, by what stands in it; raw when nothing says otherwise.
///
/// # Errors
/// When it cannot be read.
pub fn detect(file: &dyn ReadAt) -> io::Result<Format> {
    let mut head = [0; 8];
    let len = file.len().min(8);
    file.read_exact_at(0, &mut head[..index(len)])?;
    if head.starts_with(&qcow2::disk::MAGIC) {
        return Ok(Format::Qcow2);
    }
    if vmdk::is_vmdk(file)? {
        return Ok(Format::Vmdk);
    }
    // RFC 8878 section 3.1.1, RFC 1952 section 2.3.1 with deflate, the only method.
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Format::RawZst);
    }
    if head.starts_with(&[0x1f, 0x8b, 8]) {
        return Ok(Format::RawGz);
    }
    Ok(vhd::format_of(file)?.unwrap_or_default())
}

/// Opens an image that can be read at any offset. What [`detect`] finds compressed is for [`unpack`] first.
///
/// # Errors
/// When it is damaged, compressed, encrypted, or needs another file.
pub fn open(file: Arc<dyn ReadAt>) -> Result<Opened, VdiskError> {
    let format = detect(&*file).map_err(VdiskError::Open)?;
    let disk: Arc<dyn VirtualDisk> = match format {
        Format::Raw => Raw::new(file, None)?,
        Format::Qcow2 => Arc::new(qcow2::Reader::open(file)?),
        Format::Vmdk => Arc::new(vmdk::Reader::open(file)?),
        Format::Vhd | Format::VhdFixed => Arc::new(vhd::Reader::open(file)?),
        Format::RawZst | Format::RawGz => {
            return Err(VdiskError::Unsupported {
                what: format!("this is {format}, which cannot be read from the middle"),
                instead: "decompress it first",
            });
        }
    };
    Ok(Opened { format, disk })
}

/// Opens an image that is no compressed one; a raw one knows its holes.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: File) -> Result<Opened, VdiskError> {
    let bytes = FileAt::new(file.try_clone().map_err(VdiskError::Open)?);
    let bytes = Arc::new(bytes.map_err(VdiskError::Open)?);
    if detect(&*bytes).map_err(VdiskError::Open)? != Format::Raw {
        return open(bytes);
    }
    Ok(Opened {
        format: Format::Raw,
        disk: Raw::new(bytes, Some(file))?,
    })
}

/// Opens the image at `path`, whatever its format. A compressed one is decompressed into a file without a name in
/// `folder`, where its zeros become holes.
///
/// # Errors
/// As [`open`], and when `folder` has no room.
pub fn open_path(
    path: &Path,
    folder: &Path,
    observer: &dyn Observer,
) -> Result<Opened, VdiskError> {
    // A pipe is not even opened: that would wait for somebody who fills it.
    let kind = path.metadata().map_err(VdiskError::Open)?.file_type();
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() {
        return Err(VdiskError::Unsupported {
            what: "this is a pipe or a device that is read forward only".into(),
            instead: "an image is read from a file: save it first",
        });
    }
    let mut file = File::open(path).map_err(VdiskError::Open)?;
    let bytes = FileAt::new(file.try_clone().map_err(VdiskError::Open)?);
    let format = bytes.and_then(|bytes| detect(&bytes));
    let format = format.map_err(VdiskError::Open)?;
    if matches!(format, Format::RawZst | Format::RawGz) {
        let unpacked = unpacked(format, file, folder, observer);
        file = unpacked.map_err(|source| VdiskError::Unpack { format, source })?;
    }
    // What was compressed may be anything again; a raw disk is all that is made that way.
    Ok(Opened {
        format,
        ..open_file(file)?
    })
}

/// Where there is room for an image: `$TMPDIR`, or /var/tmp, because /tmp may be memory.
#[must_use]
pub fn spool_folder() -> PathBuf {
    let set = std::env::var_os("TMPDIR").filter(|v| !v.is_empty());
    set.map_or_else(|| "/var/tmp".into(), Into::into)
}

fn unpacked(
    format: Format,
    mut input: File,
    folder: &Path,
    observer: &dyn Observer,
) -> io::Result<File> {
    // Its cursor is where the length was looked for.
    input.rewind()?;
    // tempfile's error names the temporary.
    let file = tempfile::tempfile_in(folder).map_err(|e| io::Error::from(e.kind()))?;
    let mut outlet = Outlet::file(Arc::new(file.try_clone()?));
    unpack(format, input, &mut outlet, observer)?;
    outlet.finish()?;
    Ok(file)
}

/// Decompresses an image that is `format`, and leaves runs of zeros out; gives its length.
///
/// # Errors
/// When it is damaged or larger than [`MAX_DISK`]; whatever `input` and `out` say; `Interrupted` when `observer`
/// asks for an end.
pub fn unpack(
    format: Format,
    input: impl Read,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<u64> {
    let mut reader: Box<dyn Read + '_> = match format {
        Format::RawZst => {
            let mut decoder = zstd::stream::read::Decoder::new(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Format::RawGz => Box::new(flate2::read::MultiGzDecoder::new(input)),
        _ => Box::new(input),
    };
    let mut buf = vec![0; index(MIB)];
    let mut len = 0;
    loop {
        going_on(observer)?;
        let filled = fill(&mut reader, &mut buf)?;
        len += count(filled);
        if len > MAX_DISK {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        for part in buf[..filled].chunks(HOLE) {
            match is_zero(part) {
                true => out.zeros(count(part.len()))?,
                false => out.bytes(part)?,
            }
        }
        observer.progress(Stage::Archive, len, None);
        if filled < buf.len() {
            return Ok(len);
        }
    }
}

/// Fills `buf` as far as there are bytes; less only at the end.
fn fill(reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match reader.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Whether `bytes` are zeros throughout.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    // Nearly every piece shows itself in its first byte.
    bytes.first().is_none_or(|b| *b == 0)
        && bytes
            .chunks(ZEROS.len())
            .all(|part| part == &ZEROS[..part.len()])
}

/// The last `SECTOR` bytes of a file, if it has as many.
pub(super) fn last_sector(file: &dyn ReadAt) -> io::Result<Option<[u8; 512]>> {
    let Some(at) = file.len().checked_sub(SECTOR) else {
        return Ok(None);
    };
    let mut sector = [0; 512];
    file.read_exact_at(at, &mut sector)?;
    Ok(Some(sector))
}
