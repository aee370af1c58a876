//! The checksum of ext4 (`metadata_csum`) and its idiom of seeds.
//!
//! ext4's CRC32C is the Castagnoli polynomial without the final inversion, and chained: the result
//! of one call seeds the next (kernel `ext4_chksum`). The `crc32c` crate inverts at both ends, so
//! both are undone here, in one place.

/// Continues `seed` over `bytes`, as the kernel's `ext4_chksum(sbi, seed, bytes, len)`.
#[must_use]
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn is_the_catalogue_crc32c_but_for_the_final_inversion() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xE306_9283);
    }

    #[test]
    fn chains() {
        assert_eq!(
            crc32c(crc32c(!0, b"1234"), b"56789"),
            crc32c(!0, b"123456789")
        );
    }
}
