//! No bytes make the reader panic, and no part of an archive passes for the whole.

use crate::common::tarball::{Header, archive, file, fix_checksum, long, pax};
use crate::common::{read_bytes, read_pipe};
use proptest::prelude::*;

/// An archive with something of everything.
fn rich() -> Vec<u8> {
    let map = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let sparse = [
        &map[..],
        &[
            ("GNU.sparse.realsize", b"9000"),
            ("GNU.sparse.name", b"sparse"),
        ],
    ];
    let mut data = b"2\n0\n600\n8192\n808\n".to_vec();
    data.resize(512, 0);
    data.resize(512 + 1408, 9);
    let old = Header::new("old", b'S', 600)
        .gnu()
        .with(386, b"00000001000\x0000000001130\0");
    archive(&[
        Header::new("d", b'5', 0).block(),
        file("d/f", &[1; 700]),
        pax(
            b'x',
            &[
                ("path", b"d/pax"),
                ("mtime", b"1.5"),
                ("SCHILY.xattr.user.a", b"b"),
            ],
        ),
        file("short", b"data"),
        long(b'L', &[b'n'; 600]),
        file("short", &[2; 512]),
        pax(b'x', &sparse.concat()),
        file("GNUSparseFile.1/sparse", &data),
        old.with(483, b"00000004000\0").data(&[3; 600]),
        Header::new("h", b'1', 0).link("d/f").block(),
        Header::new("s", b'2', 0).link("d/f").block(),
    ])
}

#[test]
fn a_prefix_is_an_error_or_a_warning_and_never_wrong_data() {
    let whole = rich();
    let seen = read_bytes(whole.clone()).clean();
    for len in 0..whole.len() - 512 {
        // Every length near a block's edge, some elsewhere.
        if (8..505).contains(&(len % 512)) && len % 61 != 0 {
            continue;
        }
        for outcome in [
            read_bytes(whole[..len].to_vec()),
            read_pipe(whole[..len].to_vec()),
        ] {
            let complete = outcome.seen.len();
            assert_eq!(outcome.seen, seen[..complete], "the first {len} bytes");
            assert!(
                outcome.error.is_some() || !outcome.warnings.is_empty(),
                "{len} bytes"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        read_bytes(bytes);
    }

    #[test]
    fn a_changed_archive_does_not_panic(
        changes in prop::collection::vec((0_usize..13_000, any::<u8>()), 1..12),
        fix in any::<bool>(),
    ) {
        let mut bytes = rich();
        for (at, byte) in changes {
            if let Some(b) = bytes.get_mut(at) {
                *b = byte;
            }
        }
        if fix {
            for block in bytes.as_chunks_mut::<512>().0 {
                if block[257..262] == *b"ustar" {
                    fix_checksum(block);
                }
            }
        }
        // That data and runs agree is checked while reading.
        read_bytes(bytes);
    }
}
