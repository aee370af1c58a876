//! Bad archives, each with its message.

use crate::common::tarball::{Header, archive, file, long, pax};
use crate::common::{read_bytes, read_pipe};
use diskwright::archive::ArchiveReader;
use expect_test::{Expect, expect};

#[track_caller]
fn refused(bytes: &[u8], expected: Expect) {
    let outcome = read_bytes(bytes.to_vec());
    assert!(outcome.error.is_some(), "accepted: {:?}", outcome.seen);
    expected.assert_eq(&outcome.message());
}

#[test]
fn what_is_no_tar() {
    refused(
        b"",
        expect![
            "test.tar is empty (0 bytes): the command that should have written it has failed, or wrote elsewhere"
        ],
    );
    refused(
        &[&b"QFI\xfb"[..], &[0; 600]].concat(),
        expect![
            "test.tar is not a tar archive: it looks like a qcow2 disk image; a disk image is what this program makes; give the root filesystem as a tar"
        ],
    );
    refused(
        &[b'x'; 600],
        expect![
            "test.tar is not a tar archive: it begins with the bytes 78 78 78 78 78 78 78 78; give a tar archive, plain or compressed by gzip, zstd, xz or bzip2"
        ],
    );
    refused(
        b"<!DOCTYPE html>",
        expect![
            "test.tar is not a tar archive: it looks like an HTML page; the download failed or led to a web page; fetch the archive again"
        ],
    );
    refused(
        &b"BZh9 is no bzip2 file"[..],
        expect![
            "test.tar: damaged bzip2 data near byte 7 of the file: bzip2: invalid data; copy or make the archive again"
        ],
    );
}

#[test]
fn truncated_archives() {
    let whole = archive(&[file("a", b"data"), file("dir/b", &[7; 2000])]);
    // On a pipe the length is not known; from a file it is.
    let pipe = |len: usize| read_pipe(whole[..len].to_vec()).message();
    expect!["-: header at byte 0: the archive ends inside a header: 512 bytes expected, 100 found; it is cut short, or was changed while it was read; copy or make it again"].assert_eq(&pipe(100));
    expect!["-: header at byte 1024: the archive ends inside a header: 512 bytes expected, 100 found; it is cut short, or was changed while it was read; copy or make it again"].assert_eq(&pipe(1024 + 100));
    expect!["-: entry 'dir/b' (header at byte 1024): the archive ends inside the file's data: 2000 bytes expected, 1999 found; it is cut short, or was changed while it was read; copy or make it again"].assert_eq(&pipe(1024 + 512 + 1999));
    refused(
        &whole[..1024 + 512 + 1999],
        expect![
            "test.tar: entry 'dir/b' (header at byte 1024): the entry claims 2000 bytes of data, but only 1999 bytes of the archive are left: it is cut short (disk full? interrupted copy?) or the size is damaged; make it again"
        ],
    );
    let named = [long(b'L', b"x"), long(b'K', b"y")].concat();
    refused(
        &named[..named.len() - 200],
        expect![
            "test.tar: header at byte 0: the archive ends inside the entry that an extended header announces: 512 bytes expected, 0 found; it is cut short, or was changed while it was read; copy or make it again"
        ],
    );
    refused(
        &[file("a", b""), named].concat(),
        expect![
            "test.tar: header at byte 512: the archive ends inside the entry that an extended header announces: 512 bytes expected, 0 found; it is cut short, or was changed while it was read; copy or make it again"
        ],
    );
}

#[test]
fn one_zero_block_is_no_end() {
    let two = [file("a", b"data"), file("b", b"more")].concat();
    refused(
        &[&two[..], &[0; 512], &two[..]].concat(),
        expect![
            "test.tar: a single zero block at byte 2048, followed by more data: an end marker is two zero blocks, so a part of the archive was overwritten or archives were joined; make it again"
        ],
    );
}

#[test]
fn damaged_headers() {
    let mut bytes = archive(&[file("a\x1b[2J", b"data"), file("b", b"")]);
    bytes[1024 + 3] ^= 0xff;
    refused(
        &bytes,
        expect![[
            r#"test.tar: header at byte 1024 (after entry 'a\u{1b}[2J'): the header's checksum is wrong: it says 006077, its bytes add up to 006476; the archive is damaged here, or the size of what precedes is; make it again"#
        ]],
    );
    bytes[3] ^= 0xff;
    refused(
        &bytes,
        expect![
            "test.tar: header at byte 0: the header's checksum is wrong: it says 006464, its bytes add up to 006717; the archive is damaged here, or the size of what precedes is; make it again"
        ],
    );
    let bad = |header: Header| archive(&[header.block()]);
    refused(
        &bad(Header::new("f", b'0', 0).with(124, b"0000000009 ")),
        expect![[
            r#"test.tar: entry 'f' (header at byte 0): header.size: '0000000009 \u{0}' is no octal number; make the archive again with a current tar"#
        ]],
    );
    refused(
        &bad(Header::new("f", b'0', 0).with(124, &[0xff; 12])),
        expect![
            "test.tar: entry 'f' (header at byte 0): header.size: -1 is out of range; make the archive again with a current tar"
        ],
    );
    refused(
        &bad(Header::new("f", b'0', 0).with(108, b"\x80\0\0\x01\0\0\0\0")),
        expect![
            "test.tar: entry 'f' (header at byte 0): header.uid: 4294967296 is out of range; make the archive again with a current tar"
        ],
    );
    refused(
        &bad(Header::new("f", b'0', 1 << 30)),
        expect![
            "test.tar: entry 'f' (header at byte 0): the entry claims 1073741824 bytes of data, but only 1024 bytes of the archive are left: it is cut short (disk full? interrupted copy?) or the size is damaged; make it again"
        ],
    );
    let huge = [&[0x80, 0, 0, 0][..], &(17_u64 << 40).to_be_bytes()].concat();
    refused(
        &bad(Header::new("f", b'0', 0).with(124, &huge)),
        expect![
            "test.tar: entry 'f' (header at byte 0): size is 18691697672192 bytes, the limit is 17592186044416: ext4 can hold no larger file; the size is damaged, or the file must stay out"
        ],
    );
    refused(
        &bad(Header::new("l", b'2', 0)),
        expect![
            "test.tar: entry 'l' (header at byte 0): link target: it is empty; make the archive again with a current tar"
        ],
    );
    refused(
        &bad(Header::new("s", b'S', 0)),
        expect![
            "test.tar: entry 's' (header at byte 0): header.typeflag: 'S', a GNU sparse file, without GNU's magic; make the archive again with a current tar"
        ],
    );
}

#[test]
fn bad_extensions() {
    let f = || file("f", b"");
    refused(
        &archive(&[pax(b'x', &[("mtime", b"soon")]), f()]),
        expect![
            "test.tar: header at byte 0: pax record 'mtime': 'soon' is no time in range; make the archive again with a current tar"
        ],
    );
    refused(
        &archive(&[pax(b'x', &[("path", b"a\0b")]), f()]),
        expect![[
            r#"test.tar: entry 'a\u{0}b' (header at byte 1024): name: it has a NUL byte inside; make the archive again with a current tar"#
        ]],
    );
    refused(
        &archive(&[long(b'L', b"a\0b"), f()]),
        expect![[
            r#"test.tar: entry 'a\u{0}b' (header at byte 1024): name: it has a NUL byte inside; make the archive again with a current tar"#
        ]],
    );
    refused(
        &archive(&[Header::new("x", b'x', 9).data(b"7 path=x\n"), f()]),
        expect![
            "test.tar: header at byte 0: pax record at byte 0 of its header: it is not of the form 'length keyword=value' with its newline; make the archive again with a current tar"
        ],
    );
    let name = vec![b'n'; 2 << 20];
    refused(
        &archive(&[long(b'L', &name), f()]),
        expect![
            "test.tar: header at byte 0: long name is 2097153 bytes, the limit is 1048576: no filesystem can hold that; the archive is damaged or hostile"
        ],
    );
    let xattr = vec![b'v'; 70 << 10];
    refused(
        &archive(&[pax(b'g', &[("SCHILY.xattr.user.a", &xattr)]), f()]),
        expect![
            "test.tar: header at byte 0: what global pax headers say is 71686 bytes, the limit is 65536: every entry would bear it; make the archive without global headers"
        ],
    );
    let xattr = vec![b'v'; 9 << 20];
    let half = || pax(b'x', &[("comment", &xattr)]);
    refused(
        &archive(&[half(), half(), f()]),
        expect![
            "test.tar: header at byte 9438208: pax header is 18874402 bytes, the limit is 16777216: no filesystem can hold that; the archive is damaged or hostile"
        ],
    );
}

#[test]
fn bad_sparse_files() {
    let one =
        |records: &[(&str, &[u8])], data: &[u8]| archive(&[pax(b'x', records), file("f", data)]);
    let (major, minor) = (
        ("GNU.sparse.major", &b"1"[..]),
        ("GNU.sparse.minor", &b"0"[..]),
    );
    let size = ("GNU.sparse.realsize", &b"100"[..]);
    refused(
        &one(&[("GNU.sparse.map", b"0,5"), size], b"four"),
        expect![
            "test.tar: entry 'f' (header at byte 1024): sparse map: its runs add up to 5 bytes, but 4 bytes of data follow; make the archive again with a current tar"
        ],
    );
    refused(
        &one(&[("GNU.sparse.map", b"0,5")], b"five5"),
        expect![
            "test.tar: entry 'f' (header at byte 1024): GNU.sparse records: the file's size (GNU.sparse.size or .realsize) is missing; make the archive again with a current tar"
        ],
    );
    refused(
        &one(&[("GNU.sparse.map", b"99,2"), size], b"xy"),
        expect![
            "test.tar: entry 'f' (header at byte 1024): sparse map: a run of 2 bytes at 99 in a file of 100 bytes; make the archive again with a current tar"
        ],
    );
    refused(
        &one(&[major, minor, size], b"1\n0\n"),
        expect![
            "test.tar: entry 'f' (header at byte 1024): sparse map: it is longer than the entry's data; make the archive again with a current tar"
        ],
    );
    refused(
        &one(&[major, minor, size], &[b'1'; 512]),
        expect![
            "test.tar: entry 'f' (header at byte 1024): sparse map: a number beyond 64 bits; make the archive again with a current tar"
        ],
    );
    refused(
        &one(&[("GNU.sparse.major", b"2"), size], b""),
        expect![
            "test.tar: entry 'f' (header at byte 1024): GNU.sparse records: version 2, which is not known: 0.0, 0.1 and 1.0 are; make the archive again with a current tar"
        ],
    );
}

#[test]
fn an_oversized_zstd_window_is_named() {
    if !crate::tools::have("zstd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), archive(&[file("a", b"")])).unwrap();
    let command = "zstd -q --long=30 -c < a";
    let bytes = crate::common::run(folder.path(), "sh", &["-c", command]).stdout;
    refused(
        &bytes,
        expect![
            "test.tar: the zstd data at byte 0 of the file needs a window of 1073741824 bytes, more than the 128 MiB that zstd itself accepts; recompress it without --long and --ultra"
        ],
    );
}

#[test]
fn an_archive_that_shrinks_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let bytes = archive(&[file("a", b"data"), file("b", &vec![1; 20 << 20])]);
    std::fs::write(&path, &bytes).unwrap();
    let mut reader = ArchiveReader::open(&path).unwrap();
    reader.next_entry().unwrap();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    reader.next_entry().unwrap();
    let error = loop {
        match reader.next_data() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("20 MiB from a file of less"),
            Err(e) => break e.to_string(),
        }
    };
    assert!(
        error.contains("the archive ends inside the file's data: 20971520 bytes expected, "),
        "{error}"
    );
    assert!(
        reader
            .next_entry()
            .unwrap_err()
            .to_string()
            .contains("after an error")
    );
}

#[test]
fn folders_and_missing_files_are_refused() {
    let open = |path: &str| crate::common::read_path(path.as_ref()).message();
    expect!["cannot open the archive /: is a directory"].assert_eq(&open("/"));
    expect![[
        r#"cannot open the archive no/such\u{7}file: No such file or directory (os error 2)"#
    ]]
    .assert_eq(&open("no/such\u{7}file"));
}

#[test]
fn dropping_the_reader_ends_its_thread() {
    struct Endless(std::sync::mpsc::Sender<()>, u64);
    impl std::io::Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            if self.1 == 0 {
                let header = Header::new("big", b'0', 1 << 33)
                    .with(124, b"77777777777\0")
                    .block();
                out[..512].copy_from_slice(&header);
            }
            self.1 += 1;
            Ok(out.len())
        }
    }
    impl Drop for Endless {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut reader =
        ArchiveReader::from_reader("endless", Box::new(Endless(sender, 0)), None).unwrap();
    reader.next_entry().unwrap().unwrap();
    let kept = reader.next_data().unwrap().unwrap();
    // Time to fill the queue and block in it; the test holds without, too.
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(reader);
    receiver
        .recv_timeout(std::time::Duration::from_secs(20))
        .expect("the thread has ended");
    assert!(!kept.is_empty());
}
