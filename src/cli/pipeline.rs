//! The one place where the command line meets the library's stages.

use super::records::Records;
use super::signals;
use anyhow::Context;
use diskwright::archive::{self, Origin, Rootfs};
use diskwright::ext4::check;
use diskwright::hex::hex;
use diskwright::image::{self, Asked, BuildError, PlanSpool, Report, Spec, Structure, Told};
use diskwright::inspect::{self, Info};
use diskwright::observe::{Observer, Stage};
use diskwright::read_at::{FileAt, Window};
use diskwright::sink::beside::Beside;
use diskwright::sink::blocks::{SNAPSHOT_BLOCK, Survey};
use diskwright::sink::map::{self, Class};
use diskwright::sink::raw::{RawFile, RawOptions, SinkError};
use diskwright::units::{MIB, count, index};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What `build` was asked for.
#[derive(Debug)]
pub(super) struct Job {
    /// Where the layers come from, lowest first.
    pub(super) rootfs: Vec<Origin>,
    pub(super) reading: archive::Options,
    pub(super) output: PathBuf,
    pub(super) spec: Spec,
    pub(super) force: bool,
    pub(super) sync: bool,
    pub(super) sha256: bool,
    /// Where the map of the image goes.
    pub(super) map_file: Option<PathBuf>,
    pub(super) records: Records,
}

/// Builds the image.
pub(super) fn build(job: &Job, observer: &dyn Observer) -> anyhow::Result<Report> {
    let options = RawOptions {
        force: job.force,
        sync: job.sync,
    };
    for origin in &job.rootfs {
        refuse_same_file(origin.path(), &job.output)?;
        refuse_inside(origin.path(), &job.output)?;
    }
    // The output first: nobody should wait for an archive to learn that it has no place to go.
    let mut raw = RawFile::create(&job.output, options)?;
    let map_file = job.map_file.as_deref();
    let map_file = map_file.map(|p| Beside::create(p, options)).transpose()?;
    let records = job.records.create(options)?;
    let _guards = (raw.temporary().map(signals::guard), records.guards());
    let mut rootfs = Rootfs::open_with(&job.rootfs, &job.reading)?;
    let asked = job.records.asked();
    let built = image::build_and_tell(&mut rootfs, &job.spec, asked, raw.spool(), observer);
    let mut built = built.map_err(|e| match e {
        // The library's build does not know where its spool lies; this one is the output.
        BuildError::Spool(source) => anyhow::Error::new(SinkError::Write {
            path: job.output.clone(),
            source,
        }),
        other => other.into(),
    })?;
    built.image.verify()?;
    raw.write(&built.image, observer)?;
    if job.sha256 || job.records.digests_image() {
        built.report.sha256 = Some(digest(raw.file(), built.image.size(), observer)?);
    }
    let mut beside = records.write(&job.output, rootfs.inputs(), &built)?;
    if let Some(mut map_file) = map_file {
        let regions = map::of_extents(built.image.extents());
        let reading = "cannot read the image back";
        let image = FileAt::new(raw.file().try_clone().context(reading)?).context(reading)?;
        let survey = Survey::new(&image, &regions, SNAPSHOT_BLOCK, observer).context(reading)?;
        map_file.write(|out| map::write(out, &regions, survey.digest()))?;
        beside.push(map_file);
    }
    if observer.cancelled() {
        return Err(BuildError::Interrupted.into());
    }
    publish(beside, raw)?;
    Ok(built.report)
}

/// Gives all files their names, the image last: where it is, its records are. If one cannot have its name, none
/// of them stays.
fn publish(beside: Vec<Beside>, image: RawFile) -> Result<(), SinkError> {
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

/// Refuses an output that is the archive itself, `--force` or not: the image would replace it.
fn refuse_same_file(rootfs: &Path, output: &Path) -> anyhow::Result<()> {
    // A symbolic link as output is replaced, not followed.
    let Ok(there) = output.symlink_metadata() else {
        return Ok(());
    };
    let input = if rootfs == Path::new("-") {
        std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|fd| File::from(fd).metadata())
    } else {
        rootfs.metadata()
    };
    // What cannot be looked at is told when it is opened.
    if input.is_ok_and(|i| (i.dev(), i.ino()) == (there.dev(), there.ino())) {
        anyhow::bail!(
            "{} is the archive itself: the image would replace it; give the image another name",
            output.display()
        );
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
    let file = File::open(path).with_context(reading)?;
    let disk = FileAt::new(file).with_context(reading)?;
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
    disk: &FileAt,
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

/// SHA-256 of a file's first `total` bytes, in hex. Its holes are not read.
fn digest(file: &File, total: u64, observer: &dyn Observer) -> anyhow::Result<String> {
    let reading = "cannot read the image back";
    let zeros = vec![0; index(MIB)];
    let mut buffer = zeros.clone();
    let mut hasher = Sha256::new();
    for region in map::of_holes(file, total, Class::Zero).context(reading)? {
        let (mut at, end) = (region.start, region.start + region.len);
        while at < end {
            let len = buffer.len().min(index(end - at));
            if region.class == Class::Zero {
                hasher.update(&zeros[..len]);
            } else {
                file.read_exact_at(&mut buffer[..len], at)
                    .context(reading)?;
                hasher.update(&buffer[..len]);
            }
            at += count(len);
            observer.progress(Stage::Digest, at, Some(total));
            if observer.cancelled() {
                return Err(BuildError::Interrupted.into());
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256_in_hex() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let digest = |total| digest(file.as_file(), total, &diskwright::observe::Silent).unwrap();
        // FIPS 180-4, the one-block example.
        assert_eq!(
            digest(3),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // A hole behind it.
        file.as_file().set_len(5_000_000).unwrap();
        let mut whole = vec![0; 5_000_000];
        whole[..3].copy_from_slice(b"abc");
        assert_eq!(digest(5_000_000), hex(&Sha256::digest(&whole)));
    }
}
