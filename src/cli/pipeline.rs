//! The one place where the command line meets the library's stages.
//!
//! TODO(stub): `build`, `plan` and `verify` answer with an error until the stages are merged. Then:
//!
//! ```text
//! let mut reader = archive::ArchiveReader::…(rootfs)
//! let mut raw = sink::raw::RawFile::create(&job.output, RawOptions { force, sync })?
//! let _guard = raw.temporary().map(signals::guard)
//! let built = image::build(&mut reader, &job.spec, raw.spool(), observer)?
//! raw.write(&built.image, observer)?   then digest, then raw.finish()?
//! ```

use anyhow::{Context, bail};
use diskwright::image::{Report, Spec};
use diskwright::observe::{Observer, Stage};
use diskwright::units::{MIB, count, index};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What `build` was asked for.
#[derive(Debug)]
pub(super) struct Job {
    /// The archive; `-` is standard input.
    pub(super) rootfs: PathBuf,
    pub(super) output: PathBuf,
    pub(super) spec: Spec,
    pub(super) force: bool,
    pub(super) sync: bool,
    pub(super) sha256: bool,
}

/// Builds the image.
pub(super) fn build(job: &Job, observer: &dyn Observer) -> anyhow::Result<Report> {
    let mut archive = open(&job.rootfs)?;
    let asked = (job.force, job.sync);
    let mut report = stages(
        &mut *archive,
        &job.spec,
        Some((&job.output, asked)),
        observer,
    )?;
    if job.sha256 {
        report.sha256 = Some(digest(&job.output, observer)?);
    }
    Ok(report)
}

/// What [`build`] would build. Reads the archive, writes nothing.
pub(super) fn plan(rootfs: &Path, spec: &Spec, observer: &dyn Observer) -> anyhow::Result<Report> {
    stages(&mut *open(rootfs)?, spec, None, observer)
}

/// One thing that is wrong with an image.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Finding {
    pub(super) message: String,
}

/// Checks the filesystem of an image.
pub(super) fn verify(image: &Path, observer: &dyn Observer) -> anyhow::Result<Vec<Finding>> {
    let _ = (open(image)?, observer);
    bail!("verify is not wired to ext4::check yet")
}

fn stages(
    archive: &mut dyn Read,
    spec: &Spec,
    output: Option<(&PathBuf, (bool, bool))>,
    observer: &dyn Observer,
) -> anyhow::Result<Report> {
    let _ = (archive, spec, output, observer);
    bail!("the pipeline is not wired to the library's stages yet")
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Box::new(file))
}

/// SHA-256 of a file, in hex.
fn digest(path: &Path, observer: &dyn Observer) -> anyhow::Result<String> {
    let reading = || format!("cannot read {} back", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let total = file.metadata().with_context(reading)?.len();
    let mut buffer = vec![0; index(MIB)];
    let (mut hasher, mut done) = (Sha256::new(), 0);
    loop {
        let len = file.read(&mut buffer).with_context(reading)?;
        if len == 0 {
            break;
        }
        hasher.update(&buffer[..len]);
        done += count(len);
        observer.progress(Stage::Digest, done, Some(total));
        if observer.cancelled() {
            bail!("interrupted");
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes every write");
            hex
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256_in_hex() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let hex = digest(file.path(), &diskwright::observe::Silent).unwrap();
        // FIPS 180-4, the one-block example.
        assert_eq!(
            hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
