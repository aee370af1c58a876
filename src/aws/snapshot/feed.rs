//! Where blocks come from.

use crate::pool::Pool;
use crate::read_at::ReadAt;
use crate::sink::blocks::{Digest, Hashed, Survey, read_block, sha256};
use crate::units::index;
use bytes::Bytes;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The bytes of a block.
#[derive(Clone)]
pub enum Body {
    /// All of them zero.
    Zero,
    /// Here.
    Bytes(Bytes),
    /// In an image, at the block's place: read when its turn comes.
    At(Arc<dyn ReadAt>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "Zero",
            Self::Bytes(_) => "Bytes",
            Self::At(_) => "At",
        })
    }
}

/// A block to be sent.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Its number.
    pub index: u32,
    /// Its digest, where that is known; else it is computed.
    pub digest: Option<Digest>,
    /// Its bytes.
    pub body: Body,
}

impl Fed {
    /// The bytes, in one of `buffers` where they are read, and their digest; may take a while.
    pub(super) fn load(&self, block_size: u64, buffers: &Pool) -> io::Result<(Bytes, Digest)> {
        let bytes = match &self.body {
            Body::Zero => Bytes::from(vec![0; index(block_size)]),
            Body::Bytes(bytes) => bytes.clone(),
            Body::At(image) => {
                let mut buffer = buffers.get();
                let len = index(block_size);
                read_block(&**image, self.index, &mut buffer.space()[..len])?;
                buffer.freeze(len)
            }
        };
        let digest = self.digest.unwrap_or_else(|| sha256(&bytes));
        Ok((bytes, digest))
    }
}

/// Gives the blocks that matter, in any order, as they become known: while an archive is still being read, if
/// need be. A block that comes again replaces what came before. One that never comes is free.
pub trait Feed: Send {
    /// The next block, of `block_size` bytes; waits until there is one. `None`: that was all.
    ///
    /// # Errors
    /// When what the blocks are made of cannot be read.
    fn next(&mut self, block_size: u64) -> io::Result<Option<Fed>>;
}

/// The blocks of a surveyed image.
#[derive(Clone)]
pub struct Surveyed {
    image: Arc<dyn ReadAt>,
    survey: Survey,
    /// The next of its blocks.
    next: usize,
}

impl Surveyed {
    /// Those that `survey` found in `image`; they are not copied.
    #[must_use]
    pub fn new(image: Arc<dyn ReadAt>, survey: &Survey) -> Self {
        Self {
            image,
            survey: survey.clone(),
            next: 0,
        }
    }
}

impl fmt::Debug for Surveyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Surveyed({} blocks)", self.survey.blocks().len())
    }
}

impl Feed for Surveyed {
    fn next(&mut self, _: u64) -> io::Result<Option<Fed>> {
        let block = self.survey.blocks().get(self.next);
        self.next += 1;
        Ok(block.map(|&Hashed { index, digest }| Fed {
            index,
            digest: Some(digest),
            body: if digest == self.survey.zero() {
                Body::Zero
            } else {
                Body::At(Arc::clone(&self.image))
            },
        }))
    }
}
