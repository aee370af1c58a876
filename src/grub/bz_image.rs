//! Kernels for PV-GRUB: which it reads, and those that it does not, compressed anew.
//!
//! A bzImage is a small program that decompresses the kernel, and the kernel as an ELF file, compressed. A
//! domain builder such as PV-GRUB never runs that program: it takes the payload, by two fields of the setup
//! header, and loads the ELF file by itself.
//!
//! ```text
//!  0      0x1F1                (setup_sects + 1) × 512   + payload_offset
//!  | setup | setup header | …  | decompressor            | payload: ELF, compressed | decompressor | CRC |
//! ```
//!
//! It knows gzip and, in late versions, bzip2, lzo and xz; a kernel of LZ4 or Zstandard (Debian 12's cloud
//! kernel, Debian 13's) needs another payload. What decompresses it natively is bound to the old one, so the
//! result boots under Xen's PV alone, and is a file of its own beside the kernel.
//!
//! Sources: Linux `Documentation/arch/x86/boot.rst` (fields, CRC), `arch/x86/boot/compressed/Makefile` (all
//! formats but gzip bear their length at the end), Xen `tools/libxc/xc_dom_bzimageloader.c`.

use super::gzip::{self, Packed};
use super::xen_note::{ELF, u16_at, u32_at};
use super::{GrubError, lz4};
use crate::units::index32;
use bytes::Bytes;
use crc32fast::Hasher;

/// Fields of the setup header.
const SETUP_SECTS: usize = 0x1F1;
const SYSSIZE: usize = 0x1F4;
const HEADER: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24C;

const SECTOR: usize = 512;
/// `syssize` counts these.
const PARAGRAPH: usize = 16;
/// The first protocol with the payload's place, and the CRC.
const VERSION_WITH_PAYLOAD: u16 = 0x0208;
/// The length behind a payload, the CRC behind a bzImage.
const WORD: usize = 4;

/// No kernel is larger: Debian 13's generic one decompresses to 76 MB.
const KERNEL_MAX: usize = 512 << 20;

const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
/// What PV-GRUB decompresses beside gzip.
const OTHERS: [&[u8]; 3] = [b"BZh", b"\x89LZO\0", b"\xFD7zXZ\0"];

/// A kernel that PV-GRUB reads, made of `kernel`, in pieces; `None` when it reads that one. `path` is for messages.
///
/// # Errors
/// [`GrubError::Format`] when it is no kernel, damaged, or built without support for Xen's PV.
pub fn pv_kernel(path: &str, kernel: &[u8]) -> Result<Option<Vec<Bytes>>, GrubError> {
    let file = File { path, kernel };
    if kernel.starts_with(GZIP) || kernel.starts_with(ELF) {
        return Ok(None);
    }
    if kernel.get(HEADER..HEADER + 4) != Some(b"HdrS") {
        return Err(file.error(
            "setup_header.header",
            "missing",
            "`HdrS` of a bzImage, or an ELF file, for PV-GRUB",
        ));
    }
    let version = file.u16(VERSION, "setup_header.version")?;
    if version < VERSION_WITH_PAYLOAD {
        let found = format!("{version:#06x}");
        return Err(file.error("setup_header.version", found, "0x0208 or later for PV-GRUB"));
    }
    let (start, payload) = file.payload()?;
    if OTHERS.iter().any(|magic| payload.starts_with(magic)) {
        return Ok(None);
    }
    let packed = file.packed(payload)?;
    file.check_xen(packed.enters_by_pv)?;
    if payload.starts_with(GZIP) {
        return Ok(None);
    }
    file.with_payload(start, packed.gzip).map(Some)
}

struct File<'a> {
    path: &'a str,
    kernel: &'a [u8],
}

impl<'a> File<'a> {
    fn error(
        &self,
        field: &'static str,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> GrubError {
        GrubError::Format {
            file: self.path.to_owned(),
            field,
            found: found.into(),
            wanted: wanted.into(),
        }
    }

    fn u16(&self, at: usize, field: &'static str) -> Result<u16, GrubError> {
        u16_at(self.kernel, at).ok_or_else(|| self.cut(field))
    }

    fn u32(&self, at: usize, field: &'static str) -> Result<u32, GrubError> {
        u32_at(self.kernel, at).ok_or_else(|| self.cut(field))
    }

    fn cut(&self, field: &'static str) -> GrubError {
        let found = format!("behind the file's {} bytes", self.kernel.len());
        self.error(field, found, "inside")
    }

    /// Where the protected-mode part begins.
    fn setup_len(&self) -> usize {
        // A setup of 0 sectors is one of 4, from before the field.
        let sectors = match self.kernel.get(SETUP_SECTS) {
            None | Some(0) => 4,
            Some(&n) => usize::from(n),
        };
        (sectors + 1) * SECTOR
    }

    /// Where the payload begins, and the payload.
    fn payload(&self) -> Result<(usize, &'a [u8]), GrubError> {
        let field = "setup_header.payload_offset";
        let offset = index32(self.u32(PAYLOAD_OFFSET, field)?);
        let len = index32(self.u32(PAYLOAD_LENGTH, "setup_header.payload_length")?);
        let start = self.setup_len() + offset;
        let payload = self.kernel.get(start..start + len);
        let payload = payload.filter(|p| p.len() > WORD).ok_or_else(|| {
            let found = format!("{offset:#x} with {len} bytes of payload");
            let wanted = format!("inside the file's {} bytes", self.kernel.len());
            self.error(field, found, wanted)
        })?;
        Ok((start, payload))
    }

    /// The kernel in `payload` as gzip.
    fn packed(&self, payload: &'a [u8]) -> Result<Packed, GrubError> {
        if payload.starts_with(ELF) {
            return Ok(gzip::of_plain(&Bytes::copy_from_slice(payload)));
        }
        let (frame, size) = payload
            .split_last_chunk::<WORD>()
            .expect("a payload is longer than a word");
        let size = index32(u32::from_le_bytes(*size));
        let field = "payload";
        if size > KERNEL_MAX {
            let wanted = format!("at most {KERNEL_MAX} bytes");
            return Err(self.error(field, format!("{size} bytes when decompressed"), wanted));
        }
        let packed = if payload.starts_with(GZIP) {
            gzip::as_it_is(payload, size)
        } else if payload.starts_with(&lz4::MAGIC) {
            gzip::of_lz4(frame, size)
        } else if payload.starts_with(ZSTD) {
            let kernel = zstd::bulk::decompress(frame, size).ok();
            let kernel = kernel.filter(|kernel| kernel.len() == size);
            kernel.map(|kernel| gzip::of_plain(&kernel.into()))
        } else {
            let magic = format!("of unknown format {:02x?}", &payload[..WORD]);
            return Err(self.error(field, magic, "gzip, bzip2, lzo, xz, LZ4 or Zstandard"));
        };
        packed.ok_or_else(|| self.error(field, "damaged", format!("an ELF file of {size} bytes")))
    }

    fn check_xen(&self, enters_by_pv: Option<bool>) -> Result<(), GrubError> {
        let found = match enters_by_pv {
            Some(true) => return Ok(()),
            Some(false) => "missing",
            None => "cut off",
        };
        let wanted = "there: build the kernel with CONFIG_XEN_PV";
        Err(self.error("XEN_ELFNOTE_ENTRY", found, wanted))
    }

    /// The same bzImage up to byte `start`, and `payload` there. The other half of the decompressor is left
    /// out: nobody may run it.
    fn with_payload(&self, start: usize, payload: Vec<Bytes>) -> Result<Vec<Bytes>, GrubError> {
        let mut head = self.kernel[..start].to_vec();
        let len: usize = payload.iter().map(Bytes::len).sum();
        let unpadded = start - self.setup_len() + len + WORD;
        let size = unpadded.next_multiple_of(PARAGRAPH);
        let mut put = |at: usize, value: usize| {
            let value = u32::try_from(value)
                .map_err(|_| self.error("payload", format!("{len} bytes"), "32 bits"))?;
            head[at..at + WORD].copy_from_slice(&value.to_le_bytes());
            Ok::<_, GrubError>(())
        };
        put(SYSSIZE, size / PARAGRAPH)?;
        put(PAYLOAD_LENGTH, len)?;
        let padding = Bytes::from(vec![0; size - unpadded]);
        let mut image = [vec![head.into()], payload, vec![padding]].concat();
        let mut crc = Hasher::new();
        image.iter().for_each(|piece| crc.update(piece));
        // That of boot.rst is not inverted at its end.
        let crc = !crc.finalize();
        image.push(Bytes::copy_from_slice(&crc.to_le_bytes()));
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::super::xen_note::XEN_ELFNOTE_ENTRY;
    use super::*;
    use std::io::Read;

    /// A 64-bit ELF file with one note.
    fn elf(note: u32) -> Vec<u8> {
        let mut elf = vec![0; 4096];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 4;
        elf[72] = 128;
        elf[96] = 24;
        elf[128..132].copy_from_slice(&4_u32.to_le_bytes());
        elf[132..136].copy_from_slice(&8_u32.to_le_bytes());
        elf[136..140].copy_from_slice(&note.to_le_bytes());
        elf[140..144].copy_from_slice(b"Xen\0");
        elf
    }

    fn bz_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR + 0x20];
        image[SETUP_SECTS] = 1;
        image[HEADER..HEADER + 4].copy_from_slice(b"HdrS");
        image[VERSION..VERSION + 2].copy_from_slice(&0x020F_u16.to_le_bytes());
        image[PAYLOAD_OFFSET] = 0x20;
        let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&len);
        image.extend_from_slice(payload);
        image.extend_from_slice(b"the decompressor's data");
        image
    }

    fn sized(packed: Vec<u8>, elf: &[u8]) -> Vec<u8> {
        let size = u32::try_from(elf.len()).unwrap();
        [packed, size.to_le_bytes().to_vec()].concat()
    }

    fn gzip_of(elf: &[u8]) -> Vec<u8> {
        gzip::of_plain(&Bytes::copy_from_slice(elf)).gzip.concat()
    }

    fn gunzip(gzip: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(gzip);
        decoder.read_to_end(&mut plain).unwrap();
        assert!(decoder.into_inner().is_empty());
        plain
    }

    fn zstd_of(elf: &[u8]) -> Vec<u8> {
        sized(zstd::bulk::compress(elf, 1).unwrap(), elf)
    }

    /// Literals alone.
    fn lz4_of(elf: &[u8]) -> Vec<u8> {
        let mut block = vec![0xF0];
        let mut rest = elf.len() - 15;
        while rest >= 255 {
            block.push(255);
            rest -= 255;
        }
        block.push(u8::try_from(rest).unwrap());
        block.extend_from_slice(elf);
        let len = u32::try_from(block.len()).unwrap().to_le_bytes();
        sized([&lz4::MAGIC[..], &len, &block].concat(), elf)
    }

    #[test]
    fn a_payload_that_pv_grub_does_not_read_becomes_gzip() {
        let elf = elf(XEN_ELFNOTE_ENTRY);
        for payload in [zstd_of(&elf), lz4_of(&elf), elf.clone()] {
            let old = bz_image(&payload);
            let new = pv_kernel("k", &old).unwrap().unwrap().concat();
            let file = File {
                path: "k",
                kernel: &new,
            };
            let (start, payload) = file.payload().unwrap();
            assert_eq!(gunzip(payload), elf);
            assert_eq!(start, 2 * SECTOR + 0x20);
            let syssize = index32(file.u32(SYSSIZE, "").unwrap());
            assert_eq!(new.len(), file.setup_len() + syssize * PARAGRAPH);
            assert_eq!(
                !crc32fast::hash(&new),
                0,
                "boot.rst: the CRC of the whole is 0"
            );
            assert!(pv_kernel("k", &new).unwrap().is_none());
        }
    }

    #[test]
    fn what_pv_grub_reads_is_left_alone() {
        let elf = elf(XEN_ELFNOTE_ENTRY);
        for kernel in [
            elf.clone(),
            gzip_of(&elf),
            bz_image(&gzip_of(&elf)),
            bz_image(b"BZh91AY"),
            bz_image(b"\xFD7zXZ\0\0"),
            bz_image(b"\x89LZO\0\r\n\x1a\n"),
        ] {
            assert!(pv_kernel("k", &kernel).unwrap().is_none());
        }
    }

    #[test]
    fn kernels_that_cannot_be_loaded_are_refused_with_the_reason() {
        let told = |kernel: &[u8]| pv_kernel("k", kernel).unwrap_err().to_string();
        let no_xen = elf(18);
        assert_eq!(
            told(&bz_image(&zstd_of(&no_xen))),
            "k: XEN_ELFNOTE_ENTRY is missing, must be there: build the kernel with CONFIG_XEN_PV"
        );
        assert!(told(b"kernel").contains("`HdrS` of a bzImage"));
        assert!(told(&bz_image(b"\x5d\0\0\0\0\0")).contains("unknown format [5d, 00, 00, 00]"));
        assert!(told(&bz_image(b"x")).contains("inside the file's"));
        let mut old = bz_image(b"BZh91AY");
        old[VERSION] = 7;
        assert!(told(&old).contains("0x0207"));
        let mut huge = zstd_of(&no_xen);
        let end = huge.len();
        huge[end - 4..].fill(0xFF);
        assert!(told(&bz_image(&huge)).contains("at most"));
        huge[end - 4..].copy_from_slice(&4095_u32.to_le_bytes());
        assert!(told(&bz_image(&huge)).contains("damaged"));
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let elf = elf(XEN_ELFNOTE_ENTRY);
        for whole in [bz_image(&zstd_of(&elf)), bz_image(&lz4_of(&elf)[..200])] {
            for at in 0..whole.len() {
                let _ = pv_kernel("k", &whole[..at]);
                for value in [0, 0x7F, 0xFF] {
                    let mut changed = whole.clone();
                    changed[at] = value;
                    let _ = pv_kernel("k", &changed);
                }
            }
        }
        for at in 0..200 {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut changed = elf.clone();
                changed[at] = value;
                let _ = pv_kernel("k", &bz_image(&zstd_of(&changed)));
            }
        }
    }
}
