//! The same entries from every compressor, in one member or many, from a file or a pipe.

use std::fs;

use crate::common::tarball::{archive, file};
use crate::common::{read_bytes, read_pipe, run};
use crate::tools::have;

#[test]
fn every_compression_gives_the_same_entries() {
    if !["gzip", "zstd", "xz", "bzip2"]
        .map(have)
        .iter()
        .all(|&there| there)
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // More than a buffer, with parts that compress and parts that do not.
    let mut noise = 1_u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let files: Vec<Vec<u8>> = (0..30)
        .map(|i| {
            let data: Vec<u8> = (0..60_000)
                .map(|n| if n % 3 == 0 { random() } else { 7 })
                .collect();
            file(&format!("file-{i}"), &data)
        })
        .collect();
    let tar = archive(&files);
    let plain = read_bytes(tar.clone()).clean();
    // In three pieces, cut where no block ends.
    let pieces = [&tar[..700_001], &tar[700_001..700_002], &tar[700_002..]];
    for (tool, flags) in [
        ("gzip", &["-c"][..]),
        ("zstd", &["-q", "-c", "-3"]),
        ("zstd", &["-q", "-c", "-19"]),
        ("xz", &["-c", "-1"]),
        ("xz", &["-c", "-6", "--check=sha256", "--block-size=500000"]),
        ("bzip2", &["-c"]),
    ] {
        let compress = |bytes: &[u8]| {
            fs::write(folder.path().join("piece"), bytes).unwrap();
            run(folder.path(), tool, &[flags, &["piece"]].concat()).stdout
        };
        let whole = compress(&tar);
        assert_eq!(read_bytes(whole.clone()).clean(), plain, "{tool} {flags:?}");
        assert_eq!(
            read_pipe(whole.clone()).clean(),
            plain,
            "{tool} {flags:?} on a pipe"
        );
        let mut members = pieces.map(compress).concat();
        if tool == "zstd" {
            // A skippable frame in front: pzstd writes such.
            members.splice(0..0, *b"\x5e\x2a\x4d\x18\x03\0\0\0abc");
        }
        if tool == "gzip" {
            members.extend([0; 3000]);
        }
        if tool == "xz" {
            members.extend([0; 8]);
        }
        assert_eq!(
            read_bytes(members.clone()).clean(),
            plain,
            "{tool} {flags:?} in members"
        );
        assert_eq!(
            read_pipe(members).clean(),
            plain,
            "{tool} {flags:?} in members on a pipe"
        );

        for cut in [whole.len() / 2, whole.len() - 1, whole.len() - 9, 7] {
            let message = read_bytes(whole[..cut].to_vec()).message();
            assert!(
                message.contains(&format!("the {tool} data ends too early, at byte {cut} ")),
                "{message}"
            );
        }
        // gzip: the CRC-32 stands 8 bytes before the end. Others: a byte of the data.
        let mut damaged = whole.clone();
        let at = if tool == "gzip" {
            whole.len() - 8
        } else {
            whole.len() / 2
        };
        damaged[at] ^= 0x55;
        let message = read_bytes(damaged).message();
        assert!(
            message.contains(&format!("damaged {tool} data near byte ")),
            "{message}"
        );
    }
}
