//! Bytes as a list of entries. Every byte string is one, and a small change of it is a small change of
//! the list: there are no lengths in front of anything.

use diskwright::archive::{DataRun, Entry, EntryKind};
use diskwright::units::Timestamp;

/// A step of a test.
pub enum Op {
    Insert(Vec<Entry>),
    Remove(Vec<u8>),
}

pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        first
    }

    pub fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn op(&mut self) -> Option<Op> {
        if self.rest.is_empty() {
            return None;
        }
        let what = self.byte();
        Some(match what % 16 {
            0 => Op::Remove(self.path()),
            1 => Op::Insert(self.many()),
            _ => {
                let kind = self.kind(what % 16);
                Op::Insert(vec![self.entry(kind)])
            }
        })
    }

    /// Many empty files in one directory.
    fn many(&mut self) -> Vec<Entry> {
        let (folder, count, len) = (self.path(), self.word() % 6000, usize::from(self.byte()));
        let directories = self.byte() % 4 == 0;
        (0..count)
            .map(|n| {
                let mut path = folder.clone();
                path.push(b'/');
                path.extend(format!("{n:x}").bytes());
                path.resize(path.len() + len % 250, b'-');
                let kind = if directories {
                    EntryKind::Directory
                } else {
                    EntryKind::File { size: 0, data: None }
                };
                blank(path, kind)
            })
            .collect()
    }

    fn kind(&mut self, what: u8) -> EntryKind {
        match what {
            2..=4 => EntryKind::File { size: self.size(), data: None },
            5..=7 => self.sparse(),
            8 | 9 => EntryKind::Directory,
            10 | 11 => EntryKind::HardLink { target: self.path() },
            12 => EntryKind::Symlink { target: self.target() },
            13 => EntryKind::CharDevice { major: self.number(), minor: self.number() },
            14 => EntryKind::BlockDevice { major: self.number(), minor: self.number() },
            _ => EntryKind::Fifo,
        }
    }

    fn number(&mut self) -> u32 {
        u32::from(self.word()) << (self.byte() % 17)
    }

    fn size(&mut self) -> u64 {
        match self.byte() {
            n @ 0..=99 => u64::from(n),
            n @ 100..=199 => u64::from(n) << 10,
            n @ 200..=230 => u64::from(self.word()) * u64::from(n),
            n @ 231..=250 => (u64::from(n) << 20) + u64::from(self.word()),
            n => (u64::from(n) << 36) + u64::from(self.word()),
        }
    }

    /// Runs and gaps of some lengths, over and over.
    fn sparse(&mut self) -> EntryKind {
        let count = match self.byte() {
            n @ 0..=199 => u16::from(n % 8),
            n => u16::from(n - 199) * 30,
        };
        let unit = [1, 100, 4096, 5000, 1 << 20, 1 << 35][usize::from(self.byte() % 6)];
        let (lens, gaps) = ([self.byte(), self.byte()], [self.byte(), self.byte()]);
        let (mut runs, mut at) = (Vec::new(), 0_u64);
        for n in 0..count {
            let which = usize::from(n % 2);
            let run = DataRun {
                offset: at + u64::from(gaps[which]) * unit,
                len: u64::from(lens[which]) % 32 * unit.min(1 << 20) + 1,
            };
            at = run.offset + run.len;
            runs.push(run);
        }
        EntryKind::File { size: at + self.size(), data: Some(runs) }
    }

    fn target(&mut self) -> Vec<u8> {
        match self.byte() {
            0..=149 => self.path(),
            150..=199 => [b"/".to_vec(), self.path()].concat(),
            200..=229 => [b"../".to_vec(), self.path()].concat(),
            n => vec![b't'; usize::from(n - 225) * 137],
        }
    }

    fn path(&mut self) -> Vec<u8> {
        let mut path = self.name();
        while self.rest.first().is_some_and(|&b| b < 80) {
            path.push(b'/');
            self.byte();
            path.extend(self.name());
        }
        path
    }

    fn name(&mut self) -> Vec<u8> {
        match self.byte() {
            n @ 0..=199 => vec![b'a' + n % 6],
            n @ 200..=219 => vec![n; usize::from(n)],
            220..=224 => b"lost+found".to_vec(),
            225..=229 => b"boot".to_vec(),
            230 => b"..".to_vec(),
            231 => b".".to_vec(),
            232 => vec![b'x'; 255],
            233 => vec![b'x'; 256],
            234 => Vec::new(),
            n => vec![n, self.byte().max(1), b'\n'],
        }
    }

    fn entry(&mut self, kind: EntryKind) -> Entry {
        let mut entry = blank(self.path(), kind);
        let flags = self.byte();
        if flags & 1 != 0 {
            entry.mode = self.word() & 0o7777;
            (entry.uid, entry.gid) = (self.number(), self.number());
        }
        if flags & 2 != 0 {
            entry.mtime = self.time();
            entry.atime = (flags & 4 != 0).then(|| self.time());
            entry.ctime = (flags & 8 != 0).then(|| self.time());
        }
        if flags & 0xE0 != 0 {
            for _ in 0..(flags >> 5) {
                let (name, value) = self.xattr();
                if entry.xattrs.iter().all(|(n, _)| *n != name) {
                    entry.xattrs.push((name, value));
                }
            }
        }
        entry
    }

    fn time(&mut self) -> Timestamp {
        let sec = i64::from(self.word()).wrapping_shl(u32::from(self.byte() % 60));
        let sec = if self.byte() % 2 == 0 { sec } else { sec.wrapping_neg() };
        Timestamp { sec, nsec: u32::from(self.word()) * 15_258 }
    }

    fn xattr(&mut self) -> (Vec<u8>, Vec<u8>) {
        let spaces: [&[u8]; 9] = [
            b"user.", b"trusted.", b"security.", b"system.", b"gnu.", b"odd.", b"",
            b"system.posix_acl_access", b"system.posix_acl_default",
        ];
        let nth = usize::from(self.byte());
        let mut name = spaces[nth % spaces.len()].to_vec();
        if nth % spaces.len() >= 7 {
            return (name, self.acl());
        }
        let len = self.byte();
        name.resize(name.len() + usize::from(len % 16 * (len / 16)), b'a' + len % 8);
        let value = match self.byte() {
            n @ 0..=199 => vec![n; usize::from(n % 40)],
            n => vec![n; usize::from(n - 199) * 75],
        };
        (name, value)
    }

    /// Nearly an ACL.
    fn acl(&mut self) -> Vec<u8> {
        let mut acl = vec![2, 0, 0, 0];
        let extra = self.byte() % 6;
        let mut push = |tag: u8, perm: u8, id: u32| {
            acl.extend([tag, 0, perm, 0]);
            acl.extend(id.to_le_bytes());
        };
        push(1, self.byte() % 8, u32::MAX);
        for n in 0..extra {
            push(2, n, u32::from(n));
        }
        push(4, 5, u32::MAX);
        if extra > 0 || self.byte() % 4 == 0 {
            push(0x10, 7, u32::MAX);
        }
        push(0x20, 5, u32::MAX);
        if self.byte() > 250 {
            acl.truncate(usize::from(self.byte()));
        }
        acl
    }
}

fn blank(path: Vec<u8>, kind: EntryKind) -> Entry {
    Entry {
        mode: 0o755,
        mtime: Timestamp::from_secs(1_600_000_000),
        ..Entry::new(path, kind)
    }
}
