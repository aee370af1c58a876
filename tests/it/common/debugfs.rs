//! A filesystem read through `debugfs`, which shares no code with us.

use super::manifest::{CONTENT_MAX, Manifest, Record, hex, join, join_path};
use crate::tools;
use diskwright::units::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Runs commands from a file, as a shell would mangle odd names; the output of each.
fn script(device: &str, folder: &Path, commands: &[String]) -> Vec<Vec<u8>> {
    let file = folder.join("debugfs.commands");
    std::fs::write(&file, commands.join("\n") + "\n").unwrap();
    let output = tools::run("debugfs", &["-f", file.to_str().unwrap(), device]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = stderr
        .lines()
        .filter(|l| !l.starts_with("debugfs 1."))
        .collect();
    assert!(complaints.is_empty(), "debugfs: {complaints:?}");
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for line in output.stdout.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b"debugfs: ") {
            parts.push(Vec::new());
        } else if let Some(last) = parts.last_mut() {
            last.extend_from_slice(line);
        }
    }
    assert_eq!(parts.len(), commands.len(), "an answer to each command");
    parts
}

/// Every file, its content too. `folder` takes what debugfs writes.
pub fn read(device: &str, folder: &Path) -> Manifest {
    let files = list(device, folder);
    let inodes: Vec<u32> = files
        .iter()
        .map(|f| f.1)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let stats = inodes
        .iter()
        .map(|n| format!("stat <{n}>"))
        .collect::<Vec<_>>();
    let mut records = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (&inode, text) in inodes.iter().zip(script(device, folder, &stats)) {
        let (record, xattrs) = parse_stat(&text);
        records.insert(inode, record);
        names.insert(inode, xattrs);
    }
    contents(device, folder, &mut records);
    values(device, folder, &mut records, &names);
    let list = files
        .into_iter()
        .map(|(path, inode)| (path, inode, records[&inode].clone()));
    join(list.collect())
}

/// Path and inode of everything, directory level by directory level.
fn list(device: &str, folder: &Path) -> Vec<(Vec<u8>, u32)> {
    let mut all = vec![(Vec::new(), 2)];
    let mut level = all.clone();
    while !level.is_empty() {
        let commands = level
            .iter()
            .map(|(_, n)| format!("ls -p <{n}>"))
            .collect::<Vec<_>>();
        let mut next = Vec::new();
        for ((parent, _), text) in level.iter().zip(script(device, folder, &commands)) {
            for line in text.split(|&b| b == b'\n').filter(|l| l.starts_with(b"/")) {
                let fields: Vec<&[u8]> = line.split(|&b| b == b'/').collect();
                let (mode, name) = (std::str::from_utf8(fields[2]).unwrap(), fields[5]);
                if name == b"." || name == b".." || (parent.is_empty() && name == b"lost+found") {
                    continue;
                }
                let inode: u32 = std::str::from_utf8(fields[1]).unwrap().parse().unwrap();
                // Room for entries, which debugfs shows in an inode.
                if inode == 0 {
                    continue;
                }
                let path = join_path(parent, name);
                if mode.starts_with("04") {
                    next.push((path.clone(), inode));
                }
                all.push((path, inode));
            }
        }
        level = next;
    }
    all
}

/// The word behind `label`.
fn after<'a>(text: &'a str, label: &str) -> &'a str {
    let at = text
        .find(label)
        .unwrap_or_else(|| panic!("no {label:?} in {text}"));
    text[at + label.len()..]
        .split_whitespace()
        .next()
        .unwrap_or("")
}

/// `0xSECONDS:EXTRA`: 30 bits of nanoseconds, and 2 bits beyond the 32 of the seconds. Small inodes have no
/// second part.
fn time(text: &str) -> Timestamp {
    let text = text.trim_start_matches("0x");
    let (sec, extra) = text.split_once(':').unwrap_or((text, "0"));
    let sec = u32::from_str_radix(sec, 16).unwrap().cast_signed();
    let extra = u32::from_str_radix(extra, 16).unwrap();
    Timestamp {
        sec: i64::from(sec) + (i64::from(extra & 3) << 32),
        nsec: extra >> 2,
    }
}

/// What `stat` says, and the names of the xattrs.
fn parse_stat(text: &[u8]) -> (Record, Vec<String>) {
    let text = String::from_utf8_lossy(text);
    let type_line = text.lines().next().unwrap();
    let kind = match after(type_line, "Type:") {
        "regular" => 'f',
        "directory" => 'd',
        "symlink" => 'l',
        "character" => 'c',
        "block" => 'b',
        "FIFO" => 'p',
        other => panic!("debugfs calls a file {other}"),
    };
    let number = |label: &str| after(&text, label).parse::<i64>().unwrap();
    // debugfs prints ids past 2^31 as negative.
    let id = |label: &str| i32::try_from(number(label)).unwrap().cast_unsigned();
    let mut record = Record {
        kind,
        mode: u32::from_str_radix(after(type_line, "Mode:"), 8).unwrap(),
        uid: id("User:"),
        gid: id("Group:"),
        size: number("Size:").try_into().unwrap(),
        links: number("Links:").try_into().unwrap(),
        times: ["mtime: ", "atime: ", "ctime: "].map(|label| time(after(&text, label))),
        ..Record::default()
    };
    if let Some((_, device)) = text.split_once("Device major/minor number: ") {
        let (major, minor) = device
            .split_whitespace()
            .next()
            .unwrap()
            .split_once(':')
            .unwrap();
        record.device = (major.parse().unwrap(), minor.parse().unwrap());
    }
    let mut xattrs = Vec::new();
    if let Some((_, rest)) = text.split_once("Extended attributes:\n") {
        for line in rest.lines().take_while(|l| l.starts_with("  ")) {
            let name = line.trim_start().split_once(" (").unwrap().0;
            // The file itself, where it lies in its inode.
            if name != "system.data" {
                xattrs.push(name.to_owned());
            }
        }
    }
    (record, xattrs)
}

/// Hashes of files and targets of symbolic links, through `dump`, some hundred at a time.
fn contents(device: &str, folder: &Path, records: &mut BTreeMap<u32, Record>) {
    let wanted: Vec<u32> = records
        .iter()
        .filter(|(_, r)| matches!(r.kind, 'f' | 'l') && r.size <= CONTENT_MAX)
        .map(|(&inode, _)| inode)
        .collect();
    for batch in wanted.chunks(500) {
        let path = |inode: u32| folder.join(format!("inode-{inode}"));
        let fast = |r: &Record| r.kind == 'l' && r.size < 60;
        let commands: Vec<String> = batch
            .iter()
            .map(|&n| {
                if fast(&records[&n]) {
                    // Its target is where block numbers would be: `inode_dump` shows those bytes.
                    format!("inode_dump -b <{n}>")
                } else {
                    format!("dump <{n}> {}", path(n).display())
                }
            })
            .collect();
        for (&inode, said) in batch.iter().zip(script(device, folder, &commands)) {
            let record = records.get_mut(&inode).unwrap();
            let bytes = if fast(record) {
                let mut bytes = undump(&said);
                bytes.truncate(record.size.try_into().unwrap());
                bytes
            } else {
                let mut bytes = std::fs::read(path(inode)).unwrap();
                // Where data lies in the inode, debugfs dumps all the room there is for it.
                bytes.truncate(record.size.try_into().unwrap());
                std::fs::remove_file(path(inode)).unwrap();
                bytes
            };
            assert_eq!(
                bytes.len(),
                usize::try_from(record.size).unwrap(),
                "inode {inode}"
            );
            if record.kind == 'l' {
                record.target = bytes;
            } else {
                record.sha256 = hex(&Sha256::digest(&bytes));
            }
        }
    }
    for record in records.values_mut() {
        // The archive says none of these.
        if record.kind != 'f' {
            record.size = 0;
        }
    }
}

/// The bytes of a hex dump: `0000  7573 722f …  usr/…`.
fn undump(said: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in String::from_utf8_lossy(said)
        .lines()
        .filter(|l| l.len() > 6)
    {
        let digits: String = line[6..]
            .chars()
            .take(40)
            .filter(char::is_ascii_hexdigit)
            .take(32)
            .collect();
        let pairs = digits.as_bytes().chunks(2);
        bytes.extend(
            pairs.map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()),
        );
    }
    bytes
}

fn values(
    device: &str,
    folder: &Path,
    records: &mut BTreeMap<u32, Record>,
    names: &BTreeMap<u32, Vec<String>>,
) {
    let wanted: Vec<(u32, &String)> = names
        .iter()
        .flat_map(|(&inode, names)| names.iter().map(move |name| (inode, name)))
        .collect();
    let path = |n: usize| folder.join(format!("value-{n}"));
    let commands: Vec<String> = wanted
        .iter()
        .enumerate()
        .map(|(n, (inode, name))| format!("ea_get -f {} <{inode}> {name}", path(n).display()))
        .collect();
    script(device, folder, &commands);
    for (n, (inode, name)) in wanted.into_iter().enumerate() {
        let value = std::fs::read(path(n)).unwrap();
        std::fs::remove_file(path(n)).unwrap();
        let value = if name.starts_with("system.posix_acl_") {
            nobody(value)
        } else {
            value
        };
        let record = records.get_mut(&inode).unwrap();
        record.xattrs.insert(name.clone().into_bytes(), value);
    }
    records.values_mut().for_each(Record::take_acls);
}

/// An ACL as Linux gives it: entries that name nobody bear the id -1. debugfs says 0; the disk has none.
fn nobody(mut value: Vec<u8>) -> Vec<u8> {
    for entry in value[4..].chunks_exact_mut(8) {
        if !matches!(entry[0], 2 | 8) {
            entry[4..].fill(0xFF);
        }
    }
    value
}
