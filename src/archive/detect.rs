//! What a file is, by its first bytes: a tar, a compressed stream, or something to be named.

use std::fmt;

use super::tar::looks_like_header;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain tar.
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames, skippable ones included.
    Zstd,
    /// The .xz format 1.2, one or more streams.
    Xz,
    /// bzip2, one or more streams.
    Bzip2,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

impl Compression {
    /// The compression that starts like this, if any.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // Zstandard's magic 0xFD2FB528 and, RFC 8878 section 3.1.2, skippable frames.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            _ => None,
        }
    }
}

/// What the first bytes of a stream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Tar,
    Compressed(Compression),
    /// How it looks ("looks like …") and what to do.
    Foreign(String, &'static str),
}

/// Says what `head` begins: the first buffer of a stream, whole if the stream is shorter.
pub(super) fn content(head: &[u8]) -> Content {
    // Tar first: the name of a first entry may begin like anything.
    if looks_like_header(head) {
        return Content::Tar;
    }
    if let Some(compression) = Compression::of(head) {
        return Content::Compressed(compression);
    }
    if let Some(&(_, _, name, advice)) = foreign(head) {
        return Content::Foreign(format!("looks like {name}"), advice);
    }
    if let Some((_, _, name)) = raw_disk(head) {
        return Content::Foreign(format!("looks like {name}"), DISK);
    }
    // Zero blocks alone are an archive without entries; fewer bytes than a header, a cut one.
    let start = head.get(..512).unwrap_or(head);
    if head.len() < 512 || start.iter().all(|&b| b == 0) {
        return Content::Tar;
    }
    let first: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    Content::Foreign(format!("begins with the bytes {}", first.join(" ")), TAR)
}

/// What a file is that may hold a root filesystem or a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looks {
    /// A tar, plain or compressed.
    Archive(Compression),
    /// A disk or a filesystem, byte for byte: it begins with a partition table, or is ext2 to ext4.
    RawDisk,
    /// Something else by its magic: `a qcow2 disk image`.
    Foreign(&'static str),
    /// No magic that is known.
    Unknown,
}

/// Says what `head` begins: the first [`LOOKS_AT`] bytes of a file, or all of a shorter one.
#[must_use]
pub fn looks(head: &[u8]) -> Looks {
    // Zeros are an archive without entries to who wants an archive; a disk may begin so.
    if head.iter().all(|&b| b == 0) {
        return Looks::Unknown;
    }
    match content(head) {
        Content::Tar if looks_like_header(head) => Looks::Archive(Compression::None),
        // Zeros in front, and something behind them.
        Content::Tar => Looks::Unknown,
        Content::Compressed(compression) => Looks::Archive(compression),
        Content::Foreign(..) => match (foreign(head), raw_disk(head)) {
            // An ISO 9660 image that boots from disks too has a partition table before its magic.
            (Some((at, ..)), Some((table, ..))) if at > table => Looks::RawDisk,
            (Some((_, _, name, _)), _) => Looks::Foreign(name),
            (None, Some(_)) => Looks::RawDisk,
            (None, None) => Looks::Unknown,
        },
    }
}

/// Bytes that tell a file's format; ISO 9660's magic lies at 32769.
pub const LOOKS_AT: usize = 33 << 10;

fn foreign(head: &[u8]) -> Option<&'static (usize, &'static [u8], &'static str, &'static str)> {
    FOREIGN.iter().find(|f| has(head, f.0, f.1))
}

fn raw_disk(head: &[u8]) -> Option<&'static (usize, &'static [u8], &'static str)> {
    RAW_DISKS.iter().find(|f| has(head, f.0, f.1))
}

fn has(head: &[u8], offset: usize, magic: &[u8]) -> bool {
    head.get(offset..)
        .is_some_and(|tail| tail.starts_with(magic))
}

const TAR: &str = "give a tar archive, plain or compressed by gzip, zstd, xz or bzip2";
const DISK: &str = "a disk image is what this program makes; give the root filesystem as a tar";
const REPACK: &str = "unpack it and make a tar of the folder";
const RECOMPRESS: &str = "decompress it, or recompress it by gzip, zstd, xz or bzip2";
const FETCH: &str = "the download failed or led to a web page; fetch the archive again";

/// Offset, magic, name, advice. The longest magics stand first where one begins like another. Of QEMU's
/// `docs/interop/qcow2.rst`, the VHDX and VMDK specifications, and the formats' own documents.
const FOREIGN: &[(usize, &[u8], &str, &str)] = &[
    (0, b"QFI\xfb", "a qcow2 disk image", DISK),
    (0, b"KDMV", "a VMDK disk image", DISK),
    (
        0,
        b"# Disk DescriptorFile",
        "the descriptor of a VMDK disk image",
        DISK,
    ),
    (64, b"\x7f\x10\xda\xbe", "a VDI disk image", DISK),
    (0, b"conectix", "a VHD disk image", DISK),
    (0, b"vhdxfile", "a VHDX disk image", DISK),
    (
        0,
        b"hsqs",
        "a squashfs image",
        "extract it with unsquashfs and make a tar of the folder",
    ),
    (0, b"PK\x03\x04", "a zip archive", REPACK),
    (0, b"PK\x05\x06", "an empty zip archive", REPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", REPACK),
    (0, b"Rar!\x1a\x07", "a rar archive", REPACK),
    (0, b"!<arch>\n", "an ar archive or Debian package", TAR),
    (0, b"\xed\xab\xee\xdb", "an RPM package", TAR),
    (
        0,
        b"070701",
        "a cpio archive",
        "convert it: bsdtar -cf rootfs.tar @archive.cpio",
    ),
    (
        0,
        b"070702",
        "a cpio archive",
        "convert it: bsdtar -cf rootfs.tar @archive.cpio",
    ),
    (
        0,
        b"070707",
        "a cpio archive",
        "convert it: bsdtar -cf rootfs.tar @archive.cpio",
    ),
    (0, b"\x7fELF", "an ELF program", TAR),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", RECOMPRESS),
    (0, b"LZIP", "an lzip file", RECOMPRESS),
    (0, b"\x89LZO\0\r\n\x1a\n", "an lzop file", RECOMPRESS),
    (0, b"\x1f\x9d", "a file of compress(1)", RECOMPRESS),
    (0, b"\x5d\0\0", "an .lzma file", RECOMPRESS),
    (0, b"<!DOCTYPE", "an HTML page", FETCH),
    (0, b"<!doctype", "an HTML page", FETCH),
    (0, b"<html", "an HTML page", FETCH),
    (0, b"<?xml", "an XML document", FETCH),
    (0, b"#!", "a script", TAR),
    (
        32769,
        b"CD001",
        "an ISO 9660 image",
        "give the root filesystem that it installs, as a tar",
    ),
];

/// Offset, magic, name.
const RAW_DISKS: &[(usize, &[u8], &str)] = &[
    (512, b"EFI PART", "a GPT disk image"),
    (1080, b"\x53\xef", "an ext2, ext3 or ext4 filesystem"),
    (510, b"\x55\xaa", "an MBR disk image or boot sector"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compressor_is_known_by_its_magic() {
        let cases: [(&[u8], Compression); 6] = [
            (b"\x1f\x8b\x08\x00", Compression::Gzip),
            (b"\x28\xb5\x2f\xfd\x04", Compression::Zstd),
            (b"\x5a\x2a\x4d\x18\x04", Compression::Zstd),
            (b"\xfd7zXZ\0\0", Compression::Xz),
            (b"BZh91AY", Compression::Bzip2),
            (b"BZh11AY", Compression::Bzip2),
        ];
        for (head, compression) in cases {
            assert_eq!(content(head), Content::Compressed(compression));
        }
        assert_eq!(Compression::of(b"BZh0"), None);
    }

    #[test]
    fn foreign_files_are_named() {
        let foreign = FOREIGN.iter().map(|(at, magic, name, _)| (at, magic, name));
        let raw = RAW_DISKS.iter().map(|(at, magic, name)| (at, magic, name));
        for (offset, magic, name) in foreign.chain(raw) {
            let mut head = vec![0; 40_000];
            head[*offset..*offset + magic.len()].copy_from_slice(magic);
            match content(&head) {
                Content::Foreign(looks, _) => assert_eq!(looks, format!("looks like {name}")),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert!(matches!(content(&[b'x'; 600]), Content::Foreign(..)));
    }

    #[test]
    fn disks_are_told_from_archives_and_from_virtual_disks() {
        let at = |offset: usize, magic: &[u8]| {
            let mut head = vec![0; LOOKS_AT];
            head[offset..offset + magic.len()].copy_from_slice(magic);
            looks(&head)
        };
        for raw in [
            at(510, b"\x55\xaa"),
            at(1080, b"\x53\xef"),
            at(512, b"EFI PART"),
        ] {
            assert_eq!(raw, Looks::RawDisk);
        }
        let qcow2 = Looks::Foreign("a qcow2 disk image");
        assert_eq!(at(0, b"QFI\xfb"), qcow2);
        assert_eq!(at(0, b"\x1f\x8b"), Looks::Archive(Compression::Gzip));
        assert_eq!(at(32769, b"CD001"), Looks::Foreign("an ISO 9660 image"));
        let mut hybrid = vec![0; LOOKS_AT];
        hybrid[510..512].copy_from_slice(b"\x55\xaa");
        hybrid[32769..32774].copy_from_slice(b"CD001");
        assert_eq!(looks(&hybrid), Looks::RawDisk);
        assert_eq!(looks(&[0; 1024]), Looks::Unknown);
        assert_eq!(at(600, b"LABELONE"), Looks::Unknown);
        assert_eq!(looks(b"short"), Looks::Unknown);
        assert_eq!(looks(&[b'x'; 600]), Looks::Unknown);
    }

    #[test]
    fn zeros_are_an_archive_without_entries() {
        assert_eq!(content(&[0; 10240]), Content::Tar);
    }
}
