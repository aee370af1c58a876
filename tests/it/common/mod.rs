//! What the integration tests share.

pub mod acl;
pub mod bucket;
pub mod bundle;
pub mod cloud;
pub mod debugfs;
pub mod desk;
pub mod fault;
pub mod features;
pub mod grub;
pub mod guest;
pub mod image;
pub mod layout;
pub mod manifest;
pub mod member;
pub mod memory;
pub mod mounted;
pub mod oci;
pub mod ours;
pub mod peers;
pub mod rootfs;
pub mod seal;
pub mod server;
pub mod tarball;
pub mod upgrade;
pub mod vdisk_probe;
pub mod view;

use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};

use diskwright::archive::{ArchiveError, ArchiveReader, Entry, EntryKind};

/// Runs a command in a folder; a failure of it fails the test with what it said.
pub fn run(folder: &Path, program: &str, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("LC_ALL", "C")
        .output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}{}",
        said(&output.stderr),
        said(&output.stdout)
    );
    output
}

/// An entry with its data, holes filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub entry: Entry,
    pub data: Vec<u8>,
}

/// What came of reading an archive to its end or first error.
#[derive(Debug)]
pub struct Outcome {
    pub seen: Vec<Seen>,
    pub warnings: Vec<String>,
    pub error: Option<ArchiveError>,
}

pub fn read_bytes(bytes: Vec<u8>) -> Outcome {
    let len = bytes.len().try_into().ok();
    read(ArchiveReader::from_reader(
        "test.tar",
        Box::new(Cursor::new(bytes)),
        len,
    ))
}

/// Like [`read_bytes`], as a pipe gives it: of unknown length, a few bytes at a time.
pub fn read_pipe(bytes: Vec<u8>) -> Outcome {
    struct Drops(Cursor<Vec<u8>>);
    impl std::io::Read for Drops {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = out.len().min(4093);
            self.0.read(&mut out[..n])
        }
    }
    read(ArchiveReader::from_reader(
        "-",
        Box::new(Drops(Cursor::new(bytes))),
        None,
    ))
}

pub fn read_path(path: &Path) -> Outcome {
    read(ArchiveReader::open(path))
}

fn read(reader: Result<ArchiveReader, ArchiveError>) -> Outcome {
    let mut outcome = Outcome {
        seen: Vec::new(),
        warnings: Vec::new(),
        error: None,
    };
    match reader {
        Ok(mut reader) => {
            outcome.error = read_on(&mut reader, &mut outcome.seen).err();
            outcome.warnings = reader.take_warnings();
        }
        Err(e) => outcome.error = Some(e),
    }
    outcome
}

fn read_on(reader: &mut ArchiveReader, seen: &mut Vec<Seen>) -> Result<(), ArchiveError> {
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        while let Some(piece) = reader.next_data()? {
            assert!(!piece.is_empty(), "an empty piece of data");
            data.extend_from_slice(&piece);
        }
        let data = expand(&entry, data);
        seen.push(Seen { entry, data });
    }
    assert!(reader.next_entry()?.is_none(), "entries after the end");
    Ok(())
}

/// Puts the runs of a sparse file where they belong.
fn expand(entry: &Entry, data: Vec<u8>) -> Vec<u8> {
    let EntryKind::File { size, data: runs } = &entry.kind else {
        assert!(data.is_empty(), "data of what is no file");
        return data;
    };
    let size = usize::try_from(*size).unwrap();
    let Some(runs) = runs else {
        assert_eq!(data.len(), size);
        return data;
    };
    let mut whole = vec![0; size];
    let mut rest = &data[..];
    for run in runs {
        let (start, len) = (
            usize::try_from(run.offset).unwrap(),
            usize::try_from(run.len).unwrap(),
        );
        let (now, later) = rest.split_at(len);
        whole[start..start + len].copy_from_slice(now);
        rest = later;
    }
    assert!(rest.is_empty(), "more data than runs");
    whole
}

impl Outcome {
    /// The entries of an archive in which nothing is odd.
    #[track_caller]
    pub fn clean(self) -> Vec<Seen> {
        assert!(self.error.is_none(), "{}", self.error.unwrap());
        assert_eq!(self.warnings, Vec::<String>::new());
        self.seen
    }

    /// The error's message, with its source; or what happened instead.
    pub fn message(&self) -> String {
        use std::error::Error as _;
        let Some(e) = &self.error else {
            return format!(
                "read {} entries; warnings: {:?}",
                self.seen.len(),
                self.warnings
            );
        };
        e.source()
            .map_or_else(|| e.to_string(), |source| format!("{e}: {source}"))
    }
}
