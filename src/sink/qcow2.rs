//! A qcow2 file that file data goes into at once, to where it will stay: such an image costs what a raw one costs.
//!
//! ```text
//!  place(at, data) ──► the next cluster of the file, or the one that it has already
//!  write(image)    ──► the plan says the same (nearly always) ──► metadata, tables, header
//!                  └─► a file was replaced meanwhile, its clusters are left over ──► all of it once more
//! ```
//! The bytes are those of [`crate::vdisk::qcow2::write`] in either case.

use super::raw::batch::Writer;
use super::raw::target::Target;
use super::raw::{RawOptions, SinkError, punch, read_back};
use crate::extent::Content;
use crate::image::{Image, Spool};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::units::{KIB, count, index};
use crate::vdisk::qcow2::{CLUSTER, Plan, write, write_tables};
use crate::vdisk::{Format, Outlet};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Metadata is rendered so many bytes at a time.
const RENDER: u64 = 256 * KIB;

/// Clusters of the disk and of the file that belong together, in runs: by the first of the disk, how many and the
/// first of the file.
#[derive(Clone, Debug, Default)]
struct Clusters {
    runs: BTreeMap<u64, (u64, u64)>,
    /// All of them, one behind the other from the second of the file on.
    taken: u64,
}

impl Clusters {
    /// Where the cluster lies, and how many there are from it on.
    fn find(&self, cluster: u64) -> Option<(u64, u64)> {
        let (first, (len, host)) = self.runs.range(..=cluster).next_back()?;
        let within = cluster - first;
        (within < *len).then(|| (host + within, len - within))
    }

    /// Takes a cluster of the file for each of the disk that has none.
    fn take(&mut self, clusters: Range<u64>) {
        let mut at = clusters.start;
        while at < clusters.end {
            if let Some((_, len)) = self.find(at) {
                at += len;
                continue;
            }
            let host = 1 + self.taken;
            self.taken += 1;
            let before = self.runs.range_mut(..at).next_back();
            match before {
                Some((first, (len, start))) if first + *len == at && *start + *len == host => {
                    *len += 1;
                }
                _ => {
                    self.runs.insert(at, (1, host));
                }
            }
            at += 1;
        }
    }

    /// The parts of `len` bytes of the disk from `at`: how many bytes, and where they lie in the file.
    fn parts(&self, at: u64, len: u64) -> Vec<(u64, Option<u64>)> {
        let (mut at, end) = (at, at + len);
        let mut list = Vec::new();
        while at < end {
            let within = at % CLUSTER;
            let found = self.find(at / CLUSTER);
            let room = found.map_or(1, |(_, len)| len) * CLUSTER - within;
            let part = room.min(end - at);
            list.push((part, found.map(|(host, _)| host * CLUSTER + within)));
            at += part;
        }
        list
    }

    /// Whether they are those that `plan` has for file data, where it has them.
    fn agree(&self, plan: &Plan) -> bool {
        let runs = self.runs.iter();
        let mut host = 1;
        let in_order = runs.clone().all(|(_, (len, start))| {
            host += len;
            start + len == host
        });
        let ranges = runs.map(|(first, (len, _))| *first..first + len);
        in_order && ranges.eq(plan.file_clusters())
    }
}

/// File data as the disk has it: zeros where nothing was placed.
struct Placed {
    file: Arc<File>,
    clusters: Clusters,
}

impl ReadAt for Placed {
    fn len(&self) -> u64 {
        u64::MAX
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        read_parts(&self.file, &self.clusters, offset, buf)
    }
}

fn read_parts(file: &File, clusters: &Clusters, at: u64, buf: &mut [u8]) -> io::Result<()> {
    let mut rest = buf;
    for (len, place) in clusters.parts(at, count(rest.len())) {
        let (out, more) = rest.split_at_mut(index(len));
        match place {
            Some(place) => read_back(file, place, out)?,
            None => out.fill(0),
        }
        rest = more;
    }
    Ok(())
}

/// A qcow2 image under way. Dropped before [`Qcow2File::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Qcow2File {
    target: Target,
    file: Arc<File>,
    writer: Writer,
    clusters: Clusters,
}

impl Qcow2File {
    /// Makes a temporary beside `path`.
    ///
    /// # Errors
    /// As [`super::raw::RawFile::create`].
    pub fn create(path: &Path, options: RawOptions) -> Result<Self, SinkError> {
        let (target, file) = Target::create(path, options)?;
        let file = Arc::new(file);
        Ok(Self {
            target,
            writer: Writer::start(Arc::clone(&file)),
            file,
            clusters: Clusters::default(),
        })
    }

    /// The temporary's path, where it has one.
    #[must_use]
    pub fn temporary(&self) -> Option<&Path> {
        self.target.temporary()
    }

    /// Takes file data at its place.
    pub fn spool(&mut self) -> &mut dyn Spool {
        self
    }

    /// The file as it stands.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes the rest of `image`, whose file data was placed already.
    ///
    /// # Errors
    /// When the disk is full or larger than the format holds, or the observer says stop.
    pub fn write(&mut self, image: &Image, observer: &dyn Observer) -> Result<(), SinkError> {
        let placed: Arc<dyn ReadAt> = Arc::new(Placed {
            file: Arc::clone(&self.file),
            clusters: self.clusters.clone(),
        });
        let fits = Format::Qcow2.check_size(image.size());
        fits.map_err(|e| self.target.failed(e.into()))?;
        let image = image.clone().with_data(&placed);
        let plan = Plan::new(image.extents(), image.size());
        let written = self
            .writer
            .flush()
            .and_then(|()| match self.clusters.agree(&plan) {
                true => self.complete(&image, &plan, observer),
                false => self.once_more(&image, observer),
            });
        written.map_err(|e| self.target.failed(e))
    }

    /// Metadata, tables and header around the data.
    fn complete(&mut self, image: &Image, plan: &Plan, observer: &dyn Observer) -> io::Result<()> {
        let rendered = |c| matches!(c, Content::Bytes { .. });
        let total = image.extents().iter().filter(|e| rendered(e.content));
        let total = total.map(|e| e.len).sum();
        let mut done = 0;
        self.writer.place(0, plan.header().into())?;
        self.writer.part()?;
        // First what shares a cluster with file data, then the clusters behind: the file grows forward.
        for shared in [true, false] {
            for e in image.extents() {
                if !rendered(e.content) {
                    // What was written there already is no gap to be filled.
                    self.writer.part()?;
                    continue;
                }
                for (at, len, place) in plan.pieces(e.start, e.len, shared) {
                    self.render(image, at, len, place, observer)?;
                    done += len;
                    observer.progress(Stage::Sink, done, Some(total));
                }
            }
        }
        self.writer.flush()?;
        self.file.set_len(plan.tables())?;
        let mut tables = Outlet::file_from(Arc::clone(&self.file), plan.tables());
        write_tables(plan, &mut tables, observer)?;
        tables.finish().map(|_| ())
    }

    fn render(
        &mut self,
        image: &Image,
        at: u64,
        len: u64,
        place: u64,
        observer: &dyn Observer,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            if observer.cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let mut bytes = vec![0; index((len - done).min(RENDER))];
            image.read_exact_at(at + done, &mut bytes)?;
            let step = count(bytes.len());
            self.writer.place(place + done, bytes.into())?;
            done += step;
        }
        Ok(())
    }

    /// In one forward pass, from what lies in the file in another order.
    fn once_more(&mut self, image: &Image, observer: &dyn Observer) -> io::Result<()> {
        let folder = self.target.folder();
        let other = tempfile::tempfile_in(folder).map_err(|e| io::Error::from(e.kind()))?;
        let other = Arc::new(other);
        let mut outlet = Outlet::file(Arc::clone(&other));
        write(image, &mut outlet, observer)?;
        outlet.finish()?;
        let mut file = &*self.file;
        file.set_len(0)?;
        file.rewind()?;
        let mut other = &*other;
        other.rewind()?;
        io::copy(&mut other, &mut file)?;
        Ok(())
    }

    /// Puts it under its name.
    ///
    /// # Errors
    /// When it cannot be renamed, or the name was taken meanwhile.
    pub fn finish(self) -> Result<(), SinkError> {
        self.target.publish(&self.file)
    }
}

impl Spool for Qcow2File {
    fn place(&mut self, at: u64, data: Bytes, _keep: bool) -> io::Result<()> {
        let len = count(data.len());
        self.clusters
            .take(at / CLUSTER..(at + len).div_ceil(CLUSTER));
        let mut from = 0;
        for (len, place) in self.clusters.parts(at, len) {
            let to = from + index(len);
            let place = place.expect("every cluster was taken above");
            self.writer.place(place, data.slice(from..to))?;
            from = to;
        }
        Ok(())
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.writer.flush()?;
        for (len, place) in self.clusters.parts(at, len) {
            if let Some(place) = place {
                punch(&self.file, place, len)?;
            }
        }
        Ok(())
    }

    fn read_back(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.writer.flush()?;
        read_parts(&self.file, &self.clusters, at, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_taken_once_and_in_order() {
        let mut clusters = Clusters::default();
        clusters.take(3..5);
        clusters.take(4..6);
        clusters.take(9..10);
        assert_eq!(clusters.find(5), Some((3, 1)));
        assert_eq!((clusters.find(6), clusters.find(9)), (None, Some((4, 1))));
        let parts = clusters.parts(5 * CLUSTER + 1, 2 * CLUSTER);
        let (rest, whole) = (CLUSTER - 1, CLUSTER);
        assert_eq!(
            parts,
            [(rest, Some(3 * CLUSTER + 1)), (whole, None), (1, None)]
        );
        // Behind the others in the file, before them on the disk.
        clusters.take(0..1);
        assert_eq!(clusters.find(0), Some((5, 1)));
    }
}
