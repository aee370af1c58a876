//! What `bundle` and `push` are given: a disk image or a root filesystem, told apart by their first bytes.

use anyhow::{Context, bail};
use diskwright::archive::{
    ArchiveError, ArchiveReader, LOOKS_AT, Looks, Options, Origin, Rootfs, looks,
};
use diskwright::bundle::MAX_IMAGE;
use diskwright::inspect::is_fixed_vhd;
use diskwright::observe::Observer;
use diskwright::read_at::FileAt;
use diskwright::units::{KIB, MIB, count, index};
use std::fs::File;
use std::io::{self, Cursor, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// What is bundled.
pub(super) enum Input {
    /// A disk image: a file or a block device.
    Image(File),
    /// A disk image whose length is known when it has ended.
    Pipe(Box<dyn Read + Send>),
    /// What an image is to be made of.
    Rootfs(Box<Rootfs>),
}

/// Opens what the command line names. `takes`: what is made of a raw image, as in "a bundle holds".
pub(super) fn open(
    origins: &[Origin],
    reading: &Options,
    takes: &str,
    observer: &dyn Observer,
) -> anyhow::Result<Input> {
    if let [Origin::Path(path)] = origins
        && !path.is_dir()
        && reading.filter.is_none()
    {
        let name = if path.as_os_str() == "-" {
            "standard input".into()
        } else {
            path.display().to_string()
        };
        let opened = open_file(path).with_context(|| format!("cannot read {name}"))?;
        return one(&name, opened, takes, observer, || {
            Rootfs::open_with(origins, reading)
        });
    }
    Ok(Input::Rootfs(Box::new(Rootfs::open_with(
        origins, reading,
    )?)))
}

fn open_file(path: &Path) -> io::Result<File> {
    if path.as_os_str() != "-" {
        return File::open(path);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let why = "it is a terminal: name the image, or let a pipe or `<` bring it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
}

/// One file, or a pipe.
fn one(
    name: &str,
    mut file: File,
    takes: &str,
    observer: &dyn Observer,
    rootfs: impl FnOnce() -> Result<Rootfs, diskwright::archive::ArchiveError>,
) -> anyhow::Result<Input> {
    let reading = || format!("cannot read {name}");
    let kind = file.metadata().with_context(reading)?.file_type();
    let seekable = kind.is_file() || kind.is_block_device();
    let mut head = vec![0; LOOKS_AT];
    let mut len = 0;
    while len < head.len() {
        let space = &mut head[len..];
        let read = if seekable {
            file.read_at(space, count(len))
        } else {
            file.read(space)
        };
        match read {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e).with_context(reading),
        }
    }
    head.truncate(len);
    match looks(&head) {
        Looks::Archive(_) if seekable => return Ok(Input::Rootfs(Box::new(rootfs()?))),
        Looks::Archive(_) => {
            let whole = Box::new(Cursor::new(head).chain(file));
            let reader = ArchiveReader::from_reader("stdin", whole, None)?;
            return Ok(Input::Rootfs(Box::new(reader.into())));
        }
        Looks::Foreign(what) if what.ends_with("disk image") => {
            bail!(
                "{name} looks like {what}; {takes} a raw one: qemu-img convert -O raw {name} disk.img"
            )
        }
        Looks::Foreign(what) => {
            bail!("{name} looks like {what}; give a raw disk image, or a root filesystem as a tar")
        }
        Looks::Unknown if head.is_empty() => bail!("{name} is empty"),
        Looks::Unknown => observer.warn(&format!(
            "{name} begins with no partition table or filesystem known here; it is taken as it is"
        )),
        Looks::RawDisk => {}
    }
    if seekable {
        let image = file.try_clone().and_then(FileAt::new);
        if image.and_then(|i| is_fixed_vhd(&i)).with_context(reading)? {
            bail!(
                "{name} is a VHD of fixed size; {takes} a raw disk: \
                 qemu-img convert -f vpc -O raw {name} disk.img"
            );
        }
        return Ok(Input::Image(file));
    }
    Ok(Input::Pipe(Box::new(Cursor::new(head).chain(file))))
}

/// A compressed disk image is taken for a compressed tar until it is decompressed: says what to do then.
pub(super) fn compressed_disk(e: anyhow::Error) -> anyhow::Error {
    let archive = e
        .chain()
        .find_map(|cause| cause.downcast_ref::<ArchiveError>());
    match archive {
        Some(ArchiveError::NotTar { archive, looks, .. }) if looks.contains("disk image") => {
            anyhow::anyhow!(
                "{archive}, decompressed, {looks}; decompress it first: \
                 zcat {archive} | diskwright bundle - …"
            )
        }
        _ => e,
    }
}

/// Reads a disk image to its end into a file without a name in `folder`, where its zeros become holes: a tar
/// tells the length and the holes before the data.
pub(super) fn spool(
    mut reader: impl Read,
    folder: &Path,
    observer: &dyn Observer,
) -> anyhow::Result<File> {
    let writing = || format!("cannot spool standard input in {}", folder.display());
    let file = tempfile::tempfile_in(folder)
        .map_err(|e| io::Error::from(e.kind()))
        .with_context(writing)?;
    let mut buf = vec![0; index(MIB)];
    let mut len = 0;
    loop {
        let mut filled = 0;
        while filled < buf.len() {
            match reader.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).context("cannot read standard input"),
            }
        }
        for (nr, block) in buf[..filled].chunks(index(64 * KIB)).enumerate() {
            if block.iter().any(|&b| b != 0) {
                let at = len + count(nr) * 64 * KIB;
                file.write_all_at(block, at).with_context(writing)?;
            }
        }
        len += count(filled);
        // More than EC2 takes need not be kept to be refused.
        if filled < buf.len() || len > MAX_IMAGE {
            break;
        }
        if observer.cancelled() {
            bail!("interrupted");
        }
    }
    file.set_len(len).with_context(writing)?;
    Ok(file)
}
