//! `diskwright sbom`: the packages of an image or a root filesystem.

use super::exit::{self, Code};
use super::progress::Progress;
use super::{pipeline, records};
use anyhow::Context;
use diskwright::archive::{LOOKS_AT, Looks, Options, Origin, Platform, looks};
use diskwright::ext4::disk::superblock::Superblock;
use diskwright::image::{Asked, Boot, Scheme, Spec};
use diskwright::inspect::{Disk, Files, InspectError};
use diskwright::packages::{self, Databases};
use diskwright::provenance::SbomFormat;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No database that is read is larger.
const DATABASE_MAX: u64 = 256 << 20;

const EXAMPLES: &str = "\
Examples:
  diskwright sbom disk.img >disk.spdx.json
  diskwright sbom oci:layout:latest --format cyclonedx";

/// Print the packages in a disk image or a root filesystem, as SPDX or CycloneDX
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A disk image of any format, or what build takes; several are layers, lowest first
    #[arg(value_name = "IMAGE|ROOTFS", required = true, value_hint = clap::ValueHint::AnyPath)]
    sources: Vec<OsString>,

    /// Which image of several [default: the host's, or the only one]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// SPDX 2.3 or CycloneDX 1.6
    #[arg(long, value_enum, default_value = "spdx")]
    format: Format,

    /// No progress; warnings and errors only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Spdx,
    Cyclonedx,
}

pub(super) fn run(args: Args) -> anyhow::Result<Code> {
    let format = match args.format {
        Format::Spdx => SbomFormat::Spdx,
        Format::Cyclonedx => SbomFormat::CycloneDx,
    };
    let origins: Vec<_> = args.sources.iter().map(|s| Origin::parse(s)).collect();
    let options = Options {
        platform: args.platform,
        ..Options::default()
    };
    let (files, time) = match &origins[..] {
        [Origin::Path(path)] if is_image(path) => {
            let reading = || format!("cannot read {}", path.display());
            of_image(path).with_context(reading)?
        }
        _ => {
            let spec = Spec {
                boot: Boot::None,
                scheme: Scheme::None,
                ..Spec::default()
            };
            let asked = Asked {
                files: Some(packages::is_input),
                ..Asked::default()
            };
            let progress = Progress::new(args.quiet);
            let told = pipeline::told(&origins, &options, &spec, asked, &progress);
            progress.finish();
            let told = told?;
            (told.files, told.time)
        }
    };
    exit::print_json(&records::document(&files, time, format)?)?;
    Ok(Code::Done)
}

/// Whether it begins as disks do, or as a format of virtual disks; what else it may be is told by the archive's
/// reader.
fn is_image(path: &Path) -> bool {
    let mut head = Vec::new();
    let file = File::open(path)
        .ok()
        .filter(|f| f.metadata().is_ok_and(|m| m.is_file()));
    let read = file.map(|f| {
        f.take(LOOKS_AT.try_into().unwrap_or(u64::MAX))
            .read_to_end(&mut head)
    });
    read.is_some_and(|r| r.is_ok())
        && match looks(&head) {
            Looks::RawDisk => true,
            Looks::Foreign(what) => what.ends_with("disk image"),
            Looks::Archive(_) | Looks::Unknown => false,
        }
}

/// The databases in an image, and the newest time that its root shows.
fn of_image(path: &Path) -> anyhow::Result<(Databases, i64)> {
    let disk = Disk::open(path)?;
    let root = disk.root().ok_or(InspectError::NoRoot)?;
    let root = root.files().map_err(|e| anyhow::anyhow!("{e}"))?;
    let time = match root {
        Files::Ext4(reader) => made(reader.superblock()),
        Files::Fat(_) => 0,
    };
    let mut files = Databases::new();
    for path in packages::inputs() {
        let Ok(node) = root.resolve(path, true) else {
            continue;
        };
        let mut paths = vec![path.to_vec()];
        if node.is_directory() {
            paths = root
                .children(&node)?
                .into_iter()
                .map(|c| [path, b"/", &c.name[..]].concat())
                .collect();
        }
        for path in paths {
            if let Some(bytes) = root.small(&path, DATABASE_MAX)? {
                files.insert(path, bytes);
            }
        }
    }
    Ok((files, time))
}

/// When the filesystem was made: of an image of ours, the newest time that it shows.
fn made(sb: &Superblock) -> i64 {
    (i64::from(sb.s_mkfs_time_hi) << 32) | i64::from(sb.s_mkfs_time.get())
}
