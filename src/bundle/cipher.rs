//! AES-128 in CBC mode with PKCS #7 padding, as `openssl enc -aes-128-cbc -K … -iv …`: no salt, no header.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use std::fmt;
use std::io;

/// Bytes of a block of AES, of its key and of the vector that the chain begins with.
pub(super) const BLOCK: usize = 16;

/// The key and the initialization vector of one bundle. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The key.
    pub key: [u8; BLOCK],
    /// The initialization vector.
    pub iv: [u8; BLOCK],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one, of the kernel's random numbers.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn random() -> io::Result<Self> {
        let mut secret = Self {
            key: [0; BLOCK],
            iv: [0; BLOCK],
        };
        super::entropy::fill(&mut secret.key)?;
        super::entropy::fill(&mut secret.iv)?;
        Ok(secret)
    }
}

/// Encrypts in place, whole blocks.
pub(super) struct Encryptor(cbc::Encryptor<Aes128>);

impl Encryptor {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(cbc::Encryptor::new(&secret.key.into(), &secret.iv.into()))
    }

    /// `data` is a multiple of [`BLOCK`] long.
    pub(super) fn encrypt(&mut self, data: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(data);
        assert!(rest.is_empty(), "the caller keeps what fills no block");
        self.0.encrypt_blocks(blocks);
    }
}

/// Decrypts in place, whole blocks.
pub(super) struct Decryptor(cbc::Decryptor<Aes128>);

impl Decryptor {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(cbc::Decryptor::new(&secret.key.into(), &secret.iv.into()))
    }

    /// `data` is a multiple of [`BLOCK`] long.
    pub(super) fn decrypt(&mut self, data: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(data);
        assert!(rest.is_empty(), "the caller keeps what fills no block");
        self.0.decrypt_blocks(blocks);
    }
}

/// What fills up the last block: between 1 and 16 bytes, each their number (RFC 5652 section 6.3).
pub(super) fn padding(len: usize) -> Vec<u8> {
    let n = BLOCK - len % BLOCK;
    vec![u8::try_from(n).expect("at most 16"); n]
}

/// How much of the last decrypted bytes is padding; `None` where it is none, as after a wrong key.
pub(super) fn padded(last: &[u8]) -> Option<usize> {
    let &n = last.last()?;
    let len = usize::from(n);
    let padding = last.get(last.len().checked_sub(len)?..)?;
    ((1..=BLOCK).contains(&len) && padding.iter().all(|&b| b == n)).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn is_aes_128_cbc() {
        // NIST SP 800-38A, F.2.1, the first two blocks.
        let secret = Secret {
            key: hex("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap(),
            iv: hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap(),
        };
        let plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let mut data = plain.clone();
        let mut encryptor = Encryptor::new(&secret);
        // In two steps: the chain goes on.
        encryptor.encrypt(&mut data[..16]);
        encryptor.encrypt(&mut data[16..]);
        let expected = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
        assert_eq!(data, expected);
        let mut decryptor = Decryptor::new(&secret);
        decryptor.decrypt(&mut data[..16]);
        decryptor.decrypt(&mut data[16..]);
        assert_eq!(data, plain);
    }

    #[test]
    fn padding_is_never_empty_and_is_recognised() {
        for len in 0..40 {
            let mut data = vec![0xaa; len];
            data.extend(padding(len));
            assert_eq!(data.len() % BLOCK, 0);
            assert_eq!(padded(&data), Some(data.len() - len));
        }
        let bad: [&[u8]; 4] = [&[], &[0; 16], &[17; 32], &[3, 1, 3]];
        for bytes in bad {
            assert_eq!(padded(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", Secret::random().unwrap());
        assert_eq!(shown, "Secret(…)");
    }
}
