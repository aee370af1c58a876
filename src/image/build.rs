//! The stages in order.

use super::accounts;
use super::arch;
use super::asked::{Asked, Told};
use super::assemble::Assembly;
use super::bios::Bios;
use super::customize::{self, Applied};
use super::digests::Digesting;
use super::grow;
use super::ingest::Ingest;
use super::mode::{Mode, Room, choose, contradiction, room as room_of};
use super::places::Places;
use super::prepare::{self, Facts, Prepared, Read};
use super::pv::Ahead;
use super::report::PartitionReport;
use super::{
    Boot, BuildError, Customize, Free, Image, Profile, Report, Scheme, Size, Spec, Spool,
    seed::seed,
};
use crate::archive::Rootfs as Archive;
use crate::ext4::{Available, Fit, FitSize, Formatter, Identity, lost_found};
use crate::grub::LoaderKind;
use crate::observe::{Observer, Stage};
use crate::partition::{MAX_DISK_SECTORS, PartitionError};
use crate::seed::Seed;
use crate::tree::{NodeKind, ROOT, Tree};
use crate::units::{MIB, SECTOR, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::info_span;

/// The least that a percentage of free space comes to.
const FREE_MIN: u64 = 64 * MIB;

/// What [`build`] gives: the image, and what to say about it.
#[derive(Debug)]
pub struct Built {
    /// The image; its file data lies in the spool already.
    pub image: Image,
    /// Its figures.
    pub report: Report,
    /// What else was asked for.
    pub told: Told,
}

/// Turns a root filesystem into an image. File data goes to `spool` while it is read; everything else is
/// planned when it has ended.
///
/// # Errors
/// When the archive is damaged, the tree does not fit, or the image could not boot.
pub fn build(
    rootfs: &mut Archive,
    spec: &Spec,
    spool: &mut dyn Spool,
    observer: &dyn Observer,
) -> Result<Built, BuildError> {
    build_and_tell(rootfs, spec, Asked::default(), spool, observer)
}

/// As [`build`], and tells what is `asked` besides.
///
/// # Errors
/// As [`build`].
pub fn build_and_tell(
    rootfs: &mut Archive,
    spec: &Spec,
    asked: Asked,
    spool: &mut dyn Spool,
    observer: &dyn Observer,
) -> Result<Built, BuildError> {
    check(spec)?;
    let room = room_of(spec);
    let base = room.base;
    let formatter = formatter(spec, room)?;
    for vacant in formatter.vacant() {
        spool.vacant(base + vacant.start, vacant.end - vacant.start);
    }
    let mut ingest = Ingest::new(formatter, base, spool, observer);
    ingest.kernels = (spec.boot == Boot::Pv).then(Ahead::default);
    ingest.asked = asked;
    ingest.digesting = asked.digests.then(|| Digesting::start(observer));
    ingest.customizes = spec.customize != Customize::default();
    info_span!("archive").in_scope(|| ingest.archive(rootfs))?;

    let prepare_span = info_span!("prepare").entered();
    observer.progress(Stage::Prepare, 0, None);
    let now = time(spec, &ingest.tree);
    let mut customized: Vec<Applied> = Vec::new();
    customized.extend(rootfs.filter().map(|command| Applied {
        flag: "filter",
        value: command.to_owned(),
        files: 0,
    }));
    customized.extend(customize::apply(&mut ingest, spec, now)?);
    // The tree as it was read and customised: our edits come behind it, and look nothing up among themselves.
    let sorted = ingest.tree.sorted();
    accounts::settle_acls(&mut ingest, &sorted)?;
    let places = Places::find(&ingest.tree, &sorted, &spec.grub)?;
    let carried = prepare::carried(&mut ingest, &sorted, &places, spec.boot)?;
    let mode = choose(spec, &carried)?;
    let bios = if mode.bios() {
        let found = places.bios(&mut ingest)?.ok_or(BuildError::NoGrub)?;
        Some(Bios::start(found, mode.scheme))
    } else {
        None
    };
    // What was chosen and what was asked for by name have one seed where they have one layout.
    let spelled = mode.asked(spec);
    let spelled = if room_of(&spelled) == room {
        spelled
    } else {
        Spec {
            grub: Vec::new(),
            ..spec.clone()
        }
    };
    let seed = seed(&ingest.tree, &sorted, &spelled, time(spec, &ingest.tree));
    let facts = facts(spec, &seed, &ingest.tree);
    if let Some(days @ 1..) = days_ahead(facts.time) {
        ingest.warn(&format!(
            "the newest file is of a time {days} days from now, which becomes the image's: until then \
             e2fsck takes the superblock's last write for one in the future and wants to correct it; \
             SOURCE_DATE_EPOCH sets an earlier one"
        ));
    }
    if let Some(advice) = image_in_disguise(&ingest.tree) {
        ingest.warn(advice);
    }
    let read = Read {
        sorted: &sorted,
        places: &places,
        bios: bios.as_ref(),
    };
    customized.extend(spec.hostname.iter().map(|name| Applied {
        flag: "hostname",
        value: name.clone(),
        files: 1,
    }));
    let prepared = prepare::prepare(&mut ingest, &read, spec, &mode, &facts)?;
    // Before the plan does it: a file of that name in the archive must leave the spool.
    if let Some(entry) = lost_found(&ingest.tree, facts.time) {
        if ingest.tree.find(&entry.path).is_some() {
            ingest.warn(
                "lost+found must be a directory, for e2fsck: the file of that name is left out",
            );
            ingest.forget(&entry.path)?;
        }
        ingest.edit(&entry, Vec::new())?;
    }
    let mut told = Told {
        inputs: Asked::inputs(&mut ingest),
        files: asked.files(&mut ingest)?,
        esp: asked.esp(&prepared),
        time: facts.time.sec,
        digests: None,
    };
    drop((sorted, prepare_span));

    let Ingest {
        formatter,
        tree,
        zeros,
        data,
        digesting,
        mut warnings,
        ..
    } = ingest;
    if let Some(digesting) = digesting {
        told.digests = Some(digesting.finish()?);
    }
    let plan = info_span!("ext4").in_scope(|| {
        observer.progress(Stage::Ext4, 0, None);
        let identity = identity(spec, &facts, &seed);
        formatter.finish(tree, &identity, &mut |w| warnings.warn(&w))
    })?;
    if let Some(short) = grow::short_of(spec.max_grow, plan.geometry()) {
        warnings.warn(&short);
    }
    warnings.close();
    let size = mode.disk_size(spec, base + plan.size());
    let disk = Assembly {
        spec,
        mode: &mode,
        facts: &facts,
        prepared: &prepared,
        base,
        end: room_of(&mode.asked(spec)).end(size),
        size,
    };
    let (image, partitions) = disk.assemble(plan, &zeros.finish(), bios)?;
    let mut report = report(&image, spec, &mode, &facts, prepared, partitions, data);
    report.customized = customized;
    Ok(Built {
        image,
        report,
        told,
    })
}

/// What can be refused before the archive is read.
fn check(spec: &Spec) -> Result<(), BuildError> {
    if spec.label.len() > 16 {
        return Err(BuildError::Label {
            label: spec.label.clone(),
            len: spec.label.len(),
        });
    }
    if let Some(why) = contradiction(spec.scheme, spec.boot) {
        return Err(BuildError::Contradiction { why });
    }
    if spec.boot == Boot::Pv && spec.features != Profile::Pv {
        let profile = spec.features.name();
        return Err(BuildError::PvRefuses { profile });
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
    customize::check(&spec.customize)?;
    if let Size::Bytes(size) = spec.size {
        if size % SECTOR != 0 {
            return Err(BuildError::DiskNotSectors { size });
        }
        let mbr = !room_of(spec).gpt() && room_of(spec).base > 0;
        if mbr && size / SECTOR > MAX_DISK_SECTORS {
            let sectors = size / SECTOR;
            return Err(PartitionError::DiskTooLarge { sectors }.into());
        }
    }
    Ok(())
}

/// The names that derive from the seed.
fn facts(spec: &Spec, seed: &Seed, tree: &Tree) -> Facts {
    Facts {
        uuid: spec.uuid.unwrap_or_else(|| seed.uuid("root filesystem")),
        disk_signature: seed.nonzero_u32("disk signature"),
        disk_guid: seed.uuid("disk"),
        root_guid: seed.uuid("root partition"),
        bios_guid: seed.uuid("BIOS boot partition"),
        esp_guid: seed.uuid("EFI system partition"),
        esp_id: seed.nonzero_u32("EFI system volume"),
        time: time(spec, tree),
    }
}

fn formatter(spec: &Spec, room: Room) -> Result<Formatter, BuildError> {
    let options = spec.filesystem();
    Ok(match spec.size {
        Size::Bytes(disk) => sized(spec, room, disk)?,
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
                    offset: room.base + room.tail(),
                },
            };
            Formatter::fitted(Fit { available, size }, &options)
        }
    })
}

fn sized(spec: &Spec, room: Room, disk: u64) -> Result<Formatter, BuildError> {
    let options = spec.filesystem();
    let of = |disk| Formatter::sized(room.end(disk).saturating_sub(room.base), &options);
    let source = match of(disk) {
        Ok(formatter) => return Ok(formatter),
        Err(e) => e,
    };
    let Some(needed) = source.needed() else {
        return Err(source.into());
    };
    // What is rounded up to a whole MiB may have a journal, for which there is no room again.
    let mut needed = room.disk(needed);
    while let Err(e) = of(needed) {
        needed = room.disk(e.needed().ok_or(e)?);
    }
    let smaller = match (spec.scheme, spec.boot) {
        (Scheme::Auto, Boot::Auto) => "; with `--boot bios` root begins at 1 MiB",
        _ => "",
    };
    Err(BuildError::DiskTooSmall {
        size: disk,
        root: room.base,
        needed,
        smaller,
        source,
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

fn report(
    image: &Image,
    spec: &Spec,
    mode: &Mode,
    facts: &Facts,
    prepared: Prepared,
    partitions: Vec<PartitionReport>,
    data: u64,
) -> Report {
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
        scheme: mode.scheme.word(),
        boot: mode.boot.word(),
        boot_why: mode.why.clone(),
        arch: mode.arch.map(arch::name),
        uefi_loader: prepared.uefi.map(LoaderKind::word),
        loader_from: prepared.from,
        partitions,
        disk_signature: (mode.scheme == Scheme::Mbr)
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
        customized: Vec::new(),
        sha256: None,
    }
}

/// What to say instead of a container image's folder or tar, which is no root filesystem itself.
fn image_in_disguise(tree: &Tree) -> Option<&'static str> {
    let has = |path: &str| tree.find(path.as_bytes()).is_some();
    if has("etc") || has("usr") || has("bin") {
        return None;
    }
    if has("oci-layout") && has("index.json") {
        return Some(
            "these are the files of a container image, not those in it: for them say `oci:DIR` of a \
             folder, `oci-archive:FILE` of a tar",
        );
    }
    (has("manifest.json") && has("repositories")).then_some(
        "these are the files of a container image, not those in it: for them say `docker-archive:FILE`",
    )
}
