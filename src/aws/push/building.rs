//! An image that is built in a thread of its own, and its blocks as they become known.

use crate::archive::Rootfs;
use crate::aws::snapshot::{Body, Fed, Feed};
use crate::image::{BuildError, ImageError, Report, Spec, build};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::sink::blocks::SNAPSHOT_BLOCK;
use crate::sink::spool::{FileSpool, Rest, Spooled};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Whoever watches, from the builder's thread too.
pub type Watch = Arc<dyn Observer + Send + Sync>;

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildingError {
    /// The archive, or what the image should be.
    #[error(transparent)]
    Build(BuildError),
    /// File data has no place to wait in.
    #[error("cannot keep file data in {}", folder.display())]
    Spool {
        /// Where it should be.
        folder: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A bug of ours.
    #[error("the image is none")]
    Image(#[from] ImageError),
    /// Its blocks were asked for a second time.
    #[error("the image was sent already")]
    Ended,
}

/// A finished image.
struct Image {
    image: crate::image::Image,
    spooled: Spooled,
}

/// An image under way. Dropped, it is abandoned: its thread ends with the next entry of the archive.
pub struct Building {
    thread: JoinHandle<Result<Report, BuildingError>>,
    size: oneshot::Receiver<u64>,
    blocks: Option<Blocks>,
    stop: Stop,
}

impl fmt::Debug for Building {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Building").finish_non_exhaustive()
    }
}

/// Ends the build when nobody wants it any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Watching {
    watch: Watch,
    stop: Arc<AtomicBool>,
}

impl Observer for Watching {
    fn progress(&self, stage: Stage, done: u64, total: Option<u64>) {
        self.watch.progress(stage, done, total);
    }

    fn note(&self, message: &str) {
        self.watch.note(message);
    }

    fn warn(&self, message: &str) {
        self.watch.warn(message);
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.watch.cancelled()
    }
}

impl Building {
    /// Begins to build. File data waits in a file without a name in `folder`, which needs as much room as the
    /// files have.
    ///
    /// # Errors
    /// [`BuildingError::Spool`].
    pub fn start(
        mut rootfs: Rootfs,
        spec: Spec,
        folder: &Path,
        watch: Watch,
    ) -> Result<Self, BuildingError> {
        let (told, full) = channel();
        let no_spool = {
            let folder = folder.to_owned();
            move |source| BuildingError::Spool { folder, source }
        };
        let align = spec.block_size.bytes();
        let mut spool = FileSpool::create(folder, align, told).map_err(no_spool.clone())?;
        let data = spool.data();
        let (finished, done) = channel();
        let blocks = Blocks {
            full,
            data: Arc::clone(&data),
            done,
            image: None,
            rest: Vec::new().into_iter(),
        };
        let stop = Stop(Arc::default());
        let observer = Watching {
            watch,
            stop: Arc::clone(&stop.0),
        };
        let (sized, size) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let built = build(&mut rootfs, &spec, &mut spool, &observer).map_err(|e| match e {
                BuildError::Spool(source) => no_spool.clone()(source),
                other => BuildingError::Build(other),
            })?;
            built.image.verify()?;
            let size = built.image.size();
            let spooled = spool.finish().map_err(no_spool)?;
            let image = built.image.with_data(&data);
            // Either may have nobody waiting for it.
            let _ = finished.send(Image { image, spooled });
            let _ = sized.send(size);
            Ok(built.report)
        });
        Ok(Self {
            thread,
            size,
            blocks: Some(blocks),
            stop,
        })
    }

    /// The disk's size in bytes; waits until the image is planned. `None` if there will be none: see
    /// [`Building::report`].
    pub async fn size(&mut self) -> Option<u64> {
        (&mut self.size).await.ok()
    }

    /// The image's blocks; once.
    pub(super) fn blocks(&mut self) -> Option<Blocks> {
        self.blocks.take()
    }

    /// Waits until the build has ended.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn report(self) -> Result<Report, BuildingError> {
        let Self { thread, stop, .. } = self;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        drop(stop);
        match joined.expect("waiting for a thread neither panics nor is aborted") {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The blocks of an image that is being built.
pub(super) struct Blocks {
    full: Receiver<u32>,
    data: Arc<dyn ReadAt>,
    done: Receiver<Image>,
    image: Option<Arc<dyn ReadAt>>,
    rest: std::vec::IntoIter<Rest>,
}

impl Feed for Blocks {
    fn next(&mut self, block_size: u64) -> io::Result<Option<Fed>> {
        let image = loop {
            if let Some(image) = &self.image {
                break image;
            }
            match self.full.recv() {
                Ok(index) if block_size == SNAPSHOT_BLOCK => {
                    return Ok(Some(Fed {
                        index,
                        digest: None,
                        body: Body::At(Arc::clone(&self.data)),
                    }));
                }
                Ok(_) => {}
                Err(RecvError) => {
                    let failed = |_| io::Error::other("the image could not be built");
                    let Image { image, spooled } = self.done.recv().map_err(failed)?;
                    let rest = spooled.rest(image.extents(), block_size);
                    self.rest = rest.into_iter();
                    self.image = Some(Arc::new(image));
                }
            }
        };
        Ok(self.rest.next().map(|Rest { index, data }| Fed {
            index,
            digest: None,
            body: match data {
                true => Body::At(Arc::clone(image)),
                false => Body::Zero,
            },
        }))
    }
}
