//! One seed, from which every identifier of an image derives.
//!
//! No clock and no random source reaches an image: its UUIDs, hash seed and disk signature are
//! digests of the seed and of a name, so the same archive and spec always give the same bytes.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// 256 bits that stand for the input of a build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As much as tells two apart.
        let [a, b, c, d, ..] = self.0;
        write!(f, "Seed({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

impl Seed {
    /// The seed of a digest made elsewhere (the tree's).
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The seed that stands for a text of the user's (`--seed`).
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut h = Sha256::new();
        h.update(b"diskwright seed text\0");
        h.update(text.as_bytes());
        Self(h.finalize().into())
    }

    /// 32 bytes for the purpose `name`.
    #[must_use]
    pub fn derive(&self, name: &str) -> [u8; 32] {
        let mut h = Sha256::new();
        h.update(self.0);
        h.update(name.as_bytes());
        h.finalize().into()
    }

    /// A UUID for the purpose `name`: version 8 (custom), RFC 9562 section 5.8.
    #[must_use]
    pub fn uuid(&self, name: &str) -> Uuid {
        let d = self.derive(name);
        let mut b = [0; 16];
        b.copy_from_slice(&d[..16]);
        uuid::Builder::from_custom_bytes(b).into_uuid()
    }

    /// A non-zero number for the purpose `name`: an MBR disk signature of 0 means "none".
    #[must_use]
    pub fn nonzero_u32(&self, name: &str) -> u32 {
        let d = self.derive(name);
        u32::from_le_bytes([d[0], d[1], d[2], d[3]]).max(1)
    }
}
