//! The decoders: compressed file in, tar bytes out, straight into a buffer of the pool.
//!
//! | format | whole format | checked | after the last member |
//! |---|---|---|---|
//! | gzip | members in a row | CRC-32, length | zeros: padding; else a warning, as gzip(1) |
//! | zstd | frames, skippable frames | XXH64 if there | refused, as zstd(1) |
//! | xz | streams, stream padding | CRC-32/64, SHA-256, index | refused, as xz(1) |
//! | bzip2 | streams in a row | CRC-32 | a warning, as bzip2(1) |

use std::io::{self, Read};

use zstd::stream::raw::{Decoder as ZstdRaw, Operation};
use zstd::zstd_safe::DParameter;

use super::detect::Compression;
use super::oci::ImageError;
use super::source::{Source, SourceError};

/// zstd(1) decodes windows up to 2^27 bytes unless told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Memory an xz block may ask for, in KiB. `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 << 10;

/// Why decoding stopped; the reader adds the archive's name.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file could not be read.
    Io(io::Error),
    /// It ended inside a member.
    Truncated,
    /// It contradicts itself.
    Corrupt(String),
    /// What came out is not what the image says.
    Image(ImageError),
    /// It asks for too much memory; the window in bytes, where known.
    Window(Option<u64>),
}

impl From<SourceError> for Failure {
    fn from(e: SourceError) -> Self {
        Self::Io(e.0)
    }
}

/// What a decoder produced.
#[derive(Debug)]
pub(super) enum Filled {
    /// So many bytes, above 0.
    Bytes(usize),
    /// The end; with a remark if something follows it.
    End(Option<String>),
}

/// A decoder over its source.
pub(super) enum Decoder {
    Plain(Source),
    Members(Box<Members>),
    Xz(Box<lzma_rust2::XzReader<Source>>),
}

impl Decoder {
    pub(super) fn new(compression: Compression, source: Source) -> Self {
        let codec = match compression {
            Compression::None => return Self::Plain(source),
            Compression::Xz => {
                let xz = lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY_KIB);
                return Self::Xz(Box::new(xz));
            }
            Compression::Gzip => Codec::Gzip(gzip_member()),
            Compression::Bzip2 => Codec::Bzip2(bzip2::Decompress::new(false)),
            Compression::Zstd => Codec::Zstd(None, 0),
        };
        Self::Members(Box::new(Members {
            source,
            codec,
            inside: false,
        }))
    }

    /// Writes some bytes to `out`, which is not empty.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Result<Filled, Failure> {
        let n = match self {
            Self::Plain(source) => source.copy_to(out)?,
            Self::Members(members) => return members.fill(out),
            Self::Xz(xz) => xz.read(out).map_err(xz_failure)?,
        };
        Ok(if n == 0 {
            Filled::End(None)
        } else {
            Filled::Bytes(n)
        })
    }
}

fn xz_failure(e: io::Error) -> Failure {
    match e.downcast::<SourceError>() {
        Ok(source) => source.into(),
        Err(e) => match e.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Truncated,
            io::ErrorKind::OutOfMemory => Failure::Window(None),
            // An error without text of its own is an errno; there is none in a decoder.
            _ => Failure::Corrupt(e.to_string()),
        },
    }
}

fn gzip_member() -> flate2::Decompress {
    // 15: the largest window of RFC 1951, 32 KiB.
    flate2::Decompress::new_gzip(15)
}

/// A format whose file is a row of members, each with its own start and end.
pub(super) struct Members {
    source: Source,
    codec: Codec,
    /// Between a member's first byte and its last.
    inside: bool,
}

enum Codec {
    Gzip(flate2::Decompress),
    Bzip2(bzip2::Decompress),
    /// Made at the first frame, because making it can fail; and the window of the current frame.
    Zstd(Option<Box<ZstdRaw<'static>>>, u64),
}

/// One step of a codec.
struct Step {
    read: usize,
    written: usize,
    /// The member is complete and all its bytes are out.
    end: bool,
}

/// What stands where a member may start.
enum Next {
    Member,
    Padding,
    Garbage,
}

impl Members {
    fn fill(&mut self, out: &mut [u8]) -> Result<Filled, Failure> {
        loop {
            if !self.inside {
                // 18 bytes: the longest zstd frame header (RFC 8878 section 3.1.1.1).
                let head = self.source.peek(18)?;
                if head.is_empty() {
                    return Ok(Filled::End(None));
                }
                match self.codec.next(head)? {
                    Next::Member => self.inside = true,
                    Next::Padding => return self.padding(),
                    Next::Garbage => return Ok(Filled::End(Some(self.garbage()))),
                }
            }
            let input = self.source.peek(1)?;
            let at_end = input.is_empty();
            let before = self.codec.total_in();
            let step = match self.codec.step(input, out) {
                Ok(step) => step,
                Err(failure) => {
                    // What was read before it: the place to name.
                    let read = moved(before, self.codec.total_in());
                    self.source.consume(read);
                    return Err(failure);
                }
            };
            self.source.consume(step.read);
            self.inside = !step.end;
            if step.written > 0 {
                return Ok(Filled::Bytes(step.written));
            }
            if !step.end && step.read == 0 {
                // Neither input nor output moved: the member wants bytes that are not there.
                return Err(if at_end {
                    Failure::Truncated
                } else {
                    Failure::Corrupt(String::from("the decoder makes no progress"))
                });
            }
        }
    }

    /// Zeros up to the end, as tapes and sector-wise copies leave them.
    fn padding(&mut self) -> Result<Filled, Failure> {
        loop {
            let bytes = self.source.peek(1)?;
            if bytes.is_empty() {
                return Ok(Filled::End(None));
            }
            if bytes.iter().any(|&b| b != 0) {
                return Ok(Filled::End(Some(self.garbage())));
            }
            let n = bytes.len();
            self.source.consume(n);
        }
    }

    fn garbage(&self) -> String {
        let name = match self.codec {
            Codec::Gzip(_) => Compression::Gzip,
            Codec::Bzip2(_) => Compression::Bzip2,
            Codec::Zstd(..) => Compression::Zstd,
        };
        format!("bytes that are no {name} data follow the {name} data; ignored, as {name} does")
    }
}

impl Codec {
    /// Looks at the start of a member (18 bytes, fewer at the end of the file) and gets ready for it.
    fn next(&mut self, head: &[u8]) -> Result<Next, Failure> {
        let member = match (&*self, head) {
            (Self::Gzip(_), [0x1f, 0x8b, ..] | [0x1f]) => true,
            (Self::Gzip(_), [0, ..]) => return Ok(Next::Padding),
            (Self::Bzip2(_), [b'B', b'Z', b'h', ..] | [b'B'] | [b'B', b'Z']) => true,
            // libzstd judges a frame's magic itself and knows every kind.
            (Self::Zstd(..), _) => true,
            _ => false,
        };
        if !member {
            return Ok(Next::Garbage);
        }
        match self {
            Self::Gzip(gzip) if gzip.total_in() > 0 => *gzip = gzip_member(),
            Self::Bzip2(bzip2) if bzip2.total_in() > 0 => *bzip2 = bzip2::Decompress::new(false),
            Self::Gzip(_) | Self::Bzip2(_) => {}
            Self::Zstd(decoder, window) => {
                *window = zstd_window(head);
                if decoder.is_none() {
                    *decoder = Some(Box::new(zstd_decoder().map_err(Failure::Io)?));
                }
            }
        }
        Ok(Next::Member)
    }

    /// Bytes of the member that were read, where the codec counts them.
    fn total_in(&self) -> u64 {
        match self {
            Self::Gzip(gzip) => gzip.total_in(),
            Self::Bzip2(bzip2) => bzip2.total_in(),
            Self::Zstd(..) => 0,
        }
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Failure> {
        match self {
            Self::Gzip(gzip) => {
                let (before_in, before_out) = (gzip.total_in(), gzip.total_out());
                let status = gzip
                    .decompress(input, out, flate2::FlushDecompress::None)
                    .map_err(|e| Failure::Corrupt(e.to_string()))?;
                Ok(Step {
                    read: moved(before_in, gzip.total_in()),
                    written: moved(before_out, gzip.total_out()),
                    end: status == flate2::Status::StreamEnd,
                })
            }
            Self::Bzip2(bzip2) => {
                let (before_in, before_out) = (bzip2.total_in(), bzip2.total_out());
                let status = bzip2
                    .decompress(input, out)
                    .map_err(|e| Failure::Corrupt(e.to_string()))?;
                Ok(Step {
                    read: moved(before_in, bzip2.total_in()),
                    written: moved(before_out, bzip2.total_out()),
                    end: status == bzip2::Status::StreamEnd,
                })
            }
            Self::Zstd(decoder, window) => {
                let decoder = decoder.as_mut().ok_or(Failure::Truncated)?;
                let status = decoder.run_on_buffers(input, out).map_err(|e| {
                    if window_too_large(&e) {
                        Failure::Window(Some(*window))
                    } else {
                        Failure::Corrupt(e.to_string())
                    }
                })?;
                Ok(Step {
                    read: status.bytes_read,
                    written: status.bytes_written,
                    // 0: the frame is decoded and flushed (zstd.h, ZSTD_decompressStream).
                    end: status.remaining == 0,
                })
            }
        }
    }
}

/// How far a counter moved in a step, which is at most a buffer's length.
fn moved(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(0)
}

fn zstd_decoder() -> io::Result<ZstdRaw<'static>> {
    let mut decoder = ZstdRaw::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
    Ok(decoder)
}

fn window_too_large(e: &io::Error) -> bool {
    use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as CODE;
    e.get_ref()
        .and_then(|e| e.downcast_ref::<zstd::Error>())
        .is_some_and(|e| e.is(CODE))
}

/// The window that a frame asks for, in bytes (RFC 8878 section 3.1.1.1); 0 if it cannot be told.
fn zstd_window(head: &[u8]) -> u64 {
    let descriptor = head.get(4).copied().unwrap_or(0);
    if descriptor & 0x20 == 0 {
        let byte = u64::from(head.get(5).copied().unwrap_or(0));
        let base = 1_u64
            .checked_shl(u32::try_from(byte >> 3).unwrap_or(0))
            .unwrap_or(0)
            << 10;
        return base.saturating_add((base >> 3).saturating_mul(byte & 7));
    }
    // Single segment: the window is the content, whose size follows the dictionary id.
    let dictionary: usize = match descriptor & 3 {
        3 => 4,
        n => usize::from(n),
    };
    let size: usize = match descriptor >> 6 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let field = head
        .get(5..)
        .and_then(|t| t.get(dictionary..))
        .and_then(|t| t.get(..size));
    let value = field
        .unwrap_or_default()
        .iter()
        .rev()
        .fold(0_u64, |value, &byte| (value << 8) | u64::from(byte));
    // RFC 8878 section 3.1.1.1.4: the two-byte form counts from 256.
    if size == 2 {
        value.saturating_add(256)
    } else {
        value
    }
}
