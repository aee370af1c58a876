//! Invariants: no index, manifest, configuration or layer makes the reader panic; an error is printable;
//! no file outside the layout's own names is asked for; what can be built is an image whose extents tile
//! the disk.
//!
//! The input is a list of blobs with `\xff` between them, the first of which is `index.json`. Digests and
//! sizes would keep the fuzzer out: `@3` in a blob stands for the digest of blob 3, `#3` for its size,
//! where blob 3 comes later.

#![no_main]

use diskwright::archive::{Blob, Options, Rootfs, Store};
use diskwright::image::{Boot, Free, PlanSpool, Scheme, Spec, build};
use diskwright::observe::Silent;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::sync::Arc;

/// Blobs by their path.
struct Memory(BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn open(&self, path: &str) -> io::Result<Option<Blob>> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-');
        assert!(path.chars().all(fine) && !path.contains("..") && !path.starts_with('/'), "{path:?}");
        Ok(self.0.get(path).map(|bytes| Blob {
            reader: Box::new(Cursor::new(bytes.clone())),
            len: u64::try_from(bytes.len()).expect("64 bits"),
        }))
    }
}

fuzz_target!(|data: &[u8]| {
    let store = Arc::new(Memory(blobs(data)));
    let options = |platform: &str| Options { platform: platform.parse().ok(), ..Options::default() };
    for (tag, platform) in [(None, ""), (Some("t"), "linux/amd64"), (None, "linux/arm/v7")] {
        let rootfs = Rootfs::from_layout("fuzz", store.clone(), tag, &options(platform));
        let error = match rootfs {
            Err(e) => e.to_string(),
            Ok(mut rootfs) => match build(&mut rootfs, &spec(), &mut PlanSpool::default(), &Silent) {
                Ok(built) => return built.image.verify().expect("extents tile, sources reach"),
                Err(e) => e.to_string(),
            },
        };
        assert!(!error.contains(char::is_control), "{error:?}");
    }
});

fn spec() -> Spec {
    Spec { free: Free::Bytes(0), scheme: Scheme::None, boot: Boot::None, ..Spec::default() }
}

fn blobs(data: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let parts: Vec<&[u8]> = data.split(|&b| b == 0xff).take(10).collect();
    let mut known: BTreeMap<usize, (String, usize)> = BTreeMap::new();
    let mut map = BTreeMap::new();
    for (nr, part) in parts.iter().enumerate().rev() {
        let mut bytes = Vec::new();
        let mut rest = part.iter().copied();
        while let Some(byte) = rest.next() {
            let next = rest.clone().next().filter(u8::is_ascii_digit);
            let digit = next.map(|d| usize::from(d - b'0'));
            match (byte, digit.and_then(|d| known.get(&d))) {
                (b'@', Some((digest, _))) => bytes.extend_from_slice(digest.as_bytes()),
                (b'#', Some((_, len))) => bytes.extend_from_slice(len.to_string().as_bytes()),
                _ => {
                    bytes.push(byte);
                    continue;
                }
            }
            rest.next();
        }
        let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        known.insert(nr, (format!("sha256:{digest}"), bytes.len()));
        if nr == 0 {
            map.insert("index.json".into(), bytes.clone());
        }
        map.insert(format!("blobs/sha256/{digest}"), bytes);
    }
    map
}
