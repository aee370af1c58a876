//! A tar of one file, with its holes, as GNU tar writes it.
//!
//! ```text
//! header 'S': four runs, size, more? ─► extension blocks of 21 runs ─► data of the runs ─► zeros to 10 KiB
//! ```
//! GNU's own format, `--format=gnu`: holes in the header of type `S` (GNU tar manual, "Basic Tar Format",
//! `struct sparse` and `oldgnu_header`). pax has a newer way; that those who read bundles know it is
//! unproven. Every run begins on a block of its own, the last entry of the map is the end of the file, and
//! a file without holes is a plain one of type `0`.

use crate::units::{KIB, count, index, lo8};
use std::ops::Range;

/// A block of a tar.
pub(super) const BLOCK: u64 = 512;
/// tar writes whole records, `--blocking-factor=20`; the digest of a bundle covers them.
const RECORD: u64 = 10 * KIB;
/// Runs in the header.
const IN_HEADER: usize = 4;
/// Runs in an extension block.
const IN_EXTENSION: usize = 21;
/// The name field, which needs no NUL where it is full.
pub(super) const MAX_NAME: usize = 100;

/// The file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// At most [`MAX_NAME`] bytes.
    pub(super) name: &'a str,
    /// Permission bits.
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    /// Its length, holes included.
    pub(super) size: u64,
    /// Where it has data: sorted, disjoint, each but the last a multiple of [`BLOCK`] long.
    pub(super) data: &'a [Range<u64>],
}

impl Member<'_> {
    /// Bytes of data.
    pub(super) fn stored(&self) -> u64 {
        self.data.iter().map(|r| r.end - r.start).sum()
    }

    fn sparse(&self) -> bool {
        self.stored() < self.size
    }

    /// What stands before the data.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut block = vec![0; index(BLOCK)];
        put(&mut block, 0, self.name.as_bytes());
        put(&mut block, 100, octal(self.mode.into(), 8).as_bytes());
        // Owner and group 0: what `--owner 0 --group 0` makes of root.
        put(&mut block, 108, octal(0, 8).as_bytes());
        put(&mut block, 116, octal(0, 8).as_bytes());
        put(&mut block, 124, &number(signed(self.stored())));
        put(&mut block, 136, &number(self.mtime));
        put(&mut block, 257, b"ustar  \0");
        put(&mut block, 265, b"root");
        put(&mut block, 297, b"root");
        block[156] = b'0';
        let mut map = Vec::new();
        if self.sparse() {
            map.extend(self.data.iter().map(|r| (r.start, r.end - r.start)));
            map.push((self.size, 0));
            block[156] = b'S';
            put(&mut block, 483, &number(signed(self.size)));
        }
        let (first, rest) = map.split_at(map.len().min(IN_HEADER));
        runs(&mut block, 386, first);
        block[482] = u8::from(!rest.is_empty());
        put(&mut block, 148, &[b' '; 8]);
        let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
        put(&mut block, 148, octal(sum, 7).as_bytes());
        for (nr, chunk) in rest.chunks(IN_EXTENSION).enumerate() {
            let mut extension = vec![0; index(BLOCK)];
            runs(&mut extension, 0, chunk);
            extension[504] = u8::from((nr + 1) * IN_EXTENSION < rest.len());
            block.extend(extension);
        }
        block
    }

    /// Zeros behind the data: to the end of its block, two blocks as end mark, to the end of the record.
    pub(super) fn trailer(&self) -> u64 {
        let so_far = count(self.header().len()) + self.stored();
        let end = so_far.next_multiple_of(BLOCK) + 2 * BLOCK;
        end.next_multiple_of(RECORD) - so_far
    }
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

fn runs(block: &mut [u8], at: usize, list: &[(u64, u64)]) {
    for (nr, &(offset, len)) in list.iter().enumerate() {
        put(block, at + 24 * nr, &number(signed(offset)));
        put(block, at + 24 * nr + 12, &number(signed(len)));
    }
}

/// `width` bytes: digits and a NUL.
fn octal(n: u64, width: usize) -> String {
    format!("{n:0digits$o}\0", digits = width - 1)
}

/// A size of a file, which Linux keeps in 63 bits.
fn signed(n: u64) -> i64 {
    i64::try_from(n).expect("no file is longer than i64::MAX")
}

/// Twelve bytes: eleven octal digits and a NUL, or where those do not suffice (8 GiB and more, times before
/// 1970) GNU's base 256: big endian, two's complement, the first bit set.
fn number(n: i64) -> [u8; 12] {
    let mut field = [0; 12];
    match u64::try_from(n) {
        Ok(n) if n < 1 << 33 => field.copy_from_slice(octal(n, 12).as_bytes()),
        _ => {
            let fill = if n < 0 { 0xff } else { 0 };
            field.fill(fill);
            field[4..].copy_from_slice(&n.to_be_bytes());
            field[0] = lo8(u64::from(fill | 0x80));
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::process::Command;

    fn run(start: u64, end: u64) -> Vec<Range<u64>> {
        std::iter::once(start..end).collect()
    }

    fn member<'a>(size: u64, data: &'a [Range<u64>]) -> Member<'a> {
        Member {
            name: "disk",
            mode: 0o644,
            mtime: 1_700_000_000,
            size,
            data,
        }
    }

    #[test]
    fn numbers_are_octal_up_to_8_gib_and_base_256_beyond() {
        assert_eq!(&number(0o123), b"00000000123\0");
        assert_eq!(&number((1 << 33) - 1), b"77777777777\0");
        assert_eq!(number(1 << 33), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(number(-1), [0xff; 12]);
    }

    #[test]
    fn a_file_without_holes_is_a_plain_one() {
        let whole = run(0, 1000);
        let m = member(1000, &whole);
        assert_eq!((m.header().len(), m.header()[156]), (512, b'0'));
        assert_eq!(m.trailer(), RECORD - 1512);
        // An empty one too: there is nothing that could be a hole.
        assert_eq!(member(0, &[]).header()[156], b'0');
    }

    /// The same file through GNU tar, with the options of ec2-bundle-image.
    #[test]
    fn headers_and_trailers_are_those_of_gnu_tar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        // Size, and where there is data.
        let cases: [(u64, Vec<Range<u64>>); 7] = [
            (1 << 20, run(4096, 8192)),
            ((1 << 20) + 3, run(1 << 20, (1 << 20) + 3)),
            (5 << 20, vec![]),
            (5000, run(0, 5000)),
            (4 << 20, (0..4).map(|i| i << 16..(i << 16) + 4096).collect()),
            (
                4 << 20,
                (0..40).map(|i| i << 16..(i << 16) + 8192).collect(),
            ),
            (9 << 30, run(8_900_001_792, 8_900_005_888)),
        ];
        for (size, data) in cases {
            let file = File::create(&path).unwrap();
            file.set_len(size).unwrap();
            for range in &data {
                let bytes = vec![b'x'; index(range.end - range.start)];
                file.write_all_at(&bytes, range.start).unwrap();
            }
            file.sync_all().unwrap();
            let meta = file.metadata().unwrap();
            let tar = Command::new("tar")
                .args(["-c", "-h", "-S", "--owner", "0", "--group", "0", "-C"])
                .args([folder.path(), "disk".as_ref()])
                .output()
                .unwrap();
            let ours = Member {
                mode: meta.mode() & 0o7777,
                mtime: meta.mtime(),
                ..member(size, &data)
            };
            let mut bytes = ours.header();
            bytes.resize(bytes.len() + index(ours.stored()), b'x');
            bytes.resize(bytes.len() + index(ours.trailer()), 0);
            assert!(bytes == tar.stdout, "{size} {data:?}");
        }
    }

    #[test]
    fn the_sum_is_that_of_the_header_with_blanks_in_its_place() {
        let mut header = member(10, &run(0, 10)).header();
        let told = String::from_utf8(header[148..154].to_vec()).unwrap();
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|&b| u64::from(b)).sum();
        assert_eq!(told, format!("{sum:06o}"));
    }
}
