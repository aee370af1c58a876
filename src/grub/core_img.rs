//! core.img as `grub-mkimage -O i386-pc` makes it.
//!
//! ```text
//! 0x000  diskboot.img          1 sector; 0x1F4 blocklist: start, len, segment (12 bytes, downwards)
//! 0x200  lzma_decompress.img   0x208 compressed size      0x20C uncompressed size
//!                              0x210 parity bytes         0x214 bytes that parity does not cover
//!        LZMA stream           to the end of the file, not padded
//! ```
//!
//! What the stream decodes to is the business of `payload`.

use zerocopy::{FromBytes, IntoBytes};

use super::disk::{
    BLOCKLIST, Blocklist, CORE_END, CORE_SEGMENT, DECOMPRESSOR_ADDR, LINK_ADDR, SECTOR,
    decompressor,
};
use super::platform::{DISKBOOT_IMG, Files, LZMA_DECOMPRESS_IMG, Target};
use super::{GrubError, lzma, payload};
use crate::units::{count, index32};

/// A checked core.img, ready to be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreImg {
    bytes: Vec<u8>,
    compressed: u32,
    uncompressed: u32,
    no_rs_length: u16,
}

impl CoreImg {
    /// Takes a core.img of our own or of grub-mkimage.
    ///
    /// # Errors
    ///
    /// A field of diskboot.img or of the decompressor does not agree with the file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, GrubError> {
        let bad = |field, found: String, wanted: String| {
            Err(GrubError::Format {
                file: Target::I386_PC.path("core.img"),
                field,
                found,
                wanted,
            })
        };
        if bytes.len() < SECTOR + decompressor::HEADER_END {
            return bad(
                "length",
                bytes.len().to_string(),
                "at least 540 bytes".to_owned(),
            );
        }
        let blocklist = blocklist_of(&bytes[..SECTOR]);
        if blocklist.segment.get() != CORE_SEGMENT {
            let found = format!("{:#x}", blocklist.segment);
            return bad("blocklist segment", found, format!("{CORE_SEGMENT:#x}"));
        }
        let rest = &bytes[SECTOR..];
        let compressed = u32_at(rest, decompressor::COMPRESSED_SIZE);
        let no_rs_length = no_rs_length(rest);
        let stream_start = rest.len().checked_sub(index32(compressed));
        match stream_start {
            Some(start) if usize::from(no_rs_length) <= start => {}
            _ => {
                let found = format!("{compressed} with no_rs_length {no_rs_length:#x}");
                return bad(
                    "compressed size",
                    found,
                    format!("inside {} bytes", bytes.len()),
                );
            }
        }
        let uncompressed = u32_at(rest, decompressor::UNCOMPRESSED_SIZE);
        Ok(Self {
            compressed,
            uncompressed,
            no_rs_length,
            bytes,
        })
    }

    /// The file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sectors that the file takes, diskboot.img included.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        count(self.bytes.len().div_ceil(SECTOR))
    }

    /// How many bytes of the decompressor Reed-Solomon parity does not cover: they hold its decoder.
    #[must_use]
    pub fn no_rs_length(&self) -> u16 {
        self.no_rs_length
    }

    /// Kernel image and module area, decompressed.
    ///
    /// # Errors
    ///
    /// The LZMA stream is damaged.
    pub fn payload(&self) -> Result<Vec<u8>, GrubError> {
        lzma::decompress(
            &self.bytes[self.bytes.len() - index32(self.compressed)..],
            self.uncompressed,
        )
    }
}

/// core.img of the platform `files` with `modules` and all they depend on.
///
/// `prefix` is where GRUB finds its modules and grub.cfg: `(,msdos1)/boot/grub`. `config` holds
/// commands for the rescue parser, one a line; `None` on a single disk, as grub-install does.
///
/// # Errors
///
/// A file or module is missing or of a format that is not GRUB's, or the result exceeds the memory
/// that GRUB's loader has for it.
pub fn core_img(
    files: &Files,
    prefix: &str,
    modules: &[&str],
    config: Option<&str>,
) -> Result<CoreImg, GrubError> {
    let diskboot = Target::I386_PC.file(files, DISKBOOT_IMG)?;
    let loader = Target::I386_PC.file(files, LZMA_DECOMPRESS_IMG)?;
    check_diskboot(diskboot)?;
    check_decompressor(loader)?;

    let payload = payload::payload(files, prefix, modules, config)?;
    let stream = lzma::compress(&payload)?;

    let size = count(loader.len() + stream.len());
    let limit = u64::from(CORE_END - LINK_ADDR);
    if size > limit {
        let advice = "build fewer modules into core.img";
        return Err(GrubError::TooLarge {
            what: "core.img",
            size,
            limit,
            advice,
        });
    }
    let narrow = |n: usize| u32::try_from(n).expect("kernel and modules fit 32 bits: checked");
    let sectors = u16::try_from(size.div_ceil(512)).expect("at most 888 sectors: checked above");

    let mut bytes = [diskboot, loader, &stream].concat();
    let mut list = blocklist_of(&bytes[..SECTOR]);
    list.len.set(sectors);
    bytes[BLOCKLIST..SECTOR].copy_from_slice(list.as_bytes());
    let fields = &mut bytes[SECTOR..];
    put_u32(fields, decompressor::COMPRESSED_SIZE, narrow(stream.len()));
    put_u32(
        fields,
        decompressor::UNCOMPRESSED_SIZE,
        narrow(payload.len()),
    );
    CoreImg::parse(bytes)
}

fn check_diskboot(diskboot: &[u8]) -> Result<(), GrubError> {
    let bad = |field, found: String, wanted: String| {
        Err(GrubError::Format {
            file: Target::I386_PC.path(DISKBOOT_IMG),
            field,
            found,
            wanted,
        })
    };
    if diskboot.len() != SECTOR {
        return bad("length", diskboot.len().to_string(), "512 bytes".to_owned());
    }
    let list = blocklist_of(diskboot);
    if list.segment.get() != CORE_SEGMENT {
        let found = format!("{:#x}", list.segment);
        return bad("blocklist segment", found, format!("{CORE_SEGMENT:#x}"));
    }
    Ok(())
}

fn check_decompressor(loader: &[u8]) -> Result<(), GrubError> {
    let limit = LINK_ADDR - DECOMPRESSOR_ADDR;
    let bad = |field, found: String, wanted: String| {
        Err(GrubError::Format {
            file: Target::I386_PC.path(LZMA_DECOMPRESS_IMG),
            field,
            found,
            wanted,
        })
    };
    if !(decompressor::HEADER_END..=index32(limit)).contains(&loader.len()) {
        let wanted = format!("{} to {limit} bytes", decompressor::HEADER_END);
        return bad("length", loader.len().to_string(), wanted);
    }
    let no_rs_length = no_rs_length(loader);
    // 0xFFFF is what GRUB's build leaves where its parts do not belong together.
    if usize::from(no_rs_length) > loader.len() {
        let found = format!("{no_rs_length:#x}");
        return bad(
            "no_reed_solomon_length",
            found,
            format!("at most {:#x}", loader.len()),
        );
    }
    Ok(())
}

/// The first blocklist entry of a sector.
fn blocklist_of(diskboot: &[u8]) -> Blocklist {
    Blocklist::read_from_bytes(&diskboot[BLOCKLIST..SECTOR]).expect("12 bytes, its size")
}

fn no_rs_length(loader: &[u8]) -> u16 {
    let at = decompressor::NO_RS_LENGTH;
    u16::from_le_bytes([loader[at], loader[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::elf;
    use super::super::platform::{KERNEL_IMG, MODDEP_LST};
    use super::*;

    /// A platform of the right shapes that no machine would boot.
    pub(crate) fn toy_platform() -> Files {
        let mut diskboot = vec![0xd1; SECTOR];
        diskboot[BLOCKLIST - 12..].fill(0);
        diskboot[0x1fe..].copy_from_slice(&CORE_SEGMENT.to_le_bytes());
        let mut loader: Vec<u8> = (0..2848u32)
            .map(|n| crate::units::lo8(u64::from(n)))
            .collect();
        loader[8..0x14].fill(0);
        loader[decompressor::NO_RS_LENGTH..0x16].copy_from_slice(&0x75b_u16.to_le_bytes());
        let mut boot = vec![0xb0; SECTOR];
        boot[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
        boot[0x5a..0x5c].copy_from_slice(&[0, 0x80]);
        boot[0x66..0x68].copy_from_slice(&[0xeb, 5]);
        boot[0x1fe..].copy_from_slice(&[0x55, 0xaa]);
        Files::from([
            (DISKBOOT_IMG.to_owned(), diskboot),
            (LZMA_DECOMPRESS_IMG.to_owned(), loader),
            ("boot.img".to_owned(), boot),
            (
                KERNEL_IMG.to_owned(),
                elf::tests::elf_of(&[(1, 0x9000, b"kernel image")]),
            ),
            (MODDEP_LST.to_owned(), b"ext2: fshelp\nfshelp:\n".to_vec()),
            ("ext2.mod".to_owned(), b"\x7fELF ext2".to_vec()),
            ("fshelp.mod".to_owned(), b"\x7fELF fshelp!".to_vec()),
        ])
    }

    #[test]
    fn payload_is_kernel_then_padded_objects_in_load_order() {
        let core = core_img(&toy_platform(), "/p", &["ext2"], Some("set x")).unwrap();
        let mut want = b"kernel imagemimg\x0c\0\0\0\x50\0\0\0".to_vec();
        want.extend_from_slice(b"\0\0\0\0\x14\0\0\0\x7fELF fshelp!");
        want.extend_from_slice(b"\0\0\0\0\x14\0\0\0\x7fELF ext2\0\0\0");
        want.extend_from_slice(b"\x02\0\0\0\x10\0\0\0set x\0\0\0");
        want.extend_from_slice(b"\x03\0\0\0\x0c\0\0\0/p\0\0");
        assert_eq!(core.payload().unwrap(), want);
        assert_eq!(core.sectors(), count(core.as_bytes().len()).div_ceil(512));
        assert_eq!(
            core.as_bytes()[0x1fc],
            6,
            "2848 bytes and a little: 6 sectors"
        );
    }

    #[test]
    fn each_fault_is_named() {
        type Change = fn(&mut Vec<u8>);
        let fault = |name: &str, change: Change| {
            let mut files = toy_platform();
            change(files.get_mut(name).unwrap());
            core_img(&files, "/p", &["ext2"], None)
                .unwrap_err()
                .to_string()
        };
        let cases: [(&str, &str, Change); 7] = [
            ("diskboot.img", "length", |f| f.push(0)),
            ("diskboot.img", "blocklist segment", |f| f[0x1fe] = 0),
            ("lzma_decompress.img", "length", |f| f.truncate(5)),
            ("lzma_decompress.img", "length", |f| f.resize(0xe01, 0)),
            ("lzma_decompress.img", "no_reed_solomon_length", |f| {
                f[0x14..0x16].fill(0xff);
            }),
            ("ext2.mod", "magic", Vec::clear),
            ("kernel.img", "e_ident", |f| f[0] = 0),
        ];
        for (name, want, change) in cases {
            let err = fault(name, change);
            assert!(err.contains(name) && err.contains(want), "{err}");
        }
        let mut files = toy_platform();
        files.remove("fshelp.mod");
        let err = core_img(&files, "/p", &["ext2"], None)
            .unwrap_err()
            .to_string();
        assert!(err.contains("fshelp.mod"), "{err}");
        assert!(core_img(&toy_platform(), "/p\0", &["ext2"], None).is_err());
    }

    #[test]
    fn a_core_beyond_the_memory_map_is_refused() {
        let mut files = toy_platform();
        let mut noise = 1u32;
        let module = files.get_mut("ext2.mod").unwrap();
        module.extend((0..500_000).map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_le_bytes()[3]
        }));
        let err = core_img(&files, "/p", &["ext2"], None)
            .unwrap_err()
            .to_string();
        assert!(err.contains("454656"), "{err}");
    }

    #[test]
    fn parse_refuses_fields_that_do_not_agree_with_the_file() {
        let good = core_img(&toy_platform(), "/p", &["ext2"], None)
            .unwrap()
            .as_bytes()
            .to_vec();
        for (at, value) in [(0x20b, 0xff), (0x208, 0), (0x1fe, 0), (0x215, 0xff)] {
            let mut bytes = good.clone();
            bytes[at] = value;
            let parsed = CoreImg::parse(bytes);
            assert!(parsed.is_err() || at == 0x208, "{at:#x}");
        }
        assert!(CoreImg::parse(good[..539].to_vec()).is_err());
    }
}
