//! Compressed clusters and grains.

use std::io::{self, Read};

/// How the clusters of an image are compressed: `compression_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// Deflate without a header.
    Deflate,
    /// A zstd frame.
    Zstd,
}

/// Windows of 2 MiB, the largest cluster.
const WINDOW_LOG: u32 = 21;

/// `len` bytes out of `packed`, which may have something behind them.
pub(super) fn cluster(codec: Codec, packed: &[u8], len: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0; len];
    match codec {
        Codec::Deflate => flate2::read::DeflateDecoder::new(packed).read_exact(&mut out)?,
        Codec::Zstd => {
            let mut frame = zstd::stream::read::Decoder::with_buffer(packed)?.single_frame();
            frame.window_log_max(WINDOW_LOG)?;
            frame.read_exact(&mut out)?;
        }
    }
    Ok(out)
}
