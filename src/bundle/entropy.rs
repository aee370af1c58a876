//! Random numbers of the kernel: keys, and the padding of RSA.

use rsa::rand_core::{CryptoRng, Error, RngCore, impls};
use std::io;

/// Fills `buf`.
pub(super) fn fill(buf: &mut [u8]) -> io::Result<()> {
    getrandom::fill(buf).map_err(Into::into)
}

/// The same for `rsa`.
pub(super) struct Entropy;

impl RngCore for Entropy {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        fill(dest).expect("the kernel has them: getrandom(2) fails on no Linux since 3.17");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        fill(dest).map_err(Error::new)
    }
}

impl CryptoRng for Entropy {}
