//! What the image needs beside the archive: the loader's files, grub.cfg, fstab, the host name.
//!
//! Edits are entries like the archive's, put into the tree behind it. The rootfs is only read, and only
//! the files that [`super::wanted`] lists; none of its code is run.

use super::fsck;
use super::grow::{FSTAB_OPTION, Grower, REPART_CONF, REPART_TEXT};
use super::ingest::Ingest;
use super::mode::{Carried, Mode};
use super::places::Places;
use super::wanted::{FSTAB, GRUB_CFG, HOSTS, OS_RELEASE};
use super::{Boot, BuildError, RootBy, Scheme, Spec, arch, pv};
use crate::entry::{Entry, EntryKind};
use crate::grub::{
    Config, DEFAULT_CMDLINE, DEFAULT_CMDLINE_ARM64, DEFAULT_CMDLINE_PV, DROP_IN_PATH, EfiArch,
    EspFile, Files, KernelEntry, LoaderKind, MARKER, PV_ROOT_DEVICE, READ_SINCE_2_02, RootIds,
    RootNamed, UefiSpec, bears_marker, drop_in, find_kernels, grub_cfg, grubenv, is_module_file,
    readable_incompat, root_named,
};
use crate::partition::partuuid;
use crate::tree::{NodeId, NodeKind, ROOT, Sorted, Tree};
use crate::units::{Timestamp, count, hi16, lo16};
use bytes::Bytes;
use uuid::Uuid;

/// GRUB loads the modules of a platform from its folder below.
const BOOT_GRUB: &str = "boot/grub";
const I386_PC: &str = "i386-pc";
/// Where the EFI system partition is mounted.
const BOOT_EFI: &str = "boot/efi";
const GRUB_CFG_ORIG: &str = "boot/grub/grub.cfg.orig";
const GRUBENV: &str = "boot/grub/grubenv";
const HOSTNAME: &str = "etc/hostname";
/// What the system calls itself in [`HOSTS`]: Debian's installer, Debian Reference 5.1.1.
const OWN_ADDRESS: &[u8] = b"127.0.1.1";
const HOSTS_NEW: &str =
    "127.0.0.1\tlocalhost\n127.0.1.1\n::1\tlocalhost ip6-localhost ip6-loopback\n";

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
}

/// What there is to boot with.
pub(super) fn carried(
    ingest: &mut Ingest<'_>,
    rootfs: &Read<'_>,
    boot: Boot,
) -> Result<Carried, BuildError> {
    let arch = arch::arch(ingest)?;
    let places = rootfs.places;
    let (bios, uefi) = match boot {
        Boot::Auto => places.carried(arch),
        _ => (places.has_bios(), arch.and_then(|a| places.uefi_kind(a))),
    };
    let kernel = !kernels(&ingest.tree, rootfs.sorted).is_empty();
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
    /// The files that the loader for BIOS machines is made of.
    pub(super) grub: Option<Files>,
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
        grub: None,
        esp: Vec::new(),
        uefi: None,
        from: Vec::new(),
        root,
        kernel: None,
        grower: Grower::Nobody,
        edits: Vec::new(),
    };
    fsck::warn_of_features(ingest, spec)?;
    let mut editor = Editor {
        ingest,
        time: facts.time,
        edits: Vec::new(),
    };
    if let Some(name) = &spec.hostname {
        editor.write(HOSTNAME, format!("{name}\n").into_bytes())?;
        editor.hosts(name)?;
    }
    if mode.boot != Boot::None {
        boot(&mut editor, rootfs, spec, mode, facts, ids, &mut p)?;
    }
    p.edits = editor.edits;
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
    if mode.boot == Boot::Pv {
        pv::prepare(editor, config)?;
        p.grower = editor.grower(spec, mode)?;
        return editor.fstab(&p.root, p.grower, None);
    }
    if mode.bios() {
        let found = rootfs.places.bios(editor.ingest)?;
        let found = found.ok_or(BuildError::NoGrub)?;
        readable(editor.ingest, &found.made, spec)?;
        editor.modules(sorted, I386_PC, &found.made)?;
        p.from.push(found.from);
        p.grub = Some(found.made);
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
    editor.fstab(&p.root, p.grower, mode.uefi().map(|_| facts.esp_id))
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

/// Names of the regular files in a directory.
fn files_in(tree: &Tree, sorted: &Sorted, directory: NodeId) -> Vec<String> {
    let children = tree.children(sorted, directory);
    let regular = children.filter(|c| matches!(tree.node(c.node).kind, NodeKind::File { .. }));
    regular
        .filter_map(|c| String::from_utf8(c.name.to_vec()).ok())
        .collect()
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

/// Puts files of ours into the tree and remembers which.
pub(super) struct Editor<'a, 'b> {
    pub(super) ingest: &'a mut Ingest<'b>,
    time: Timestamp,
    edits: Vec<String>,
}

impl Editor<'_, '_> {
    fn entry(&self, path: &str, kind: EntryKind) -> Entry {
        Entry {
            mode: 0o644,
            mtime: self.time,
            ..Entry::new(path, kind)
        }
    }

    pub(super) fn write(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), BuildError> {
        let size = count(bytes.len());
        let entry = self.entry(path, EntryKind::File { size, data: None });
        self.ingest.edit(&entry, Bytes::from(bytes))?;
        self.edits.push(format!("/{path}"));
        Ok(())
    }

    /// A directory, where there is none.
    fn directory(&mut self, path: &str) -> Result<(), BuildError> {
        if self.ingest.tree.resolve(path.as_bytes()).is_some() {
            return Ok(());
        }
        let entry = Entry {
            mode: 0o755,
            ..self.entry(path, EntryKind::Directory)
        };
        self.ingest.edit(&entry, Bytes::new())?;
        self.edits.push(format!("/{path}"));
        Ok(())
    }

    /// The line by which the system resolves its own name, as Debian's installer writes it, where there
    /// is one already or no file at all. Any other hosts file is somebody's own.
    fn hosts(&mut self, name: &str) -> Result<(), BuildError> {
        let own = self.ingest.read(HOSTS.as_bytes())?;
        if own.is_none() && self.ingest.tree.find(HOSTS.as_bytes()).is_some() {
            return Ok(());
        }
        let own = own.unwrap_or_else(|| HOSTS_NEW.into());
        let is_ours = |line: &&[u8]| line.split(|b| b" \t".contains(b)).next() == Some(OWN_ADDRESS);
        if !own.split(|&b| b == b'\n').any(|line| is_ours(&line)) {
            return Ok(());
        }
        let short = name.split('.').next().unwrap_or(name);
        let names = if short == name {
            String::new()
        } else {
            format!(" {short}")
        };
        let ours = [OWN_ADDRESS, format!("\t{name}{names}").as_bytes()].concat();
        let lines = own.split(|&b| b == b'\n');
        let lines: Vec<&[u8]> = lines
            .map(|line| if is_ours(&line) { &ours[..] } else { line })
            .collect();
        self.write(HOSTS, lines.join(&b'\n'))
    }

    /// Copies of a platform's modules, where GRUB finds them: on the root filesystem, of its core's build.
    fn modules(
        &mut self,
        sorted: &Sorted,
        platform: &str,
        files: &Files,
    ) -> Result<(), BuildError> {
        let folder = format!("{BOOT_GRUB}/{platform}");
        // Modules of another build that an earlier grub-install left behind.
        let stale = self.ingest.tree.resolve(folder.as_bytes());
        let stale = stale.map_or_else(Vec::new, |n| files_in(&self.ingest.tree, sorted, n));
        for name in stale.iter().filter(|n| !files.contains_key(*n)) {
            self.ingest.forget(format!("{folder}/{name}").as_bytes())?;
        }
        for (name, bytes) in files.iter().filter(|(name, _)| is_module_file(name)) {
            self.write(&format!("{folder}/{name}"), bytes.clone())?;
        }
        Ok(())
    }

    /// grub.cfg, unless the rootfs's own one boots this image.
    fn grub_cfg(&mut self, config: &Config) -> Result<(), BuildError> {
        if let Some(own) = self.ingest.read(GRUB_CFG.as_bytes())?
            && !bears_marker(&own)
        {
            let text = String::from_utf8_lossy(&own);
            let why = match root_named(&text, &config.root) {
                RootNamed::Ours => return Ok(()),
                RootNamed::Other(name) => format!("names the root {name}"),
                RootNamed::Nothing => "names no root".into(),
            };
            self.ingest.warn(&format!(
                "/{GRUB_CFG} of the rootfs {why}, which is not in this image: it is replaced, \
                     and kept as /{GRUB_CFG_ORIG}"
            ));
            self.write(GRUB_CFG_ORIG, own)?;
        }
        self.write(GRUB_CFG, grub_cfg(config)?.into_bytes())
    }

    /// Chooses who grows the root, and tells them.
    fn grower(&mut self, spec: &Spec, mode: &Mode) -> Result<Grower, BuildError> {
        let mut warning = None;
        let tree = &self.ingest.tree;
        let grower = Grower::choose(spec.grow_at_boot, tree, mode.scheme, |w| {
            warning = Some(w.to_owned());
        })?;
        if let Some(w) = warning {
            self.ingest.warn(&w);
        }
        if grower == Grower::Repart {
            self.write(REPART_CONF, format!("{MARKER}\n{REPART_TEXT}").into_bytes())?;
        }
        Ok(grower)
    }

    /// An fstab that mounts the root and the EFI system partition `esp`, unless the rootfs has one with an
    /// entry of its own.
    fn fstab(&mut self, root: &str, grower: Grower, esp: Option<u32>) -> Result<(), BuildError> {
        let own = self.ingest.read(FSTAB.as_bytes())?;
        let has_entry = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            text.lines()
                .any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'))
        };
        if let Some(text) = own.filter(|text| !bears_marker(text) && has_entry(text)) {
            if grower == Grower::Repart && !String::from_utf8_lossy(&text).contains(FSTAB_OPTION) {
                self.ingest.warn(&format!(
                    "/{FSTAB} of the rootfs is kept, and lacks {FSTAB_OPTION}: the partition of the root \
                     will grow at first boot, its filesystem only with that option"
                ));
            }
            return Ok(());
        }
        // Blanks in a label are octal in fstab(5); "pass" 1: the root is checked first.
        let root = root.replace(' ', "\\040");
        let grow = if grower == Grower::Repart {
            format!(",{FSTAB_OPTION}")
        } else {
            String::new()
        };
        let mut text = format!("{MARKER}\n{root} / ext4 rw,discard,errors=remount-ro{grow} 0 1\n");
        if let Some(id) = esp {
            // The running system needs it for updates of the loader alone: a kernel without FAT boots too.
            let (high, low) = (hi16(id), lo16(id));
            text.push_str(&format!(
                "UUID={high:04X}-{low:04X} /{BOOT_EFI} vfat umask=0077,nofail 0 2\n"
            ));
        }
        self.write(FSTAB, text.into_bytes())
    }
}

/// The PARTUUID of the root, where there is a partition.
fn root_partuuid(mode: &Mode, facts: &Facts) -> Option<String> {
    match mode.scheme {
        Scheme::Gpt => Some(facts.root_guid.to_string()),
        Scheme::Mbr | Scheme::Auto => Some(partuuid(facts.disk_signature, 1)),
        Scheme::None => None,
    }
}
