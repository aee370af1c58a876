//! The hashes that order htree directories: half MD4, which every mke2fs chooses, and the two older
//! ones that a filesystem may still name.
//!
//! The name is taken 32 bytes at a time as eight words, the last words padded with the name's
//! length; each piece goes through a three-round cut of MD4's compression, which starts from
//! `s_hash_seed` (from MD4's constants when the seed is zero). The second word of the state is the
//! hash, its low bit cleared because the htree keeps a flag there; the third is the minor hash.
//!
//! Whether name bytes above 0x7F count as negative is a property of the filesystem (`s_flags`),
//! because the first kernels used C's `char`, which differs between architectures.
//! Source: Linux `fs/ext4/hash.c` (`ext4fs_dirhash`, `str2hashbuf`), RFC 1320 for MD4.

/// MD4's initial state (RFC 1320 section 3.3), taken when the seed is zero.
const MD4_INIT: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
/// RFC 1320: the constant of round 2, floor(2^30 sqrt 2).
const ROUND_2: u32 = 0x5A82_7999;
/// RFC 1320: the constant of round 3, floor(2^30 sqrt 3).
const ROUND_3: u32 = 0x6ED9_EBA1;
/// TEA's constant, floor(2^31 (sqrt 5 - 1)).
const TEA_DELTA: u32 = 0x9E37_79B9;
/// The hash that ends a directory (`EXT4_HTREE_EOF_32BIT << 1`): never a name's.
const END_OF_DIR: u32 = 0xFFFF_FFFE;

/// How a name byte becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chars {
    /// -128 to 127 (`EXT2_FLAGS_SIGNED_HASH`), what x86 does and mke2fs sets there.
    Signed,
    /// 0 to 255 (`EXT2_FLAGS_UNSIGNED_HASH`).
    Unsigned,
}

/// The hash and minor hash of `name` under `s_hash_seed`. Bit 0 of the hash is always 0.
#[must_use]
pub fn half_md4(name: &[u8], seed: &[u32; 4], chars: Chars) -> (u32, u32) {
    let mut state = start(seed);
    // An empty name is no directory entry; like the kernel, hash nothing then.
    let mut rest = name;
    while !rest.is_empty() {
        compress(&mut state, words(rest, chars));
        rest = rest.get(32..).unwrap_or_default();
    }
    (no_end(state[1]), state[2])
}

/// The TEA hash and minor hash of `name`: 16 bytes at a time are the key under which the first two
/// words of the state are enciphered and added to themselves (Davies-Meyer).
#[must_use]
pub fn tea(name: &[u8], seed: &[u32; 4], chars: Chars) -> (u32, u32) {
    let mut state = start(seed);
    let mut rest = name;
    while !rest.is_empty() {
        let [a, b, c, d, ..] = words(rest, chars);
        let [mut v0, mut v1, ..] = state;
        let mix = |v: u32, sum: u32, low: u32, high: u32| {
            (v << 4).wrapping_add(low) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(high)
        };
        for round in 1..=16 {
            let sum = TEA_DELTA.wrapping_mul(round);
            v0 = v0.wrapping_add(mix(v1, sum, a, b));
            v1 = v1.wrapping_add(mix(v0, sum, c, d));
        }
        state[0] = state[0].wrapping_add(v0);
        state[1] = state[1].wrapping_add(v1);
        rest = rest.get(16..).unwrap_or_default();
    }
    (no_end(state[0]), state[1])
}

/// The legacy hash of `name`, which has neither seed nor minor hash.
#[must_use]
pub fn legacy(name: &[u8], chars: Chars) -> u32 {
    let (mut last, mut before) = (0x12A3_FE2D_u32, 0x37AB_E8F9_u32);
    for byte in name {
        let product = value(*byte, chars).wrapping_mul(7_152_373);
        let sum = before.wrapping_add(last ^ product);
        let folded = if sum >> 31 == 1 {
            sum.wrapping_sub(0x7FFF_FFFF)
        } else {
            sum
        };
        (before, last) = (last, folded);
    }
    no_end(last << 1)
}

/// The state to start from.
fn start(seed: &[u32; 4]) -> [u32; 4] {
    if seed.iter().any(|w| *w != 0) {
        *seed
    } else {
        MD4_INIT
    }
}

/// A hash with the low bit clear, and never that which ends a directory.
fn no_end(hash: u32) -> u32 {
    let hash = hash & !1;
    if hash == END_OF_DIR {
        END_OF_DIR - 2
    } else {
        hash
    }
}

/// Eight words of the next 32 bytes. Bytes go in from the high end of a word; a word starts as the
/// padding: the length of what is left of the name, in each of its four bytes.
fn words(rest: &[u8], chars: Chars) -> [u32; 8] {
    let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    let pad = len | (len << 8);
    let pad = pad | (pad << 16);
    let mut out = [pad; 8];
    for (word, four) in out.iter_mut().zip(rest.chunks(4)) {
        for byte in four {
            *word = value(*byte, chars).wrapping_add(*word << 8);
        }
    }
    out
}

fn value(byte: u8, chars: Chars) -> u32 {
    match chars {
        Chars::Signed => i32::from(byte.cast_signed()).cast_unsigned(),
        Chars::Unsigned => u32::from(byte),
    }
}

/// MD4's compression cut to eight steps a round.
fn compress(state: &mut [u32; 4], x: [u32; 8]) {
    const ORDER: [[usize; 8]; 3] = [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [1, 3, 5, 7, 0, 2, 4, 6],
        [3, 7, 2, 6, 1, 5, 0, 4],
    ];
    const SHIFT: [[u32; 4]; 3] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]];
    const ADD: [u32; 3] = [0, ROUND_2, ROUND_3];
    let mut s = *state;
    for round in 0..3 {
        for step in 0..8 {
            // The step's target walks a, d, c, b; its operands are the three that follow it.
            let target = (4 - step % 4) % 4;
            let (b, c, d) = (
                s[(target + 1) % 4],
                s[(target + 2) % 4],
                s[(target + 3) % 4],
            );
            let f = match round {
                0 => (b & c) | (!b & d),
                1 => (b & c) | (b & d) | (c & d),
                _ => b ^ c ^ d,
            };
            s[target] = s[target]
                .wrapping_add(f)
                .wrapping_add(x[ORDER[round][step]])
                .wrapping_add(ADD[round])
                .rotate_left(SHIFT[round][step % 4]);
        }
    }
    for (old, new) in state.iter_mut().zip(s) {
        *old = old.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `debugfs -R "dx_hash -h half_md4 -s UUID NAME"` of e2fsprogs 1.47.0.
    #[test]
    fn agrees_with_debugfs() {
        const NONE: [u32; 4] = [0; 4];
        // 01234567-89ab-cdef-0123-456789abcdef, each four bytes little-endian.
        const SEED: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x6745_2301, 0xEFCD_AB89];
        let long = [b'x'; 255];
        let cases: [(&[u8], [u32; 4], u32, u32); 11] = [
            (b"a", NONE, 0xD5FA_7D7A, 0xACB4_8187),
            (b"a", SEED, 0x35DC_0CC4, 0x3F1D_ACEF),
            (b"hello", NONE, 0x1746_DA32, 0x4200_13B5),
            (b"hello", SEED, 0xA26E_4A80, 0x97E5_B7F7),
            (b"lost+found", NONE, 0x591D_E422, 0x6FFC_56E0),
            (
                b"abcdefghijklmnopqrstuvwxyz0123456789",
                NONE,
                0x97C6_9942,
                0x2630_F912,
            ),
            (
                b"abcdefghijklmnopqrstuvwxyz0123456789",
                SEED,
                0xD89D_5678,
                0xE700_5861,
            ),
            (&long, NONE, 0x2AA7_169E, 0x655F_9D9C),
            (&long, SEED, 0xAC11_F156, 0x5E25_6F42),
            (
                b"12345678901234567890123456789012",
                NONE,
                0xFA6C_C63E,
                0x2F77_BD1C,
            ),
            ("caf\u{e9}".as_bytes(), SEED, 0xD6B4_AD14, 0x921A_5761),
        ];
        for (name, seed, hash, minor) in cases {
            assert_eq!(
                half_md4(name, &seed, Chars::Signed),
                (hash, minor),
                "{name:02x?}"
            );
        }
    }

    /// As above, `-h legacy` and `-h tea`.
    #[test]
    fn the_older_hashes_agree_with_debugfs() {
        const LONG: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let cases: [(&[u8], u32, u32, u32); 5] = [
            (b"a", 0xE74B_53E2, 0x6D0E_A4C0, 0xC189_22DF),
            (b"hello", 0x3225_2546, 0x6F5B_B1A8, 0x2319_17C2),
            (b"lost+found", 0x5E2A_BA24, 0x2DBF_9E80, 0xBFEB_EE4F),
            (LONG, 0x9015_281A, 0xE073_581C, 0x45BE_1A19),
            (
                "caf\u{e9}".as_bytes(),
                0x96CA_5A2C,
                0x1058_42EA,
                0xFB91_65CA,
            ),
        ];
        for (name, old, hash, minor) in cases {
            assert_eq!(legacy(name, Chars::Signed), old, "{name:02x?}");
            assert_eq!(
                tea(name, &[0; 4], Chars::Signed),
                (hash, minor),
                "{name:02x?}"
            );
        }
    }

    #[test]
    fn signedness_matters_only_above_0x7f() {
        let both = |name: &[u8]| {
            (
                half_md4(name, &[0; 4], Chars::Signed),
                half_md4(name, &[0; 4], Chars::Unsigned),
            )
        };
        let (signed, unsigned) = both(b"plain");
        assert_eq!(signed, unsigned);
        let (signed, unsigned) = both("caf\u{e9}".as_bytes());
        assert_ne!(signed, unsigned);
    }
}
