//! The one place where the command line meets the library's stages.

use super::output::Output;
use super::records::Records;
use super::{places, signals};
use anyhow::Context;
use diskwright::archive::{self, Origin, Rootfs};
use diskwright::ext4::check;
use diskwright::image::{self, Asked, BuildError, PlanSpool, Report, Spec, Structure, Told};
use diskwright::inspect::{self, Info};
use diskwright::observe::Observer;
use diskwright::read_at::{ReadAt, Window};
use diskwright::sink::beside::Beside;
use diskwright::sink::blocks::{SNAPSHOT_BLOCK, Survey};
use diskwright::sink::raw::{RawOptions, SinkError};
use diskwright::sink::{bmap, map};
use diskwright::vdisk::Format;
use std::path::{Path, PathBuf};

/// What `build` was asked for.
#[derive(Debug)]
pub(super) struct Job {
    /// Where the layers come from, lowest first.
    pub(super) rootfs: Vec<Origin>,
    /// Where flags were read from.
    pub(super) spec_file: Option<PathBuf>,
    pub(super) reading: archive::Options,
    /// `-` is standard output.
    pub(super) output: PathBuf,
    pub(super) format: Format,
    pub(super) spec: Spec,
    pub(super) force: bool,
    pub(super) sync: bool,
    pub(super) sha256: bool,
    /// Where the map of the image goes.
    pub(super) map_file: Option<PathBuf>,
    /// Where the block map goes.
    pub(super) bmap: Option<PathBuf>,
    pub(super) records: Records,
}

/// Builds the image.
pub(super) fn build(job: &Job, observer: &dyn Observer) -> anyhow::Result<Report> {
    let options = RawOptions {
        force: job.force,
        sync: job.sync,
    };
    places::check(job)?;
    // The output first: nobody should wait for an archive to learn that it has no place to go.
    let block = job.spec.block_size.bytes();
    let mut output = Output::create(&job.output, job.format, options, block)?;
    // Each is guarded before the next one is made.
    let mut guards = vec![output.guard()];
    let mut create = |path: &Path| {
        let file = Beside::create(path, options)?;
        guards.push(file.temporary().map(signals::guard));
        Ok::<_, SinkError>(file)
    };
    let mut map_file = job.map_file.as_deref().map(&mut create).transpose()?;
    let mut bmap_file = job.bmap.as_deref().map(&mut create).transpose()?;
    let mut records = job.records.create(&mut create)?;
    let mut rootfs = Rootfs::open_with(&job.rootfs, &job.reading)?;
    let asked = job.records.asked();
    let built = image::build_and_tell(&mut rootfs, &job.spec, asked, output.spool(), observer);
    let mut built = built.map_err(|e| match e {
        // The library's build does not know where its spool lies.
        BuildError::Spool(source) => output.spool_failed(source),
        other => other.into(),
    })?;
    built.image.verify()?;
    records.list(&built.told)?;
    let digest = job.sha256 || job.records.digests_image();
    output.write(&built.image, digest, observer)?;
    if digest {
        built.report.sha256 = Some(output.digest(observer)?);
    }
    let mut beside = records.write(&job.output, rootfs.inputs(), &built)?;
    if map_file.is_some() || bmap_file.is_some() {
        let reading = "cannot read the image back";
        let regions = map::of_extents(built.image.extents());
        let disk = output.disk(&built.image)?;
        if let Some(file) = &mut map_file {
            let survey = Survey::new(&*disk, &regions, SNAPSHOT_BLOCK, observer);
            let survey = survey.context(reading)?;
            file.write(|out| map::write(out, &regions, survey.digest()))?;
        }
        if let Some(file) = &mut bmap_file {
            let text = bmap::bmap(&*disk, &regions, observer).context(reading)?;
            file.write(|out| out.write_all(text.as_bytes()))?;
        }
    }
    beside.extend([map_file, bmap_file].into_iter().flatten());
    if observer.cancelled() {
        return Err(BuildError::Interrupted.into());
    }
    places::publish(beside, || output.finish())?;
    Ok(built.report)
}

/// What [`build`] would build. Reads the archive, writes nothing.
pub(super) fn plan(
    rootfs: &[Origin],
    reading: &archive::Options,
    spec: &Spec,
    observer: &dyn Observer,
) -> anyhow::Result<(Report, Vec<Structure>)> {
    let mut rootfs = Rootfs::open_with(rootfs, reading)?;
    let built = image::build(&mut rootfs, spec, &mut PlanSpool::default(), observer)?;
    built.image.verify()?;
    Ok((built.report, built.image.structures()))
}

/// What [`build`] would tell besides the image. Reads the archive, writes nothing.
pub(super) fn told(
    rootfs: &[Origin],
    reading: &archive::Options,
    spec: &Spec,
    asked: Asked,
    observer: &dyn Observer,
) -> anyhow::Result<Told> {
    let mut rootfs = Rootfs::open_with(rootfs, reading)?;
    let mut spool = PlanSpool::default();
    let built = image::build_and_tell(&mut rootfs, spec, asked, &mut spool, observer)?;
    Ok(built.told)
}

/// One thing that is wrong with an image.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Finding {
    /// The structure at fault.
    pub(super) structure: String,
    /// Its byte on the disk.
    pub(super) offset: u64,
    pub(super) message: String,
}

/// What [`verify`] came to know.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) findings: Vec<Finding>,
    /// Why it did not get to the filesystem's end, or to the filesystem.
    pub(super) ended: Option<anyhow::Error>,
}

/// Checks the partition table and the root filesystem of an image.
pub(super) fn verify(path: &Path, observer: &dyn Observer) -> anyhow::Result<Verified> {
    let reading = || format!("cannot read {}", path.display());
    let disk = diskwright::inspect::open_image(path)?;
    let info = inspect::info(&disk).with_context(reading)?;
    let inside = root_findings(&disk, &info, observer).with_context(reading);
    let table = info.faults.into_iter().map(|f| Finding {
        structure: f.structure.into(),
        offset: f.offset,
        message: f.message,
    });
    let (inside, ended) = match inside {
        Ok(inside) => (inside, None),
        Err(e) => (Vec::new(), Some(e)),
    };
    Ok(Verified {
        findings: table.chain(inside).collect(),
        ended,
    })
}

/// Of the root filesystem.
fn root_findings(
    disk: &dyn ReadAt,
    info: &Info,
    observer: &dyn Observer,
) -> anyhow::Result<Vec<Finding>> {
    let root = inspect::root(info)?;
    let window = Window::new(disk, root.offset, root.len);
    let (_, findings) = check::check(&window, observer)?;
    let findings = findings.into_iter().map(|f| Finding {
        structure: f.structure,
        // A damaged descriptor leads anywhere up to 2^64.
        offset: root.offset.saturating_add(f.offset),
        message: f.message,
    });
    Ok(findings.collect())
}
