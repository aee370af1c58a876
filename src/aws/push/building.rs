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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// The time between two looks whether the image is finished.
const LOOK: Duration = Duration::from_millis(20);

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
    /// Another, told on standard error.
    #[error("building the image failed: a bug of diskwright")]
    Panicked,
    /// Another: neither an image nor an error.
    #[error("there is no image, and nobody says why")]
    Ended,
}

/// A finished image.
struct Image {
    image: Arc<crate::image::Image>,
    spooled: Spooled,
}

/// Where it is put when it is finished.
type Finished = Arc<OnceLock<Image>>;

/// An image under way. Dropped, it is abandoned: its thread ends with the next entry of the archive.
pub struct Building {
    thread: JoinHandle<Result<Report, BuildingError>>,
    size: oneshot::Receiver<u64>,
    live: Option<Blocks>,
    finished: Finished,
    /// Gone with the thread.
    alive: Weak<()>,
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
        let finished = Finished::default();
        let (ended, over) = channel();
        let live = Blocks {
            full,
            data: Arc::clone(&data),
            over,
            finished: Arc::clone(&finished),
            rest: None,
        };
        let stop = Stop(Arc::default());
        let observer = Watching {
            watch,
            stop: Arc::clone(&stop.0),
        };
        let (sized, size) = oneshot::channel();
        let done = Arc::clone(&finished);
        let life = Arc::new(());
        let alive = Arc::downgrade(&life);
        let thread = std::thread::spawn(move || {
            let _life = life;
            let built = build(&mut rootfs, &spec, &mut spool, &observer).map_err(|e| match e {
                BuildError::Spool(source) => no_spool.clone()(source),
                other => BuildingError::Build(other),
            })?;
            built.image.verify()?;
            let size = built.image.size();
            let spooled = spool.finish().map_err(no_spool)?;
            let image = Arc::new(built.image.with_data(&data));
            // Nobody else sets it.
            let _ = done.set(Image { image, spooled });
            // These two may have nobody waiting for them.
            let _ = ended.send(());
            let _ = sized.send(size);
            Ok(built.report)
        });
        Ok(Self {
            thread,
            size,
            live: Some(live),
            finished,
            alive,
            stop,
        })
    }

    /// The disk's size in bytes; waits until the image is planned. `None` if there will be none: see
    /// [`Building::report`].
    pub async fn size(&mut self) -> Option<u64> {
        (&mut self.size).await.ok()
    }

    /// The image's blocks as they become known; from the second time on, and unless `early`, those of the finished
    /// image.
    pub(super) fn blocks(&mut self, early: bool) -> Box<dyn Feed> {
        match self.live.take() {
            Some(live) if early => Box::new(live),
            _ => Box::new(Whole {
                finished: Arc::clone(&self.finished),
                alive: Weak::clone(&self.alive),
                rest: None,
            }),
        }
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
            Err(_) => Err(BuildingError::Panicked),
        }
    }
}

/// The blocks of an image that is being built.
struct Blocks {
    full: Receiver<u32>,
    data: Arc<dyn ReadAt>,
    over: Receiver<()>,
    finished: Finished,
    rest: Option<std::vec::IntoIter<Rest>>,
}

impl Feed for Blocks {
    fn next(&mut self, block_size: u64) -> io::Result<Option<Fed>> {
        while self.rest.is_none() {
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
                    self.over.recv().map_err(failed)?;
                    let done = self.finished.get();
                    let Image { image, spooled } = done.ok_or_else(|| failed(RecvError))?;
                    self.rest = Some(spooled.rest(image.extents(), block_size).into_iter());
                }
            }
        }
        let image = self.finished.get().map(|done| &done.image);
        Ok(fed(self.rest.as_mut(), image))
    }
}

/// The blocks of an image when it is finished.
struct Whole {
    finished: Finished,
    alive: Weak<()>,
    rest: Option<std::vec::IntoIter<Rest>>,
}

impl Feed for Whole {
    fn next(&mut self, block_size: u64) -> io::Result<Option<Fed>> {
        let image = loop {
            // In this order: it is finished before the thread is gone.
            let alive = self.alive.strong_count() > 0;
            match self.finished.get() {
                Some(done) => break &done.image,
                None if alive => std::thread::sleep(LOOK),
                None => return Err(io::Error::other("the image could not be built")),
            }
        };
        let all = || {
            Spooled::default()
                .rest(image.extents(), block_size)
                .into_iter()
        };
        let rest = self.rest.get_or_insert_with(all);
        Ok(fed(Some(rest), Some(image)))
    }
}

fn fed(
    rest: Option<&mut std::vec::IntoIter<Rest>>,
    image: Option<&Arc<crate::image::Image>>,
) -> Option<Fed> {
    let Rest { index, data } = rest?.next()?;
    let image: Arc<dyn ReadAt> = Arc::<crate::image::Image>::clone(image?);
    Some(Fed {
        index,
        digest: None,
        body: match data {
            true => Body::At(image),
            false => Body::Zero,
        },
    })
}
