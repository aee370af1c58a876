//! gzip on several threads: one member, and the same bytes on any number of threads.
//!
//! ```text
//!  caller: read, cut      workers: deflate, CRC-32       writer thread
//!  ─► chunk + the 32 KiB ─┬► chunk 0 ─┐
//!     before it           ├► chunk 1 ─┼─► in order ─► header, chunks, CRC and length
//!                         └► chunk 2 ─┘
//! ```
//! Every chunk begins on a byte (a sync flush ends the one before, RFC 1951 section 3.2.4) and knows the
//! window before it as its dictionary, as pigz has it. So the bytes depend on the input, the level and
//! [`CHUNK`] alone. Several members would be simpler; that EC2 reads those is unproven.

use crate::units::{count, index, lo32};
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};
use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Bytes that one thread compresses at a time. At 512 KiB, what the chunks cost (five bytes of flush, a
/// block begun anew) is below 0.1 % of the output.
const CHUNK: usize = 512 << 10;
/// How far back deflate looks: RFC 1951 section 2.
const WINDOW: usize = 32 << 10;
/// RFC 1952 section 2.3: deflate, no name, no time, no hint at the level, Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// A last block of fixed codes that holds nothing: RFC 1951 section 3.2.6.
const END: [u8; 2] = [3, 0];

/// Why compression ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The input failed.
    Read(io::Error),
    /// The output failed.
    Write(io::Error),
    /// [`Input::looked`] said stop.
    Stopped,
}

/// Where the bytes come from, on the caller's thread.
pub(crate) trait Input {
    /// Fills `buf` as far as there are bytes; less only at the end.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// Sees every byte once, in order; `false` ends the work.
    fn looked(&mut self, data: &[u8]) -> bool;
}

/// A chunk: `data[..start]` is the dictionary.
struct Chunk {
    data: Vec<u8>,
    start: usize,
}

struct Done {
    deflated: Vec<u8>,
    crc: Hasher,
    /// Bytes that went in.
    len: u64,
    /// To be filled again.
    used: Vec<u8>,
}

type Answer = Receiver<io::Result<Done>>;
/// `None` is the end of the input: without it the stream gets no end either, and nobody takes it for a whole one.
type Order = Option<Answer>;
type Job = (Chunk, SyncSender<io::Result<Done>>);

/// Compresses all of `input` at `level` on `threads` threads. `output` takes the bytes in order, on a thread
/// of its own.
pub(crate) fn compress(
    input: &mut dyn Input,
    level: u32,
    threads: NonZeroUsize,
    mut output: impl FnMut(&[u8]) -> io::Result<()> + Send,
) -> Result<(), Ended> {
    let (jobs, work) = sync_channel::<Job>(1);
    let (order, answers) = sync_channel::<Order>(threads.get() + 1);
    let (give_back, pool) = sync_channel::<Vec<u8>>(2 * threads.get() + 4);
    let work = Mutex::new(work);
    thread::scope(|scope| {
        // They end when `jobs` does.
        for _ in 0..threads.get() {
            scope.spawn(|| work_on(&work, level));
        }
        let writer = scope.spawn(move || write(&answers, &give_back, &mut output));
        let read = cut(input, &jobs, &order, &pool);
        drop((jobs, order));
        let written = writer.join().expect("the writer has no panic of its own");
        match (read, written) {
            // A reader that nobody listens to has stopped because of the writer.
            (_, Err(e)) => Err(Ended::Write(e)),
            (read, Ok(())) => read,
        }
    })
}

/// Cuts the input into chunks, until its end or until nobody takes them any more.
fn cut(
    input: &mut dyn Input,
    jobs: &SyncSender<Job>,
    order: &SyncSender<Order>,
    pool: &Receiver<Vec<u8>>,
) -> Result<(), Ended> {
    let mut before: Vec<u8> = Vec::new();
    loop {
        let mut data = pool.try_recv().unwrap_or_default();
        data.clear();
        data.extend_from_slice(&before);
        let start = data.len();
        data.resize(start + CHUNK, 0);
        let len = input.fill(&mut data[start..]).map_err(Ended::Read)?;
        data.truncate(start + len);
        if len == 0 {
            break;
        }
        if !input.looked(&data[start..]) {
            return Err(Ended::Stopped);
        }
        before.clear();
        before.extend_from_slice(&data[data.len().saturating_sub(WINDOW)..]);
        let (tell, answer) = sync_channel(1);
        let taken =
            order.send(Some(answer)).is_ok() && jobs.send((Chunk { data, start }, tell)).is_ok();
        if !taken {
            return Ok(());
        }
        if len < CHUNK {
            break;
        }
    }
    // A writer that has failed takes no end.
    let _ = order.send(None);
    Ok(())
}

fn work_on(work: &Mutex<Receiver<Job>>, level: u32) {
    let mut deflate = Compress::new(Compression::new(level), false);
    loop {
        let job = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((chunk, tell)) = job else { return };
        let mut crc = Hasher::new();
        crc.update(&chunk.data[chunk.start..]);
        let deflated = deflate_chunk(&mut deflate, &chunk);
        // A writer that has failed takes no answers.
        let _ = tell.send(deflated.map(|deflated| Done {
            deflated,
            crc,
            len: count(chunk.data.len() - chunk.start),
            used: chunk.data,
        }));
    }
}

fn deflate_chunk(deflate: &mut Compress, chunk: &Chunk) -> io::Result<Vec<u8>> {
    let (dictionary, data) = chunk.data.split_at(chunk.start);
    deflate.reset();
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary)?;
    }
    let mut out = Vec::with_capacity(data.len() / 2 + 64);
    loop {
        let done = index(deflate.total_in());
        let status = deflate.compress_vec(&data[done..], &mut out, FlushCompress::Sync)?;
        // zlib.h: the flush is complete when deflate returns with room left in the output.
        if out.len() < out.capacity() || status == Status::BufError {
            return Ok(out);
        }
        out.reserve(data.len() / 2 + 64);
    }
}

fn write(
    answers: &Receiver<Order>,
    give_back: &SyncSender<Vec<u8>>,
    output: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut crc = Hasher::new();
    let mut len = 0;
    output(&HEADER)?;
    loop {
        let answer = match answers.recv() {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            // The reader has failed or was stopped.
            Err(_) => return Ok(()),
        };
        // No answer: the reader stopped between announcing the chunk and handing it out.
        let Ok(done) = answer.recv() else {
            return Ok(());
        };
        let done = done?;
        output(&done.deflated)?;
        crc.combine(&done.crc);
        len += done.len;
        // A full pool needs no more.
        let _ = give_back.try_send(done.used);
    }
    output(&END)?;
    output(&crc.finalize().to_le_bytes())?;
    // RFC 1952 section 2.3.1: modulo 2^32.
    output(&lo32(len).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    struct Bytes<'a>(&'a [u8]);

    impl Input for Bytes<'_> {
        fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }

        fn looked(&mut self, _: &[u8]) -> bool {
            true
        }
    }

    fn gzip(data: &[u8], threads: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let threads = NonZeroUsize::new(threads).unwrap();
        let put = |b: &[u8]| {
            out.extend_from_slice(b);
            Ok(())
        };
        compress(&mut Bytes(data), 6, threads, put).unwrap();
        out
    }

    fn sample(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        (0..len)
            .map(|i| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                if i % 7 < 5 {
                    b'x'
                } else {
                    state.to_be_bytes()[0]
                }
            })
            .collect()
    }

    #[test]
    fn every_length_around_a_chunk_comes_back_as_one_member() {
        for len in [
            0,
            1,
            WINDOW,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK,
            3 * CHUNK + 17,
        ] {
            let data = sample(len);
            let packed = gzip(&data, 2);
            let mut back = Vec::new();
            let mut member = flate2::bufread::GzDecoder::new(&packed[..]);
            member.read_to_end(&mut back).unwrap();
            assert!(back == data, "{len}");
            assert!(
                member.into_inner().is_empty(),
                "{len}: more than one member"
            );
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads() {
        let data = sample(5 * CHUNK + 3);
        assert!(gzip(&data, 1) == gzip(&data, 2));
        assert!(gzip(&data, 1) == gzip(&data, 7));
    }

    #[test]
    fn a_chunk_sees_the_window_before_it() {
        // Noise that repeats with the length of a chunk: only the dictionary can find it.
        let noise: Vec<u8> = sample(8 * WINDOW)
            .into_iter()
            .skip(5)
            .step_by(7)
            .take(WINDOW / 2)
            .collect();
        let data = [vec![0; CHUNK - noise.len()], noise.clone(), noise].concat();
        assert!(gzip(&data, 2).len() < WINDOW * 5 / 8);
    }

    #[test]
    fn gzip_finds_no_fault() {
        let mut gunzip = Command::new("gzip")
            .arg("-t")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let packed = gzip(&sample(2 * CHUNK + 99), 3);
        io::Write::write_all(&mut gunzip.stdin.take().unwrap(), &packed).unwrap();
        assert!(gunzip.wait().unwrap().success());
    }

    #[test]
    fn a_failure_at_either_end_ends_the_work() {
        struct Bad(u32);
        impl Input for Bad {
            fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 20 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(buf.len())
            }

            fn looked(&mut self, _: &[u8]) -> bool {
                true
            }
        }
        let threads = NonZeroUsize::MIN;
        let ended = compress(&mut Bad(0), 1, threads, |_| Ok(()));
        assert!(matches!(ended, Err(Ended::Read(_))));
        let full = |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
        let ended = compress(&mut Bad(0), 1, threads, full);
        assert!(matches!(ended, Err(Ended::Write(_))));
    }
}
