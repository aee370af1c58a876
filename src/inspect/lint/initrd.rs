//! Which modules an initrd has: a row of cpio archives, the first often plain (microcode), the last packed.

use std::io::Read;

/// What is looked for in it.
pub(super) const NVME: &[u8] = b"nvme.ko";

/// Most bytes that an initrd unpacks to.
const MOST: u64 = 1 << 30;

/// Whether a name stands in the initrd; `None` where its compression is none that is read.
pub(super) fn has(initrd: &[u8], name: &[u8]) -> Option<bool> {
    let start = packed(initrd);
    if found(&mut &initrd[..start], name) {
        return Some(true);
    }
    let rest = &initrd[start..];
    let mut reader: Box<dyn Read + '_> = match rest {
        [] => return Some(false),
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(rest)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(rest).ok()?),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(lzma_rust2::XzReader::new(rest, true)),
        _ => return None,
    };
    Some(found(&mut reader, name))
}

/// Where the plain archives (`newc`: 070701) end.
fn packed(initrd: &[u8]) -> usize {
    let mut at = 0;
    let field = |at: usize, n: usize| {
        let digits = initrd.get(at + 6 + 8 * n..at + 14 + 8 * n)?;
        usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    loop {
        let rest = initrd.get(at..).unwrap_or_default();
        if rest.starts_with(b"\0") {
            at += rest.iter().take_while(|&&b| b == 0).count();
            continue;
        }
        if !rest.starts_with(b"070701") && !rest.starts_with(b"070702") {
            return at;
        }
        // Field 6 is the size of the file, 11 that of its name; both are padded to 4 bytes.
        let (Some(size), Some(name)) = (field(at, 6), field(at, 11)) else {
            return initrd.len();
        };
        let next = (at + 110 + name).next_multiple_of(4).saturating_add(size);
        at = next.min(initrd.len()).next_multiple_of(4).min(initrd.len());
    }
}

/// Looks for a name in what a reader gives, up to its end or first error.
fn found(reader: &mut dyn Read, name: &[u8]) -> bool {
    let mut buffer = vec![0; 1 << 18];
    let (mut kept, mut total) = (0, 0_u64);
    while total < MOST {
        let n = match reader.read(&mut buffer[kept..]) {
            Ok(n) if n > 0 => n,
            _ => return false,
        };
        total += crate::units::count(n);
        let end = kept + n;
        if buffer[..end].windows(name.len()).any(|bytes| bytes == name) {
            return true;
        }
        // The end of this piece may be the beginning of the name.
        kept = (name.len() - 1).min(end);
        buffer.copy_within(end - kept..end, 0);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn cpio(name: &str, size: usize) -> Vec<u8> {
        let header = format!(
            "070701{}{size:08x}{}{:08x}{:08x}",
            "0".repeat(48),
            "0".repeat(32),
            name.len() + 1,
            0
        );
        let mut bytes = [header.as_bytes(), name.as_bytes(), b"\0"].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.resize((bytes.len() + size).next_multiple_of(4), b'x');
        bytes
    }

    #[test]
    fn a_module_is_found_however_the_initrd_is_packed() {
        let with = cpio("usr/lib/modules/6.1/nvme.ko", 300_000);
        let early = cpio("kernel/x86/microcode/GenuineIntel.bin", 512);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&with).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&with[..], 1).unwrap();
        for packed in [&with, &gzip, &zstd] {
            assert_eq!(has(packed, NVME), Some(true));
            let both = [&early[..], &[0; 512], packed].concat();
            assert_eq!(has(&both, NVME), Some(true));
            assert_eq!(has(&both, b"virtio.ko"), Some(false));
        }
        assert_eq!(has(&early, NVME), Some(false));
        assert_eq!(has(b"\x02\x21\x4c\x18lz4", NVME), None);
        for end in 0..with.len().min(400) {
            has(&with[..end], NVME);
        }
    }
}
