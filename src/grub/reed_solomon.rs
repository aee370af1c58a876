//! The parity behind core.img, with which its decompressor repairs damaged sectors at boot.
//!
//! GF(2^8) with polynomial 0x11D and α = 2; generator g(x) = Π (x − α^i), i from 0; systematic, the
//! first symbol is the highest power. A codeword takes one byte of every sector, so that a lost sector
//! costs each of 512 codewords one symbol:
//!
//! ```text
//! data    0 1 2 … 511 | 0 1 2 … 511 | …      parity  0 1 2 … 511 | …
//!         ^             ^                            ^
//!         +-------------+----- codeword 0 -----------+
//! ```
//!
//! At most 200 sectors of data and parity make a chunk (255 symbols are the most a codeword can
//! have); longer input is cut into chunks that keep the ratio of data to parity.

use super::disk::SECTOR;

/// Sectors in a chunk.
const CHUNK: usize = 200;

/// `len` bytes of parity over `data`.
#[must_use]
pub fn parity(data: &[u8], len: usize) -> Vec<u8> {
    let field = Field::new();
    let mut parity = vec![0; len];
    let (mut data, mut rest) = (data, parity.as_mut_slice());
    while !data.is_empty() {
        let total = data.len() + rest.len();
        let (cs, crs) = if total <= CHUNK * SECTOR {
            (data.len(), rest.len())
        } else {
            (
                data.len() * CHUNK / total * SECTOR,
                rest.len() * CHUNK / total * SECTOR,
            )
        };
        let (chunk, after) = data.split_at(cs);
        let (chunk_parity, after_parity) = rest.split_at_mut(crs);
        encode_chunk(&field, chunk, chunk_parity);
        (data, rest) = (after, after_parity);
    }
    parity
}

fn encode_chunk(field: &Field, data: &[u8], parity: &mut [u8]) {
    let mut generator = Vec::new();
    for i in 0..SECTOR.min(data.len()) {
        let symbols = parity.iter().skip(i).step_by(SECTOR).count();
        if symbols == 0 {
            return;
        }
        // Two lengths occur in a chunk, one after the other.
        if generator.len() != symbols {
            generator = field.generator(symbols);
        }
        let code = field.encode(&generator, data.iter().skip(i).step_by(SECTOR).copied());
        for (to, symbol) in parity.iter_mut().skip(i).step_by(SECTOR).zip(code) {
            *to = symbol;
        }
    }
}

/// Tables of powers and logarithms.
struct Field {
    /// α^n, twice over: sums of two logarithms need no modulus.
    exp: [u8; 510],
    /// The n of α^n; `log[0]` has no meaning.
    log: [u8; 256],
}

impl Field {
    fn new() -> Self {
        let (mut exp, mut log) = ([0; 510], [0; 256]);
        let mut power = 1u8;
        for n in 0..=254u8 {
            exp[usize::from(n)] = power;
            exp[usize::from(n) + 255] = power;
            log[usize::from(power)] = n;
            let carry = power & 0x80 != 0;
            power = (power << 1) ^ if carry { 0x1d } else { 0 };
        }
        Self { exp, log }
    }

    fn mul(&self, a: u8, b: u8) -> u8 {
        if a == 0 || b == 0 {
            return 0;
        }
        let (a, b) = (self.log[usize::from(a)], self.log[usize::from(b)]);
        self.exp[usize::from(a) + usize::from(b)]
    }

    /// g(x) of degree `n`, highest power first, without the leading 1.
    fn generator(&self, n: usize) -> Vec<u8> {
        let mut g = vec![1u8];
        for i in 0..n {
            let root = self.exp[i % 255];
            g.push(0);
            for j in (1..g.len()).rev() {
                g[j] ^= self.mul(g[j - 1], root);
            }
        }
        g.remove(0);
        g
    }

    /// The remainder of data · x^n by g(x).
    fn encode(&self, generator: &[u8], data: impl Iterator<Item = u8>) -> Vec<u8> {
        let n = generator.len();
        let mut rest = vec![0u8; n];
        for symbol in data {
            let lead = symbol ^ rest[0];
            rest.rotate_left(1);
            rest[n - 1] = 0;
            for (r, &g) in rest.iter_mut().zip(generator) {
                *r ^= self.mul(lead, g);
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::units::{count, lo8};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn equals_grubs_encoder_on_one_chunk() {
        let data: Vec<u8> = (0..1000u64).map(|i| lo8(7 * i + 3)).collect();
        let parity = parity(&data, 600);
        assert_eq!(hex(&parity[..16]), "0c2844607c98b4d0ec15395d416589ad");
        assert_eq!(
            hex(&Sha256::digest(&parity)),
            "461338e1450e71a47bf84e5fd76c474966fb578577aa314f97855764ae3cc5d3"
        );
    }

    #[test]
    fn equals_grubs_encoder_on_several_chunks() {
        let data: Vec<u8> = (0..150_001u64).map(|i| lo8(i * i + i / 256)).collect();
        assert_eq!(
            hex(&Sha256::digest(parity(&data, 160_000))),
            "4dacdfd4fdad6c7e309ea1e940856e7b0438f611a4e25f3f92a7116d8758df7d"
        );
    }

    proptest! {
        #[test]
        fn codewords_vanish_at_every_root_of_the_generator(
            data in prop::collection::vec(any::<u8>(), 1..40), n in 1usize..40,
        ) {
            let field = Field::new();
            let code = field.encode(&field.generator(n), data.iter().copied());
            for i in 0..n {
                let value = data.iter().chain(&code)
                    .fold(0, |sum, &symbol| field.mul(sum, field.exp[i]) ^ symbol);
                prop_assert_eq!(value, 0, "root {}", i);
            }
        }

        #[test]
        fn parity_is_linear(
            pairs in prop::collection::vec(any::<(u8, u8)>(), 0..3000), len in 0usize..3000,
        ) {
            let (a, b): (Vec<u8>, Vec<u8>) = pairs.iter().copied().unzip();
            let sum: Vec<u8> = pairs.iter().map(|(a, b)| a ^ b).collect();
            let want: Vec<u8> =
                parity(&a, len).iter().zip(parity(&b, len)).map(|(a, b)| a ^ b).collect();
            prop_assert_eq!(parity(&sum, len), want);
        }
    }

    proptest! {
        // Up to 260 KB each, unoptimised: 24 pairs take a second.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_pair_of_lengths_ends(data in 0usize..130_000, len in 0usize..130_000) {
            prop_assert_eq!(count(parity(&vec![0; data], len).len()), count(len));
        }
    }
}
