//! A raw disk through zstd or gzip, on all processors, and the same bytes on any number of them.

use crate::bundle::gzip::{self, Ended, Input};
use crate::extent::{Content, Layout};
use crate::in_order::in_order;
use crate::observe::{Observer, Stage};
use crate::units::{MIB, count, index};
use crate::vdisk::Forward;
use std::io;
use std::num::NonZeroUsize;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Bytes that make a frame of their own. Whoever knows only that zstd has frames can read any of them alone, and no
/// window can be larger: 8 MiB is what every decoder must take (RFC 8878 section 3.1.1.1.2).
const FRAME: u64 = 4 * MIB;
/// The checksum that ends a frame: RFC 8878 section 3.1.1. It is held back until the next frame or the end, so that what
/// is left of a pass that failed ends in the middle of a frame, and no decoder takes it for a whole disk.
const HELD_BACK: usize = 4;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;
/// gzip's own default.
const GZIP_LEVEL: u32 = 6;

/// Through zstd.
pub(super) fn zstd(
    threads: NonZeroUsize,
    disk: &dyn Layout,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<()> {
    let len = disk.len();
    let mut at = 0;
    let compressor = || -> io::Result<_> {
        let mut compressor = Compressor::new(ZSTD_LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok((compressor, Vec::new()))
    };
    let (mut done, mut held) = (0, Vec::new());
    in_order(
        threads,
        || {
            if observer.cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let start = at;
            at = (at + FRAME).min(len);
            Ok((start < len).then_some((start, at - start)))
        },
        compressor,
        |state, (start, len)| {
            let (compressor, buf) = match state {
                Ok(state) => state,
                Err(e) => return Err(io::Error::from(e.kind())),
            };
            buf.resize(index(len), 0);
            read(disk, start, buf)?;
            Ok((compressor.compress(buf)?, len))
        },
        |made| {
            let (frame, of) = made?;
            let (frame, last) = frame.split_at(frame.len().saturating_sub(HELD_BACK));
            out.bytes(&std::mem::replace(&mut held, last.into()))?;
            done += of;
            observer.progress(Stage::Sink, done, Some(len));
            out.bytes(frame)
        },
    )?;
    out.bytes(&held)
}

/// Reads a part of the disk; where nothing is stored, no source is asked.
fn read(disk: &dyn Layout, at: u64, buf: &mut [u8]) -> io::Result<()> {
    let end = at + count(buf.len());
    let extents = disk.extents();
    let first = extents.partition_point(|e| e.end() <= at);
    let mut within = extents[first..].iter().take_while(|e| e.start < end);
    if within.all(|e| matches!(e.content, Content::Zero | Content::Free)) {
        buf.fill(0);
        return Ok(());
    }
    disk.read_exact_at(at, buf)
}

/// Through gzip.
pub(super) fn gzip(
    threads: NonZeroUsize,
    disk: &dyn Layout,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<()> {
    let mut feed = Feed {
        disk,
        observer,
        at: 0,
    };
    let put = |bytes: &[u8]| out.bytes(bytes);
    match gzip::compress(&mut feed, GZIP_LEVEL, threads, put) {
        Ok(()) => Ok(()),
        Err(Ended::Read(e) | Ended::Write(e)) => Err(e),
        Err(Ended::Stopped) => Err(io::ErrorKind::Interrupted.into()),
    }
}

struct Feed<'a> {
    disk: &'a dyn Layout,
    observer: &'a dyn Observer,
    at: u64,
}

impl Input for Feed<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = index((self.disk.len() - self.at).min(count(buf.len())));
        read(self.disk, self.at, &mut buf[..len])?;
        self.at += count(len);
        Ok(len)
    }

    fn looked(&mut self, _: &[u8]) -> bool {
        let total = Some(self.disk.len());
        self.observer.progress(Stage::Sink, self.at, total);
        !self.observer.cancelled()
    }
}
