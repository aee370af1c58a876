//! The disk inside a qcow2 file, of version 2 or 3.

use super::disk::{
    COMPRESSED, COMPRESSION, COMPRESSION_TYPE, CORRUPT, DIRTY, EXTENDED_L2, EXTERNAL_DATA_FILE,
    Header, HeaderV3, MAGIC, OFFSET, ZERO,
};
use super::inflate::{Codec, cluster};
use crate::read_at::ReadAt;
use crate::units::{SECTOR, count, index, index32};
use crate::vdisk::cache::Cache;
use crate::vdisk::part::{in_disk, part, read};
use crate::vdisk::{MAX_DISK, Run, VdiskError, VirtualDisk, hole};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use zerocopy::IntoBytes;
use zerocopy::big_endian::U64;

/// Bytes of L2 tables that are kept.
const TABLES: u64 = 8 << 20;
/// Bytes of decompressed clusters that are kept.
const DECOMPRESSED: u64 = 4 << 20;
/// qemu's own limit of the L1 table, in bytes.
const MAX_L1: u64 = 32 << 20;

const STRUCTURE: &str = "qcow2 header";

/// A disk in a qcow2 file.
pub struct Reader {
    file: Arc<dyn ReadAt>,
    size: u64,
    /// Bytes in a cluster.
    cluster: u64,
    codec: Codec,
    version: u32,
    l1_offset: u64,
    l1: Vec<U64>,
    tables: Cache<Vec<U64>>,
    decompressed: Cache<Vec<u8>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (size, cluster) = (self.size, self.cluster);
        write!(f, "qcow2::Reader({size} bytes in clusters of {cluster})")
    }
}

fn bad(field: &'static str, why: impl Into<String>) -> VdiskError {
    VdiskError::header(STRUCTURE, field, why)
}

/// What an L2 entry says.
enum Mapping {
    /// Nothing is stored: zeros.
    None,
    /// The cluster lies at this byte.
    Plain(u64),
    /// The entry of a compressed cluster.
    Compressed(u64),
}

impl Reader {
    /// Reads header and L1 table.
    ///
    /// # Errors
    /// When they are none, or the image needs another file, a password or a newer reader.
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self, VdiskError> {
        let header: Header = part(&*file, 0, STRUCTURE)?;
        if header.magic != MAGIC {
            return Err(bad("magic", "is not QFI\\xfb"));
        }
        let version = header.version.get();
        let codec = match version {
            2 => Codec::Deflate,
            3 => version_3(&*file)?,
            other => {
                return Err(VdiskError::Unsupported {
                    what: format!("this is qcow2 of version {other}"),
                    instead: "versions 2 and 3 are read: qemu-img convert -O qcow2 IN OUT",
                });
            }
        };
        refuse_others(&*file, &header)?;
        let bits = header.cluster_bits.get();
        if !(9..=21).contains(&bits) {
            return Err(bad("cluster_bits", format!("is {bits}, and not 9 to 21")));
        }
        let (size, cluster) = (header.size.get(), 1 << bits);
        if size > MAX_DISK {
            return Err(bad("size", format!("is {size}, above {MAX_DISK}")));
        }
        let entries = u64::from(header.l1_size.get());
        let need = size.div_ceil(cluster * (cluster / 8));
        if entries < need || need * 8 > MAX_L1 {
            let why = format!("is {entries}: {need} are needed, of at most {}", MAX_L1 / 8);
            return Err(bad("l1_size", why));
        }
        let offset = header.l1_table_offset.get();
        if !offset.is_multiple_of(cluster) {
            let why = format!("is {offset}, and no cluster begins there");
            return Err(bad("l1_table_offset", why));
        }
        let mut l1 = vec![U64::ZERO; index(need)];
        read(&*file, offset, l1.as_mut_bytes(), "the L1 table of qcow2")?;
        Ok(Self {
            file,
            size,
            cluster,
            codec,
            version,
            l1_offset: offset,
            l1,
            tables: Cache::new(index(TABLES / cluster)),
            decompressed: Cache::new(index(DECOMPRESSED / cluster)),
        })
    }

    /// Bytes of the disk that one L2 table covers.
    fn covered(&self) -> u64 {
        self.cluster * (self.cluster / 8)
    }

    /// The L2 table for byte `at`; `None` where nothing is stored.
    fn table(&self, at: u64) -> io::Result<Option<Arc<Vec<U64>>>> {
        let nr = at / self.covered();
        let offset = self.l1[index(nr)].get() & OFFSET;
        if offset == 0 {
            return Ok(None);
        }
        let table = self.tables.get(offset, || {
            self.aligned("qcow2 L1 table", self.l1_offset, "L2 table offset", offset)?;
            let mut table = vec![U64::ZERO; index(self.cluster / 8)];
            let what = "an L2 table of qcow2";
            read(&*self.file, offset, table.as_mut_bytes(), what)?;
            Ok(table)
        })?;
        Ok(Some(table))
    }

    /// Whether a field of the table at byte `at` names the beginning of a cluster. That the cluster is there is seen
    /// when it is read: the last of a file may be a part of one.
    fn aligned(
        &self,
        structure: &'static str,
        at: u64,
        field: &'static str,
        offset: u64,
    ) -> Result<(), VdiskError> {
        if offset.is_multiple_of(self.cluster) {
            return Ok(());
        }
        Err(VdiskError::Bad {
            structure,
            offset: at,
            field,
            why: format!("is {offset}, and no cluster begins there"),
        })
    }

    fn mapping(&self, table: &[U64], at: u64) -> Mapping {
        let nr = at / self.cluster % (self.cluster / 8);
        let entry = table[index(nr)].get();
        if entry & COMPRESSED != 0 {
            Mapping::Compressed(entry)
        } else if entry & OFFSET == 0 || (self.version > 2 && entry & ZERO != 0) {
            Mapping::None
        } else {
            Mapping::Plain(entry & OFFSET)
        }
    }

    /// Of a compressed cluster: `cluster_bits` decide how much of the entry is the offset.
    fn decompress(&self, entry: u64) -> io::Result<Arc<Vec<u8>>> {
        self.decompressed.get(entry, || {
            let bits = 62 - (self.cluster.ilog2() - 8);
            let offset = entry & ((1 << bits) - 1);
            let sectors = ((entry & (COMPRESSED - 1)) >> bits) + 1;
            let len = sectors * SECTOR - offset % SECTOR;
            // The last sector may end with the file, but not before it has begun.
            let room = self.file.len().saturating_sub(offset).max(1);
            let mut packed = vec![0; index(len.min(room))];
            let what = "a compressed cluster of qcow2";
            read(&*self.file, offset, &mut packed, what)?;
            let made = cluster(self.codec, &packed, index(self.cluster));
            made.map_err(|e| {
                VdiskError::Bad {
                    structure: "compressed cluster of qcow2",
                    offset,
                    field: "its data",
                    why: format!("does not decompress to a cluster: {e}"),
                }
                .into()
            })
        })
    }

    fn read_cluster(&self, table: &[U64], at: u64, out: &mut [u8]) -> io::Result<()> {
        let within = at % self.cluster;
        match self.mapping(table, at) {
            Mapping::None => out.fill(0),
            Mapping::Plain(offset) => {
                let table_at = self.l1[index(at / self.covered())].get() & OFFSET;
                self.aligned("qcow2 L2 table", table_at, "host cluster offset", offset)?;
                read(&*self.file, offset + within, out, "a cluster of qcow2")?;
            }
            Mapping::Compressed(entry) => {
                let made = self.decompress(entry)?;
                let from = index(within);
                out.copy_from_slice(&made[from..from + out.len()]);
            }
        }
        Ok(())
    }
}

/// Whether version 3 asks for anything that is not known here; how it compresses.
fn version_3(file: &dyn ReadAt) -> Result<Codec, VdiskError> {
    let more: HeaderV3 = part(file, count(size_of::<Header>()), STRUCTURE)?;
    let features = more.incompatible_features.get();
    let refused = [
        (EXTERNAL_DATA_FILE, "its data in another file"),
        (EXTENDED_L2, "subclusters (extended_l2)"),
        (
            !(DIRTY | CORRUPT | EXTERNAL_DATA_FILE | COMPRESSION | EXTENDED_L2),
            "incompatible features of a later qemu",
        ),
    ];
    if let Some((_, what)) = refused.iter().find(|(bit, _)| features & bit != 0) {
        return Err(VdiskError::Unsupported {
            what: format!("this qcow2 image has {what}"),
            instead: "make a plain one of it: qemu-img convert -O qcow2 IN OUT",
        });
    }
    if features & CORRUPT != 0 {
        return Err(VdiskError::Unsupported {
            what: "this qcow2 image is marked as corrupt".into(),
            instead: "mend it: qemu-img check -r all IMAGE",
        });
    }
    if features & COMPRESSION == 0 {
        return Ok(Codec::Deflate);
    }
    if u64::from(more.header_length.get()) <= COMPRESSION_TYPE {
        return Err(bad("header_length", "leaves no room for compression_type"));
    }
    match part::<u8>(file, COMPRESSION_TYPE, STRUCTURE)? {
        0 => Ok(Codec::Deflate),
        1 => Ok(Codec::Zstd),
        other => Err(bad(
            "compression_type",
            format!("is {other}: 0 and 1 are known"),
        )),
    }
}

/// What the file alone does not hold.
fn refuse_others(file: &dyn ReadAt, header: &Header) -> Result<(), VdiskError> {
    let offset = header.backing_file_offset.get();
    if offset != 0 {
        // qemu's own limit of the name.
        let len = index32(header.backing_file_size.get().min(1023));
        let mut name = vec![0; len];
        let read = file.read_exact_at(offset, &mut name);
        read.map_err(|_| bad("backing_file_offset", "names no bytes of the file"))?;
        return Err(VdiskError::Unsupported {
            what: format!(
                "this qcow2 image has a backing file, {}",
                String::from_utf8_lossy(&name).escape_debug()
            ),
            instead: "make one file of both: qemu-img convert -O qcow2 IN OUT",
        });
    }
    match header.crypt_method.get() {
        0 => Ok(()),
        method => Err(VdiskError::Unsupported {
            what: format!(
                "this qcow2 image is encrypted ({})",
                match method {
                    1 => "AES",
                    2 => "LUKS",
                    _ => "a method of a later qemu",
                }
            ),
            instead: "decrypt it first: qemu-img convert",
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
                Some(_) => self.cluster,
                None => self.covered(),
            };
            let room = index(unit - at % unit);
            let (out, more) = rest.split_at_mut(room.min(rest.len()));
            match table {
                Some(table) => self.read_cluster(&table, at, out)?,
                None => out.fill(0),
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
        let stop = at / self.covered() * self.covered() + self.covered();
        let run = |to: u64, stored| Run {
            len: (to - at).min(left),
            stored,
        };
        if left == 0 {
            return Ok(run(at, false));
        }
        let Some(table) = self.table(at)? else {
            return Ok(run(stop, false));
        };
        let stored = |at| !matches!(self.mapping(&table, at), Mapping::None);
        let first = stored(at);
        let mut to = at / self.cluster * self.cluster + self.cluster;
        while to < stop && stored(to) == first {
            to += self.cluster;
        }
        Ok(run(to, first))
    }
}
