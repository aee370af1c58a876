//! RSA keys: the user's pair, and EC2's public one.
//!
//! ring cannot encrypt with RSA and aws-lc refuses keys below 2048 bits, of which EC2's is one; `rsa` does
//! both. Its private operations run blinded.

use super::entropy::Entropy;
use super::options::OptionError;
use super::parts::Sha1Digest;
use super::pem;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Encrypt, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use std::fmt;
use std::io;
use std::path::Path;
use std::time::SystemTime;
use x509_cert::der::{Decode, Encode};

/// RFC 8017 section 9.2, note 1: what stands before a SHA-1 in a signature.
const SHA1_INFO: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];

/// Longer files are no keys.
const MAX_FILE: u64 = 1 << 20;

/// Why a key or certificate cannot be used. Tells nothing of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("cannot read {name}")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{name} holds no {wanted}: {found}")]
    Kind {
        /// Its name.
        name: String,
        /// What it should be.
        wanted: &'static str,
        /// What it is, and what to do.
        found: String,
    },
    /// It needs a passphrase.
    #[error(
        "{name} is encrypted with a passphrase; decrypt it first: openssl rsa -in {name} -out plain.pem"
    )]
    Encrypted {
        /// Its name.
        name: String,
    },
    /// The two do not belong together.
    #[error(
        "{key} is not the private key of {cert}: their moduli differ; what was encrypted for one could \
         not be read with the other"
    )]
    Pair {
        /// The private key.
        key: String,
        /// The certificate.
        cert: String,
    },
    /// RSA itself refused, of which its message says all there is.
    #[error("RSA with {name} has failed")]
    Rsa {
        /// Whose key.
        name: String,
        /// Why.
        source: rsa::Error,
    },
}

/// A private key.
#[derive(Clone)]
pub struct PrivateKey {
    name: String,
    key: RsaPrivateKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.name)
    }
}

impl PrivateKey {
    /// Reads a file.
    ///
    /// # Errors
    /// As [`Self::parse`], and when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        open(path, Self::parse)
    }

    /// Reads PKCS #8 or PKCS #1, PEM or DER. `name` is what messages call it.
    ///
    /// # Errors
    /// When it is no private RSA key, or an encrypted one.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, KeyError> {
        let blocks = pem::blocks(bytes);
        let der = blocks.iter().find(|b| b.label.ends_with("PRIVATE KEY"));
        if der.is_some_and(|b| b.encrypted || b.label.starts_with("ENCRYPTED")) {
            return Err(KeyError::Encrypted { name: name.into() });
        }
        let pkcs8 = |der: &[u8]| RsaPrivateKey::from_pkcs8_der(der).ok();
        let pkcs1 = |der: &[u8]| RsaPrivateKey::from_pkcs1_der(der).ok();
        let found = match der {
            Some(block) => pkcs8(&block.der).or_else(|| pkcs1(&block.der)),
            None => pkcs8(bytes).or_else(|| pkcs1(bytes)),
        };
        let key = found.ok_or_else(|| wrong(name, "private RSA key", &blocks, bytes))?;
        let name = name.into();
        Ok(Self { name, key })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.to_public_key(),
        }
    }

    /// Whether `certificate` is of this key.
    ///
    /// # Errors
    /// When it is of another.
    pub fn belongs_to(&self, certificate: &PublicKey) -> Result<(), KeyError> {
        if self.key.n() == certificate.key.n() {
            return Ok(());
        }
        Err(KeyError::Pair {
            key: self.name.clone(),
            cert: certificate.name.clone(),
        })
    }

    /// Signs a digest: RSASSA-PKCS1-v1_5.
    pub(super) fn sign(&self, digest: &Sha1Digest) -> Result<Vec<u8>, KeyError> {
        let signed = self.key.sign_with_rng(&mut Entropy, sha1_scheme(), digest);
        signed.map_err(|e| self.failed(e))
    }

    /// Decrypts RSAES-PKCS1-v1_5.
    pub(super) fn decrypt(&self, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let opened = self
            .key
            .decrypt_blinded(&mut Entropy, Pkcs1v15Encrypt, sealed);
        opened.map_err(|e| self.failed(e))
    }

    fn failed(&self, source: rsa::Error) -> KeyError {
        let name = self.name.clone();
        KeyError::Rsa { name, source }
    }
}

/// A public key.
#[derive(Clone)]
pub struct PublicKey {
    name: String,
    key: RsaPublicKey,
}

/// Whether `region` is one of AWS's partition `aws`, by the SDKs' `partitions.json`: a pattern, so that regions that are
/// opened tomorrow are among them.
fn is_commercial(region: &str) -> bool {
    let mut parts = region.split('-');
    let (area, side, number) = (parts.next(), parts.next(), parts.next());
    let areas = ["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"];
    area.is_some_and(|a| areas.contains(&a))
        && side.is_some_and(|s| s.bytes().all(|b| b.is_ascii_lowercase()))
        && !side.is_some_and(|s| s == "gov" || s.starts_with("iso"))
        && number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && parts.next().is_none()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.name)
    }
}

impl PublicKey {
    /// EC2's in `region`. One key serves all commercial regions; AWS published it as a certificate that
    /// ran out in 2006 and is still the one in use.
    ///
    /// # Errors
    /// For a region of a partition whose key is in no tool.
    pub fn ec2(region: &str) -> Result<Self, OptionError> {
        let der: &[u8] = match region {
            "us-gov-west-1" => include_bytes!("ec2/us-gov-west-1.der"),
            "cn-north-1" => include_bytes!("ec2/cn-north-1.der"),
            _ if is_commercial(region) => include_bytes!("ec2/commercial.der"),
            _ => {
                let region = region.into();
                return Err(OptionError::Region { region });
            }
        };
        Ok(Self {
            name: format!("EC2 in {region}"),
            key: RsaPublicKey::from_public_key_der(der).expect("a test reads all three"),
        })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.key.n().bits()
    }

    /// Encrypts RSAES-PKCS1-v1_5.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let sealed = self.key.encrypt(&mut Entropy, Pkcs1v15Encrypt, plain);
        sealed.map_err(|source| KeyError::Rsa {
            name: self.name.clone(),
            source,
        })
    }

    /// Whether `signature` is of this key and of `digest`.
    pub(super) fn signed(&self, digest: &Sha1Digest, signature: &[u8]) -> bool {
        self.key.verify(sha1_scheme(), digest, signature).is_ok()
    }
}

/// Built by hand: `rsa` takes the digests of an older generation.
fn sha1_scheme() -> Pkcs1v15Sign {
    Pkcs1v15Sign {
        hash_len: Some(20),
        prefix: SHA1_INFO.into(),
    }
}

/// A public key with its certificate's dates.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The key.
    pub key: PublicKey,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it ends.
    pub not_after: SystemTime,
}

impl Certificate {
    /// Reads a file.
    ///
    /// # Errors
    /// As [`Self::parse`], and when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        open(path, Self::parse)
    }

    /// Reads an X.509 certificate, PEM or DER. `name` is what messages call it.
    ///
    /// # Errors
    /// When it is none, or of a key that is not RSA of at most 4096 bits.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, KeyError> {
        let blocks = pem::blocks(bytes);
        let block = blocks.iter().find(|b| b.label.ends_with("CERTIFICATE"));
        let der = block.map_or(bytes, |b| &b.der);
        let cert = x509_cert::Certificate::from_der(der)
            .map_err(|_| wrong(name, "X.509 certificate", &blocks, bytes))?
            .tbs_certificate;
        let spki = cert.subject_public_key_info.to_der().ok();
        let key = spki.and_then(|der| RsaPublicKey::from_public_key_der(&der).ok());
        let key = key.ok_or_else(|| KeyError::Kind {
            name: name.into(),
            wanted: "certificate of an RSA key",
            found: "its key is of another kind, or longer than 4096 bits".into(),
        })?;
        Ok(Self {
            key: PublicKey {
                name: name.into(),
                key,
            },
            not_before: cert.validity.not_before.to_system_time(),
            not_after: cert.validity.not_after.to_system_time(),
        })
    }

    /// What a person should know of its dates, if anything. Whoever reads bundles ignores them.
    #[must_use]
    pub fn remark(&self, now: SystemTime) -> Option<&'static str> {
        if now > self.not_after {
            Some("has expired")
        } else if now < self.not_before {
            Some("is not valid yet")
        } else {
            None
        }
    }
}

/// What `parse` makes of a file, by its name and bytes.
fn open<T>(
    path: &Path,
    parse: impl FnOnce(&str, &[u8]) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    let name = path.display().to_string();
    let fail = |source| KeyError::Read {
        name: name.clone(),
        source,
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut bytes).map_err(fail)?;
    parse(&name, &bytes)
}

/// Says what a file is instead.
fn wrong(name: &str, wanted: &'static str, blocks: &[pem::Block], bytes: &[u8]) -> KeyError {
    let labels: Vec<&str> = blocks.iter().map(|b| b.label.as_str()).collect();
    let swapped = if wanted.contains("private") {
        labels.iter().any(|l| l.ends_with("CERTIFICATE"))
            || x509_cert::Certificate::from_der(bytes).is_ok()
    } else {
        labels.iter().any(|l| l.ends_with("PRIVATE KEY"))
            || RsaPrivateKey::from_pkcs8_der(bytes).is_ok()
            || RsaPrivateKey::from_pkcs1_der(bytes).is_ok()
    };
    let found = if swapped && wanted.contains("private") {
        "it is a certificate: were --cert and --privatekey mixed up?".into()
    } else if swapped {
        "it is a private key: were --cert and --privatekey mixed up?".into()
    } else if labels.is_empty() {
        "it is neither PEM nor DER of one".into()
    } else {
        format!(
            "it is `{}`, damaged or of another algorithm",
            labels.join(", ")
        )
    };
    KeyError::Kind {
        name: name.into(),
        wanted,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec2_has_a_key_for_every_partition_that_tools_know() {
        for (region, bits) in [
            ("us-east-1", 1024),
            ("eu-central-2", 1024),
            ("us-gov-west-1", 1024),
            ("cn-north-1", 2048),
        ] {
            assert_eq!(PublicKey::ec2(region).unwrap().bits(), bits, "{region}");
        }
        for region in [
            "cn-northwest-1",
            "us-gov-east-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eusc-de-east-1",
            "mars-1",
            "eu-west",
            "eu-west-1a",
        ] {
            assert!(PublicKey::ec2(region).is_err(), "{region}");
        }
    }
}
