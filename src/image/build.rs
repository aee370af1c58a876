//! The stages in order.

use super::accounts;
use super::ingest::Ingest;
use super::prepare::{self, Facts, Prepared};
use super::{Boot, BuildError, Free, Image, Report, Scheme, Size, Source, Spec, Spool, seed::seed};
use crate::archive::Rootfs;
use crate::ext4::{Available, Fit, FitSize, Formatter, Identity, Plan, lost_found};
use crate::extent::{Content, Extent, SourceNr, push};
use crate::grub::{Area, BiosSpec, MODULES_EXT_ON_MBR, PREFIX_MBR_1};
use crate::observe::{Observer, Stage};
use crate::partition::{FIRST_PARTITION, MAX_DISK_SECTORS, MbrLayout, PartitionError, mbr};
use crate::seed::Seed;
use crate::tree::{NodeKind, ROOT, Tree};
use crate::units::{MIB, SECTOR, Timestamp, count};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::info_span;

/// The least that a percentage of free space comes to.
const FREE_MIN: u64 = 64 * MIB;

const PLAN: SourceNr = SourceNr(0);
const SPOOL: SourceNr = SourceNr(1);
const LOADER: SourceNr = SourceNr(2);

/// What [`build`] gives: the image, and what to say about it.
#[derive(Debug)]
pub struct Built {
    /// The image; its file data lies in the spool already.
    pub image: Image,
    /// Its figures.
    pub report: Report,
}

/// Turns a root filesystem into an image. File data goes to `spool` while it is read; everything else is
/// planned when it has ended.
///
/// # Errors
/// When the archive is damaged, the tree does not fit, or the image could not boot.
pub fn build(
    rootfs: &mut Rootfs,
    spec: &Spec,
    spool: &mut dyn Spool,
    observer: &dyn Observer,
) -> Result<Built, BuildError> {
    check(spec)?;
    let base = match spec.scheme {
        Scheme::Mbr => FIRST_PARTITION.byte_offset(),
        Scheme::None => 0,
    };
    let mut ingest = Ingest::new(formatter(spec, base)?, base, spool, observer);
    info_span!("archive").in_scope(|| ingest.archive(rootfs))?;

    let prepare_span = info_span!("prepare").entered();
    observer.progress(Stage::Prepare, 0, None);
    // The tree as it was read: edits come behind it, and look nothing up among themselves.
    let sorted = ingest.tree.sorted();
    accounts::settle_acls(&mut ingest, &sorted)?;
    let seed = seed(&ingest.tree, &sorted, spec);
    let facts = Facts {
        uuid: spec.uuid.unwrap_or_else(|| seed.uuid("root filesystem")),
        disk_signature: seed.nonzero_u32("disk signature"),
        time: time(spec, &ingest.tree),
    };
    if let Some(days @ 1..) = days_ahead(facts.time) {
        ingest.warn(&format!(
            "the newest file is of a time {days} days from now, which becomes the image's: until then \
             e2fsck takes the superblock's last write for one in the future and wants to correct it; \
             SOURCE_DATE_EPOCH sets an earlier one"
        ));
    }
    let prepared = prepare::prepare(&mut ingest, &sorted, spec, &facts)?;
    // Before the plan does it: a file of that name in the archive must leave the spool.
    if let Some(entry) = lost_found(&ingest.tree, facts.time) {
        ingest.edit(&entry, bytes::Bytes::new())?;
    }
    drop((sorted, prepare_span));

    let Ingest {
        formatter,
        tree,
        zeros,
        data,
        mut warnings,
        ..
    } = ingest;
    let plan = info_span!("ext4").in_scope(|| {
        observer.progress(Stage::Ext4, 0, None);
        let identity = identity(spec, &facts, &seed);
        formatter.finish(tree, &identity, &mut |w| warnings.warn(&w))
    })?;
    warnings.close();
    let disk_size = match spec.size {
        Size::Bytes(n) => n,
        Size::Fit => (base + plan.size()).next_multiple_of(spec.round.unwrap_or(SECTOR)),
    };
    let image = assemble(plan, &zeros.finish(), base, disk_size, &prepared, &facts)?;
    let report = report(&image, spec, &facts, prepared, data);
    Ok(Built { image, report })
}

/// What can be refused before the archive is read.
fn check(spec: &Spec) -> Result<(), BuildError> {
    if spec.label.len() > 16 {
        return Err(BuildError::Label {
            label: spec.label.clone(),
            len: spec.label.len(),
        });
    }
    if spec.boot == Boot::Bios && spec.scheme == Scheme::None {
        return Err(BuildError::BootNeedsTable);
    }
    if spec.large_dir && !spec.features.may_have_large_dir() {
        let profile = spec.features.name();
        return Err(BuildError::LargeDirOfOld { profile });
    }
    if let Some(name) = &spec.hostname {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) || name.starts_with('-') {
            return Err(BuildError::Hostname { name: name.clone() });
        }
    }
    if let Size::Bytes(size) = spec.size {
        if size % SECTOR != 0 {
            return Err(BuildError::DiskNotSectors { size });
        }
        if spec.scheme == Scheme::Mbr && size / SECTOR > MAX_DISK_SECTORS {
            let sectors = size / SECTOR;
            return Err(PartitionError::DiskTooLarge { sectors }.into());
        }
        if spec.scheme == Scheme::Mbr && size <= FIRST_PARTITION.byte_offset() {
            return Err(BuildError::DiskTooSmall { size });
        }
    }
    Ok(())
}

fn formatter(spec: &Spec, base: u64) -> Result<Formatter, BuildError> {
    let options = spec.filesystem();
    Ok(match spec.size {
        Size::Bytes(disk) => Formatter::sized(disk - base, &options)?,
        Size::Fit => {
            let available = match spec.free {
                Free::Bytes(n) => Available::Bytes(n),
                Free::Percent(percent) => Available::Percent {
                    percent: percent.min(90),
                    at_least: FREE_MIN,
                },
            };
            let size = match spec.round {
                None => FitSize::Least,
                Some(multiple) => FitSize::Round {
                    multiple,
                    offset: base,
                },
            };
            Formatter::fitted(Fit { available, size }, &options)
        }
    })
}

/// The latest time that the image may show.
fn time(spec: &Spec, tree: &Tree) -> Timestamp {
    let newest = tree.newest().unwrap_or_default();
    spec.source_date_epoch.map_or(newest, Timestamp::from_secs)
}

/// Whole days from now to `time`. Only a warning asks for it: no clock reaches a byte of the image.
fn days_ahead(time: Timestamp) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let ahead = u64::try_from(time.sec).ok()?.checked_sub(now.as_secs())?;
    // e2fsck forgives a day, for clocks in local time (`time_fudge`).
    Some(ahead / 86_400)
}

fn identity(spec: &Spec, facts: &Facts, seed: &Seed) -> Identity {
    let mut label = [0; 16];
    label[..spec.label.len()].copy_from_slice(spec.label.as_bytes());
    Identity {
        uuid: *facts.uuid.as_bytes(),
        hash_seed: *seed.uuid("directory hash").as_bytes(),
        label,
        time: facts.time,
    }
}

/// Filesystem, partition table and loader as one list of extents.
fn assemble(
    plan: Plan,
    zero_runs: &[std::ops::Range<u64>],
    base: u64,
    disk_size: u64,
    prepared: &Prepared,
    facts: &Facts,
) -> Result<Image, BuildError> {
    let plan = Arc::new(plan);
    let end = base + plan.size();
    let mut extents = Vec::new();
    let mut front = Vec::new();
    if base > 0 {
        front = loader(prepared, facts, base, end, disk_size)?;
        let content = Content::Bytes {
            source: LOADER,
            offset: 0,
        };
        push(
            &mut extents,
            Extent {
                start: 0,
                len: count(front.len()),
                content,
            },
        );
        let start = count(front.len());
        push(
            &mut extents,
            Extent {
                start,
                len: base - start,
                content: Content::Free,
            },
        );
    }
    plan.extents(base, PLAN, SPOOL, zero_runs)
        .into_iter()
        .for_each(|e| push(&mut extents, e));
    push(
        &mut extents,
        Extent {
            start: end,
            len: disk_size - end,
            content: Content::Free,
        },
    );
    let sources = vec![
        Source::Rendered(Arc::<Plan>::clone(&plan)),
        Source::Spool,
        Source::Rendered(Arc::new(front)),
    ];
    let size = disk_size;
    Ok(Image {
        size,
        extents,
        sources,
        filesystem: plan,
        filesystem_offset: base,
    })
}

/// The sectors in front of the first partition: MBR, and core.img where there is a loader.
fn loader(
    prepared: &Prepared,
    facts: &Facts,
    base: u64,
    end: u64,
    disk_size: u64,
) -> Result<Vec<u8>, BuildError> {
    let sector0 = mbr(&MbrLayout {
        disk_signature: facts.disk_signature,
        disk_sectors: disk_size / SECTOR,
        start: FIRST_PARTITION,
        // To the end of the filesystem when fitted; where a size was asked for, to the end of the disk.
        sectors: (disk_size.max(end) - base) / SECTOR,
    })?;
    let Some(files) = &prepared.grub else {
        return Ok(sector0.to_vec());
    };
    let loader = crate::grub::bios(
        files,
        &BiosSpec {
            prefix: PREFIX_MBR_1,
            modules: &MODULES_EXT_ON_MBR,
            config: None,
            sector0: &sector0,
            area: Area {
                first: crate::units::Lba(1),
                sectors: FIRST_PARTITION.0 - 1,
            },
            rs: true,
        },
    )?;
    let mut front = loader.boot_sector.to_vec();
    front.extend_from_slice(&loader.area);
    Ok(front)
}

fn report(image: &Image, spec: &Spec, facts: &Facts, prepared: Prepared, data: u64) -> Report {
    let plan = image.filesystem();
    let g = plan.geometry();
    let mut counts = [0_u64; 4];
    for (_, node) in plan
        .tree()
        .nodes()
        .filter(|(id, n)| n.links > 0 && *id != ROOT)
    {
        let at = match node.kind {
            NodeKind::File { .. } => 0,
            NodeKind::Directory { .. } => 1,
            NodeKind::Symlink { .. } => 2,
            _ => 3,
        };
        counts[at] += 1;
    }
    let [files, directories, symlinks, specials] = counts;
    Report {
        disk_size: image.size(),
        filesystem_size: plan.size(),
        filesystem_offset: image.filesystem_offset,
        uuid: facts.uuid,
        label: spec.label.clone(),
        root: prepared.root,
        scheme: match spec.scheme {
            Scheme::Mbr => "mbr",
            Scheme::None => "none",
        },
        boot: match spec.boot {
            Boot::Bios => "bios",
            Boot::None => "none",
        },
        disk_signature: (spec.scheme == Scheme::Mbr)
            .then(|| format!("{:08x}", facts.disk_signature)),
        kernel: prepared.kernel,
        files,
        directories,
        symlinks,
        specials,
        inodes: g.inodes(),
        inodes_free: g.inodes() - plan.used_inodes(),
        data,
        used: (plan.used_blocks() - g.overhead()) * g.block(),
        available: plan.available(),
        grow_at_boot: prepared.grower.name(),
        edits: prepared.edits,
        sha256: None,
    }
}
