//! A digest of what an image will be made of, known before it is made: by it AWS tells a repeated push.

use crate::archive::{self, Origin};
use crate::image::Spec;
use crate::observe::{Observer, Stage};
use crate::sink::blocks::Digest;
use crate::units::{MIB, count, index};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// By what a file that is written to is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        meta.is_file().then(|| Self {
            device: meta.dev(),
            inode: meta.ino(),
            len: meta.len(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// The files that an image will be made of, and how they were before they were opened.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// `None` where one of them is no file, or cannot be looked at, which is told when it is opened.
    files: Option<Vec<(&'a Origin, Stamp)>>,
}

impl<'a> Inputs<'a> {
    /// As they are now.
    #[must_use]
    pub fn of(origins: &'a [Origin]) -> Self {
        let one = |origin: &'a Origin| {
            let path = Some(origin.path()).filter(|path| *path != Path::new("-"));
            Some((origin, Stamp::of(path?)?))
        };
        Self {
            files: origins.iter().map(one).collect(),
        }
    }

    /// The first of the files that is another by now: the image was not made of what was digested.
    #[must_use]
    pub fn changed(&self) -> Option<&Path> {
        let files = self.files.iter().flatten();
        let mut paths = files.map(|(origin, stamp)| (origin.path(), stamp));
        let changed = |(path, stamp): &(&Path, &Stamp)| Stamp::of(path).as_ref() != Some(*stamp);
        paths.find(changed).map(|(path, _)| path)
    }

    /// Digests the files and everything else that decides about the image. `None` where what is in them is not known
    /// beforehand: of standard input, a pipe, a folder, a filter, files that customise the image.
    ///
    /// # Errors
    /// When a file cannot be read; `Interrupted` when `observer` asks for an end.
    pub fn digest(
        &self,
        reading: &archive::Options,
        spec: &Spec,
        observer: &dyn Observer,
    ) -> io::Result<Option<Digest>> {
        let Some(files) = &self.files else {
            return Ok(None);
        };
        if reading.filter.is_some() || spec.customize.reads_files() {
            return Ok(None);
        }
        let total = files.iter().map(|(_, stamp)| stamp.len).sum();
        let mut hasher = Sha256::new();
        hasher.update(concat!("diskwright push ", env!("CARGO_PKG_VERSION"), "\n"));
        // The platform of an image archive is the host's unless one is named.
        let host = std::env::consts::ARCH;
        let archive::Options {
            owner, platform, ..
        } = reading;
        hasher.update(format!("{owner:?} {platform:?} {host} {spec:?}\n"));
        for folder in &spec.grub {
            loaders(folder, &mut hasher);
        }
        let mut done = 0;
        for (origin, stamp) in files {
            let path = origin.path();
            // What kind of archive, and which image of it; not where the file lies.
            let named = format!("{origin:?}").replace(&format!("{path:?}"), "");
            hasher.update(format!("{named} {}\n", stamp.len));
            let mut file = File::open(path)?;
            let mut buf = vec![0; index(MIB)];
            loop {
                let n = match file.read(&mut buf) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => return Err(e),
                };
                hasher.update(&buf[..n]);
                done += count(n);
                observer.progress(Stage::Digest, done, Some(total));
                if observer.cancelled() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
        }
        Ok(Some(hasher.finalize().into()))
    }
}

/// The state of a folder of GRUB's: what of it comes into an image is not known yet.
fn loaders(folder: &Path, hasher: &mut Sha256) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if meta.is_dir() {
            loaders(&path, hasher);
        } else {
            hasher.update(path.as_os_str().as_bytes());
            hasher.update(format!("\n{} {}\n", meta.len(), meta.mtime()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;

    fn digest(path: &Path, spec: &Spec) -> Option<Digest> {
        let origins = [Origin::Path(path.into())];
        let reading = archive::Options::default();
        Inputs::of(&origins)
            .digest(&reading, spec, &Silent)
            .unwrap()
    }

    #[test]
    fn it_is_of_bytes_and_shape_and_not_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |name: &str, text: &str, spec: &Spec| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            digest(&path, spec)
        };
        let plain = Spec::default();
        let other = Spec {
            label: "other".into(),
            ..Spec::default()
        };
        let first = digest("a", "text", &plain);
        assert!(first.is_some());
        assert_eq!(digest("b", "text", &plain), first);
        assert_ne!(digest("a", "other", &plain), first);
        assert_ne!(digest("a", "text", &other), first);
    }

    #[test]
    fn a_file_that_is_written_to_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        let origins = [Origin::Path(path.clone())];
        let inputs = Inputs::of(&origins);
        assert_eq!(inputs.changed(), None);
        std::fs::write(&path, "longer").unwrap();
        assert_eq!(inputs.changed(), Some(&*path));
    }

    #[test]
    fn of_what_is_customised_with_files_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        let mut spec = Spec::default();
        spec.customize.users.push("lisa".parse().unwrap());
        assert!(digest(&path, &spec).is_some());
        spec.customize.overlays.push("files".parse().unwrap());
        assert!(digest(&path, &spec).is_none());
    }

    #[test]
    fn of_a_pipe_and_a_folder_there_is_none() {
        for path in ["-", "/"] {
            assert!(
                digest(Path::new(path), &Spec::default()).is_none(),
                "{path}"
            );
        }
    }
}
