//! Sizes and numbers of files that nobody tries by hand: e2fsck and `verify` find nothing, and memory follows the
//! number of files alone. The archives are streams that are never stored.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::common::member::Member;
use crate::common::tarball::Header;
use crate::common::{image, memory, rootfs};
use crate::tools;

const GIB: u64 = 1 << 30;

/// Builds what `archive` writes into a pipe, and holds everything against the limits. The figures go to stderr.
#[track_caller]
fn build(what: &str, flags: &[&str], room: u64, archive: impl FnOnce(&mut dyn Write) + Send) {
    if !tools::have("e2fsck") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    if !has_room(folder.path(), room) {
        return;
    }
    let disk = folder.path().join("disk.img");
    let mut child = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", "--json", "--quiet", "--boot", "none", "-o"])
        .arg(&disk)
        .args(flags)
        .arg("-")
        .env("SOURCE_DATE_EPOCH", "1700000001")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let stdin = child.stdin.take().unwrap();
    let peak = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stdin = std::io::BufWriter::with_capacity(1 << 20, stdin);
            archive(&mut stdin);
            stdin.write_all(&[0; 1024]).unwrap();
            stdin.flush().unwrap();
        });
        memory::peak(&mut child)
    });
    let built = begin.elapsed();
    let printed = child.wait_with_output().unwrap();
    assert!(printed.status.success(), "{what}");
    let json: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let of = |name: &str| json[name].as_u64().unwrap();
    let files = of("files") + of("directories") + of("symlinks") + of("specials");

    let begin = Instant::now();
    let out = tools::run(
        "e2fsck",
        &["-fn", &image::device(&disk, image::offset_of(&disk))],
    );
    let checked = begin.elapsed();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && said.lines().count() == 6,
        "{what}: e2fsck: {said}"
    );
    let begin = Instant::now();
    let mut child = image::diskwright()
        .arg("verify")
        .arg(&disk)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let verify_peak = memory::peak(&mut child);
    let verified = begin.elapsed();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{what}: verify: {said}");

    let limit = memory::limit(files);
    let size = std::fs::metadata(&disk).unwrap().len();
    eprintln!(
        "{what}: {files} files, {size} bytes; built in {built:.1?}, e2fsck {checked:.1?}, verify {verified:.1?}; \
         at their peaks {} and {} KiB of {} KiB",
        peak >> 10,
        verify_peak >> 10,
        limit >> 10
    );
    for (verb, peak) in [("build", peak), ("verify", verify_peak)] {
        assert!(
            peak <= limit,
            "{what}: {verb}: {peak} bytes for {files} files; the limit is {limit}"
        );
    }
}

/// Whether the images' disk has `room` and a quarter more.
fn has_room(folder: &Path, room: u64) -> bool {
    let stat = rustix::fs::statvfs(folder).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    free > room / 4 * 5 || tools::skip(&format!("{room} bytes are wanted where {free} are free"))
}

fn put(to: &mut dyn Write, member: &[u8]) {
    to.write_all(member).unwrap();
}

/// A file of one short line, in the old format: nothing but its header and data.
fn small(path: &str) -> Vec<u8> {
    Header::new(path, b'0', 5).data(b"small")
}

#[test]
fn what_fits_into_4_mib() {
    build("4 MiB", &["--scheme", "none", "--size", "4M"], 0, |tar| {
        for n in 0..200 {
            put(
                tar,
                &Member::file(format!("etc/{n}"), vec![b'x'; 10_000]).bytes(),
            );
        }
    });
}

#[test]
fn a_sparse_file_of_100_gib_has_data_at_its_ends() {
    build("100 GiB of hole", &[], 0, |tar| {
        let end = 100 * GIB - 4096;
        let huge = Member::file("GNUSparseFile.0/huge", vec![b'x'; 8192])
            .record("GNU.sparse.major", "0")
            .record("GNU.sparse.minor", "1")
            .record("GNU.sparse.name", "huge")
            .record("GNU.sparse.size", (100 * GIB).to_string())
            .record("GNU.sparse.numblocks", "2")
            .record("GNU.sparse.map", format!("0,4096,{end},4096"));
        put(tar, &huge.bytes());
    });
}

#[test]
fn two_tib_are_made_of_holes() {
    if rootfs::full("a filesystem of 2 TiB") {
        build("2 TiB", &["--scheme", "none", "--size", "2T"], GIB, |tar| {
            for n in 0..1000 {
                put(tar, &small(&format!("usr/share/{n}")));
            }
        });
    }
}

#[test]
fn a_folder_has_200_000_files() {
    if rootfs::full("200,000 files in a folder") {
        build("200,000 in a folder", &[], 2 * GIB, |tar| {
            for n in 0..200_000 {
                put(tar, &small(&format!("all/file-number-{n}")));
            }
        });
    }
}

#[test]
fn a_tree_has_a_million_files() {
    if rootfs::full("a million files") {
        build("a million", &[], 6 * GIB, |tar| {
            for n in 0..1_000_000 {
                put(
                    tar,
                    &small(&format!("a/{}/{}/{n}", n / 10_000, n / 100 % 100)),
                );
            }
        });
    }
}

#[test]
fn an_archive_of_12_gib_streams_through() {
    if rootfs::full("12 GiB through a pipe") {
        build("12 GiB", &[], 14 * GIB, |tar| {
            // No block is zero, and none is like the one before.
            let mut piece: Vec<u8> = (0..1_048_576_u32)
                .map(|n| u8::try_from(n * 7 % 251 + 1).unwrap())
                .collect();
            for file in 0..12 {
                put(
                    tar,
                    &Header::new(&format!("data/{file}"), b'0', GIB).block(),
                );
                for n in 0..1024_usize {
                    piece[n * 1024] ^= 1;
                    put(tar, &piece);
                }
            }
        });
    }
}
