//! A streamOptimized VMDK in one forward pass, its grains compressed on all processors.

use super::descriptor::stream_optimized;
use super::disk::{
    COMPRESSED, DEFLATE, GD_AT_END, GrainMarker, MAGIC, MARKER_EOS, MARKER_FOOTER, MARKER_GD,
    MARKER_GT, MARKERS, Marker, NEWLINE_TEST, SparseExtentHeader,
};
use crate::extent::{Content, Layout};
use crate::in_order::{in_order, processors};
use crate::observe::{Observer, Stage};
use crate::units::{GIB, KIB, SECTOR, TIB, count, count32, index, lo32};
use crate::vdisk::chunks::{total, touched};
use crate::vdisk::forward::{going_on, pad, read_padded};
use crate::vdisk::open::is_zero;
use crate::vdisk::{Format, Forward};
use flate2::{Compress, Compression, FlushCompress, Status};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

/// Bytes of a grain: VMware's default.
const GRAIN: u64 = 64 * KIB;
/// Entries of a grain table.
const ENTRIES: u64 = 512;
/// Grains that a thread compresses at a time.
const BATCH: u64 = 16;
/// Sectors before the first marker: header and descriptor.
const OVERHEAD: u64 = 128;
/// zlib's default, and VMware's.
const LEVEL: u32 = 6;

/// The largest disk: offsets in grain tables are 32 bits of sectors, and noise grows a little when deflated.
pub const MAX_SIZE: u64 = 2 * TIB - 64 * GIB;

/// Writes `disk` as a streamOptimized VMDK.
///
/// # Errors
/// When the disk is larger than [`MAX_SIZE`]; whatever it or `out` says; `Interrupted` when `observer` asks for
/// an end.
pub fn write(disk: &dyn Layout, out: &mut dyn Forward, observer: &dyn Observer) -> io::Result<()> {
    write_on(processors(), disk, out, observer)
}

/// The same on so many threads, which does not change a byte.
///
/// # Errors
/// As [`write()`].
pub fn write_on(
    threads: NonZeroUsize,
    disk: &dyn Layout,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<()> {
    let size = disk.len();
    Format::Vmdk.check_size(size)?;
    let data = |c| matches!(c, Content::Bytes { .. } | Content::File { .. });
    let grains = touched(disk.extents(), GRAIN, data);
    let sectors = size.div_ceil(SECTOR);
    let mut stream = Stream {
        out,
        at: 0,
        table: vec![U32::ZERO; index(ENTRIES)],
        table_nr: 0,
        directory: vec![U32::ZERO; index(size.div_ceil(GRAIN * ENTRIES))],
    };
    stream.head(sectors, cid(disk)?)?;
    let (all, mut done) = (total(&grains) * GRAIN, 0);
    let mut batches = grains.iter().flat_map(|run| batches(run.clone()));
    in_order(
        threads,
        || {
            going_on(observer)?;
            Ok::<_, io::Error>(batches.next())
        },
        || Compress::new(Compression::new(LEVEL), true),
        |deflate, batch: Range<u64>| {
            let one = |nr| Ok::<_, io::Error>((nr, grain(disk, nr, deflate)?));
            batch.map(one).collect::<Result<Vec<_>, _>>()
        },
        |made| {
            for (nr, deflated) in made? {
                stream.grain(nr, deflated.as_deref())?;
                done += GRAIN;
            }
            observer.progress(Stage::Sink, done, Some(all));
            Ok(())
        },
    )?;
    stream.finish(sectors)
}

/// Cut where a thread's share ends.
fn batches(run: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let first = run.start / BATCH..run.end.div_ceil(BATCH);
    first.map(move |n| run.start.max(n * BATCH)..run.end.min((n + 1) * BATCH))
}

/// Two images with different partition tables are told apart; the value is of no further importance.
fn cid(disk: &dyn Layout) -> io::Result<u32> {
    let mut head = vec![0; index(GRAIN)];
    read_padded(disk, 0, &mut head)?;
    // All ones mean that there is no parent, the one before is VMware's "unset".
    Ok(crc32fast::hash(&head) & 0x7fff_ffff)
}

/// Grain `nr`, compressed; `None` when there are only zeros in it.
fn grain(disk: &dyn Layout, nr: u64, deflate: &mut Compress) -> io::Result<Option<Vec<u8>>> {
    let mut data = vec![0; index(GRAIN)];
    read_padded(disk, nr * GRAIN, &mut data)?;
    if is_zero(&data) {
        return Ok(None);
    }
    deflate.reset();
    // Stored blocks cost five bytes for every 16 KiB or more.
    let mut out = Vec::with_capacity(data.len() + 1024);
    match deflate.compress_vec(&data, &mut out, FlushCompress::Finish)? {
        Status::StreamEnd => Ok(Some(out)),
        status => Err(io::Error::other(format!("deflate ended with {status:?}"))),
    }
}

/// The file as far as it is written.
struct Stream<'a> {
    out: &'a mut dyn Forward,
    /// In bytes; whole sectors between two calls.
    at: u64,
    table: Vec<U32>,
    /// Which grain table that is.
    table_nr: u64,
    directory: Vec<U32>,
}

impl Stream<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += count(bytes.len());
        self.out.bytes(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let end = self.at.next_multiple_of(SECTOR);
        pad(self.out, self.at, SECTOR)?;
        self.at = end;
        Ok(())
    }

    /// The sector that the next bytes stand in.
    fn sector(&self) -> io::Result<U32> {
        let sector = u32::try_from(self.at / SECTOR);
        Ok(U32::new(sector.map_err(|_| io::ErrorKind::FileTooLarge)?))
    }

    fn marker(&mut self, kind: u32, sectors: u64) -> io::Result<()> {
        let mut marker = Marker::new_zeroed();
        marker.val = U64::new(sectors);
        marker.kind = U32::new(kind);
        self.put(marker.as_bytes())
    }

    fn head(&mut self, sectors: u64, cid: u32) -> io::Result<()> {
        self.put(header(sectors, GD_AT_END).as_bytes())?;
        self.put(stream_optimized(sectors, cid).as_bytes())?;
        let rest = OVERHEAD * SECTOR - self.at;
        self.at += rest;
        self.out.zeros(rest)
    }

    fn grain(&mut self, nr: u64, deflated: Option<&[u8]>) -> io::Result<()> {
        let Some(deflated) = deflated else {
            return Ok(());
        };
        if nr / ENTRIES != self.table_nr {
            self.end_table()?;
            self.table_nr = nr / ENTRIES;
        }
        self.table[index(nr % ENTRIES)] = self.sector()?;
        let marker = GrainMarker {
            lba: U64::new(nr * (GRAIN / SECTOR)),
            size: U32::new(count32(deflated.len())),
        };
        self.put(marker.as_bytes())?;
        self.put(deflated)?;
        self.pad()
    }

    fn end_table(&mut self) -> io::Result<()> {
        if self.table.iter().all(|e| *e == U32::ZERO) {
            return Ok(());
        }
        let table = std::mem::replace(&mut self.table, vec![U32::ZERO; index(ENTRIES)]);
        self.marker(MARKER_GT, ENTRIES * 4 / SECTOR)?;
        self.directory[index(self.table_nr)] = self.sector()?;
        self.put(table.as_bytes())
    }

    fn finish(mut self, sectors: u64) -> io::Result<()> {
        self.end_table()?;
        let directory = std::mem::take(&mut self.directory);
        let bytes = directory.as_bytes();
        self.marker(MARKER_GD, count(bytes.len()).div_ceil(SECTOR))?;
        let at = self.at / SECTOR;
        self.put(bytes)?;
        self.pad()?;
        self.marker(MARKER_FOOTER, 1)?;
        self.put(header(sectors, at).as_bytes())?;
        self.marker(MARKER_EOS, 0)
    }
}

fn header(sectors: u64, gd: u64) -> SparseExtentHeader {
    SparseExtentHeader {
        magicNumber: MAGIC,
        version: U32::new(3),
        flags: U32::new(NEWLINE_TEST | COMPRESSED | MARKERS),
        capacity: U64::new(sectors),
        grainSize: U64::new(GRAIN / SECTOR),
        descriptorOffset: U64::new(1),
        descriptorSize: U64::new(20),
        numGTEsPerGT: U32::new(lo32(ENTRIES)),
        rgdOffset: U64::ZERO,
        gdOffset: U64::new(gd),
        overHead: U64::new(OVERHEAD),
        uncleanShutdown: 0,
        singleEndLineChar: b'\n',
        nonEndLineChar: b' ',
        doubleEndLineChar1: b'\r',
        doubleEndLineChar2: b'\n',
        compressAlgorithm: U16::new(DEFLATE),
        pad: [0; 433],
    }
}
