//! Digests: `sha256:` or `sha512:` and lower-case digits (OCI image-spec, descriptor.md, "Digests").

use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};

use crate::hex::hex;

/// A digest whose text is known to be harmless in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::archive) struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl Digest {
    /// Reads `ALGORITHM:HEX`; whatever else, slashes and dots included, is refused.
    pub(in crate::archive) fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        let (algorithm, digits) = match algorithm {
            "sha256" => (Algorithm::Sha256, 64),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return None,
        };
        let fine = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (hex.len() == digits && hex.bytes().all(fine)).then(|| Self {
            algorithm,
            hex: hex.into(),
        })
    }

    /// Of bytes at hand.
    pub(in crate::archive) fn sha256(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::Sha256(Sha256::new());
        hasher.update(bytes);
        hasher.finish()
    }

    /// Where a layout has the blob.
    pub(in crate::archive) fn path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm.name(), self.hex)
    }

    pub(in crate::archive) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// A digest under way.
#[derive(Clone, Debug)]
pub(in crate::archive) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(in crate::archive) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(h) => h.update(bytes),
            Self::Sha512(h) => h.update(bytes),
        }
    }

    pub(in crate::archive) fn finish(self) -> Digest {
        match self {
            Self::Sha256(h) => Digest {
                algorithm: Algorithm::Sha256,
                hex: hex(&h.finalize()),
            },
            Self::Sha512(h) => Digest {
                algorithm: Algorithm::Sha512,
                hex: hex(&h.finalize()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_an_algorithm_and_its_digits_and_nothing_else() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::parse(&format!("sha256:{hex}")).unwrap();
        assert_eq!(digest.path(), format!("blobs/sha256/{hex}"));
        // FIPS 180-4: the digest of nothing.
        assert_eq!(digest.hasher().finish(), digest);
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:../../x",
            &format!("sha256:../{hex}"),
            &format!("sha256:{hex}0"),
            &format!("sha256:{}", hex.to_uppercase()),
            &format!("sha512:{hex}"),
            &format!("md5:{hex}"),
            &format!("../sha256:{hex}"),
        ] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
