//! Tar archives, written: POSIX pax, which says everything that an [`Entry`] has.
//!
//! What does not fit the ustar header is in records before it (POSIX.1-2001 pax, "pax Extended Header");
//! attributes as GNU tar and star have them (`SCHILY.xattr.*`), ACLs as text (`SCHILY.acl.*`, numbers for
//! names), holes as GNU tar's sparse format 1.0 (GNU tar manual, "Storing Sparse Files").

#![allow(
    clippy::arithmetic_side_effects,
    reason = "what is written is ours; sums past 2^64 are a bug, and overflow checks are on"
)]

use crate::acl::{Acl, text};
use crate::entry::{DataRun, Entry, EntryKind};
use crate::units::{Timestamp, count, index};
use std::io::{self, Write};

/// A block of a tar.
const BLOCK: usize = 512;
/// tar(1) writes whole records (`--blocking-factor=20`).
const RECORD: u64 = 10_240;
/// Largest number of eleven octal digits.
const OCTAL_11: u64 = (1 << 33) - 1;
/// Largest number of seven octal digits.
const OCTAL_7: u32 = (1 << 21) - 1;

/// Writes members one after the other.
#[derive(Debug)]
pub struct TarWriter<W> {
    out: W,
    written: u64,
}

impl<W: Write> TarWriter<W> {
    /// An archive that goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    /// Begins a member. The data of a file follows through [`Self::data`]: all bytes of its runs, in order.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let head = head(entry);
        self.put(&head)
    }

    /// Data of the member that was begun last, cut in any way.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.put(data)
    }

    /// Ends the data of a member.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_data(&mut self) -> io::Result<()> {
        let block = count(BLOCK);
        self.zeros(self.written.next_multiple_of(block) - self.written)
    }

    /// Ends the archive; gives back what it went to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let end = (self.written + 2 * count(BLOCK)).next_multiple_of(RECORD);
        self.zeros(end - self.written)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += count(bytes.len());
        self.out.write_all(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.put(&vec![0; index(len)])
    }
}

/// Whether the runs of a file leave a hole.
fn has_holes(size: u64, runs: &[DataRun]) -> bool {
    runs.iter().map(|r| r.len).sum::<u64>() < size
}

/// What stands before the data: records, the header, the map of a sparse file.
fn head(entry: &Entry) -> Vec<u8> {
    let mut records = Records::default();
    let mut map = Vec::new();
    let mut stored = 0;
    let mut name = entry.path.clone();
    if let EntryKind::File { size, data } = &entry.kind {
        stored = *size;
        if let Some(runs) = data.as_deref().filter(|runs| has_holes(*size, runs)) {
            map = sparse_map(*size, runs);
            stored = count(map.len()) + runs.iter().map(|r| r.len).sum::<u64>();
            records.add("GNU.sparse.major", b"1");
            records.add("GNU.sparse.minor", b"0");
            records.add("GNU.sparse.name", &entry.path);
            records.number("GNU.sparse.realsize", *size);
            // Who does not know the format must not take the data for the file.
            let base = entry.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
            name = [&b"GNUSparseFile.0/"[..], base].concat();
        }
    }
    let (kind, target) = flag(&entry.kind);
    if kind == b'5' && !name.ends_with(b"/") {
        name.push(b'/');
    }
    let mut header = Header([0; BLOCK]);
    header.text(0, 100, &name, "path", &mut records);
    header.octal(100, 8, entry.mode.into());
    header.id(108, entry.uid, "uid", &mut records);
    header.id(116, entry.gid, "gid", &mut records);
    if stored > OCTAL_11 {
        records.number("size", stored);
    }
    header.octal(124, 12, stored.min(OCTAL_11));
    let sec = u64::try_from(entry.mtime.sec).unwrap_or(0).min(OCTAL_11);
    header.octal(136, 12, sec);
    if entry.mtime.nsec != 0 || i64::try_from(sec) != Ok(entry.mtime.sec) {
        records.time("mtime", entry.mtime);
    }
    for (key, time) in [("atime", entry.atime), ("ctime", entry.ctime)] {
        if let Some(time) = time.filter(|t| *t != entry.mtime) {
            records.time(key, time);
        }
    }
    header.0[156] = kind;
    header.text(157, 100, target, "linkpath", &mut records);
    header.put(257, b"ustar\x0000");
    let device = match entry.kind {
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            (major, minor)
        }
        _ => (0, 0),
    };
    header.octal(329, 8, device.0.into());
    header.octal(337, 8, device.1.into());
    attributes(entry, &mut records);
    let mut out = records.member();
    out.extend(header.sealed());
    out.extend(map);
    out
}

/// Attributes and ACLs.
fn attributes(entry: &Entry, records: &mut Records) {
    for (name, value) in &entry.xattrs {
        let acl = match &name[..] {
            b"system.posix_acl_access" => Some("SCHILY.acl.access"),
            b"system.posix_acl_default" => Some("SCHILY.acl.default"),
            _ => None,
        };
        let parsed = acl.and_then(|key| Some((key, Acl::from_xattr(value).ok()??)));
        match parsed {
            Some((key, acl)) => records.add(key, text::format(&acl).as_bytes()),
            None => {
                // The first `=` of a record ends its key: GNU tar and we write it as URLs do.
                let mut key = b"SCHILY.xattr.".to_vec();
                for &b in name {
                    match b {
                        b'=' => key.extend_from_slice(b"%3D"),
                        b'%' => key.extend_from_slice(b"%25"),
                        b => key.push(b),
                    }
                }
                records.add_bytes(&key, value);
            }
        }
    }
    for (key, text) in [
        ("SCHILY.acl.access", &entry.acl_access),
        ("SCHILY.acl.default", &entry.acl_default),
    ] {
        if let Some(text) = text {
            records.add(key, text);
        }
    }
}

/// `typeflag` and `linkname`.
fn flag(kind: &EntryKind) -> (u8, &[u8]) {
    match kind {
        EntryKind::File { .. } => (b'0', b""),
        EntryKind::HardLink { target } => (b'1', target),
        EntryKind::Symlink { target } => (b'2', target),
        EntryKind::CharDevice { .. } => (b'3', b""),
        EntryKind::BlockDevice { .. } => (b'4', b""),
        EntryKind::Directory => (b'5', b""),
        EntryKind::Fifo => (b'6', b""),
    }
}

/// The map before the data of a sparse file, format 1.0: numbers on lines of their own, whole blocks.
fn sparse_map(size: u64, runs: &[DataRun]) -> Vec<u8> {
    let ends = runs.last().is_some_and(|r| r.offset + r.len == size);
    // A hole at the end is a run of no bytes.
    let tail = (!ends).then_some(DataRun {
        offset: size,
        len: 0,
    });
    let mut map = format!("{}\n", runs.len() + usize::from(tail.is_some()));
    for run in runs.iter().chain(&tail) {
        map.push_str(&format!("{}\n{}\n", run.offset, run.len));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// A ustar header under construction.
struct Header([u8; BLOCK]);

impl Header {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A number in `width` bytes, the last of them NUL.
    fn octal(&mut self, at: usize, width: usize, n: u64) {
        self.put(
            at,
            format!("{n:0digits$o}\0", digits = width - 1).as_bytes(),
        );
    }

    fn id(&mut self, at: usize, id: u32, key: &str, records: &mut Records) {
        if id > OCTAL_7 {
            records.number(key, id.into());
        }
        self.octal(at, 8, id.min(OCTAL_7).into());
    }

    /// A name, cut where it does not fit: then a record has it.
    fn text(&mut self, at: usize, width: usize, text: &[u8], key: &str, records: &mut Records) {
        if text.len() > width || !text.is_ascii() {
            records.add(key, text);
        }
        self.put(at, &text[..text.len().min(width)]);
    }

    fn sealed(mut self) -> [u8; BLOCK] {
        self.put(148, b"        ");
        let sum: u64 = self.0.iter().map(|b| u64::from(*b)).sum();
        self.octal(148, 7, sum);
        self.0
    }
}

/// Records of an extended header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn add(&mut self, key: &str, value: &[u8]) {
        self.add_bytes(key.as_bytes(), value);
    }

    fn number(&mut self, key: &str, n: u64) {
        self.add(key, n.to_string().as_bytes());
    }

    fn time(&mut self, key: &str, time: Timestamp) {
        self.add(key, decimal(time).as_bytes());
    }

    /// `LENGTH KEY=VALUE\n`, the length counting its own digits.
    fn add_bytes(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        self.0.extend_from_slice(format!("{len} ").as_bytes());
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    /// The member that bears them; nothing when there are none.
    fn member(self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut header = Header([0; BLOCK]);
        header.put(0, b"././@PaxHeader");
        header.octal(100, 8, 0o644);
        header.octal(108, 8, 0);
        header.octal(116, 8, 0);
        header.octal(124, 12, count(self.0.len()));
        header.octal(136, 12, 0);
        header.0[156] = b'x';
        header.put(257, b"ustar\x0000");
        let mut out = header.sealed().to_vec();
        out.extend(self.0);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }
}

/// Seconds since 1970 with nanoseconds behind the point.
fn decimal(time: Timestamp) -> String {
    let (mut sec, mut nsec, mut sign) = (time.sec, time.nsec, "");
    if sec < 0 && nsec > 0 {
        // Rounded towards the past on our side, towards zero in text.
        (sec, nsec) = (sec + 1, 1_000_000_000 - nsec);
        sign = if sec == 0 { "-" } else { "" };
    }
    if nsec == 0 {
        return sec.to_string();
    }
    let text = format!("{sign}{sec}.{nsec:09}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ArchiveReader;

    #[test]
    fn what_is_written_is_read_again() {
        let plain = |path: &[u8], kind| Entry {
            mode: 0o644,
            ..Entry::new(path, kind)
        };
        let runs = vec![
            DataRun {
                offset: 4096,
                len: 10,
            },
            DataRun {
                offset: 8192,
                len: 600,
            },
        ];
        let sparse = EntryKind::File {
            size: 1 << 35,
            data: Some(runs),
        };
        let dense = EntryKind::File {
            size: 700,
            data: None,
        };
        let link = EntryKind::Symlink {
            target: vec![b'x'; 300],
        };
        let device = EntryKind::CharDevice {
            major: 4095,
            minor: 1_048_575,
        };
        let mut entries = vec![
            plain(b"dir", EntryKind::Directory),
            plain(b"dir/sparse", sparse),
            plain(&[b'n'; 200], dense),
            plain(b"\xff not utf-8", link),
            plain(b"device", device),
        ];
        entries[1].mtime = Timestamp {
            sec: -2,
            nsec: 250_000_000,
        };
        entries[2].uid = u32::MAX - 1;
        entries[2].xattrs = vec![(b"user.a=%3D".to_vec(), b"\0=\n".to_vec())];
        entries[3].atime = Some(Timestamp {
            sec: 1 << 34,
            nsec: 5,
        });
        let mut tar = TarWriter::new(Vec::new());
        for entry in &entries {
            tar.entry(entry).unwrap();
            if let EntryKind::File { size, data } = &entry.kind {
                let len = data
                    .as_ref()
                    .map_or(*size, |runs| runs.iter().map(|r| r.len).sum());
                tar.data(&vec![7; index(len)]).unwrap();
                tar.end_data().unwrap();
            }
        }
        let bytes = tar.finish().unwrap();
        assert_eq!(bytes.len() % 10_240, 0);
        let len = Some(count(bytes.len()));
        let mut reader =
            ArchiveReader::from_reader("x.tar", Box::new(io::Cursor::new(bytes)), len).unwrap();
        for mut entry in entries {
            let mut found = reader.next_entry().unwrap().unwrap();
            found.offset = 0;
            let mut data = 0;
            while let Some(part) = reader.next_data().unwrap() {
                assert!(part.iter().all(|b| *b == 7));
                data += part.len();
            }
            if entry.kind == EntryKind::Directory {
                entry.path.push(b'/');
            }
            assert_eq!(data > 0, matches!(entry.kind, EntryKind::File { .. }));
            assert_eq!(found, entry);
        }
        assert!(reader.next_entry().unwrap().is_none());
        assert_eq!(reader.take_warnings(), Vec::<String>::new());
    }
}
