//! The one place where the command line meets the library's stages.

use super::output::{Output, is_stdout};
use super::records::Records;
use anyhow::Context;
use diskwright::archive::{self, Origin, Rootfs};
use diskwright::ext4::check;
use diskwright::image::{
    self, Asked, BuildError, Customize, PlanSpool, Report, Spec, Structure, Told,
};
use diskwright::inspect::{self, Info};
use diskwright::observe::Observer;
use diskwright::read_at::{ReadAt, Window};
use diskwright::sink::beside::Beside;
use diskwright::sink::blocks::{SNAPSHOT_BLOCK, Survey};
use diskwright::sink::raw::{RawOptions, SinkError};
use diskwright::sink::{bmap, map};
use diskwright::vdisk::Format;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `build` was asked for.
#[derive(Debug)]
pub(super) struct Job {
    /// Where the layers come from, lowest first.
    pub(super) rootfs: Vec<Origin>,
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
    for origin in job.rootfs.iter().filter(|_| !is_stdout(&job.output)) {
        refuse_same_file(origin.path(), "the archive", &job.output)?;
        refuse_inside(origin.path(), &job.output)?;
    }
    if !is_stdout(&job.output) {
        refuse_customized(&job.spec.customize, &job.output)?;
    }
    // The output first: nobody should wait for an archive to learn that it has no place to go.
    let block = job.spec.block_size.bytes();
    let mut output = Output::create(&job.output, job.format, options, block)?;
    let map_file = job.map_file.as_deref();
    let mut map_file = map_file.map(|p| Beside::create(p, options)).transpose()?;
    let bmap_file = job.bmap.as_deref();
    let mut bmap_file = bmap_file.map(|p| Beside::create(p, options)).transpose()?;
    let records = job.records.create(options)?;
    let _guards = (output.guard(), records.guards());
    let mut rootfs = Rootfs::open_with(&job.rootfs, &job.reading)?;
    let asked = job.records.asked();
    let built = image::build_and_tell(&mut rootfs, &job.spec, asked, output.spool(), observer);
    let mut built = built.map_err(|e| match e {
        // The library's build does not know where its spool lies.
        BuildError::Spool(source) => output.spool_failed(source),
        other => other.into(),
    })?;
    built.image.verify()?;
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
    publish(beside, output)?;
    Ok(built.report)
}

/// Gives all files their names, the image last: where it is, its records are. If one cannot have its name, none
/// of them stays.
fn publish(beside: Vec<Beside>, image: Output) -> Result<(), SinkError> {
    let mut done = Vec::new();
    let all = || {
        for file in beside {
            done.push(file.finish()?);
        }
        image.finish()
    };
    let result = all();
    if result.is_err() {
        for path in done {
            // The first error is what matters.
            let _ = std::fs::remove_file(path);
        }
    }
    result
}

/// Refuses an output that is the input itself, `--force` or not: the image would replace it.
pub(super) fn refuse_same_file(input: &Path, what: &str, output: &Path) -> anyhow::Result<()> {
    // A symbolic link as output is replaced, not followed.
    let Ok(there) = output.symlink_metadata() else {
        return Ok(());
    };
    let input = if input == Path::new("-") {
        std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|fd| File::from(fd).metadata())
    } else {
        input.metadata()
    };
    // What cannot be looked at is told when it is opened.
    if input.is_ok_and(|i| (i.dev(), i.ino()) == (there.dev(), there.ino())) {
        anyhow::bail!(
            "{} is {what} itself: the image would replace it; give the image another name",
            output.display()
        );
    }
    Ok(())
}

/// Refuses an output that is one of the files, or lies in one of the folders, that customise the image.
pub(super) fn refuse_customized(customize: &Customize, output: &Path) -> anyhow::Result<()> {
    for overlay in &customize.overlays {
        refuse_inside(&overlay.folder, output)?;
    }
    for file in &customize.files {
        refuse_same_file(&file.source, "the file for the image", output)?;
    }
    Ok(())
}

/// Refuses an output in a folder that is read: it would be read while it is written.
pub(super) fn refuse_inside(rootfs: &Path, output: &Path) -> anyhow::Result<()> {
    let folder = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // What cannot be looked at is told when it is opened.
    let (Ok(rootfs), Ok(folder)) = (rootfs.canonicalize(), folder.canonicalize()) else {
        return Ok(());
    };
    if rootfs.is_dir() && folder.starts_with(&rootfs) {
        anyhow::bail!(
            "{} lies in the folder that the image is made of; give it a place elsewhere",
            output.display()
        );
    }
    Ok(())
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
    let disk = super::opened::disk(path)?;
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
        offset: root.offset + f.offset,
        message: f.message,
    });
    Ok(findings.collect())
}
