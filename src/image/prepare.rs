//! What the image needs beside the archive: the loader's files, grub.cfg, fstab, the host name.
//!
//! The rootfs is only read, and only the files that [`super::wanted`] lists; none of its code is run.

use super::bios::Bios;
use super::editor::{BOOT_EFI, Editor, files_in};
use super::fsck;
use super::grow::Grower;
use super::ingest::Ingest;
use super::mode::{Carried, Mode};
use super::places::Places;
use super::wanted::OS_RELEASE;
use super::{Boot, BuildError, RootBy, Scheme, Spec, arch, pv};
use crate::grub::{
    Config, DEFAULT_CMDLINE, DEFAULT_CMDLINE_ARM64, DEFAULT_CMDLINE_PV, DROP_IN_PATH, EfiArch,
    EspFile, Files, KernelEntry, LoaderKind, PV_ROOT_DEVICE, READ_SINCE_2_02, RootIds, UefiSpec,
    drop_in, find_kernels, grubenv, readable_incompat,
};
use crate::partition::partuuid;
use crate::tree::{ROOT, Sorted, Tree};
use crate::units::Timestamp;
use uuid::Uuid;

const I386_PC: &str = "i386-pc";
const GRUBENV: &str = "boot/grub/grubenv";

/// Seconds that the menu waits: long enough to press a key on the serial console.
const TIMEOUT: u32 = 1;

/// What identifies this image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) uuid: Uuid,
    /// Of an MBR.
    pub(super) disk_signature: u32,
    /// Of a GPT and its partitions.
    pub(super) disk_guid: Uuid,
    pub(super) root_guid: Uuid,
    pub(super) bios_guid: Uuid,
    pub(super) esp_guid: Uuid,
    /// Of the filesystem in the EFI system partition.
    pub(super) esp_id: u32,
    pub(super) time: Timestamp,
}

/// The tree that was read, in order, and where loaders come from.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) sorted: &'a Sorted,
    pub(super) places: &'a Places,
    /// The loader for BIOS machines, where there will be one.
    pub(super) bios: Option<&'a Bios>,
}

/// What there is to boot with.
pub(super) fn carried(
    ingest: &mut Ingest<'_>,
    sorted: &Sorted,
    places: &Places,
    boot: Boot,
) -> Result<Carried, BuildError> {
    let arch = arch::arch(ingest)?;
    let (bios, uefi) = match boot {
        Boot::Auto => places.carried(arch),
        _ => (places.has_bios(), arch.and_then(|a| places.uefi_kind(a))),
    };
    let kernel = !kernels(&ingest.tree, sorted).is_empty();
    Ok(Carried {
        kernel,
        bios,
        uefi,
        arch,
    })
}

/// What was prepared beside the edits, which are in the tree.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What goes to the EFI system partition.
    pub(super) esp: Vec<EspFile>,
    /// Of what the loader for UEFI is made.
    pub(super) uefi: Option<LoaderKind>,
    /// Where the loaders come from.
    pub(super) from: Vec<String>,
    /// `root=` of the newest kernel.
    pub(super) root: String,
    /// The newest kernel's path.
    pub(super) kernel: Option<String>,
    /// Who makes the root fill a larger disk.
    pub(super) grower: Grower,
    /// Paths that were added or replaced.
    pub(super) edits: Vec<String>,
}

/// Puts everything that the image needs into the tree.
pub(super) fn prepare(
    ingest: &mut Ingest<'_>,
    rootfs: &Read<'_>,
    spec: &Spec,
    mode: &Mode,
    facts: &Facts,
) -> Result<Prepared, BuildError> {
    let ids = RootIds {
        fs_uuid: facts.uuid.to_string(),
        label: spec.label.clone(),
        partuuid: root_partuuid(mode, facts),
    };
    let root = match (spec.root_by, &ids.partuuid) {
        (RootBy::Uuid, _) | (RootBy::PartUuid, None) => format!("UUID={}", ids.fs_uuid),
        (RootBy::Label, _) => format!("LABEL={}", ids.label),
        (RootBy::PartUuid, Some(p)) => format!("PARTUUID={p}"),
    };
    let mut p = Prepared {
        esp: Vec::new(),
        uefi: None,
        from: Vec::new(),
        root,
        kernel: None,
        grower: Grower::Nobody,
        edits: Vec::new(),
    };
    fsck::warn_of_features(ingest, spec)?;
    let mut editor = Editor::new(ingest, facts.time);
    if let Some(name) = &spec.hostname {
        editor.hostname(name)?;
    }
    if mode.boot != Boot::None {
        boot(&mut editor, rootfs, spec, mode, facts, ids, &mut p)?;
    }
    p.edits = editor.edits();
    Ok(p)
}

/// What an image needs that boots.
fn boot(
    editor: &mut Editor<'_, '_>,
    rootfs: &Read<'_>,
    spec: &Spec,
    mode: &Mode,
    facts: &Facts,
    ids: RootIds,
    p: &mut Prepared,
) -> Result<(), BuildError> {
    let sorted = rootfs.sorted;
    let kernels = kernels(&editor.ingest.tree, sorted);
    let newest = kernels.first().ok_or(BuildError::NoKernel)?;
    p.kernel = Some(newest.kernel_path.clone());
    if !newest.has_initrd && spec.root_by != RootBy::PartUuid {
        editor.ingest.warn(&format!(
            "{} has no initrd in /boot: it is given root={}, and must have the drivers of its disk and \
             ext4 built in",
            newest.kernel_path,
            if mode.boot == Boot::Pv { PV_ROOT_DEVICE } else { "PARTUUID=" },
        ));
    }
    let modules = format!("lib/modules/{}", newest.version);
    if editor.ingest.tree.resolve(modules.as_bytes()).is_none() {
        editor.ingest.warn(&format!(
            "{} has no modules: there is no /{modules}, and what is not built into it or in its initrd \
             will be missing",
            newest.kernel_path
        ));
    }
    let fs_uuid = ids.fs_uuid.clone();
    let config = config(editor.ingest, spec, mode, ids, kernels)?;
    let mounted = p.root.clone();
    if config.kernels.first().is_some_and(|k| !k.has_initrd) {
        p.root = match mode.boot {
            Boot::Pv => PV_ROOT_DEVICE.to_owned(),
            _ => config.root.parameter(config.root_by, false)?,
        };
    }
    if mode.boot == Boot::Pv {
        pv::prepare(editor, config)?;
        p.grower = editor.grower(spec, mode)?;
        return editor.fstab(&mounted, p.grower, None);
    }
    if let Some(bios) = rootfs.bios {
        readable(editor.ingest, &bios.files, spec)?;
        editor.modules(sorted, I386_PC, &bios.files)?;
        p.from.push(bios.from.clone());
    }
    if let Some(arch) = mode.uefi() {
        let hint = config.hint.as_str();
        let wanted = UefiSpec {
            arch,
            fs_uuid: &fs_uuid,
            hint,
        };
        let found = rootfs.places.uefi(editor.ingest, &wanted)?;
        let arch_name = arch::name(arch);
        let found = found.ok_or(BuildError::NoUefi { arch: arch_name })?;
        if !mode.bios() {
            readable(editor.ingest, &found.made.modules, spec)?;
        }
        if !found.made.modules.is_empty() {
            editor.modules(sorted, arch.platform(), &found.made.modules)?;
        }
        p.from.push(found.from);
        p.uefi = Some(found.made.kind);
        p.esp = found.made.files;
        editor.directory(BOOT_EFI)?;
    }
    p.from.dedup();
    editor.grub_cfg(&config)?;
    if editor.ingest.tree.find(GRUBENV.as_bytes()).is_none() {
        editor.write(GRUBENV, grubenv().to_vec())?;
    }
    editor.write(
        DROP_IN_PATH.trim_start_matches('/'),
        drop_in(&config)?.into_bytes(),
    )?;
    p.grower = editor.grower(spec, mode)?;
    editor.fstab(&mounted, p.grower, mode.uefi().map(|_| facts.esp_id))
}

fn config(
    ingest: &mut Ingest<'_>,
    spec: &Spec,
    mode: &Mode,
    root: RootIds,
    kernels: Vec<KernelEntry>,
) -> Result<Config, BuildError> {
    let mut title = None;
    for path in OS_RELEASE {
        if title.is_none() {
            title = ingest.read(path.as_bytes())?.as_deref().and_then(os_name);
        }
    }
    Ok(Config {
        title: title.unwrap_or_else(|| "Linux".into()),
        kernels,
        root,
        root_by: match spec.root_by {
            RootBy::Uuid => crate::grub::RootBy::Uuid,
            RootBy::Label => crate::grub::RootBy::Label,
            RootBy::PartUuid => crate::grub::RootBy::PartUuid,
        },
        hint: match mode.scheme {
            Scheme::Gpt => "hd0,gpt1".into(),
            Scheme::None => "hd0".into(),
            _ => "hd0,msdos1".into(),
        },
        cmdline: spec
            .cmdline
            .clone()
            .unwrap_or_else(|| match (mode.boot, mode.uefi()) {
                (Boot::Pv, _) => DEFAULT_CMDLINE_PV.into(),
                (_, Some(EfiArch::Arm64)) => DEFAULT_CMDLINE_ARM64.into(),
                _ => DEFAULT_CMDLINE.into(),
            }),
        timeout: TIMEOUT,
    })
}

/// `NAME` of os-release(5).
fn os_name(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let value = text.lines().find_map(|l| l.strip_prefix("NAME="))?.trim();
    let value = value.trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

fn kernels(tree: &Tree, sorted: &Sorted) -> Vec<KernelEntry> {
    let boot = tree
        .resolve(b"boot")
        .filter(|&n| tree.node(n).is_directory());
    let boot = boot.map_or_else(Vec::new, |n| files_in(tree, sorted, n));
    let root = files_in(tree, sorted, ROOT);
    find_kernels(
        boot.iter().map(String::as_str),
        root.iter().map(String::as_str),
    )
}

/// Refuses a root filesystem that GRUB could not read; warns where its module does not tell.
fn readable(ingest: &mut Ingest<'_>, files: &Files, spec: &Spec) -> Result<(), BuildError> {
    let asked = spec.filesystem().features.incompat();
    let known = files.get("ext2.mod").and_then(|m| readable_incompat(m));
    match asked & !known.unwrap_or(READ_SINCE_2_02) {
        0 => Ok(()),
        refused if known.is_some() => Err(BuildError::GrubRefuses {
            flags: flags(spec, refused),
            refused,
        }),
        unknown => {
            ingest.warn(&format!(
                "{}: whether the rootfs's GRUB reads it cannot be told from its ext2.mod; GRUB does from \
                 2.12 on",
                flags(spec, unknown)
            ));
            Ok(())
        }
    }
}

/// The flags that asked for these incompatible features.
fn flags(spec: &Spec, incompat: u32) -> String {
    let (profile, all) = (spec.features, spec.filesystem().features.incompat());
    let by_profile = profile.features().incompat();
    let mut flags = Vec::new();
    if incompat & by_profile != 0 {
        flags.push(format!("`--features {}`", profile.name()));
    }
    if incompat & all & !by_profile != 0 {
        flags.push("`--large-dir`".to_owned());
    }
    flags.join(" and ")
}

/// The PARTUUID of the root, where there is a partition.
fn root_partuuid(mode: &Mode, facts: &Facts) -> Option<String> {
    match mode.scheme {
        Scheme::Gpt => Some(facts.root_guid.to_string()),
        Scheme::Mbr | Scheme::Auto => Some(partuuid(facts.disk_signature, 1)),
        Scheme::None => None,
    }
}
