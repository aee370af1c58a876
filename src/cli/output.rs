//! Where an image goes: a file or standard output, in any format.

use super::exit::Usage;
use super::signals;
use anyhow::Context;
use diskwright::extent::Layout;
use diskwright::hex::hex;
use diskwright::image::{Image, Spool};
use diskwright::observe::{Observer, Stage};
use diskwright::read_at::{FileAt, ReadAt};
use diskwright::sink::format::{self, FormatFile};
use diskwright::sink::map::{self, Class};
use diskwright::sink::of_reading;
use diskwright::sink::qcow2::Qcow2File;
use diskwright::sink::raw::{RawFile, RawOptions, SinkError};
use diskwright::sink::spool::FileSpool;
use diskwright::units::{MIB, count, index};
use diskwright::vdisk::{Format, Outlet, qcow2, spool_folder};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

/// What names of images end in elsewhere, or of packed ones. Raw bytes under such a name would mislead.
const NOT_WRITTEN: [&str; 13] = [
    "vdi", "vhdx", "ova", "ovf", "iso", "qcow", "qed", "dmg", "hdd", "xz", "bz2", "lz4", "zip",
];

/// What the command line says of the output.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FormatFlag {
    /// Format of the image [default: what its name ends in: .qcow2, .vmdk, .vhd, .zst, .gz, else raw]
    #[arg(long, value_name = "FORMAT", value_parser = parser())]
    format: Option<Format>,
}

impl FormatFlag {
    /// The format of an image at `path`. A name that promises one that is not written is refused.
    pub(super) fn format(&self, path: &Path) -> Result<Format, Usage> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let suffix = path.extension().unwrap_or_default();
        if NOT_WRITTEN.iter().any(|s| suffix.eq_ignore_ascii_case(s)) {
            let words = Format::ALL.map(Format::word).join(", ");
            return Err(Usage::with_help(
                format!(
                    "{}: .{} is not a format that is written: {words}",
                    path.display(),
                    suffix.display()
                ),
                "say --format raw for a raw image of that name",
            ));
        }
        Ok(Format::of_name(path))
    }
}

fn parser() -> impl clap::builder::TypedValueParser<Value = Format> {
    use clap::builder::TypedValueParser;
    let words = clap::builder::PossibleValuesParser::new(Format::ALL.map(Format::word));
    words.map(|word| Format::of_word(&word).expect("the parser takes no other words"))
}

/// The output's name, for people.
pub(super) fn shown(path: &Path) -> String {
    if is_stdout(path) {
        return "standard output".into();
    }
    path.display().to_string()
}

/// Whether that path means standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Where there is room beside the image: its folder, or for standard output where room is expected.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        _ if is_stdout(path) => spool_folder(),
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => ".".into(),
    }
}

/// Standard output, to be given an image.
fn stdout() -> anyhow::Result<File> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(Usage::with_help(
            "standard output is a terminal, which an image would only confuse",
            "send it on: `| zstd`, `| ssh HOST …`, `> disk.img`",
        )
        .into());
    }
    let fd = stdout.as_fd().try_clone_to_owned();
    Ok(File::from(fd.context("cannot write to standard output")?))
}

/// An image under way.
pub(super) struct Output {
    path: PathBuf,
    format: Format,
    sink: Sink,
    /// Of what was written in a forward pass, if it was asked for.
    sha256: Option<String>,
}

enum Sink {
    /// File data goes to its place at once.
    Raw(RawFile),
    Qcow2(Qcow2File),
    /// File data waits in a file without a name.
    Forward(Option<FileSpool>, Arc<dyn ReadAt>, To),
}

/// The end of a forward pass.
pub(super) enum To {
    File(FormatFile),
    Stdout(File),
}

impl Output {
    /// Before anything is read: nobody should wait for an archive to learn that its image has no place to go.
    /// The filesystem has blocks of `block` bytes.
    pub(super) fn create(
        path: &Path,
        format: Format,
        options: RawOptions,
        block: u64,
    ) -> anyhow::Result<Self> {
        let sink = match format {
            _ if is_stdout(path) => forward(path, block, options)?,
            Format::Raw => Sink::Raw(RawFile::create(path, options)?),
            Format::Qcow2 => Sink::Qcow2(Qcow2File::create(path, options)?),
            _ => forward(path, block, options)?,
        };
        Ok(Self {
            path: path.into(),
            format,
            sink,
            sha256: None,
        })
    }

    /// Registers its temporary, where that has a name, with those that a signal removes.
    pub(super) fn guard(&self) -> Option<signals::Guard> {
        let temporary = match &self.sink {
            Sink::Raw(raw) => raw.temporary(),
            Sink::Qcow2(qcow2) => qcow2.temporary(),
            Sink::Forward(_, _, to) => return to.guard(),
        };
        temporary.map(signals::guard)
    }

    /// Takes file data while the archive is read.
    pub(super) fn spool(&mut self) -> &mut dyn Spool {
        match &mut self.sink {
            Sink::Raw(raw) => raw.spool(),
            Sink::Qcow2(qcow2) => qcow2.spool(),
            Sink::Forward(spool, ..) => spool.as_mut().expect("only write takes the spool"),
        }
    }

    /// The error of a spool that failed.
    pub(super) fn spool_failed(&self, source: io::Error) -> anyhow::Error {
        if let Sink::Forward(..) = &self.sink {
            let folder = folder_of(&self.path);
            let keeping = format!("cannot keep file data in {}", folder.display());
            return anyhow::Error::new(source).context(keeping);
        }
        SinkError::Write {
            path: self.path.clone(),
            source,
        }
        .into()
    }

    /// Writes `image`, whose file data was spooled. `digests`: [`Self::digest`] will be asked for.
    pub(super) fn write(
        &mut self,
        image: &Image,
        digests: bool,
        observer: &dyn Observer,
    ) -> anyhow::Result<()> {
        match &mut self.sink {
            Sink::Raw(raw) => raw.write(image, observer)?,
            Sink::Qcow2(qcow2) => qcow2.write(image, observer)?,
            Sink::Forward(spool, data, to) => {
                let spool = spool.take().expect("an image is written once");
                if let Err(source) = spool.finish() {
                    return Err(self.spool_failed(source));
                }
                let image = image.clone().with_data(data);
                self.sha256 = to.write(self.format, &image, digests, observer)?;
            }
        }
        Ok(())
    }

    /// The disk as it was written, to be read back.
    pub(super) fn disk(&self, image: &Image) -> anyhow::Result<Arc<dyn ReadAt>> {
        let reading = "cannot read the image back";
        let file = |file: &File| -> anyhow::Result<Arc<dyn ReadAt>> {
            let file = file.try_clone().and_then(FileAt::new).context(reading)?;
            Ok(Arc::new(file))
        };
        Ok(match &self.sink {
            Sink::Raw(raw) => file(raw.file())?,
            Sink::Qcow2(made) => {
                let disk = qcow2::Reader::open(file(made.file())?);
                Arc::new(disk.context(reading)?)
            }
            Sink::Forward(_, data, _) => Arc::new(image.clone().with_data(data)),
        })
    }

    /// SHA-256 of the image's file, in hex.
    pub(super) fn digest(&self, observer: &dyn Observer) -> anyhow::Result<String> {
        let file = match &self.sink {
            Sink::Raw(raw) => raw.file(),
            Sink::Qcow2(qcow2) => qcow2.file(),
            Sink::Forward(..) => return self.sha256.clone().context("nothing was digested"),
        };
        digest(file, observer)
    }

    /// Puts it under its name.
    pub(super) fn finish(self) -> Result<(), SinkError> {
        match self.sink {
            Sink::Raw(raw) => raw.finish(),
            Sink::Qcow2(qcow2) => qcow2.finish(),
            Sink::Forward(_, _, to) => to.finish(),
        }
    }
}

fn forward(path: &Path, block: u64, options: RawOptions) -> anyhow::Result<Sink> {
    let to = To::create(path, options)?;
    // Nobody listens: its blocks are asked for when all of them are there.
    let (told, _) = channel();
    let folder = folder_of(path);
    let spool = FileSpool::create(&folder, block, told);
    let spool = spool.with_context(|| format!("cannot keep file data in {}", folder.display()))?;
    let data = spool.data();
    Ok(Sink::Forward(Some(spool), data, to))
}

impl To {
    /// A temporary beside `path`, or standard output.
    pub(super) fn create(path: &Path, options: RawOptions) -> anyhow::Result<Self> {
        if is_stdout(path) {
            return Ok(Self::Stdout(stdout()?));
        }
        Ok(Self::File(FormatFile::create(path, options)?))
    }

    /// As [`Output::guard`].
    pub(super) fn guard(&self) -> Option<signals::Guard> {
        match self {
            Self::File(file) => file.temporary().map(signals::guard),
            Self::Stdout(_) => None,
        }
    }

    /// Writes a disk; gives the SHA-256 of the image in hex if it is asked for.
    pub(super) fn write(
        &mut self,
        format: Format,
        disk: &dyn Layout,
        digests: bool,
        observer: &dyn Observer,
    ) -> anyhow::Result<Option<String>> {
        match self {
            Self::File(file) => {
                file.write(format, disk, observer)?;
                digests.then(|| digest(file.file(), observer)).transpose()
            }
            Self::Stdout(out) => {
                let writing = "cannot write to standard output";
                let out = Outlet::pipe(out.try_clone().context(writing)?);
                let mut out = if digests { out.hashing() } else { out };
                let written = format::write(format, disk, &mut out, observer);
                let ended = written.and_then(|()| out.finish());
                let (_, sum) = ended.map_err(|e| match of_reading(e) {
                    Ok(source) => SinkError::Read { source }.into(),
                    Err(source) => anyhow::Error::new(source).context(writing),
                })?;
                Ok(sum.map(|sum| hex(&sum)))
            }
        }
    }

    /// Puts it under its name.
    pub(super) fn finish(self) -> Result<(), SinkError> {
        match self {
            Self::File(file) => file.finish(),
            Self::Stdout(_) => Ok(()),
        }
    }
}

/// SHA-256 of a file, in hex. Its holes are not read.
fn digest(file: &File, observer: &dyn Observer) -> anyhow::Result<String> {
    let reading = "cannot read the image back";
    let total = file.metadata().context(reading)?.len();
    let zeros = vec![0; index(MIB)];
    let (mut buffer, mut hasher) = (zeros.clone(), Sha256::new());
    for region in map::of_holes(file, total, Class::Zero).context(reading)? {
        let (mut done, end) = (region.start, region.start + region.len);
        while done < end {
            let len = buffer.len().min(index(end - done));
            if region.class == Class::Zero {
                hasher.update(&zeros[..len]);
            } else {
                let part = &mut buffer[..len];
                file.read_exact_at(part, done).context(reading)?;
                hasher.update(&*part);
            }
            done += count(len);
            observer.progress(Stage::Digest, done, Some(total));
            if observer.cancelled() {
                return Err(SinkError::Interrupted.into());
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
        let digest = || digest(file.as_file(), &diskwright::observe::Silent).unwrap();
        // FIPS 180-4, the one-block example.
        assert_eq!(
            digest(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // A hole behind it.
        file.as_file().set_len(5_000_000).unwrap();
        let mut whole = vec![0; 5_000_000];
        whole[..3].copy_from_slice(b"abc");
        assert_eq!(digest(), hex(&Sha256::digest(&whole)));
    }
}
