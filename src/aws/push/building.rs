//! An image that is built in a thread of its own, and its blocks as they become known.

use crate::archive::Rootfs;
use crate::aws::snapshot::{Body, Fed, Feed};
use crate::image::{BuildError, ImageError, Report, Spec, build};
use crate::observe::{Observer, Stage};
use crate::read_at::ReadAt;
use crate::sink::blocks::SNAPSHOT_BLOCK;
use crate::sink::spool::{Block, FileSpool, Spooled};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

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

/// A finished image, and what was told of it before.
struct Image {
    image: Arc<crate::image::Image>,
    spooled: Spooled,
}

/// The image when it is finished; `None` when there will be none.
#[derive(Default)]
struct Coming(OnceLock<Option<Image>>);

impl Coming {
    fn wait(&self) -> io::Result<&Image> {
        let failed = || io::Error::other("the image could not be built");
        self.0.wait().as_ref().ok_or_else(failed)
    }
}

/// Whoever waits learns that nothing comes, however the builder's thread ends.
struct Ending(Arc<Coming>);

impl Drop for Ending {
    fn drop(&mut self) {
        // It is set already where the image was finished.
        let _ = self.0.0.set(None);
    }
}

/// An image under way. Dropped, it is abandoned: its thread ends with the next entry of the archive.
pub struct Building {
    thread: JoinHandle<Result<Report, BuildingError>>,
    early: Option<Early>,
    coming: Arc<Coming>,
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
        let (told, blocks) = channel();
        let no_spool = {
            let folder = folder.to_owned();
            move |source| BuildingError::Spool { folder, source }
        };
        let align = spec.block_size.bytes();
        let mut spool = FileSpool::create(folder, align, told).map_err(no_spool.clone())?;
        let data = spool.data();
        let stop = Stop(Arc::default());
        let observer = Watching {
            watch,
            stop: Arc::clone(&stop.0),
        };
        let coming = Arc::<Coming>::default();
        let ending = Ending(Arc::clone(&coming));
        let early = Early {
            blocks,
            data: Arc::clone(&data),
        };
        let thread = std::thread::spawn(move || {
            let built = build(&mut rootfs, &spec, &mut spool, &observer).map_err(|e| match e {
                BuildError::Spool(source) => no_spool.clone()(source),
                other => BuildingError::Build(other),
            })?;
            built.image.verify()?;
            let spooled = spool.finish().map_err(no_spool)?;
            let image = Arc::new(built.image.with_data(&data));
            // Nobody else sets it before this thread ends.
            let _ = ending.0.0.set(Some(Image { image, spooled }));
            Ok(built.report)
        });
        Ok(Self {
            thread,
            early: Some(early),
            coming,
            stop,
        })
    }

    /// The disk's size in bytes; waits until the image is finished. `None` if there will be none: see
    /// [`Building::report`].
    pub async fn size(&self) -> Option<u64> {
        let coming = Arc::clone(&self.coming);
        let size = move || coming.wait().ok().map(|done| done.image.size());
        let waited = tokio::task::spawn_blocking(size).await;
        waited.expect("waiting for an image neither panics nor is aborted")
    }

    /// The image's blocks as they become known; from the second time on, and unless `early`, those of the finished
    /// image.
    pub(super) fn blocks(&mut self, early: bool) -> Blocks {
        Blocks {
            early: self.early.take().filter(|_| early),
            coming: Arc::clone(&self.coming),
            zeros: VecDeque::new(),
            rest: None,
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

/// Blocks that are told before the image is finished.
struct Early {
    blocks: Receiver<Block>,
    data: Arc<dyn ReadAt>,
}

/// The blocks of an image that is being built.
pub(super) struct Blocks {
    early: Option<Early>,
    coming: Arc<Coming>,
    /// Told and of zeros: sent while there is no data to send.
    zeros: VecDeque<Block>,
    /// Those that were not told early or changed since, when the image is finished.
    rest: Option<std::vec::IntoIter<Block>>,
}

impl Blocks {
    /// The next block that was told; waits for it. `None` when no more will be.
    fn told(&mut self) -> Option<Fed> {
        let Early { blocks, data } = self.early.as_ref()?;
        loop {
            if matches!(self.coming.0.get(), Some(None)) {
                // Nothing comes of it: what was told is sent in vain.
                return None;
            }
            let block = match blocks.try_recv() {
                Ok(block) => block,
                Err(_) if !self.zeros.is_empty() => {
                    return self.zeros.pop_front().map(|block| fed(block, data));
                }
                Err(_) => blocks.recv().ok()?,
            };
            if block.data {
                return Some(fed(block, data));
            }
            self.zeros.push_back(block);
        }
    }
}

impl Feed for Blocks {
    fn next(&mut self, block_size: u64) -> io::Result<Option<Fed>> {
        if self.rest.is_none() {
            while let Some(block) = self.told() {
                // Those of another size were none of them told.
                if block_size == SNAPSHOT_BLOCK {
                    return Ok(Some(block));
                }
            }
        }
        let Image { image, spooled } = self.coming.wait()?;
        let rest = self.rest.get_or_insert_with(|| {
            let nothing = Spooled::default();
            let told = self.early.as_ref().map_or(&nothing, |_| spooled);
            told.rest(image.extents(), block_size).into_iter()
        });
        let image: Arc<dyn ReadAt> = Arc::<crate::image::Image>::clone(image);
        Ok(rest.next().map(|block| fed(block, &image)))
    }
}

fn fed(block: Block, data: &Arc<dyn ReadAt>) -> Fed {
    let body = match block.data {
        true => Body::At(Arc::clone(data)),
        false => Body::Zero,
    };
    Fed {
        index: block.index,
        digest: None,
        body,
    }
}
