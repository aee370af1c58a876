//! A disk that was made elsewhere, looked through for what is zero: then it can be written.

use super::VirtualDisk;
use super::forward::going_on;
use super::open::is_zero;
use crate::extent::{Content, Extent, Layout, SourceNr, push};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{KIB, MIB, count, index};
use std::io;
use std::sync::Arc;

/// Zeros of so many bytes, and at a multiple of it, are told from data: the cluster of qcow2, the grain of VMDK.
const UNIT: u64 = 64 * KIB;
/// More pieces than any disk has that was written by a filesystem: a table of an image that repeats itself.
const MAX_EXTENTS: usize = 16 << 20;

/// A disk with its extents: file data, and zeros.
pub struct Scanned {
    disk: Arc<dyn VirtualDisk>,
    extents: Vec<Extent>,
}

impl std::fmt::Debug for Scanned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scanned({} extents)", self.extents.len())
    }
}

impl Scanned {
    /// Reads all of `disk` that is stored.
    ///
    /// # Errors
    /// When it cannot be read; `Interrupted` when `observer` asks for an end.
    pub fn new(disk: Arc<dyn VirtualDisk>, observer: &dyn Observer) -> io::Result<Self> {
        let len = disk.len();
        let mut extents = Vec::new();
        let mut buf = vec![0; index(MIB)];
        let mut at = 0;
        while at < len {
            going_on(observer)?;
            let run = disk.run(at)?;
            let end = (at + run.len.max(1)).min(len);
            if !run.stored {
                add(&mut extents, at, end - at, Content::Zero)?;
                at = end;
            }
            while at < end {
                going_on(observer)?;
                // Up to a multiple of the buffer, so that units stay whole.
                let part = &mut buf[..index((end - at).min(MIB - at % MIB))];
                disk.read_exact_at(at, part)?;
                observer.progress(Stage::Archive, at, Some(len));
                let mut rest = &*part;
                while !rest.is_empty() {
                    let (unit, more) = rest.split_at(rest.len().min(index(UNIT - at % UNIT)));
                    let content = match is_zero(unit) {
                        true => Content::Zero,
                        false => Content::File {
                            source: SourceNr(0),
                            offset: at,
                        },
                    };
                    add(&mut extents, at, count(unit.len()), content)?;
                    at += count(unit.len());
                    rest = more;
                }
            }
        }
        Ok(Self { disk, extents })
    }
}

fn add(extents: &mut Vec<Extent>, start: u64, len: u64, content: Content) -> io::Result<()> {
    if extents.len() >= MAX_EXTENTS {
        return Err(io::Error::other(
            "data and zeros alternate more often than on any disk: the image's tables repeat themselves",
        ));
    }
    push(
        extents,
        Extent {
            start,
            len,
            content,
        },
    );
    Ok(())
}

impl ReadAt for Scanned {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_exact_at(offset, buf)
    }
}

impl Layout for Scanned {
    fn extents(&self) -> &[Extent] {
        &self.extents
    }
}
