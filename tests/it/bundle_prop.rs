//! What holds for any image: packed and taken out, it is the same; openssl is not asked, the library is.

use crate::common::bundle::{USER, data};
use bytes::Bytes;
use diskwright::bundle::{
    Certificate, FolderParts, Keys, Options, Part, PartSink, PartSource, PrivateKey, Signature,
    Signed, Source, pack, unpack, verify,
};
use diskwright::image::Disk;
use diskwright::observe::Silent;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;

/// Parts in memory, by their place; then by name.
#[derive(Clone, Default)]
struct Memory(BTreeMap<String, Bytes>, Vec<Bytes>);

impl PartSink for Memory {
    fn put(&mut self, part: Part) -> io::Result<()> {
        assert_eq!(usize::try_from(part.index).unwrap(), self.1.len());
        self.1.push(part.bytes);
        Ok(())
    }
}

impl PartSource for Memory {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let part = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(part.clone())))
    }
}

fn keys() -> Keys {
    Keys {
        private: PrivateKey::open(&data("pk.der")).unwrap(),
        user: Certificate::open(&data("cert.der")).unwrap().key,
        ec2: Certificate::open(&data("ec2cert.der")).unwrap().key,
    }
}

/// Packs, reads the manifest back, verifies, and gives what comes out.
fn round_trip(source: Source<'_>, part_size: u64) -> Vec<u8> {
    let options = Options {
        part_size,
        ..Options::new("disk", USER).unwrap()
    };
    let (keys, mut parts) = (keys(), Memory::default());
    let bundle = pack(source, &options, &keys, &mut parts, &Silent).unwrap();
    let names = bundle.parts().iter().map(|p| p.filename.clone());
    parts.0 = names.zip(parts.1.clone()).collect();
    let signed = Signed::parse(bundle.document.as_bytes()).unwrap();
    assert_eq!(signed.signature(&keys.user), Signature::Valid);
    assert_eq!(signed.manifest, bundle.manifest);
    let mut open = || -> Box<dyn PartSource> { Box::new(parts.clone()) };
    let findings = verify(
        &signed,
        Some(&keys.user),
        Some(&keys.private),
        &mut open,
        &Silent,
    );
    assert_eq!(findings.unwrap(), []);
    let secret = signed.manifest.open(&keys.private).unwrap();
    let mut back = vec![0; usize::try_from(signed.manifest.size).unwrap()];
    let mut place = |at: u64, data: Bytes| {
        let at = usize::try_from(at).unwrap();
        back[at..at + data.len()].copy_from_slice(&data);
        Ok(())
    };
    unpack(
        &signed.manifest,
        &secret,
        Box::new(parts),
        &mut place,
        &Silent,
    )
    .unwrap();
    back
}

/// Bytes of a file: runs of data and of zeros, of any length.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<bool>(), 1..200_000_usize, any::<u8>());
    prop::collection::vec(run, 1..8).prop_map(|runs| {
        let mut bytes = Vec::new();
        for (hole, len, seed) in runs {
            let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0] ^ seed;
            bytes.extend((0..len).map(|i| if hole { 0 } else { noise(i) }));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_sparse_file_comes_back(bytes in contents(), sixteens in 1_u64..5000) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes.len().try_into().unwrap()).unwrap();
        for (nr, block) in bytes.chunks(4096).enumerate() {
            if block.iter().any(|&b| b != 0) {
                file.write_all_at(block, u64::try_from(nr).unwrap() * 4096).unwrap();
            }
        }
        prop_assert!(round_trip(Source::of_file(&file).unwrap(), sixteens * 16) == bytes);
    }

    #[test]
    fn any_pipe_comes_back(bytes in contents()) {
        let source = Source::of_reader(bytes.len().try_into().unwrap(), &bytes[..]);
        prop_assert!(round_trip(source, 65_536) == bytes);
    }

    #[test]
    fn any_disk_of_parts_comes_back(parts in prop::collection::vec((0_u64..4000, 1..9000_usize), 0..6)) {
        let mut disk = Disk::new(4 << 20).unwrap();
        let mut expected = vec![0; 4 << 20];
        for (sector, len) in parts {
            let start = sector * 1000;
            if disk.put_bytes(start, vec![0x5a; len]).is_ok() {
                let start = usize::try_from(start).unwrap();
                expected[start..start + len].fill(0x5a);
            }
        }
        prop_assert!(round_trip(Source::of_layout(&disk), 1 << 20) == expected);
    }
}

#[test]
fn a_pipe_of_another_length_than_was_said_is_refused() {
    for said in [999_u64, 1001] {
        let options = Options::new("disk", USER).unwrap();
        let source = Source::of_reader(said, &[7; 1000][..]);
        let packed = pack(source, &options, &keys(), &mut Memory::default(), &Silent);
        assert!(packed.is_err(), "{said}");
    }
}

#[test]
fn the_golden_bundles_open_by_the_library() {
    let folder = data("ruby-1part");
    let signed = diskwright::bundle::open(&folder.join("one.manifest.xml")).unwrap();
    let key = PrivateKey::parse("pk", &std::fs::read(data("pk.der")).unwrap()).unwrap();
    let secret = signed.manifest.open(&key).unwrap();
    let out = tempfile::tempfile().unwrap();
    let mut place = |at, data: Bytes| out.write_all_at(&data, at);
    let parts = Box::new(FolderParts::new(&folder));
    unpack(&signed.manifest, &secret, parts, &mut place, &Silent).unwrap();
    assert_eq!(signed.manifest.name, "one");
    assert_eq!(signed.manifest.mappings.len(), 3);
    // Nothing that is printed shows a key.
    let shown = format!("{key:?} {secret:?}");
    assert_eq!(shown, "PrivateKey(pk) Secret(…)");
}
