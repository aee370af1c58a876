//! The signature: RSA and SHA-1 over `<machine_configuration>…</machine_configuration>` and
//! `<image>…</image>`, one behind the other.

use super::{Manifest, Signed};
use crate::bundle::keys::{KeyError, PrivateKey, PublicKey};
use sha1::{Digest, Sha1};

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// It is of the bytes that stand there.
    Valid,
    /// It is of this content; the text was indented or quoted anew since.
    Reformatted,
    /// It is of something else, or by somebody else.
    Invalid,
    /// There is none: euca2ools without a key writes `UNSIGNED`.
    Missing,
}

impl Manifest {
    /// The signed document.
    ///
    /// # Errors
    /// When RSA refuses.
    pub fn sign(&self, key: &PrivateKey) -> Result<String, KeyError> {
        let text = [self.configuration(), self.image()].concat();
        let signature = key.sign(&Sha1::digest(text).into())?;
        Ok(self.document(&signature))
    }
}

impl Signed {
    /// Checks the signature with the public key of whom the manifest should be by.
    #[must_use]
    pub fn signature(&self, key: &PublicKey) -> Signature {
        let Some(signature) = &self.signature else {
            return Signature::Missing;
        };
        let of = |text: &str| key.signed(&Sha1::digest(text).into(), signature);
        if of(&self.literal) {
            Signature::Valid
        } else if of(&self.canonical) {
            Signature::Reformatted
        } else {
            Signature::Invalid
        }
    }
}
