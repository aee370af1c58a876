//! Invariants: no manifest makes its reader panic, none leads out of its folder, and an error is printable; a
//! manifest that was read is written and read again as the same; no stream in the parts makes the reader
//! of the tar panic, or place a byte outside the image.
//!
//! The first byte chooses: `m` a manifest, `t` a tar, `k` a key or certificate.

#![no_main]

use aes::cipher::{Array, BlockModeEncrypt, KeyIvInit};
use bytes::Bytes;
use diskwright::bundle::{
    Bundler, Certificate, FolderParts, Manifest, PartInfo, PartSource, PrivateKey, PublicKey, Sealed, Secret, Signed,
    unpack, verify,
};
use diskwright::observe::Silent;
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};
use std::io::{self, Cursor, Read, Write};
use std::sync::LazyLock;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let cert = include_bytes!("../../tests/data/bundle/cert.der");
    Certificate::parse("cert.der", cert).expect("checked in").key
});

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'm', text)) => manifest(text),
        Some((b't', tar)) => stream(tar),
        Some((_, der)) => key(der),
        None => {}
    }
});

fn key(bytes: &[u8]) {
    let _ = PrivateKey::parse("fuzz", bytes).map_err(|e| printable(&e));
    let _ = Certificate::parse("fuzz", bytes).map_err(|e| printable(&e));
}

fn printable(error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
}

fn manifest(text: &[u8]) {
    let signed = match Signed::parse(text) {
        Ok(signed) => signed,
        Err(e) => return printable(&e),
    };
    for part in &signed.manifest.parts {
        assert!(!part.filename.contains('/') && part.filename != "..", "{}", part.filename);
    }
    let _ = signed.signature(&KEY);
    let mut none = || -> Box<dyn PartSource> { Box::new(FolderParts::new("/nonexistent".as_ref())) };
    let findings = verify(&signed, Some(&KEY), None, &mut none, &Silent).expect("nobody says stop");
    assert!(findings.iter().any(|f| f.message.contains("cannot be read")));
}

/// The tar, gzipped and encrypted.
#[derive(Clone)]
struct Whole(Bytes);

impl PartSource for Whole {
    fn open(&mut self, _: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.0.clone())))
    }
}

fn stream(tar: &[u8]) {
    let secret = Secret { key: [7; 16], iv: [9; 16] };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(tar).expect("a Vec takes every write");
    let mut bytes = gzip.finish().expect("a Vec takes every write");
    let padding = 16 - bytes.len() % 16;
    bytes.resize(bytes.len() + padding, u8::try_from(padding).expect("at most 16"));
    let (blocks, _) = Array::slice_as_chunks_mut(&mut bytes);
    cbc::Encryptor::<aes::Aes128>::new(&secret.key.into(), &secret.iv.into()).encrypt_blocks(blocks);
    // The size that the tar's header tells, so that a sound one gets through.
    let at = if tar.get(156) == Some(&b'S') { 483 } else { 124 };
    let digits = tar.get(at..at + 11).and_then(|d| std::str::from_utf8(d).ok());
    let size = digits.and_then(|d| u64::from_str_radix(d, 8).ok()).unwrap_or_default();
    let manifest = Manifest {
        digest: Sha1::digest(tar).into(),
        size,
        bundled_size: u64::try_from(bytes.len()).expect("64 bits"),
        parts: vec![PartInfo { filename: "x".into(), sha1: Sha1::digest(&bytes).into() }],
        bundler: Bundler::default(),
        architecture: String::new(),
        mappings: Vec::new(),
        kernel: None,
        ramdisk: None,
        product_codes: Vec::new(),
        name: "fuzz".into(),
        user: String::new(),
        kind: "machine".into(),
        ec2: Sealed::default(),
        user_sealed: Sealed::default(),
    };
    let mut end = 0;
    let mut place = |at: u64, data: Bytes| {
        assert!(at >= end, "{at} after {end}");
        end = at + u64::try_from(data.len()).expect("64 bits");
        assert!(end <= size, "{end} of {size}");
        Ok(())
    };
    let whole = Box::new(Whole(bytes.into()));
    if let Err(e) = unpack(&manifest, &secret, whole, &mut place, &Silent) {
        printable(&e);
    }
}
