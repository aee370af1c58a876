//! Images at their limits: disks too large, streams that end early, files that are cut off, inputs that are none.

use crate::common::desk::{Desk, Running, ran};
use crate::tools::have;
use crate::vdisk::memory;
use diskwright::extent::{Content, Extent, Layout};
use diskwright::observe::{Observer, Silent, Stage};
use diskwright::read_at::ReadAt;
use diskwright::sink::format::{FormatFile, write};
use diskwright::sink::raw::{RawOptions, SinkError};
use diskwright::units::{TIB, index};
use diskwright::vdisk::{Format, MAX_DISK, open, vhd, vmdk};
use expect_test::expect;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A disk on which nothing is stored.
struct Free(Extent);

impl Free {
    fn new(len: u64) -> Self {
        Self(Extent {
            start: 0,
            len,
            content: Content::Free,
        })
    }
}

impl ReadAt for Free {
    fn len(&self) -> u64 {
        self.0.len
    }

    fn read_exact_at(&self, _: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        Ok(())
    }
}

impl Layout for Free {
    fn extents(&self) -> &[Extent] {
        std::slice::from_ref(&self.0)
    }
}

#[test]
fn the_largest_disk_of_a_format_is_written_and_a_larger_one_refused() {
    for (format, max) in [
        (Format::Qcow2, MAX_DISK),
        (Format::Vmdk, vmdk::MAX_SIZE),
        (Format::Vhd, vhd::MAX_SIZE),
    ] {
        let mut out = Vec::new();
        write(format, &Free::new(max), &mut out, &Silent).unwrap();
        assert_eq!(open(Arc::new(out)).unwrap().disk.len(), max, "{format}");
        for size in [max + 512, 3 << 60] {
            let mut out = Vec::new();
            let told = write(format, &Free::new(size), &mut out, &Silent).unwrap_err();
            let want = format!("a disk of {size} bytes does not fit {format}, which ends at {max}");
            assert!(told.to_string().starts_with(&want), "{told}");
            assert!(out.is_empty(), "{format}");
        }
    }
}

#[test]
fn what_is_too_large_is_told_before_the_work() {
    let desk = Desk::new();
    let sparse = |name: &str, len| {
        let file = File::create(desk.path(name)).unwrap();
        file.set_len(len).unwrap();
    };
    sparse("3T", 3 * TIB);
    desk.refused(
        &["convert", "3T", "out/d.vhd", "--quiet"],
        3,
        expect![[r#"
            error: a disk of 3298534883328 bytes does not fit vhd, which ends at 2190433320960; choose another format
        "#]],
    );
    desk.refused(
        &["build", "missing.tar", "-o", "out/d.vmdk", "--size", "3T"],
        3,
        expect![[r#"
            error: a disk of 3298534883328 bytes does not fit vmdk, which ends at 2130303778816; choose another format
        "#]],
    );
    sparse("empty", 0);
    desk.refused(
        &["convert", "empty", "out/d.zst", "--quiet"],
        3,
        expect![[r#"
            error: empty is empty: there is no disk in it
        "#]],
    );
    // ext4 has no files as large everywhere.
    if File::create(desk.path("huge"))
        .and_then(|f| f.set_len(3 << 60))
        .is_ok()
    {
        desk.refused(
            &["convert", "huge", "out/d.qcow2", "--quiet"],
            3,
            expect![[r#"
                error: cannot read huge
                  because: this is a raw disk of 3458764513820540928 bytes; disks of up to 64 TiB are read
            "#]],
        );
    }
}

#[test]
fn what_cannot_be_read_twice_is_refused() {
    let desk = Desk::new();
    desk.refused(
        &["convert", "-", "out/d.img"],
        2,
        expect![[r#"
            error: an image is not read from standard input: its tables may lie at its end
            help: save it to a file first
        "#]],
    );
    let fifo = desk.path("fifo");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    desk.refused(
        &["convert", "fifo", "out/d.img"],
        3,
        expect![[r#"
            error: cannot read fifo
              because: this is a pipe or a device that is read forward only; an image is read from a file: save it first
        "#]],
    );
}

#[test]
fn disks_for_clouds_are_whole_mib() {
    let desk = Desk::new();
    desk.write("odd", &vec![7; 70_144]);
    let told = desk.run(&["convert", "odd", "out/odd.vhd", "--quiet"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(
        told.stderr,
        "warning: the disk is no whole number of MiB, and Azure takes no such vhd: round a raw image up first, `truncate -s %1M`\n"
    );
    std::fs::create_dir(desk.path("tree")).unwrap();
    for format in ["vhd", "vhd-fixed", "vmdk", "raw"] {
        let line = ["build", "tree", "-o", "out/d", "--format", format];
        let more = ["--boot", "none", "--scheme", "none", "--free", "5000K"];
        let ran = desk.run(&[&line[..], &more, &["--force"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let ran = desk.run(&["convert", "out/d", "out/raw", "--force", "--quiet"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let len = std::fs::metadata(desk.path("out/raw")).unwrap().len();
        assert_eq!(
            len.is_multiple_of(1 << 20),
            format != "raw",
            "{format}: {len}"
        );
    }
}

/// Says stop when it was asked so often.
struct After(AtomicUsize);

impl Observer for After {
    fn progress(&self, _: Stage, _: u64, _: Option<u64>) {}

    fn cancelled(&self) -> bool {
        let left = |n: usize| n.checked_sub(1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.fetch_update(set, get, left).is_err()
    }
}

/// Whether the program takes `bytes` for a whole file.
fn is_whole(program: &str, bytes: &[u8]) -> bool {
    let mut child = Command::new(program)
        .args(["-q", "-t"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may have seen enough before the end.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait().unwrap().success()
}

#[test]
fn a_stream_that_was_stopped_is_no_whole_one() {
    let disk = memory(&[(11, 9 << 20), (1, 6 << 20), (11, 2 << 20)]);
    for (format, program) in [(Format::RawZst, "zstd"), (Format::RawGz, "gzip")] {
        if !have(program) {
            continue;
        }
        let mut whole = Vec::new();
        write(format, &disk, &mut whole, &Silent).unwrap();
        assert!(is_whole(program, &whole), "{program}");
        let mut lengths = Vec::new();
        for n in 0.. {
            let mut out = Vec::new();
            let stop = After(AtomicUsize::new(n));
            if write(format, &disk, &mut out, &stop).is_ok() {
                assert!(out == whole);
                break;
            }
            // Not a byte: nobody takes that for a disk either, but zstd does not say so.
            assert!(
                out.is_empty() || !is_whole(program, &out),
                "{program}: stopped after {n}, at {} of {}",
                out.len(),
                whole.len()
            );
            lengths.push(out.len());
        }
        assert!(lengths.len() > 2, "{program}: {lengths:?}");
    }
}

#[test]
fn a_signal_leaves_no_whole_stream_in_a_pipe() {
    if !have("zstd") {
        return;
    }
    let desk = Desk::new();
    let noise = memory(&[(11, 48 << 20)]);
    let mut bytes = vec![0; index(noise.len())];
    noise.read_exact_at(0, &mut bytes).unwrap();
    desk.write("noise", &bytes);
    let mut command = desk.command(&["convert", "noise", "-", "--format", "raw.zst"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut pipe = child.0.stdout.take().unwrap();
    let mut got = vec![0; 5 << 20];
    pipe.read_exact(&mut got).unwrap();
    let id = child.0.id().to_string();
    crate::common::run("/".as_ref(), "kill", &["-s", "INT", &id]);
    // The signal is seen between two frames: some are under way.
    std::thread::sleep(std::time::Duration::from_millis(100));
    pipe.read_to_end(&mut got).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
    assert!(got.len() < bytes.len() && !is_whole("zstd", &got));
}

/// A disk that cannot be read from its middle on.
struct Broken(crate::vdisk::Memory);

impl ReadAt for Broken {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset > self.len() / 2 {
            return Err(io::Error::other("the head has crashed"));
        }
        self.0.read_exact_at(offset, buf)
    }
}

impl Layout for Broken {
    fn extents(&self) -> &[Extent] {
        self.0.extents()
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_not_the_fault_of_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Broken(memory(&[(11, 20 << 20)]));
    for format in Format::ALL {
        let path = folder.path().join("out");
        let mut file = FormatFile::create(&path, RawOptions::default()).unwrap();
        let told = file.write(format, &disk, &Silent);
        let read = |source: &io::Error| source.to_string() == "the head has crashed";
        let blamed = matches!(&told, Err(SinkError::Read { source }) if read(source));
        assert!(blamed, "{format}: {told:?}");
    }
}

#[test]
fn a_file_that_was_cut_off_is_told_with_what_is_missing() {
    let desk = Desk::new();
    let disk = memory(&[(11, 5 << 20)]);
    let mut bytes = vec![0; index(disk.len())];
    disk.read_exact_at(0, &mut bytes).unwrap();
    desk.write("raw", &bytes);
    let mut told = String::new();
    for (name, cut) in [("d.qcow2", 40), ("d.qcow2", 3 << 20), ("d.vmdk", 300)] {
        let made = desk.path(name);
        let line = ["convert", "raw", name, "--quiet", "--force"];
        assert_eq!(desk.run(&line).code, Some(0));
        let file = File::options().write(true).open(made).unwrap();
        file.set_len(cut).unwrap();
        let ran = desk.run(&["convert", name, "out/raw", "--quiet"]);
        assert_eq!(ran.code, Some(3));
        told += &ran.stderr;
    }
    // The data of a disk that qemu-img has made stands behind its tables.
    if have("qemu-img") {
        for (format, name) in [("qcow2", "q.qcow2"), ("vpc", "q.vhd")] {
            let line = ["convert", "-f", "raw", "-O", format, "raw", name];
            crate::common::run(desk.folder(), "qemu-img", &line);
            let path = desk.path(name);
            let whole = std::fs::read(&path).unwrap();
            // A VHD keeps its footer: what is missing is missing in the middle.
            let footer = if format == "vpc" {
                &whole[whole.len() - 512..]
            } else {
                &[]
            };
            std::fs::write(&path, [&whole[..3 << 20], footer].concat()).unwrap();
            let line = ["convert", name, "out/raw", "--quiet"];
            let ran = ran(&desk.command(&line).output().unwrap());
            assert_eq!(ran.code, Some(3), "{ran:?}");
            told += &ran.stderr;
        }
    }
    expect![[r#"
        error: cannot read d.qcow2
          because: qcow2 header at byte 0 ends past the file, which has 40 bytes: it was cut off or is damaged
        error: cannot read d.qcow2
          because: the L1 table of qcow2 at byte 5373952 ends past the file, which has 3145728 bytes: it was cut off or is damaged
        error: cannot read d.vmdk
          because: VMDK header at byte 0 ends past the file, which has 300 bytes: it was cut off or is damaged
        error: cannot read q.qcow2
          because: a cluster of qcow2 at byte 3145728 ends past the file, which has 3145728 bytes: it was cut off or is damaged
        error: cannot read q.vhd
          because: VHD block allocation table at byte 1540 is damaged: an entry has a block at byte 2099712, past the file: it was cut off or is damaged
    "#]].assert_eq(&told);
    assert_eq!(desk.out(), Vec::<String>::new());
}
