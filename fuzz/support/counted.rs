//! A disk that counts the bytes read of it.

use diskwright::read_at::ReadAt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is read for a name whatever it is: a superblock, descriptors, some of its data, values of xattrs.
const FOR_A_NAME: u64 = 1 << 20;
/// How often the whole disk may be read for a name: a file may be made of all blocks, some of them mapping others.
const PASSES: u64 = 4;

/// How often the whole disk may be read where nothing is read for a name.
#[allow(dead_code, reason = "not every target looks at a disk without its names")]
const LINEAR: u64 = 64;

/// A disk in memory.
pub struct Counted {
    data: Vec<u8>,
    read: AtomicU64,
}

impl Counted {
    pub fn new(data: &[u8]) -> Self {
        Self { data: data.to_vec(), read: AtomicU64::new(0) }
    }

    /// Fails when more was read since the last time than looking at so many names can need.
    pub fn assert_read(&self, what: &str, names: u64) {
        let read = self.taken();
        let most = (names + 1) * (PASSES * self.len() + FOR_A_NAME);
        assert!(read <= most, "{what} read {read} bytes for {names} names of {}", self.len());
    }

    /// Fails when more was read since the last time than grows with the disk.
    #[allow(dead_code, reason = "as above")]
    pub fn assert_linear(&self, what: &str) {
        let read = self.taken();
        let most = LINEAR * (self.len() + FOR_A_NAME);
        assert!(read <= most, "{what} read {read} bytes of {}", self.len());
    }

    fn taken(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        ReadAt::len(&self.data)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = u64::try_from(buf.len()).expect("64 bits");
        self.read.fetch_add(len, Ordering::Relaxed);
        self.data.read_exact_at(offset, buf)
    }
}
