//! A Debian some of whose packages were upgraded, as a tar.

use super::rootfs::member;
use super::tarball::Header;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const STATUS: &str = "./var/lib/dpkg/status";

/// A member's headers and data, as they lie in a tar.
#[derive(Clone)]
struct Member<'a> {
    tar: &'a File,
    folder: bool,
    at: u64,
    len: u64,
}

/// Writes to `to` what `old` is after dpkg has replaced `packages` by those of `new`: their files, its notes of
/// them, and their entries in its status. Everything else stays, in its place and to the byte.
pub fn upgraded(old: &Path, new: &Path, packages: &[&str], to: &Path) {
    let (old_tar, new_tar) = (File::open(old).unwrap(), File::open(new).unwrap());
    let (mut members, mut order) = list(&old_tar);
    let (newer, _) = list(&new_tar);
    let mut status = text(old, STATUS);
    let new_status = text(new, STATUS);
    for package in packages {
        let gone = files(old, package, &members);
        let come = files(new, package, &newer);
        order.retain(|name| !gone.contains(name) || come.contains(name));
        for name in &come {
            if members.get(name).is_some_and(|m| m.folder) {
                continue;
            }
            if !order.contains(name) {
                order.insert(place(&order, name), name.clone());
            }
            members.insert(name.clone(), newer[name].clone());
        }
        let entry = |of: &str| stanza(of, package).to_owned();
        status = status.replace(&entry(&status), &entry(&new_status));
    }
    let mut out = BufWriter::new(File::create(to).unwrap());
    for name in &order {
        if name == STATUS {
            let header = Header::new(name, b'0', status.len().try_into().unwrap());
            out.write_all(&header.data(status.as_bytes())).unwrap();
            continue;
        }
        let Member { tar, at, len, .. } = members[name];
        let mut bytes = vec![0; len.try_into().unwrap()];
        tar.read_exact_at(&mut bytes, at).unwrap();
        out.write_all(&bytes).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.flush().unwrap();
}

/// Where a new name belongs: among those of its folder, which are sorted.
fn place(order: &[String], name: &str) -> usize {
    let (folder, _) = name.trim_end_matches('/').rsplit_once('/').unwrap();
    let before = |n: &String| n.starts_with(folder) && n[folder.len()..].starts_with('/');
    let last = order.iter().rposition(|n| before(n) && n.as_str() < name);
    last.map_or(order.len(), |at| at + 1)
}

/// What dpkg lists as a package's, and its own notes of the package, as far as the tar has them.
fn files(tar: &Path, package: &str, members: &BTreeMap<String, Member>) -> BTreeSet<String> {
    let notes = format!("./var/lib/dpkg/info/{package}.");
    let list = text(tar, &format!("{notes}list"));
    let listed = list
        .lines()
        .flat_map(|path| [format!(".{path}"), format!(".{path}/")]);
    let noted = members.keys().filter(|name| name.starts_with(&notes));
    let all = listed.chain(noted.cloned());
    all.filter(|name| members.contains_key(name)).collect()
}

fn text(tar: &Path, name: &str) -> String {
    String::from_utf8(member(tar, name.trim_start_matches("./"))).unwrap()
}

fn stanza<'a>(status: &'a str, package: &str) -> &'a str {
    let begins = format!("Package: {package}\n");
    let mut stanzas = status.split_inclusive("\n\n");
    stanzas.find(|s| s.starts_with(&begins)).unwrap()
}

/// The members of a tar as mmdebstrap makes it, and their names in order.
fn list(tar: &File) -> (BTreeMap<String, Member<'_>>, Vec<String>) {
    let (mut members, mut order) = (BTreeMap::new(), Vec::new());
    let (mut at, mut begun, mut long) = (0, 0, None);
    loop {
        let mut header = [0; 512];
        tar.read_exact_at(&mut header, at).unwrap();
        if header == [0; 512] {
            return (members, order);
        }
        let field = |bytes: &[u8]| {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8(bytes[..end].to_vec()).unwrap()
        };
        let len = u64::from_str_radix(field(&header[124..136]).trim(), 8).unwrap();
        let next = at + 512 + len.next_multiple_of(512);
        match header[156] {
            b'x' => {
                let mut records = vec![0; len.try_into().unwrap()];
                tar.read_exact_at(&mut records, at + 512).unwrap();
                let records = String::from_utf8_lossy(&records);
                let path = records.lines().find_map(|r| r.split_once(" path="));
                long = path.map(|(_, path)| path.to_owned());
            }
            kind => {
                let name = long.take().unwrap_or_else(|| field(&header[..100]));
                let member = Member {
                    tar,
                    folder: kind == b'5',
                    at: begun,
                    len: next - begun,
                };
                order.push(name.clone());
                members.insert(name, member);
                begun = next;
            }
        }
        at = next;
    }
}
