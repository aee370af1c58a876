//! An image of any format as the disk that it holds.

use super::forward::going_on;
use super::{Format, Forward, MAX_DISK, Run, VdiskError, VirtualDisk, qcow2, vhd, vmdk};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{MIB, SECTOR, count, index};
use std::io::{self, Read};
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

/// All of a raw image is taken as stored: who has the file knows its holes.
struct Raw(Arc<dyn ReadAt>);

impl ReadAt for Raw {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buf)
    }
}

impl VirtualDisk for Raw {
    fn run(&self, at: u64) -> io::Result<Run> {
        Ok(Run {
            len: self.len().saturating_sub(at),
            stored: true,
        })
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
    let format = detect(&*file).map_err(|source| VdiskError::Read {
        what: "the image",
        offset: 0,
        source,
    })?;
    let disk: Arc<dyn VirtualDisk> = match format {
        Format::Raw => Arc::new(Raw(file)),
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
