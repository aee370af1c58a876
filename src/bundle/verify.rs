//! Checking a bundle: all that the old tools never did.

use super::keys::{PrivateKey, PublicKey};
use super::manifest::{PartInfo, Signature, Signed};
use super::part_stream::PartSource;
use super::parts::Sha1Digest;
use super::unpack::{self, UnpackError};
use crate::hex::hex;
use crate::observe::{Observer, Stage};
use crate::units::{MIB, count, index};
use sha1::{Digest, Sha1};
use std::error::Error;
use std::io::{self, Read};

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: the manifest, a part, the stream in the parts.
    pub structure: String,
    /// What.
    pub message: String,
}

/// Checks that the signature holds (with the `signer`'s public key), that every part is there with its
/// digest, that their sizes add up, and (with the private `key`) that they decrypt to one sound gzip of one
/// sound tar with the digest and the image with the size of which the manifest speaks. `parts` opens the
/// parts, once for each of two passes.
///
/// # Errors
/// Only when somebody says stop.
pub fn verify(
    bundle: &Signed,
    signer: Option<&PublicKey>,
    key: Option<&PrivateKey>,
    parts: &mut dyn FnMut() -> Box<dyn PartSource>,
    observer: &dyn Observer,
) -> Result<Vec<Finding>, UnpackError> {
    let manifest = &bundle.manifest;
    let mut findings = Vec::new();
    let mut found = |structure: &str, message: String| {
        let structure = structure.into();
        findings.push(Finding { structure, message });
    };
    if let Some(signer) = signer {
        match bundle.signature(signer) {
            Signature::Valid => {}
            Signature::Reformatted => found(
                "signature",
                "it is of this content, but the text was indented or quoted anew since".into(),
            ),
            Signature::Invalid => found(
                "signature",
                format!(
                    "it is not of this manifest, or not by the key of {}: the manifest was changed",
                    signer.name()
                ),
            ),
            Signature::Missing => found("signature", "the manifest is not signed".into()),
        }
    }
    let mut source = parts();
    let (mut size, mut complete) = (0, true);
    for part in &manifest.parts {
        match digest(&mut *source, part, size, manifest.bundled_size, observer) {
            Ok((len, sha1)) => {
                size += len;
                if sha1 != part.sha1 {
                    let (is, told) = (hex(&sha1), hex(&part.sha1));
                    found(
                        &part.filename,
                        format!("its SHA-1 is {is}, the manifest has {told}"),
                    );
                }
            }
            Err(e) if observer.cancelled() => {
                drop(e);
                return Err(UnpackError::Interrupted);
            }
            Err(e) => {
                complete = false;
                found(&part.filename, format!("it cannot be read: {e}"));
            }
        }
    }
    if complete && size != manifest.bundled_size {
        let told = manifest.bundled_size;
        found(
            "manifest",
            format!("its bundled_size is {told}, the parts have {size} bytes"),
        );
    }
    if let Some(key) = key {
        let whole = manifest.open(key).and_then(|secret| {
            // Without all its parts there is no stream.
            if !complete {
                return Ok(());
            }
            unpack::run(
                manifest,
                &secret,
                parts(),
                false,
                &mut |_, _| Ok(()),
                observer,
            )
        });
        match whole {
            Ok(()) | Err(UnpackError::BundledSize { .. }) => {}
            Err(UnpackError::Interrupted) => return Err(UnpackError::Interrupted),
            Err(e) => {
                let mut message = e.to_string();
                let mut cause: &dyn Error = &e;
                while let Some(next) = cause.source() {
                    message.push_str(&format!(": {next}"));
                    cause = next;
                }
                found("stream", message);
            }
        }
    }
    Ok(findings)
}

/// Length and digest of a part.
fn digest(
    source: &mut dyn PartSource,
    part: &PartInfo,
    before: u64,
    total: u64,
    observer: &dyn Observer,
) -> io::Result<(u64, Sha1Digest)> {
    let mut reader = source.open(&part.filename)?;
    let mut buf = vec![0; index(MIB)];
    let (mut len, mut sha1) = (0, Sha1::new());
    loop {
        if observer.cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match reader.read(&mut buf) {
            Ok(0) => return Ok((len, sha1.finalize().into())),
            Ok(n) => {
                sha1.update(&buf[..n]);
                len += count(n);
                observer.progress(Stage::Bundle, before + len, Some(total));
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
