//! The disk inside a sparse VMDK: monolithicSparse and streamOptimized.

use super::descriptor::{MAX_LEN, value};
use super::disk::{
    COMPRESSED, DEFLATE, GD_AT_END, GrainMarker, MAGIC, MAGIC_ESX, MARKER_EOS, MARKER_FOOTER,
    Marker, SparseExtentHeader, ZEROED_GTE,
};
use crate::read_at::ReadAt;
use crate::units::{MIB, SECTOR, count, index};
use crate::vdisk::cache::Cache;
use crate::vdisk::part::{in_disk, part, read};
use crate::vdisk::{MAX_DISK, Run, VdiskError, VirtualDisk, hole};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// Grain tables that are kept, 2 KiB each.
const TABLES: usize = 64;
/// Grain tables of 64 TiB in grains of 64 KiB, and as many again.
const MAX_TABLES: u64 = 4 << 20;
/// Bytes of decompressed grains that are kept.
const DECOMPRESSED: u64 = 4 * MIB;

const STRUCTURE: &str = "VMDK header";

/// A disk in a VMDK.
pub struct Reader {
    file: Arc<dyn ReadAt>,
    size: u64,
    /// Bytes in a grain.
    grain: u64,
    /// Entries of a grain table.
    entries: u64,
    compressed: bool,
    zeroed: bool,
    directory: Vec<U32>,
    tables: Cache<Vec<U32>>,
    decompressed: Cache<Vec<u8>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (size, grain) = (self.size, self.grain);
        write!(f, "vmdk::Reader({size} bytes in grains of {grain})")
    }
}

fn bad(field: &'static str, why: impl Into<String>) -> VdiskError {
    VdiskError::header(STRUCTURE, field, why)
}

impl Reader {
    /// Reads header, descriptor and grain directory.
    ///
    /// # Errors
    /// When they are none, or the image needs another file.
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self, VdiskError> {
        let mut header: SparseExtentHeader = part(&*file, 0, STRUCTURE)?;
        if header.magicNumber != MAGIC {
            return Err(VdiskError::Unsupported {
                what: match header.magicNumber {
                    MAGIC_ESX => "this is a sparse disk of ESX (COWD)".into(),
                    _ => "this VMDK is a descriptor; the disk is in files beside it".into(),
                },
                instead: "make one file of it: qemu-img convert -O raw IN OUT",
            });
        }
        if !(1..=3).contains(&header.version.get()) {
            return Err(VdiskError::Unsupported {
                what: format!("this is VMDK of version {}", header.version),
                instead: "versions 1 to 3 are read: qemu-img convert -O raw IN OUT",
            });
        }
        refuse_others(&*file, &header)?;
        if header.gdOffset.get() == GD_AT_END {
            header = footer(&*file)?;
        }
        let (sectors, grain) = (header.capacity.get(), header.grainSize.get());
        if sectors > MAX_DISK / SECTOR {
            return Err(bad(
                "capacity",
                format!("is {sectors} sectors, above 64 TiB"),
            ));
        }
        // qemu's own limit of the grain.
        if !grain.is_power_of_two() || grain > MIB / SECTOR {
            let why = format!("is {grain}, and not a power of two up to 2048");
            return Err(bad("grainSize", why));
        }
        let entries = u64::from(header.numGTEsPerGT.get());
        if !(1..=512).contains(&entries) {
            return Err(bad(
                "numGTEsPerGT",
                format!("is {entries}, and not 1 to 512"),
            ));
        }
        let compressed = header.flags.get() & COMPRESSED != 0;
        if compressed && header.compressAlgorithm.get() != DEFLATE {
            let why = format!("is {}: 1 is known", header.compressAlgorithm);
            return Err(bad("compressAlgorithm", why));
        }
        let tables = sectors.div_ceil(grain * entries);
        if tables > MAX_TABLES {
            let why = format!("is {grain}, too little for a disk of {sectors} sectors");
            return Err(bad("grainSize", why));
        }
        let offset = header.gdOffset.get().saturating_mul(SECTOR);
        let end = offset.checked_add(tables * 4);
        if end.is_none_or(|end| end > file.len()) {
            let why = format!("is {}: the directory ends past the file", header.gdOffset);
            return Err(bad("gdOffset", why));
        }
        let mut directory = vec![U32::ZERO; index(tables)];
        read(
            &*file,
            offset,
            directory.as_mut_bytes(),
            "the grain directory of VMDK",
        )?;
        Ok(Self {
            file,
            size: sectors * SECTOR,
            grain: grain * SECTOR,
            entries,
            compressed,
            zeroed: header.flags.get() & ZEROED_GTE != 0,
            directory,
            tables: Cache::new(TABLES),
            decompressed: Cache::new(index(DECOMPRESSED / (grain * SECTOR)).max(1)),
        })
    }

    /// Bytes of the disk that one grain table covers.
    fn covered(&self) -> u64 {
        self.grain * self.entries
    }

    /// The grain table for byte `at`; `None` where nothing is stored.
    fn table(&self, at: u64) -> io::Result<Option<Arc<Vec<U32>>>> {
        let sector = u64::from(self.directory[index(at / self.covered())].get());
        if sector == 0 {
            return Ok(None);
        }
        let table = self.tables.get(sector, || {
            let mut table = vec![U32::ZERO; index(self.entries)];
            let offset = sector * SECTOR;
            read(
                &*self.file,
                offset,
                table.as_mut_bytes(),
                "a grain table of VMDK",
            )?;
            Ok(table)
        })?;
        Ok(Some(table))
    }

    /// Byte of the file of the grain that `at` lies in; `None` where nothing is stored.
    fn place(&self, table: &[U32], at: u64) -> Option<u64> {
        let entry = table[index(at / self.grain % self.entries)].get();
        let nothing = entry == 0 || (self.zeroed && entry == 1);
        (!nothing).then(|| u64::from(entry) * SECTOR)
    }

    fn decompress(&self, offset: u64) -> io::Result<Arc<Vec<u8>>> {
        self.decompressed.get(offset, || {
            let marker: GrainMarker = part(&*self.file, offset, "a grain marker of VMDK")?;
            let damaged = |field, why: String| VdiskError::Bad {
                structure: "grain marker of VMDK",
                offset,
                field,
                why,
            };
            let size = u64::from(marker.size.get());
            // Noise grows when it is deflated, but never to twice its size.
            if size > 2 * self.grain {
                let why = format!("is {size}, above twice a grain");
                return Err(damaged("size", why).into());
            }
            let mut packed = vec![0; index(size)];
            let data = offset + count(size_of::<GrainMarker>());
            read(&*self.file, data, &mut packed, "a grain of VMDK")?;
            let mut grain = Vec::with_capacity(index(self.grain));
            // The last may end with the disk.
            let made = flate2::read::ZlibDecoder::new(&packed[..])
                .take(self.grain)
                .read_to_end(&mut grain);
            made.map_err(|e| damaged("its data", format!("does not decompress: {e}")))?;
            grain.resize(index(self.grain), 0);
            Ok(grain)
        })
    }
}

/// The header again, before the end of the stream: it knows where the directory is.
fn footer(file: &dyn ReadAt) -> Result<SparseExtentHeader, VdiskError> {
    let damaged = |offset, why: &str| VdiskError::Bad {
        structure: "VMDK footer",
        offset,
        field: "the end of the stream",
        why: why.into(),
    };
    let at = file.len().checked_sub(3 * SECTOR);
    let at = at.ok_or_else(|| damaged(0, "is missing: the file was cut off"))?;
    let marker: Marker = part(file, at, "the footer's marker of VMDK")?;
    let end: Marker = part(file, at + 2 * SECTOR, "the end marker of VMDK")?;
    let kinds = (
        marker.size.get(),
        marker.kind.get(),
        end.size.get(),
        end.kind.get(),
    );
    if kinds != (0, MARKER_FOOTER, 0, MARKER_EOS) {
        return Err(damaged(
            at,
            "has no markers: the file was cut off or has something behind it",
        ));
    }
    let footer: SparseExtentHeader = part(file, at + SECTOR, "the footer of VMDK")?;
    if footer.magicNumber != MAGIC || footer.gdOffset.get() == GD_AT_END {
        return Err(damaged(at + SECTOR, "has no header with a grain directory"));
    }
    Ok(footer)
}

/// What the file alone does not hold.
fn refuse_others(file: &dyn ReadAt, header: &SparseExtentHeader) -> Result<(), VdiskError> {
    let len = header.descriptorSize.get().saturating_mul(SECTOR);
    let offset = header.descriptorOffset.get().saturating_mul(SECTOR);
    if offset == 0 || len == 0 {
        return Ok(());
    }
    let mut text = vec![0; index(len.min(MAX_LEN))];
    read(file, offset, &mut text, "the descriptor of VMDK")?;
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_end_matches('\0');
    if let Some(parent) = value(text, "parentCID").filter(|p| !p.eq_ignore_ascii_case("ffffffff")) {
        let name = value(text, "parentFileNameHint").unwrap_or(parent);
        return Err(VdiskError::Unsupported {
            what: format!("this VMDK has a parent, {}", name.escape_debug()),
            instead: "make one file of both: qemu-img convert -O raw IN OUT",
        });
    }
    match value(text, "createType") {
        None | Some("monolithicSparse" | "streamOptimized") => Ok(()),
        Some(other) => Err(VdiskError::Unsupported {
            what: format!("this VMDK is {}", other.escape_debug()),
            instead: "monolithicSparse and streamOptimized are read: qemu-img convert -O raw IN OUT",
        }),
    }
}

impl ReadAt for Reader {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        in_disk(offset, buf.len(), self.size)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let table = self.table(at)?;
            let unit = match table {
                Some(_) => self.grain,
                None => self.covered(),
            };
            let within = at % unit;
            let (out, more) = rest.split_at_mut(index(unit - within).min(rest.len()));
            match table.and_then(|table| self.place(&table, at)) {
                None => out.fill(0),
                Some(offset) if self.compressed => {
                    let grain = self.decompress(offset)?;
                    out.copy_from_slice(&grain[index(within)..index(within) + out.len()]);
                }
                Some(offset) => read(&*self.file, offset + within, out, "a grain of VMDK")?,
            }
            at += count(out.len());
            rest = more;
        }
        Ok(())
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        hole(self, offset)
    }
}

impl VirtualDisk for Reader {
    fn run(&self, at: u64) -> io::Result<Run> {
        let left = self.size.saturating_sub(at);
        let run = |to: u64, stored| Run {
            len: (to - at).min(left),
            stored,
        };
        if left == 0 {
            return Ok(run(at, false));
        }
        let stop = at / self.covered() * self.covered() + self.covered();
        let Some(table) = self.table(at)? else {
            return Ok(run(stop, false));
        };
        let first = self.place(&table, at).is_some();
        let mut to = at / self.grain * self.grain + self.grain;
        while to < stop && self.place(&table, to).is_some() == first {
            to += self.grain;
        }
        Ok(run(to, first))
    }
}
