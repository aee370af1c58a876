//! The encrypted stream, cut into parts.

use super::cipher::{BLOCK, Encryptor, Secret, padding};
use crate::units::{MIB, count, index};
use bytes::Bytes;
use sha1::{Digest, Sha1};
use std::io;

/// Bytes of a part; the last one has what is left.
pub const PART_SIZE: u64 = 10 * MIB;

/// A SHA-1.
pub type Sha1Digest = [u8; 20];

/// A finished part.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its place, from 0.
    pub index: u32,
    /// Its bytes, encrypted.
    pub bytes: Bytes,
    /// Their digest.
    pub sha1: Sha1Digest,
}

/// Takes parts as they are made, in order: a folder, a bucket.
pub trait PartSink: Send {
    /// Takes a part. What it is called is known when all are there: [`super::Bundle::parts`].
    ///
    /// # Errors
    /// When it cannot be kept; bundling ends.
    fn put(&mut self, part: Part) -> io::Result<()>;
}

/// What is known of the parts when all are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    pub(super) digests: Vec<Sha1Digest>,
    /// Bytes of all.
    pub(super) size: u64,
}

/// Encrypts what it is given and cuts it into parts.
pub(super) struct Cutter<'a> {
    encryptor: Encryptor,
    part_size: usize,
    sink: &'a mut dyn PartSink,
    /// The part under way; encrypted up to the last whole block.
    part: Vec<u8>,
    encrypted: usize,
    sha1: Sha1,
    cut: Cut,
}

impl<'a> Cutter<'a> {
    /// `part_size` is a multiple of a block of AES, so that no block lies in two parts.
    pub(super) fn new(secret: &Secret, part_size: u64, sink: &'a mut dyn PartSink) -> Self {
        Self {
            encryptor: Encryptor::new(secret),
            part_size: index(part_size),
            sink,
            part: Vec::with_capacity(index(part_size)),
            encrypted: 0,
            sha1: Sha1::new(),
            cut: Cut::default(),
        }
    }

    pub(super) fn write(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let room = self.part_size - self.part.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.part.extend_from_slice(now);
            let end = self.part.len() / BLOCK * BLOCK;
            let blocks = &mut self.part[self.encrypted..end];
            self.encryptor.encrypt(blocks);
            self.sha1.update(&*blocks);
            self.encrypted = end;
            if end == self.part_size {
                self.emit()?;
            }
            data = later;
        }
        Ok(())
    }

    /// The padding, and what is left as the last part.
    pub(super) fn finish(mut self) -> io::Result<Cut> {
        self.write(&padding(self.part.len()))?;
        if !self.part.is_empty() {
            self.emit()?;
        }
        Ok(self.cut)
    }

    fn emit(&mut self) -> io::Result<()> {
        let sha1 = self.sha1.finalize_reset().into();
        self.cut.digests.push(sha1);
        self.cut.size += count(self.part.len());
        let index = u32::try_from(self.cut.digests.len() - 1).map_err(io::Error::other)?;
        // Room for the next at once: growing by doubling would copy it, and end at 16 MiB.
        let next = Vec::with_capacity(self.part_size);
        let bytes = Bytes::from(std::mem::replace(&mut self.part, next));
        self.encrypted = 0;
        self.sink.put(Part { index, bytes, sha1 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cipher::{Decryptor, padded};
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<Part>);

    impl PartSink for Kept {
        fn put(&mut self, part: Part) -> io::Result<()> {
            self.0.push(part);
            Ok(())
        }
    }

    #[test]
    fn parts_are_one_stream_however_the_data_came() {
        let secret = Secret::random().unwrap();
        for len in [0, 1, 15, 16, 63, 64, 65, 128, 1000] {
            for step in [1, 7, 64, 1000] {
                let data: Vec<u8> = (0..len).map(|i: u32| i.to_le_bytes()[0]).collect();
                let mut kept = Kept::default();
                let mut cutter = Cutter::new(&secret, 64, &mut kept);
                for piece in data.chunks(step) {
                    cutter.write(piece).unwrap();
                }
                let cut = cutter.finish().unwrap();
                assert_eq!(cut.digests.len(), kept.0.len());
                let mut all = Vec::new();
                for (nr, part) in kept.0.iter().enumerate() {
                    assert!(part.bytes.len() == 64 || nr + 1 == kept.0.len());
                    assert_eq!(part.sha1, Sha1Digest::from(Sha1::digest(&part.bytes)));
                    all.extend_from_slice(&part.bytes);
                }
                assert_eq!(cut.size, count(all.len()));
                Decryptor::new(&secret).decrypt(&mut all);
                all.truncate(all.len() - padded(&all).unwrap());
                assert!(all == data, "{len} in steps of {step}");
            }
        }
    }
}
