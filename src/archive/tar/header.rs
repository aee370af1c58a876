//! The 512-byte header, as POSIX's `ustar` and GNU tar's `tar.h` lay it out.
//!
//! ```text
//!    0 name 100    100 mode 8   108 uid 8    116 gid 8    124 size 12  136 mtime 12
//!  148 chksum 8    156 typeflag 157 linkname 100          257 magic 6  263 version 2
//!  265 uname 32    297 gname 32 329 devmajor 8            337 devminor 8
//!  345 ustar: prefix 155                                  500 pad 12
//!  345 star:  prefix 131        476 atime 12 488 ctime 12 500 pad 8    508 "tar\0"
//!  345 GNU:   atime 12, ctime 12, offset 12, longnames 4, unused 1,
//!  386        sparse 4 × (offset 12, numbytes 12)         482 isextended, 483 realsize 12, pad 17
//! ```

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::number;

/// Who laid the header out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// No magic: nothing after `linkname`.
    V7,
    /// `ustar\0`: POSIX, and with it pax.
    Ustar,
    /// `ustar\0` and `tar\0` at the end.
    Star,
    /// `ustar  \0`: GNU tar, no prefix.
    Gnu,
}

/// A header block. Field names are POSIX's.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) name: [u8; 100],
    pub(super) mode: [u8; 8],
    pub(super) uid: [u8; 8],
    pub(super) gid: [u8; 8],
    pub(super) size: [u8; 12],
    pub(super) mtime: [u8; 12],
    pub(super) chksum: [u8; 8],
    pub(super) typeflag: u8,
    pub(super) linkname: [u8; 100],
    pub(super) magic: [u8; 8],
    uname: [u8; 32],
    gname: [u8; 32],
    pub(super) devmajor: [u8; 8],
    pub(super) devminor: [u8; 8],
    tail: [u8; 167],
}

/// What GNU tar keeps where POSIX has the prefix (`struct oldgnu_header`).
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct GnuTail {
    pub(super) atime: [u8; 12],
    pub(super) ctime: [u8; 12],
    offset: [u8; 12],
    longnames: [u8; 4],
    unused: u8,
    pub(super) sparse: [SparseField; 4],
    pub(super) isextended: u8,
    pub(super) realsize: [u8; 12],
    pad: [u8; 17],
}

/// One run of an old GNU sparse file (`struct sparse`).
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SparseField {
    pub(super) offset: [u8; 12],
    pub(super) numbytes: [u8; 12],
}

/// More runs, in a block after the header (`struct sparse_header`).
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SparseBlock {
    pub(super) sparse: [SparseField; 21],
    pub(super) isextended: u8,
    pad: [u8; 7],
}

/// star's end of the header (`struct star_header`).
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct StarTail {
    pub(super) prefix: [u8; 131],
    pub(super) atime: [u8; 12],
    pub(super) ctime: [u8; 12],
    pad: [u8; 8],
    magic: [u8; 4],
}

const _: () = assert!(size_of::<Header>() == 512 && size_of::<GnuTail>() == 167);
const _: () = assert!(size_of::<SparseBlock>() == 512 && size_of::<StarTail>() == 167);

impl Header {
    pub(super) fn of(block: &[u8; 512]) -> &Self {
        zerocopy::transmute_ref!(block)
    }

    pub(super) fn dialect(&self) -> Dialect {
        match &self.magic {
            b"ustar  \0" => Dialect::Gnu,
            [b'u', b's', b't', b'a', b'r', ..] if self.star().magic == *b"tar\0" => Dialect::Star,
            [b'u', b's', b't', b'a', b'r', ..] => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    pub(super) fn gnu(&self) -> &GnuTail {
        zerocopy::transmute_ref!(&self.tail)
    }

    pub(super) fn star(&self) -> &StarTail {
        zerocopy::transmute_ref!(&self.tail)
    }

    /// The name with its prefix, as far as the header alone tells.
    pub(super) fn path(&self) -> Vec<u8> {
        let prefix = match self.dialect() {
            Dialect::V7 | Dialect::Gnu => &[],
            Dialect::Ustar => text(self.tail.get(..155).unwrap_or_default()),
            Dialect::Star => text(&self.star().prefix),
        };
        let name = text(&self.name);
        if prefix.is_empty() {
            name.to_vec()
        } else {
            [prefix, b"/", name].concat()
        }
    }
}

/// A text field: up to its first NUL, or all of it.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// The sum of a header's bytes, `chksum` counted as spaces: unsigned as POSIX says, and signed as some
/// old tars added it up.
pub(super) fn checksums(block: &[u8; 512]) -> (u32, i32) {
    let mut block = *block;
    block[148..156].fill(b' ');
    // 512 bytes cannot leave 32 bits. Two loops without a branch, for vectors: every entry comes here.
    let unsigned = block
        .iter()
        .fold(0_u32, |sum, &b| sum.wrapping_add(b.into()));
    let high = block
        .iter()
        .fold(0_i32, |n, &b| n.wrapping_add((b >> 7).into()));
    let signed = unsigned.cast_signed().wrapping_sub(high.wrapping_mul(256));
    (unsigned, signed)
}

/// Whether the header's checksum is right, by either way of adding.
pub(super) fn verifies(block: &[u8; 512]) -> bool {
    let (unsigned, signed) = checksums(block);
    number::parse(&Header::of(block).chksum)
        .is_ok_and(|stored| stored == i128::from(unsigned) || stored == i128::from(signed))
}

/// Whether a stream that begins with `head` is a tar: a header by its magic or its checksum.
pub(in crate::archive) fn looks_like_header(head: &[u8]) -> bool {
    head.first_chunk::<512>().is_some_and(|block| {
        block.iter().any(|&b| b != 0)
            && (Header::of(block).magic.starts_with(b"ustar") || verifies(block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_and_unsigned_sums_both_verify() {
        let mut block = [0; 512];
        block[..3].copy_from_slice(b"caf");
        block[3] = 0xe9;
        let (unsigned, signed) = checksums(&block);
        assert_eq!(i64::from(unsigned) - i64::from(signed), 256);
        for sum in [i64::from(unsigned), i64::from(signed)] {
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            assert!(verifies(&block));
        }
        block[0] ^= 1;
        assert!(!verifies(&block));
    }

    #[test]
    fn the_prefix_belongs_to_posix_headers_only() {
        let mut block = [0; 512];
        block[..4].copy_from_slice(b"name");
        block[345..351].copy_from_slice(b"prefix");
        for (magic, path) in [
            (b"ustar\x0000", &b"prefix/name"[..]),
            (b"ustar  \0", b"name"),
            (b"\0\0\0\0\0\0\0\0", b"name"),
        ] {
            block[257..265].copy_from_slice(magic);
            assert_eq!(Header::of(&block).path(), path);
        }
    }
}
