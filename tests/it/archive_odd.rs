//! Odd archives: understood, some with a warning; and which of two statements holds.

use crate::common::tarball::{Header, archive, file, long, pax};
use crate::common::{Outcome, read_bytes};
use diskwright::archive::EntryKind;
use expect_test::{Expect, expect};

#[track_caller]
fn warned(bytes: &[u8], entries: usize, expected: Expect) -> Outcome {
    let outcome = read_bytes(bytes.to_vec());
    assert!(outcome.error.is_none(), "{}", outcome.message());
    assert_eq!(outcome.seen.len(), entries);
    expected.assert_eq(&outcome.warnings.join("\n"));
    outcome
}

#[test]
fn the_end_marker() {
    let two = [file("a", b"data"), file("b", b"more")].concat();
    warned(
        &two,
        2,
        expect![
            "test.tar: no end-of-archive marker at byte 2048: the archive may be cut short between two entries; read as complete"
        ],
    );
    // umoci leaves out the padding of the last member too.
    warned(
        &two[..two.len() - 508],
        2,
        expect![
            "test.tar: no end-of-archive marker at byte 1540: the archive may be cut short between two entries; read as complete"
        ],
    );
    warned(&[&two[..], &[0; 512]].concat(), 2, expect![[""]]);
    warned(
        &[&two[..], &[0; 1024], b"tail"].concat(),
        2,
        expect![
            "test.tar: data follows the end-of-archive marker, from byte 3072 on; ignored, as tar does without --ignore-zeros"
        ],
    );
    warned(&[0; 10240], 0, expect![[""]]);
}

#[test]
fn odd_and_understood() {
    let f = file("f", b"data");
    warned(
        &archive(&[Header::new("vol", b'V', 0).gnu().block(), f.clone()]),
        1,
        expect!["test.tar: entry 'vol' (header at byte 0): a volume label, ignored"],
    );
    let unknown = Header::new("what", b'Q', 4).data(b"data");
    let seen = warned(&archive(&[unknown, f.clone()]), 2, expect!["test.tar: entry 'what' (header at byte 0): its type is unknown; taken as a file, as POSIX says"]).seen;
    assert_eq!(seen[0].data, b"data");
    warned(
        &archive(&[file("dir/", b"data"), f.clone()]),
        2,
        expect![
            "test.tar: entry 'dir/' (header at byte 0): a directory with data; the data is ignored"
        ],
    );
    warned(
        &archive(&[file("", b"data")]),
        1,
        expect![
            "test.tar: entry '' (header at byte 0): its name is empty; taken as '.', as GNU tar does"
        ],
    );
    // A hard link's size: with data behind it, without, and as GNU tar means it.
    let link = Header::new("h", b'1', 4).link("f");
    let with_data = archive(&[f.clone(), link.data(b"data"), f.clone()]);
    warned(
        &with_data,
        3,
        expect![
            "test.tar: entry 'h' (header at byte 1024): a hard link with data of its own; the data is ignored"
        ],
    );
    warned(
        &archive(&[f.clone(), link.block(), f.clone()]),
        3,
        expect![[""]],
    );
    warned(&archive(&[f.clone(), link.block()]), 2, expect![[""]]);
    warned(
        &archive(&[f.clone(), link.gnu().block(), f.clone()]),
        3,
        expect![[""]],
    );
    // A directory's and a symlink's size is no data.
    let dir = Header::new("d", b'5', 4096).block();
    let symlink = Header::new("s", b'2', 7).link("target").block();
    warned(&archive(&[dir, symlink, f]), 3, expect![[""]]);
}

#[test]
fn what_old_tars_wrote() {
    let bytes = archive(&[
        Header::new("v7dir/", 0, 0).v7().block(),
        Header::new("v7file", 0, 1).v7().data(b"x"),
        Header::new("cont", b'7', 1).data(b"y"),
        Header::new("dump", b'D', 6).gnu().data(b"Yfile\0"),
        Header::new("times", b'0', 0)
            .gnu()
            .with(345, b"00000000017\x0000000000021\0")
            .block(),
        Header::new("old", b'0', 0)
            .gnu()
            .with(136, &[0xff; 12])
            .block(),
    ]);
    let seen = read_bytes(bytes).clean();
    let file = |size| EntryKind::File { size, data: None };
    let kinds: Vec<_> = seen.iter().map(|s| s.entry.kind.clone()).collect();
    let dir = EntryKind::Directory;
    assert_eq!(
        kinds,
        [dir.clone(), file(1), file(1), dir, file(0), file(0)]
    );
    let times = &seen[4].entry;
    assert_eq!(
        (times.atime.map(|t| t.sec), times.ctime.map(|t| t.sec)),
        (Some(15), Some(17))
    );
    assert_eq!(seen[5].entry.mtime.sec, -1);
}

#[test]
fn pax_records_stand_above_long_names_and_headers() {
    let bytes = archive(&[
        pax(b'g', &[("uid", b"10"), ("gid", b"20"), ("comment", b"x")]),
        long(b'L', b"long"),
        pax(
            b'X',
            &[
                ("path", b"pax"),
                ("uid", b"7"),
                ("gid", b""),
                ("size", b"4"),
            ],
        ),
        Header::new("header", b'0', 0).data(b"data"),
        long(b'L', b"long"),
        long(b'K', b"target"),
        Header::new("header", b'2', 0).link("short").block(),
        pax(b'g', &[("uid", b"")]),
        file("plain", b""),
    ]);
    let seen = read_bytes(bytes).clean();
    let brief: Vec<_> = seen
        .iter()
        .map(|s| (&s.entry.path[..], s.entry.uid, s.entry.gid))
        .collect();
    assert_eq!(
        brief,
        [(&b"pax"[..], 7, 0), (b"long", 10, 20), (b"plain", 0, 20)]
    );
    assert_eq!(seen[0].data, b"data");
    assert_eq!(
        seen[1].entry.kind,
        EntryKind::Symlink {
            target: b"target".to_vec()
        }
    );
    // Each points at its own header, not at what comes before it.
    assert_eq!(seen[0].entry.offset, 3072);
}
