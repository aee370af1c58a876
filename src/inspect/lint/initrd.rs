//! Which modules an initrd has: a row of cpio archives, plain (microcode) or packed, with zeros between them
//! (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! The names of the archives' members are looked at and nothing else: `modules.order` and `modules.dep` name
//! modules too that are not there.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

/// The module of the disks of Nitro.
pub(super) const NVME: &[u8] = b"nvme.ko";

/// Most bytes that the initrds of an image have, packed and unpacked: what is more is not judged.
pub(super) const MOST: u64 = 4 << 30;
/// What opening a packed stream counts for: one that unpacks to nothing is work too.
const A_STREAM: u64 = 64 << 10;
/// Most memory of a decoder of xz, in KiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;
/// Longest name of a member, as the kernel takes them.
const NAME_MAX: usize = crate::units::PATH_MAX;
/// Bytes of a header: the magic number, then thirteen fields of eight hexadecimal digits.
const HEADER: usize = 110;

/// Whether a module is in an initrd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initrd {
    /// It is.
    Has,
    /// It is not.
    Lacks,
    /// It is not in what can be read: behind that the initrd is damaged.
    Damaged,
    /// The initrd is packed in a way that is not read.
    Packed(&'static str),
    /// The initrd is larger than any that is looked into.
    Large,
}

/// Looks for a module. `budget` is how many bytes may be read and unpacked; what was is taken from it.
pub(super) fn look(initrd: impl BufRead, module: &[u8], budget: &mut u64) -> Initrd {
    let left = Cell::from_mut(budget);
    let found = archives(&mut Metered::new(initrd, left), module);
    match found {
        _ if left.get() == 0 && !matches!(found, Ok(Initrd::Has)) => Initrd::Large,
        Ok(found) => found,
        Err(_) => Initrd::Damaged,
    }
}

fn archives(initrd: &mut Metered<impl BufRead>, module: &[u8]) -> io::Result<Initrd> {
    let left = initrd.left;
    loop {
        if members(initrd, module)? {
            return Ok(Initrd::Has);
        }
        let found = match initrd.fill_buf()? {
            [] => return Ok(Initrd::Lacks),
            [0x1f, 0x8b, ..] => {
                let gzip = flate2::bufread::GzDecoder::new(&mut *initrd);
                unpacked(gzip, module, left)?
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let frame = zstd::stream::read::Decoder::with_buffer(&mut *initrd)?;
                unpacked(frame.single_frame(), module, left)?
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                let xz = lzma_rust2::XzReader::new_mem_limit(&mut *initrd, false, XZ_MEMORY_KIB);
                unpacked(xz, module, left)?
            }
            [0x02, 0x21, 0x4c, 0x18, ..] => return Ok(Initrd::Packed("LZ4")),
            [b'B', b'Z', b'h', ..] => return Ok(Initrd::Packed("bzip2")),
            [0x5d, 0, ..] => return Ok(Initrd::Packed("LZMA")),
            [0x89, b'L', b'Z', ..] => return Ok(Initrd::Packed("LZO")),
            _ => return Ok(Initrd::Damaged),
        };
        if found {
            return Ok(Initrd::Has);
        }
    }
}

/// Whether a packed archive has the module.
fn unpacked(packed: impl Read, module: &[u8], left: &Cell<u64>) -> io::Result<bool> {
    let mut archive = Metered::new(BufReader::with_capacity(1 << 16, packed), left);
    archive.spend(A_STREAM);
    let found = members(&mut archive, module)?;
    if !found && !archive.fill_buf()?.is_empty() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(found)
}

/// Walks the members of plain archives, up to what is none, and whether one is the module, itself packed or not.
fn members(archive: &mut impl BufRead, module: &[u8]) -> io::Result<bool> {
    // How far it is to the next multiple of four, which names and contents are filled up to.
    let padding = |len: u64| len.wrapping_neg() % 4;
    loop {
        let ahead = archive.fill_buf()?;
        let zeros = ahead.iter().take_while(|&&b| b == 0).count();
        if zeros > 0 {
            archive.consume(zeros);
            continue;
        }
        if ahead.first() != Some(&b'0') {
            return Ok(false);
        }
        let mut header = [0; HEADER];
        archive.read_exact(&mut header)?;
        let (size, name_len) = sizes(&header).ok_or(io::ErrorKind::InvalidData)?;
        let mut name = vec![0; name_len];
        archive.read_exact(&mut name)?;
        // dracut fills names up with more than the one NUL.
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        let base = name.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let found = is_module(base, module);
        skip(
            archive,
            padding(crate::units::count(HEADER + name_len)) + size,
        )?;
        if found {
            return Ok(true);
        }
        // The last content may lack what fills it up.
        let fill = io::copy(&mut archive.by_ref().take(padding(size)), &mut io::sink())?;
        if fill < padding(size) {
            return Ok(false);
        }
    }
}

/// Whether a file name is the module's: `nvme.ko`, `nvme.ko.xz`, `nvme.ko.zst`, `nvme.ko.gz`.
pub(super) fn is_module(name: &[u8], module: &[u8]) -> bool {
    let end = name.strip_prefix(module);
    end.is_some_and(|end| matches!(end, b"" | b".xz" | b".zst" | b".gz"))
}

/// The size of a member's content and that of its name, of a header of `newc` (070701) or `crc` (070702).
fn sizes(header: &[u8; HEADER]) -> Option<(u64, usize)> {
    if !header.starts_with(b"070701") && !header.starts_with(b"070702") {
        return None;
    }
    let field = |n: usize| {
        let digits = std::str::from_utf8(&header[6 + 8 * n..14 + 8 * n]).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let name = crate::units::index32(field(11)?);
    ((1..=NAME_MAX).contains(&name)).then_some((field(6)?.into(), name))
}

fn skip(archive: &mut impl BufRead, len: u64) -> io::Result<()> {
    let skipped = io::copy(&mut archive.by_ref().take(len), &mut io::sink())?;
    if skipped < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// A stream whose bytes are taken from a budget; nothing comes of it once that is spent.
struct Metered<'a, R> {
    own: R,
    left: &'a Cell<u64>,
}

impl<'a, R> Metered<'a, R> {
    fn new(own: R, left: &'a Cell<u64>) -> Self {
        Self { own, left }
    }

    fn spend(&self, bytes: u64) {
        self.left.set(self.left.get().saturating_sub(bytes));
    }
}

impl<R: BufRead> BufRead for Metered<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.get() == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.own.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.spend(crate::units::count(bytes));
        self.own.consume(bytes);
    }
}

impl<R: BufRead> Read for Metered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let ahead = self.fill_buf()?;
        let n = ahead.len().min(buf.len());
        buf[..n].copy_from_slice(&ahead[..n]);
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::count;
    use std::io::Write;

    fn cpio(name: &str, data: &[u8]) -> Vec<u8> {
        let header = format!(
            "070701{}{:08x}{}{:08x}{:08x}",
            "0".repeat(48),
            data.len(),
            "0".repeat(32),
            name.len() + 1,
            0
        );
        let mut bytes = [header.as_bytes(), name.as_bytes(), b"\0"].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn nvme(initrd: &[u8]) -> Initrd {
        look(initrd, NVME, &mut MOST.clone())
    }

    fn packings(archive: &[u8]) -> Vec<Vec<u8>> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(archive).unwrap();
        let mut xz = std::process::Command::new("xz")
            .args(["--check=crc32", "-c"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        xz.stdin.take().unwrap().write_all(archive).unwrap();
        let xz = xz.wait_with_output().unwrap().stdout;
        let zstd = zstd::encode_all(archive, 1).unwrap();
        vec![archive.to_vec(), gzip.finish().unwrap(), zstd, xz]
    }

    #[test]
    fn a_module_is_found_by_its_name_however_the_initrd_is_packed() {
        let early = cpio("kernel/x86/microcode/GenuineIntel.bin", &[b'x'; 513]);
        let end = cpio("TRAILER!!!", b"");
        let other = cpio("usr/lib/modules/6.1/virtio.ko", &[b'x'; 30_001]);
        for name in [
            "lib/modules/6.1/kernel/drivers/nvme/host/nvme.ko.zst",
            "nvme.ko",
        ] {
            let with = [&other[..], &cpio(name, &[b'x'; 30_000]), &end].concat();
            for packed in packings(&with) {
                assert_eq!(nvme(&packed), Initrd::Has);
                let second = [&early[..], &end, &[0; 512], &packed].concat();
                assert_eq!(nvme(&second), Initrd::Has);
                // The first packed too, as dracut and initramfs-tools do where one holds packed modules.
                for first in packings(&[&other[..], &end].concat()) {
                    assert_eq!(nvme(&[first, packed.clone()].concat()), Initrd::Has);
                }
            }
        }
    }

    #[test]
    fn a_list_of_modules_is_no_module() {
        let order = b"kernel/drivers/nvme/host/nvme.ko\n0707010000nvme.ko";
        let archive = [
            cpio("usr/lib/modules/6.1/modules.order", order),
            cpio("usr/lib/modules/6.1/nvme.ko.d/x", b""),
            cpio("usr/lib/modules/6.1/not-nvme.ko", b""),
            cpio("TRAILER!!!", b""),
        ]
        .concat();
        for packed in packings(&archive) {
            assert_eq!(nvme(&packed), Initrd::Lacks);
        }
    }

    #[test]
    fn damage_and_bombs_end_it() {
        let with = [cpio("a", &[b'x'; 1000]), cpio("usr/lib/nvme.ko", b"module")].concat();
        for packed in packings(&with) {
            // What closes a stream, of xz its index and footer, is not waited for.
            for end in 1..packed.len().min(700) - 48 {
                assert_ne!(nvme(&packed[..end]), Initrd::Has);
            }
            for at in 0..packed.len().min(700) {
                let mut damaged = packed.clone();
                damaged[at] ^= 0xff;
                nvme(&damaged);
            }
        }
        assert_eq!(nvme(b"070701 no module, and no archive"), Initrd::Damaged);
        assert_eq!(nvme(b"\x02\x21\x4c\x18lz4"), Initrd::Packed("LZ4"));
        let bomb = zstd::encode_all(io::repeat(0).take(100 << 20), 1).unwrap();
        let mut budget = 10 << 20;
        assert_eq!(look(&bomb[..], NVME, &mut budget), Initrd::Large);
        assert_eq!(budget, 0);
    }

    #[test]
    fn streams_of_nothing_are_counted_and_so_is_what_is_read() {
        let full = packings(&cpio("a", b"x"));
        for (empty, full) in packings(b"").into_iter().zip(full).skip(1) {
            let empty = empty.repeat(1000);
            let left = |initrd: &[u8], mut budget| (look(initrd, NVME, &mut budget), budget);
            assert_eq!(left(&empty, 10 << 20), (Initrd::Large, 0));
            assert_eq!(left(&empty, 100 << 20).0, Initrd::Lacks);
            let bytes = count(full.len() + cpio("a", b"x").len());
            let (found, budget) = left(&full, 1 << 20);
            assert_eq!(
                (found, (1 << 20) - budget),
                (Initrd::Lacks, bytes + A_STREAM)
            );
        }
    }

    #[test]
    fn names_end_with_their_first_nul() {
        let padded = cpio("usr/lib/nvme.ko\0\0\0", b"x");
        assert_eq!(nvme(&padded), Initrd::Has);
    }
}
