//! Where a build reads and where it writes: none of its files may come to stand where another one is.

use super::exit::Usage;
use super::output::is_stdout;
use super::pipeline::Job;
use diskwright::image::Customize;
use diskwright::sink::beside::{Beside, Placed};
use diskwright::sink::raw::SinkError;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Holds every output of a build against its inputs and the other outputs, before any of them is made.
pub(super) fn check(job: &Job) -> anyhow::Result<()> {
    let mut outputs = job.records.places();
    outputs.extend(job.map_file.as_deref().map(|p| ("--map-file", p)));
    outputs.extend(job.bmap.as_deref().map(|p| ("--bmap", p)));
    if let Some((flag, _)) = outputs.iter().find(|(_, path)| is_stdout(path)) {
        return Err(Usage::with_help(
            format!("{flag} - names no file, and only an image goes to standard output"),
            "for a file of that name say ./-",
        )
        .into());
    }
    if !is_stdout(&job.output) {
        outputs.push(("--output", &job.output));
    }
    for (nr, (flag, path)) in outputs.iter().enumerate() {
        let same = |other: &&(&str, &Path)| place(other.1) == place(path);
        if let Some((other, _)) = outputs[..nr].iter().find(same) {
            let both = format!("{other} and {flag} both name {}", path.display());
            return Err(Usage::with_help(both, "give each a name of its own").into());
        }
        for origin in &job.rootfs {
            refuse_same_file(origin.path(), "the archive", path)?;
            refuse_inside(origin.path(), path)?;
        }
        if let Some(spec) = &job.spec_file {
            refuse_same_file(spec, "the spec file", path)?;
        }
        for grub in &job.spec.grub {
            refuse_inside(grub, path)?;
        }
        refuse_customized(&job.spec.customize, path)?;
    }
    Ok(())
}

/// The folder without symbolic links, and the name in it, which may be one: it is replaced, not followed.
fn place(path: &Path) -> Option<(PathBuf, OsString)> {
    let folder = folder_of(path).canonicalize().ok()?;
    Some((folder, path.file_name()?.to_owned()))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses an output that is the input itself, `--force` or not: it would be replaced.
pub(super) fn refuse_same_file(input: &Path, what: &str, output: &Path) -> anyhow::Result<()> {
    // A symbolic link as output is replaced, not followed.
    let Ok(there) = output.symlink_metadata() else {
        return Ok(());
    };
    let found = if input == Path::new("-") {
        std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|fd| File::from(fd).metadata())
    } else {
        input.metadata()
    };
    // What cannot be looked at is told when it is opened.
    let same = found.is_ok_and(|i| (i.dev(), i.ino()) == (there.dev(), there.ino()));
    if same || place(input).is_some_and(|i| Some(i) == place(output)) {
        anyhow::bail!(
            "{} is {what} itself, which would be replaced; give the output another name",
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
    for key in &customize.ssh_keys {
        refuse_same_file(&key.file, "the file of keys", output)?;
    }
    if let Some(seed) = &customize.cloud_init {
        refuse_same_file(seed, "cloud-init's seed", output)?;
        refuse_inside(seed, output)?;
    }
    Ok(())
}

/// Refuses an output in a folder that is read: it would be read while it is written.
pub(super) fn refuse_inside(read: &Path, output: &Path) -> anyhow::Result<()> {
    // What cannot be looked at is told when it is opened.
    let (Ok(read), Ok(folder)) = (read.canonicalize(), folder_of(output).canonicalize()) else {
        return Ok(());
    };
    if read.is_dir() && folder.starts_with(&read) {
        anyhow::bail!(
            "{} lies in the folder that the image is made of; give it a place elsewhere",
            output.display()
        );
    }
    Ok(())
}

/// Gives all files their names, the image last: where it is, its records are. If one cannot have its name, what
/// was there before is there again.
pub(super) fn publish(
    beside: Vec<Beside>,
    image: impl FnOnce() -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let mut done: Vec<Placed> = Vec::new();
    let all = || {
        for file in beside {
            done.push(file.place()?);
        }
        image()
    };
    let result = all();
    for placed in done {
        match result {
            Ok(()) => placed.keep(),
            Err(_) => placed.undo(),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright::sink::raw::RawOptions;

    #[test]
    fn files_are_published_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (force, sync) = (true, false);
        let make = || {
            ["old", "new"].map(|name| {
                let mut file = Beside::create(&path(name), RawOptions { force, sync }).unwrap();
                file.write(|out| out.write_all(b"made")).unwrap();
                file
            })
        };
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        std::fs::write(path("old"), "mine").unwrap();
        let fails = || Err(SinkError::Interrupted);
        assert!(publish(make().into(), fails).is_err());
        assert_eq!(std::fs::read(path("old")).unwrap(), b"mine");
        assert_eq!(names(), 1);
        publish(make().into(), || Ok(())).unwrap();
        assert_eq!(std::fs::read(path("old")).unwrap(), b"made");
        assert_eq!(names(), 2);
        // One that cannot have its name undoes those before it.
        let mut files = Vec::from(make());
        files.swap(0, 1);
        std::fs::remove_file(path("new")).unwrap();
        std::fs::remove_file(path("old")).unwrap();
        std::fs::create_dir(path("old")).unwrap();
        assert!(publish(files, || Ok(())).is_err());
        assert!(path("old").is_dir() && !path("new").exists());
        assert_eq!(names(), 1);
    }
}
